"""Effects for real: worker processes, the MongoDB-wire ledger, a mail sink, and SIGKILL between.

The witness is the sink's folder. Whatever happens: no mail twice, and what was not sent is listed.
"""

import asyncio
import contextlib
import email
import email.policy
import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from connectors.clock import SystemClock
from connectors.ledger import MongoLedger, new_owner
from connectors.mongodb import async_client, client
from connectors.smtp import SmtpSender
from deploy.mail_sink import MailSink
from tests.udfs.effect_worker import PATIENCE, intent
from udfs.core.effect import Outcome, address_hash
from udfs.core.outbox import Outbox

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


class Office:
    """A mail sink, a ledger of its own, and workers that are started and killed."""

    def __init__(self, sink: MailSink, database: str) -> None:
        self.sink, self.database = sink, database
        self.patient(30)

    def patient(self, timeout_s: int) -> None:
        """How long a worker waits for the mail server, and so how long its claim is respected."""
        options = f"timeout_s={timeout_s}&reply_timeout_s={timeout_s}&connections=4"
        self.smtp_url = f"{self.sink.url}?{options}"

    def worker(self, first: int, last: int, **order: Any) -> subprocess.Popen[str]:
        text = json.dumps(
            {"first": first, "last": last, "smtp_url": self.smtp_url, "database": self.database}
            | order
        )
        return subprocess.Popen(
            [sys.executable, str(ROOT / "tests/udfs/effect_worker.py"), text],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def mails(self) -> Counter[str]:
        """Message-ID → how often it lies in the sink's folder."""
        files = self.sink.messages
        read = (email.message_from_bytes(file.read_bytes()) for file in files)
        return Counter(str(message["Message-ID"]) for message in read)

    def run(self, work: Callable[[Outbox, MongoLedger], Awaitable[T]]) -> T:
        """Work with an outbox in this process."""

        async def main() -> T:
            sender = SmtpSender(self.smtp_url, "agents@tidemill.example")
            async with async_client() as mongo:
                ledger = MongoLedger(mongo[self.database])
                await ledger.prepare()
                owner = new_owner("sdr.send_email")
                try:
                    return await work(
                        Outbox(ledger, sender, SystemClock(), owner, PATIENCE), ledger
                    )
                finally:
                    await sender.aclose()

        return asyncio.run(main())

    def deliver(self, *numbers: int, **changes: Any) -> list[Outcome]:
        async def work(outbox: Outbox, ledger: MongoLedger) -> list[Outcome]:
            return await asyncio.gather(*(outbox.deliver(intent(n, **changes)) for n in numbers))

        return self.run(work)

    def parked(self) -> set[str]:
        async def work(outbox: Outbox, ledger: MongoLedger) -> set[str]:
            return {document["_id"] for document in await ledger.parked("sdr")}

        return self.run(work)


@pytest.fixture
def office(stack: dict[str, str], tmp_path: Path) -> Iterator[Office]:
    database = f"test_{uuid.uuid4().hex[:8]}"
    with MailSink(tmp_path / "mail") as sink:
        yield Office(sink, database)
    with client() as mongo:
        mongo.drop_database(database)


def test_a_mail_lies_in_the_sink_as_it_was_asked_for(office: Office) -> None:
    [outcome] = office.deliver(1)
    assert (outcome.status, outcome.repeated) == ("sent", False)
    [file] = office.sink.messages
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    assert message["To"] == "person-1@acme.example"
    assert message["Message-ID"] == f"<{intent(1).effect_id}@tidemill.example>"
    assert "shall we talk?" in message.get_content()
    [again] = office.deliver(1)
    assert (again.status, again.repeated, again.sent_at_ms) == ("sent", True, outcome.sent_at_ms)
    assert office.mails().total() == 1


def test_workers_killed_at_random_mail_nobody_twice(office: Office) -> None:
    """Four starts in a row on the same 60 effects, each killed while it mails; then a fifth."""
    office.patient(2)
    for round_ in range(4):
        worker = office.worker(0, 60)
        sent = office.mails().total()
        for _ in range(2_000):
            time.sleep(0.002)
            if office.mails().total() > sent + 3 + round_ or worker.poll() is not None:
                break
        worker.kill()
        worker.communicate()
    outcomes = office.deliver(*range(60))
    statuses = Counter(outcome.status for outcome in outcomes)
    assert set(statuses) <= {"sent", "parked"}
    mails = office.mails()
    assert max(mails.values()) == 1
    assert mails.total() >= statuses["sent"]
    assert len(office.parked()) == statuses["parked"]


def test_two_workers_on_the_same_effects_share_them(office: Office) -> None:
    workers = [office.worker(0, 40) for _ in range(2)]
    answers = [json.loads(worker.communicate(timeout=60)[0]) for worker in workers]
    assert answers[0] == answers[1] == {str(n): "sent" for n in range(40)}
    assert sorted(office.mails().values()) == [1] * 40


@pytest.mark.parametrize(
    ("faults", "status", "reason", "mails"),
    [
        (["450 greylisted", "421 busy", "451 later"], "sent", None, 1),
        (["550 no such user"], "refused", "smtp_550", 0),
        (["450 not now"] * 100, "failed", "smtp_450", 0),
        (["lost"], "parked", "no_answer", 1),
        (["crash"], "parked", "no_answer", 0),
        (["hang"], "parked", "no_answer", 0),
    ],
)
def test_what_the_server_does_is_what_the_ledger_says(
    office: Office, faults: list[str], status: str, reason: str | None, mails: int
) -> None:
    if "hang" in faults:
        office.patient(2)
    office.sink.misbehave(*faults)
    [outcome] = office.deliver(1)
    assert (outcome.status, outcome.reason) == (status, reason)
    assert "person-1@" not in (outcome.detail or "")
    [again] = office.deliver(1)
    assert (again.status, again.reason) == (status, reason)
    assert office.mails().total() == mails
    assert office.parked() == ({intent(1).effect_id} if status == "parked" else set())


def test_a_parked_effect_is_sent_again_only_by_a_human(office: Office) -> None:
    office.sink.misbehave("crash")
    office.deliver(1)
    assert office.deliver(1, attempt=2)[0].status == "parked"

    async def decide(outbox: Outbox, ledger: MongoLedger) -> None:
        await ledger.resolve_parked(intent(1).effect_id, "not_sent")

    office.run(decide)
    assert office.deliver(1)[0].status == "failed"
    assert office.deliver(1, attempt=2)[0].status == "sent"
    assert office.deliver(1, attempt=2)[0].repeated
    assert office.mails().total() == 1


def test_an_opt_out_and_a_second_lead_get_no_mail(office: Office) -> None:
    async def opt_out(outbox: Outbox, ledger: MongoLedger) -> None:
        await ledger.opt_out(address_hash(" Person-1@ACME.example"))

    office.run(opt_out)
    assert [outcome.status for outcome in office.deliver(1, 2)] == ["opted_out", "sent"]
    [second] = office.deliver(2, event_id="event-other", key="lead-other")
    assert (second.status, second.reason) == ("duplicate", "already_mailed")
    [changed] = office.deliver(2, body="something else")
    assert (changed.status, changed.reason) == ("refused", "conflict")
    assert office.mails().total() == 1


def test_a_clean_stop_finishes_its_sends(office: Office) -> None:
    async def work(outbox: Outbox, ledger: MongoLedger) -> Counter[str]:
        tasks = [asyncio.create_task(outbox.deliver(intent(n))) for n in range(40)]
        while not list(office.sink.messages):
            await asyncio.sleep(0.005)
        await outbox.drain()
        for task in tasks:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
        return Counter(await ledger.counts("sdr"))

    counts = office.run(work)
    assert set(counts) == {"sent"}
    assert office.mails().total() == counts["sent"]
    assert {outcome.status for outcome in office.deliver(*range(40))} == {"sent"}
    assert sorted(office.mails().values()) == [1] * 40
