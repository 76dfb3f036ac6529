"""A running world and what to hit in it in, the blow and the proof that it landed out.

`kill` is SIGKILL. `stop` is SIGSTOP for 20 s and SIGCONT: whoever was taken for dead comes back.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import psutil

from connectors.settings import settings
from jobs.errors import TidemillError
from tests.chaos.world import World, alive

STOP_S = 20.0
PROOF_S = 20.0
HITS = 3
# Victim → a word of its command line; the first four take jobs along.
VICTIMS = {
    "Python worker": "beam_boot",
    "TaskManager": "TaskManagerRunner",
    "JobManager": "StandaloneSession",
    "run process": "run_process_main",
    "broker": "deploy.kafka_server",
    "MongoDB server": "deploy.mongodb_server",
    "mail sink": "deploy.mail_sink",
    "model": "deploy.offline_model",
}
RESTART_JOBS = ("Python worker", "TaskManager")


class NotProven(AssertionError):
    """A blow that did not land, or hit nothing that worked."""


@dataclass(frozen=True)
class Blow:
    """One kill or stop, what was in flight when it came, and when it was seen to have landed."""

    victim: str
    how: str
    pid: int
    leads_in_flight: int  # or documents, or bundles
    calls_in_flight: int
    at: float = 0.0
    seen_at: float = 0.0


def strike(world: World, victim: str, how: str, leads_in_flight: int, rng: random.Random) -> Blow:
    """Hit one process of this kind. Raises NotProven.

    Flink notices that a Python worker is gone only with the next record for it. One that has
    nothing to do proves nothing, so another is hit then.
    """
    hits = HITS if victim == "Python worker" else 1
    for _ in range(hits):
        found = targets(world, victim)
        if not found:
            raise NotProven(f"no {victim} runs")
        process = rng.choice(found)
        calls = world.calls_in_flight() if how == "kill" or victim != "model" else 0
        struck_at = time.time()
        _hit(process, how, victim)
        noted = partial(_failed_since, world, struck_at * 1000)
        if how == "stop" or victim not in RESTART_JOBS or _within(PROOF_S * HITS / hits, noted):
            return Blow(victim, how, process.pid, leads_in_flight, calls, struck_at, time.time())
    raise NotProven(f"no job restarted after {hits} hits of a {victim}")


def _hit(process: psutil.Process, how: str, victim: str) -> None:
    if how == "stop":
        process.suspend()
        if not _within(PROOF_S, lambda: process.status() == psutil.STATUS_STOPPED):
            raise NotProven(f"{victim} is not stopped")
        time.sleep(STOP_S)
        process.resume()
        return
    os.kill(process.pid, signal.SIGKILL)
    if not _within(PROOF_S, lambda: not alive(process)):
        raise NotProven(f"{victim} {process.pid} is not gone")


def mend(world: World, victim: str, jobs: list[str], options: list[str]) -> None:
    """Bring back what does not come back by itself."""
    world.mend()
    if victim == "JobManager":
        running = world.cluster.running_names()
        missing = [job for job in jobs if job.replace("/", ".") not in running]
        if missing:
            world.submit(*missing, options=options)


def targets(world: World, victim: str) -> list[psutil.Process]:
    """Those of this kind that may be hit: of TaskManagers, one where a job runs."""
    found = processes(world, victim)
    return [one for one in found if _works(one)] if victim == "TaskManager" else found


def processes(world: World, victim: str) -> list[psutil.Process]:
    """All of this world's that are of this kind."""
    own = {"mail sink": world.mail, "model": world.model}
    if victim in own:
        service = own[victim].process
        return [service] if service is not None and alive(service) else []
    home, word, found = str(settings().home), VICTIMS[victim], []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("TIDEMILL_HOME") == home
            if ours and process.name() != "sh" and word in " ".join(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def _works(manager: psutil.Process) -> bool:
    """Whether a job runs there: it then has a Python worker. The other one is a spare."""
    word = VICTIMS["Python worker"]
    try:
        return any(word in " ".join(one.cmdline()) for one in manager.children(recursive=True))
    except psutil.Error:
        return False


def _failed_since(world: World, since_ms: float) -> bool:
    """Whether Flink has noted a failure of any job since then."""
    try:
        for job in world.cluster.jobs():
            history = world.cluster.get(f"/jobs/{job.id}/exceptions").get("exceptionHistory", {})
            if any(entry["timestamp"] >= since_ms for entry in history.get("entries", ())):
                return True
    except TidemillError:
        pass  # it is busy with the failure
    return False


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
