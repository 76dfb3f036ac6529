"""Points on the way of a mail in; processes killed there, their successors, and what came of it.

The witness is the mail sink's folder. Every effect is mailed at most once, and one that is not
mailed is parked.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connectors.mongodb import client
from deploy import stack
from deploy.java import client_environment
from deploy.mail_sink import MailSink
from tests.chaos.oracle import mails
from tests.chaos.senders import AT_ONCE, IN_FLIGHT, POINTS

ROOT = Path(__file__).resolve().parents[2]
EFFECTS = 12  # of each process
TIMEOUT_S = 240.0
KILLERS_PATIENCE_S, LEASE_S = 20, 2  # what is lost shall be lost by the kills alone


@dataclass(frozen=True)
class Hit:
    """What became of all processes that were killed at one point."""

    point: str
    kills: int
    effects: int
    mailed: int
    doubled: int
    parked: int
    by_kills: int  # of these
    lost: int  # neither mailed nor parked
    unlisted: int  # mailed, and nobody knows

    @property
    def missing(self) -> int:
        return self.lost + self.unlisted

    @property
    def wrong(self) -> bool:
        slow = self.parked - self.by_kills  # a sink that answered too late
        stalled = min(self.kills, AT_ONCE) * IN_FLIGHT  # so many does one stall of the machine park
        too_many = self.by_kills > self.kills * IN_FLIGHT or slow > stalled
        return bool(self.doubled or self.missing) or too_many


@contextmanager
def office() -> Iterator[Path]:
    """A ledger's server, for a while; a folder for the mails."""
    with (
        tempfile.TemporaryDirectory(prefix="tidemill-chaos-") as folder,
        stack.private(["mongodb"], client_environment()),
    ):
        yield Path(folder)


def hit(
    folder: Path, point: str, kills: int, seed: int, path: Path = ROOT, rewrite: bool = False
) -> Hit:
    """Kill so many processes at this point, and let successors finish their work.

    `path` is where the code of the senders comes from; with `rewrite` the successors have other
    words for the same mails, as after an answer that was not journaled.
    """
    rng, name = random.Random(f"{seed} {point}"), uuid.uuid4().hex[:8]
    place = folder / name
    place.mkdir()
    with MailSink(place / "mail") as sink:
        order = {"database": f"chaos_{name}", "changes": {}}
        patient, quick = (_server(sink, s) for s in (KILLERS_PATIENCE_S, LEASE_S))
        orders = []
        for number in range(kills):
            span = {"first": number * EFFECTS, "last": (number + 1) * EFFECTS}
            orders.append(order | span | {"done": str(place / f"{number}.done")})
        killers = [
            o | patient | {"point": point, "at_pass": rng.randint(1, EFFECTS)} for o in orders
        ]
        codes = _senders(killers, path)
        if set(codes) != {-signal.SIGKILL}:
            raise AssertionError(f"{point}: not every process was killed there: {Counter(codes)}")
        changes = {"body": "Dear reader,\nshall we talk?\n"} if rewrite else {}
        codes = _senders([o | quick | {"changes": changes} for o in orders], path)
        if set(codes) != {0}:
            raise AssertionError(f"{point}: successors ended with {Counter(codes)}")
        return _told(point, kills, place / "mail", order["database"])


def _server(sink: MailSink, patience_s: int) -> dict[str, Any]:
    options = f"timeout_s={patience_s}&reply_timeout_s={patience_s}&connections={IN_FLIGHT}"
    return {"smtp_url": f"{sink.url}?{options}"}


def _senders(orders: list[dict[str, Any]], path: Path) -> list[int]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.senders", json.dumps(orders)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])},
        cwd=path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    return list(json.loads(done.stdout))


def _told(point: str, kills: int, folder: Path, database: str) -> Hit:
    found, recipients = mails(folder), mails(folder, "X-RcptTo")
    with client() as mongo:
        entries = list(mongo[database]["ledger"].find())
        mongo.drop_database(database)
    effects = kills * EFFECTS
    parked = {entry["_id"] for entry in entries if entry["status"] == "parked"}
    sent = {entry["_id"] for entry in entries if entry["status"] == "sent"}
    return Hit(
        point,
        kills,
        effects,
        mailed=found.total(),
        doubled=sum(count - 1 for count in recipients.values()),  # whatever the ids say
        parked=len(parked),
        by_kills=sum(entry.get("reason") == "owner_lost" for entry in entries),
        lost=max(0, effects - len(set(found) | parked)),
        unlisted=len(set(found) - parked - sent) + len(sent - set(found)),
    )


def every_point(kills: int, seed: int, report: Callable[[str], None]) -> list[Hit]:
    """All seven."""
    found = []
    with office() as folder:
        for point in POINTS:
            found.append(hit(folder, point, kills, seed))
            report(f"{point}: {kills} kills, {found[-1].doubled} doubled, {found[-1].lost} lost")
    return found
