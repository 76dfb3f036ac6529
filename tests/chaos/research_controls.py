"""Defects planted in the research team's way in; whether the harness sees each of them, out.

Two bundles each: asked for; every worker killed when all questions are mined and no checkpoint
holds that; edited and asked for again, while the job that stores them stands still until their
questions are mined. Without a defect nothing may be wrong.
"""

import json
import os
import signal
import tempfile
import time
from pathlib import Path
from random import Random

from connectors.kafka import read_all
from tests.chaos import kills, research
from tests.chaos.bundles import Bundle, site
from tests.chaos.controls import Report, workers_of
from tests.chaos.kills import Blow
from tests.chaos.research import Run
from tests.chaos.variants import RESEARCHING, ROOT, Control, Variant
from tests.chaos.world import World, world

PAGES, EDITED = 6, 2
INDEX = "research/index_documents"
WAIT_S = 60.0
# Long enough for all questions to be mined between two checkpoints.
OPTIONS = ["-D", "execution.checkpointing.interval=15 s"]


def researching(
    seed: int, report: Report, defects: tuple[Variant, ...] = RESEARCHING
) -> list[Control]:
    """Every defect, and none."""
    found = []
    with (
        tempfile.TemporaryDirectory() as folder,
        site() as served,
        world(research.LATENCY_MS, research.ENVIRONMENT) as place,
    ):
        for number, planted in enumerate((None, *defects)):
            path = planted.copy(Path(folder)) if planted else ROOT
            with workers_of(place, path, planted, research.NAMES, OPTIONS):
                going = Run(place, served, Random(seed), f"control{number}-")
                faults = _short_run(going, report)
            names = (planted.name, planted.caught_by) if planted else ("", "")
            found.append(Control(*names, faults))
            report(str(found[-1]))
    return found


def _short_run(going: Run, report: Report) -> dict[str, int]:
    _checkpointed(going.place)
    bundles = [going.bundle(PAGES) for _ in range(2)]
    for bundle in bundles:
        going.ask(bundle)
    _mined(going.place, len(bundles) * PAGES)
    time.sleep(research.LOST_S + 0.5)
    blow = _kill_workers(going.place)
    for bundle in bundles:
        going.await_first(bundle)
    _cancel(going.place, INDEX)
    for bundle in bundles:
        going.ask_again(bundle, EDITED)
    _questions(bundles)
    going.place.submit(INDEX, options=OPTIONS)
    going.settle(report)
    return going.outcome([blow]).wrong


def _mined(place: World, calls: int) -> None:
    deadline = time.monotonic() + WAIT_S
    while len(place.answers.read_text().splitlines()) < calls and time.monotonic() < deadline:
        time.sleep(0.2)


def _cancel(place: World, name: str) -> None:
    """It goes on from its last checkpoint when it is submitted again."""
    job = place.cluster.running(name.replace("/", "."))
    assert job, f"{name} does not run"
    place.cluster.cancel(job)


def _questions(bundles: list[Bundle]) -> None:
    """Return when the questions of every page are there, as it reads now."""
    wanted = {(b.name, one.url, one.content_hash) for b in bundles for one in b.documents()}
    found: set[tuple[str, str, str]] = set()
    deadline = time.monotonic() + WAIT_S
    while not wanted <= found and time.monotonic() < deadline:
        for record in read_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], ["mined_questions"]):
            value = json.loads(record.value or b"{}")
            found.add(((record.key or b"").decode(), value["url"], value["content_hash"]))
        time.sleep(0.3)


def _checkpointed(place: World) -> None:
    """Wait for a checkpoint of the job that mines, so that the next is as far away as may be."""
    begun_ms, deadline = time.time() * 1000, time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        job = place.cluster.running("research.mine_questions")
        if job is not None:
            latest = place.cluster.get(f"/jobs/{job.id}/checkpoints")["latest"]["completed"]
            if latest and latest["trigger_timestamp"] > begun_ms:
                return
        time.sleep(0.2)


def _kill_workers(place: World) -> Blow:
    """Every Python worker at once, so that each job restarts from its last checkpoint."""
    found, at = kills.processes(place, "Python worker"), time.time()
    for process in found:
        os.kill(process.pid, signal.SIGKILL)
    return Blow("Python worker", "kill", found[0].pid, 2, 0, at, time.time())
