"""`kill -9` of a part of a running job in, seconds to its first new correct answer out: `recovery`.

Questions come at a steady rate all the time. New is an answer to a question that was asked after
the kill; correct is one that says what the model said.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import psutil
from confluent_kafka import Producer

from connectors.kafka import end_offsets, read_all
from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from deploy.record import StackRecord
from tests.bench import agent, cpu, ground
from tests.bench.figures import Figure, Section, table

RATE = 30.0
LIMIT_S = 90.0
SETTLED_S = 14.0  # a checkpoint is complete, and the restart's back-off is at its start again
BACKOFF = "restart-strategy.exponential-delay.reset-backoff-threshold=5 s"
NOTES = """After a worker: 0.5 s of back-off, then a new Python imports Beam and PyFlink, then the
function's own process starts (its row alone says how long that takes). After a TaskManager: up to
6 s until it is missed, then the same in a JVM that has run nothing yet. All of it is CPU time, so
other load multiplies it. What would move it: a worker kept warm, forked when needed."""
BOUNDS_S = {"Beam worker": 5.0, "run process": 5.0, "TaskManager": 10.0}


def measure(rounds: int) -> list[Section]:
    """Kill each part in each round, in an order that rotates."""
    times: dict[str, list[float]] = {part: [] for part in BOUNDS_S}
    with ground.model("--delay", "0.2") as model:
        environment = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "bench", "BENCH_JOB": "none"}
        environment = {**client_environment(), **environment, "TIDEMILL_SQL": str(ground.SQL)}
        with stack.private(agent.PARTS, environment):
            ground.create_topics("questions", "answers")
            ground.submit("bench/agent", "-D", BACKOFF)
            with _asking():
                for number in range(rounds):
                    for part in ground.rotated(list(times), number):
                        time.sleep(SETTLED_S)
                        times[part].append(_killed(part))
                        ground.say(f"round {number} {part}: {times[part][-1]:.1f} s")
                        stack.up(["flink"])
    figures = [
        Figure(f"first new correct answer after kill -9 of the {part}", median(t), bound, "s")
        for (part, t), bound in zip(times.items(), BOUNDS_S.values(), strict=True)
    ]
    rows = [[part, ", ".join(f"{s:.1f}" for s in t)] for part, t in times.items()]
    where = table(["killed", "seconds, every round"], rows)
    return [Section("recovery", "After a kill", figures, where, NOTES)]


@contextmanager
def _asking() -> Iterator[None]:
    """Ask at a steady rate, in a thread, with the time of asking as the key."""
    ended = threading.Event()

    def ask() -> None:
        producer = Producer({"bootstrap.servers": ground.servers(), "linger.ms": 1})
        while not ended.wait(1 / RATE):
            producer.produce("questions", agent.QUESTION, f"{time.time():.6f}".encode())
            producer.poll(0)
        producer.flush(10)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _killed(part: str) -> float:
    """Kill what does the work; seconds until the first new correct answer. Raises if none comes."""
    victim = _victim(part)
    start = end_offsets(ground.servers(), ["answers"])
    killed_at = time.time()
    os.kill(victim.pid, signal.SIGKILL)
    while time.time() < killed_at + LIMIT_S:
        for record in read_all(ground.servers(), ["answers"], start):
            if float(record.key or b"0") > killed_at and agent.is_right(record.value or b""):
                assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE
                return record.timestamp_ms / 1000 - killed_at
        time.sleep(0.1)
    raise RuntimeError(f"no new answer within {LIMIT_S:.0f} s after the kill of the {part}")


def _victim(part: str) -> psutil.Process:
    """The process of that kind in the family of the TaskManager that runs the job."""
    for name, record in StackRecord.load(settings().home).processes.items():
        if not name.startswith("flink-taskmanager"):
            continue
        family = [p for p in record.family() if p.name().startswith(("java", "python"))]
        kinds = {cpu.kind(p, p.pid == record.pid): p for p in family}
        if "run process" in kinds:
            return kinds[part]
    raise RuntimeError("no TaskManager runs the job")
