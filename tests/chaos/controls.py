"""Defects planted one at a time in; whether the harness sees each of them, out.

Sending is tried by killed sender processes (`failpoints`), the rest by one job whose Python worker
is killed twice: while runs are in flight, and when all have ended but no checkpoint holds that.
The job without a defect goes first, and must be clean.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from random import Random

from connectors.kafka import NewRecord
from deploy import stack
from tests.chaos import failpoints, kills, oracle
from tests.chaos.oracle import Verdict
from tests.chaos.variants import ROOT, RUNNING, SENDING, Control, Variant
from tests.chaos.world import PARTS, World, lead, trace_of, world

JOB = "sdr/lead_ingestion"
KEYS, UPDATES = 8, 6  # some of a key are still to come when the worker is killed
LATENCY_MS = 900
LOST_S = 25.0  # after so long without news, what has not come is lost
AFTER_S = 12.0  # for a worker to start again and do again what it does not know to be done
FIRST = ("lead_ingestion_output",)
# A checkpoint every few seconds: some events are in it, and some come after it.
OPTIONS = ["-D", "execution.checkpointing.interval=4 s"]

Report = Callable[[str], None]


def sending(kills_each: int, seed: int, report: Report) -> list[Control]:
    """Every defect of the mail's way, at the point where it shows."""
    found = []
    with tempfile.TemporaryDirectory() as folder, failpoints.office() as place:
        for planted in SENDING:
            path = planted.copy(Path(folder))
            rewrite = "text" in planted.name
            hit = failpoints.hit(place, "after_final_dot", kills_each, seed, path, rewrite)
            faults = {k: v for k, v in asdict(hit).items() if k == "doubled" and v}
            found.append(Control(planted.name, planted.caught_by, faults))
            report(str(found[-1]))
    return found


def running(seed: int, report: Report) -> list[Control]:
    """Every defect of the runs' way."""
    found = []
    with tempfile.TemporaryDirectory() as folder, world(LATENCY_MS) as place:
        for planted in (None, *RUNNING):
            path = planted.copy(Path(folder)) if planted else ROOT
            with workers_of(place, path, planted, [JOB], OPTIONS):
                faults = _short_run(place, Random(seed))
            found.append(Control(*_expected(planted), faults))
            report(str(found[-1]))
    return found


def _expected(planted: Variant | None) -> tuple[str, str]:
    return (planted.name, planted.caught_by) if planted else ("", "")


@contextmanager
def workers_of(
    place: World, path: Path, planted: Variant | None, jobs: Sequence[str], options: Sequence[str]
) -> Iterator[None]:
    """For a while TaskManagers whose workers import this code; a database of their own."""
    name = planted.name.replace(" ", "_") if planted else "none"
    before = dict(os.environ)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(path), str(ROOT)])
    os.environ["TIDEMILL_VARIANT"] = name  # TaskManagers start again where their variables change
    os.environ["MONGODB_DATABASE"] = f"chaos_{name}"
    try:
        stack.up(PARTS)
        place.fed.clear()
        place.answers.write_text("")
        place.submit(*jobs, options=options, fresh=True)
        yield
    finally:
        for job in place.cluster.jobs():
            if not job.ended:
                place.cluster.cancel(job)
        os.environ.clear()
        os.environ.update(before)


def _short_run(place: World, rng: Random) -> dict[str, int]:
    """Events of a few keys, one of each sent twice; the worker is killed twice. What was wrong.

    Before the first kill nothing may be there twice; after all has ended, nothing may be paid.
    """
    records = _events()
    place.fed += dict.fromkeys(trace_of(record) for record in records)
    place.feed(records)
    fed_at_ms = time.time() * 1000
    _await(place, lambda verdict: len(verdict.unfinished) <= len(place.fed) // 2)
    _await(place, lambda _: _checkpointed_since(place, fed_at_ms))
    repeated = len(_judged(place).repeated)
    kills.strike(place, "Python worker", "kill", 1, rng)
    _await(place, lambda verdict: not verdict.unfinished)
    paid = _judged(place).paid
    kills.strike(place, "Python worker", "kill", 0, rng)
    time.sleep(AFTER_S)
    verdict = _judged(place)
    counted = {"repeated": repeated, "paid_again": verdict.paid - paid}
    return verdict.wrong | {name: count for name, count in counted.items() if count}


def _events() -> list[NewRecord]:
    """For each key some events in order; the first of each again, and its id with other words."""
    found = []
    for number in range(KEYS * UPDATES):
        key, update = f"chaos-{number % KEYS}", number // KEYS
        record = lead(number, key=key)
        found.append(record)
        if update == 0:
            found.append(record)
            found.append(_with_id_of(record, lead(1000 + number, key=key)))
    return found


def _with_id_of(first: NewRecord, other: NewRecord) -> NewRecord:
    headers = dict(other.headers) | {"ce_id": dict(first.headers)["ce_id"]}
    return replace(other, headers=tuple(headers.items()))


def _await(place: World, condition: Callable[[Verdict], bool]) -> None:
    """Until it holds, or until nothing new has come for so long that nothing will."""
    news, since = None, time.monotonic()
    while True:
        verdict = _judged(place)
        if condition(verdict):
            return
        if verdict.fates != news:
            news, since = verdict.fates, time.monotonic()
        if time.monotonic() - since > LOST_S:
            return
        time.sleep(0.3)


def _judged(place: World) -> Verdict:
    return oracle.judge(place.fed, oracle.gather(place.mails, place.answers), ends=FIRST)


def _checkpointed_since(place: World, moment_ms: float) -> bool:
    """Whether a checkpoint that began after this moment is complete."""
    for job in place.cluster.jobs():
        if not job.ended:
            latest = place.cluster.get(f"/jobs/{job.id}/checkpoints")["latest"]["completed"]
            return bool(latest and latest["trigger_timestamp"] > moment_ms)
    return False
