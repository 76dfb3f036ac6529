"""Objectives on a topic in, proof out that each was answered once, with every result in it."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import psutil

from connectors.kafka import end_offsets, read_all
from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from deploy.record import StackRecord
from jobs.cluster import Cluster
from tests.bench import cpu, ground

TOPICS = ("objectives", "commands", "results", "answers")
TEAM = "orchestra"
COMMANDS = 100  # of an objective
WORKER_S = 60.0
BACKOFF = (
    "restart-strategy.exponential-delay.reset-backoff-threshold=5 s",
    "restart-strategy.exponential-delay.max-backoff=2 s",
)


def plan(commands: int, salt: int) -> str:
    """The commands of one objective, as JSON."""
    return json.dumps(
        [{"step": f"s{n}", "kind": "player", "input": {"n": n + salt}} for n in range(commands)]
    )


class Orchestra:
    """A running orchestrator and its workers."""

    def __init__(self, worker: str, *options: str) -> None:
        self.worker = worker
        ground.create_topics(*TOPICS)
        command = [sys.executable, "-m", "tests.bench.submit_jobs"]
        names = [f"{TEAM}/conduct", f"{TEAM}/{worker}"]
        subprocess.run([*command, *names, *options], check=True, cwd=ground.ROOT)
        self.cluster = Cluster(os.environ["FLINK_REST_URL"])
        self.asked: dict[bytes, int] = {}

    def ask(self, objectives: int, commands: int) -> dict[tuple[str, int], int]:
        """Write a pile of objectives; the ends of all topics as they were before."""
        start = end_offsets(ground.servers(), TOPICS)
        first = len(self.asked)
        new = {f"o{n}".encode(): n for n in range(first, first + objectives)}
        self.asked.update(new)
        ground.pile("objectives", ((key, self.value(commands, n)) for key, n in new.items()))
        return start

    @staticmethod
    def value(commands: int, salt: int) -> bytes:
        return json.dumps({"commands": plan(commands, salt)}).encode()

    def wait(self, timeout_s: float = 300) -> None:
        """Return when every objective that was asked has an answer."""
        deadline = time.monotonic() + timeout_s
        ground.await_records("answers", len(self.asked), timeout_s)  # repeats are among them
        while missing := self.asked.keys() - ground.arrivals("answers", {}).keys():
            if time.monotonic() > deadline:
                raise AssertionError(f"{len(missing)} objectives have no answer")
            time.sleep(0.5)

    def check(self, commands: int) -> Counter[str]:
        """Prove that each was answered once, whole and right; how many records each topic has."""
        seen: dict[bytes, bytes] = {}
        for record in read_all(ground.servers(), ["answers"]):
            key, value = record.key or b"", record.value or b""
            if seen.setdefault(key, value) != value:
                raise AssertionError(f"{key!r} was answered twice, and differently: {value!r}")
        if seen.keys() != self.asked.keys():
            raise AssertionError(f"{len(self.asked) - len(seen)} objectives have no answer")
        for key, value in seen.items():
            answer = json.loads(value)
            expected = {f"s{n}": (n + self.asked[key]) ** 2 for n in range(commands)}
            if answer["status"] != "complete" or json.loads(answer["result"]) != expected:
                raise AssertionError(f"{key!r} has the wrong answer: {value[:300]!r}")
        ends = end_offsets(ground.servers(), TOPICS)
        counts = Counter[str]()
        for (topic, _), end in ends.items():
            counts[topic] += end
        counts["commands once"] = len({r.key for r in read_all(ground.servers(), ["commands"])})
        return counts

    def latencies(self, start: dict[tuple[str, int], int]) -> list[float]:
        """Milliseconds from each objective's record to its answer's, by the broker's clock."""
        asked = ground.arrivals("objectives", start)
        answered = ground.arrivals("answers", start)
        return [answered[key] - asked[key] for key in asked]

    def scale(self, parallelism: int, tries: int = 1) -> float:
        """Give the workers another parallelism, as a person does; seconds that it took.

        Raises AssertionError with what the command said where it refused.
        """
        command = [sys.executable, "-m", "jobs.cli", "scale"]
        for _ in range(tries):
            done = subprocess.run(
                [*command, f"{TEAM}.{self.worker}", str(parallelism)],
                cwd=ground.ROOT,
                capture_output=True,
                text=True,
            )
            if not done.returncode:
                return float(done.stdout.rpartition("(")[2].split()[0])
            if "task slots are wanted" in done.stderr:
                break
            self.wait_until_running()  # it was just restarting after a kill
        raise AssertionError(done.stderr + done.stdout)

    def wait_until_running(self, timeout_s: float = 120) -> None:
        """Return when every task of both jobs runs (again)."""
        deadline = time.monotonic() + timeout_s
        while True:
            jobs = [job for job in self.cluster.jobs() if not job.ended]
            found = [v["status"] for job in jobs for v in self.cluster.vertices(job.id)]
            if len(jobs) == 2 and found and set(found) <= {"RUNNING", "FINISHED"}:
                return
            if time.monotonic() > deadline:
                raise AssertionError(f"the jobs do not run again: {Counter(found)}")
            time.sleep(0.2)

    def restarts(self) -> int:
        """How often Flink restarted any of the jobs."""
        running = [job for job in self.cluster.jobs() if not job.ended]
        return sum(self.cluster.restarts(job.id) or 0 for job in running)


def kill_worker(rng: random.Random, kinds: tuple[str, ...] = ("Beam worker", "run process")) -> str:
    """kill -9 of one Python worker; which kind. Waits for one; raises where none comes."""
    deadline = time.monotonic() + WORKER_S
    while not (found := [one for one in _workers() if one[0] in kinds]):
        if time.monotonic() > deadline:
            raise AssertionError(f"no {' or '.join(kinds)} runs")
        time.sleep(0.1)
    kind, process = rng.choice(found)
    os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return kind


def _workers() -> list[tuple[str, psutil.Process]]:
    """Python processes of the TaskManagers, each with its kind."""
    found = []
    for name, record in StackRecord.load(settings().home).processes.items():
        if name.startswith("flink-taskmanager"):
            family = [p for p in record.family() if p.name().startswith("python")]
            found += [(cpu.kind(p, is_leader=False), p) for p in family]
    return found


@contextmanager
def orchestra(worker: str, *options: str, scheduler: str = "default") -> Iterator[Orchestra]:
    """A stack of one's own with the orchestrator and one kind of worker."""
    environment = {
        **client_environment(),
        "TIDEMILL_SQL": str(ground.SQL),
        "TIDEMILL_FLINK_SCHEDULER": scheduler,
        "BENCH_JOB": "none",
    }
    with stack.private(("kafka", "flink"), environment):
        yield Orchestra(worker, *options)
