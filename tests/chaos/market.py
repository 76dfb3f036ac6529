"""Commands on many symbols, and kills, in; whether the trade log is that of the reference, out.

`market` feeds the books; in `clearing` the orders come from accounts and are cleared first: then
the log of accepted orders is what the trade log is compared to, each order is in it once, and cash
and goods are conserved.

What counts is outside of Flink: the topic of executions as Kafka has it, repeats dropped by symbol
and sequence, against the book that was given the same commands and was never killed.
"""

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import psutil

from connectors.kafka import (
    KafkaRecord,
    NewRecord,
    end_offsets,
    ensure_topics,
    produce_all,
    read_all,
)
from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from deploy.record import StackRecord
from jobs.cluster import Cluster
from tests.bench.ground import servers, submit
from tests.bench.market_load import Rows, pile, records
from tests.chaos import market_chain as chain

PARTS = ("kafka", "flink")
JOB, SOURCE, TARGET = "market.match_orders", "orders_accepted", "executions"
OPTIONS = (
    "-Dexecution.checkpointing.interval=1 s",
    "-Drestart-strategy.exponential-delay.reset-backoff-threshold=5 s",
    "-Drestart-strategy.exponential-delay.max-backoff=2 s",
)
SYMBOLS = 200
PATIENCE_S = 120.0
Report = Callable[[str], None]


@dataclass
class Judgement:
    """What the log says. `breaches` are sentences; empty means that it is the reference's."""

    executions: int = 0
    repeats: int = 0
    breaches: list[str] = field(default_factory=list)


@dataclass
class Outcome:
    """One run: kills that a job's restart proves, and the judgement."""

    commands: int
    kills: int
    restarts: int
    judged: Judgement
    seconds: float


def judge(written: Iterable[KafkaRecord], expected: Rows) -> Judgement:
    """Compare a log with the reference: nothing missing, nothing else, repeats byte-equal."""
    found: dict[bytes, dict[int, bytes]] = {}
    judged = Judgement()
    for record in written:
        symbol, value = record.key or b"", record.value or b""
        known = found.setdefault(symbol, {})
        sequence = json.loads(value)["sequence"]
        if sequence in known:
            judged.repeats += 1
            if known[sequence] != value:
                judged.breaches.append(f"{symbol!r} {sequence} came again with other content")
        elif sequence != len(known) + 1:
            judged.breaches.append(f"{symbol!r} {sequence} came after {len(known)}")
            known[sequence] = value
        else:
            known[sequence] = value
    for symbol in expected.keys() | found.keys():
        rows = [json.loads(value) for _, value in sorted(found.get(symbol, {}).items())]
        judged.executions += len(rows)
        wanted = expected.get(symbol, [])
        if rows != wanted:
            judged.breaches.append(f"{symbol!r} has {len(rows)} executions of {len(wanted)}")
    return judged


def run(commands: int, kills: int, seed: int, report: Report) -> Outcome:
    """Feed all commands to the books; kill the TaskManager with them at even distances."""
    begun = time.monotonic()
    of, expected = pile(seed, SYMBOLS, commands // SYMBOLS)
    given = [NewRecord(SOURCE, key, value) for key, value in records(of, frames=False)]
    with stack.private(PARTS, client_environment()):
        ensure_topics(servers(), {SOURCE: 4, TARGET: 4})
        submit("market/match_orders", *OPTIONS)
        restarts = _fed(given, kills, [JOB], random.Random(seed), report)
        wanted = sum(map(len, expected.values()))
        judged = _settled(lambda: judge(read_all(servers(), [TARGET]), expected), wanted)
        return Outcome(len(given), kills, restarts, judged, time.monotonic() - begun)


def run_chain(commands: int, kills: int, seed: int, report: Report) -> Outcome:
    """Feed deposits and orders of accounts; kill books and clearing in turn."""
    begun = time.monotonic()
    deposits, orders = chain.orders(SYMBOLS, commands, seed)
    with stack.private(PARTS, client_environment()):
        ensure_topics(servers(), dict.fromkeys(("deposits", "orders", SOURCE, TARGET), 4))
        submit("market/match_orders", *OPTIONS)
        submit("market/accept_orders", *OPTIONS)
        produce_all(servers(), [NewRecord("deposits", k, v) for k, v in deposits])
        chain.await_balances(len(deposits))
        given = [NewRecord("orders", key, value) for key, value in orders]
        jobs = [JOB, "market.accept_orders"]
        restarts = _fed(given, kills, jobs, random.Random(seed), report)
        chain.await_quiet()
        judged = judge(read_all(servers(), [TARGET]), chain.reference())
        judged.breaches += chain.breaches(deposits, len(orders))
        return Outcome(len(orders), kills, restarts, judged, time.monotonic() - begun)


def _fed(
    given: list[NewRecord], kills: int, jobs: list[str], rng: random.Random, report: Report
) -> int:
    """Write all records, with a kill in the middle of each part but the last; restarts."""
    cluster = Cluster(os.environ["FLINK_REST_URL"])
    restarts, size = 0, len(given) // (kills + 1) + 1
    for number in range(kills + 1):
        part = given[number * size : (number + 1) * size]
        cut = rng.randrange(1, len(part))
        produce_all(servers(), part[:cut])
        if number < kills:
            restarts += _kill(cluster, jobs[number % len(jobs)], rng)
            report(f"kill {number + 1}: {_written():,} executions so far")
        produce_all(servers(), part[cut:])
    return restarts


def _written() -> int:
    return sum(end_offsets(servers(), [TARGET]).values())


def _settled(judged_now: Callable[[], Judgement], wanted: int) -> Judgement:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        judged = judged_now()
        if judged.executions >= wanted or time.monotonic() > deadline:
            return judged
        time.sleep(1)


def _kill(cluster: Cluster, name: str, rng: random.Random) -> int:
    """kill -9 of the TaskManager that this job's last part is in; 1 where the job restarted."""
    job = cluster.running(name)
    assert job
    before = cluster.restarts(job.id) or 0
    time.sleep(rng.random())
    host, process = _taskmanager(cluster, job.id)
    os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs([process], timeout=10)
    assert not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    stack.up(PARTS)
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        states = {vertex["status"] for vertex in cluster.vertices(job.id)}
        moved = _host(cluster, job.id) != host
        if moved and states <= {"RUNNING", "FINISHED"} and _restarted(cluster, job.id, before):
            return 1
        time.sleep(0.2)
    raise AssertionError(f"{name} does not run again")


def _restarted(cluster: Cluster, job_id: str, before: int) -> bool:
    return (cluster.restarts(job_id) or 0) > before


def _taskmanager(cluster: Cluster, job_id: str) -> tuple[str, psutil.Process]:
    """Where the job's last vertex runs: Flink's name of the TaskManager, and its JVM.

    What Flink's REST says may be some seconds old, and be of one that was killed.
    """
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        host = _host(cluster, job_id)
        for record in StackRecord.load(settings().home).processes.values():
            if record.identity == host:
                return host, next(p for p in record.family() if "java" in p.name())
        time.sleep(0.2)
    raise AssertionError(f"the job runs on {host}, which is no process of the stack")


def _host(cluster: Cluster, job_id: str) -> str:
    vertex = cluster.vertices(job_id)[-1]["id"]
    found: Any = cluster.get(f"/jobs/{job_id}/vertices/{vertex}/taskmanagers")
    return str(found["taskmanagers"][0]["taskmanager-id"])
