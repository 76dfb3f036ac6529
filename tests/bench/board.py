"""Updates of many agents on blackboards in, how long until they stand there out: `board`.

The keeper's job runs on a local cluster. Its worker is killed, and a reader joins, while updates
come. Every update must be one entry at the end, however often it was delivered.
"""

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

import psutil

from connectors.kafka import NewRecord, ensure_topics, produce_all, read_all
from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from deploy.record import StackRecord
from jobs.team_topics import PARTITIONS, team_topics
from tests.bench import cpu, ground
from tests.bench.figures import Figure, Section

UPDATES = 6_000
BOARDS = 60
SETTLED_S = 14.0
LIMIT_S = 120.0
BACKOFF = "restart-strategy.exponential-delay.reset-backoff-threshold=5 s"
NOTES = """A killed worker costs 0.5 s of back-off and a new Python, which imports Beam and PyFlink;
what it had not checkpointed is read again and comes to the same entries. A reader that joins is a
plan, a submission, a new Python, and the whole board from its first entry."""


@dataclass(frozen=True)
class Logged:
    """One round on the log."""

    agents: int
    connections: int
    messages: int
    seconds: float


def measure(rounds: int) -> list[Section]:
    """Undisturbed, killed, and a reader that joins."""
    through, killed = [], []
    with stack.private(("kafka", "flink"), client_environment()):
        prepare()
        ground.submit("blackboard/keep_board", "-D", BACKOFF)
        on_the_log(10)  # warms up
        for number in range(rounds):
            through.append(updated(UPDATES))
            time.sleep(SETTLED_S)
            killed.append(updated(UPDATES, kill_at_half=True))
            ground.say(f"round {number}: {through[-1]:.1f} s, killed {killed[-1]:.1f} s")
        joined = join_s()
    figures = [
        Figure("updates that come to stand on boards", UPDATES / median(through), None, "/s"),
        Figure(f"{UPDATES:,} updates, undisturbed", median(through), None, "s"),
        Figure("the same, the keeper's worker killed (-9) halfway", median(killed), None, "s"),
        Figure("a reader joins under load: submitted to its first row", joined, None, "s"),
    ]
    where = f"{UPDATES:,} updates of 100 agents on {BOARDS} boards."
    return [Section("board", "Blackboard", figures, where, NOTES)]


def prepare() -> None:
    """The team's topics, as its tables declare them."""
    topics = team_topics("blackboard").topics.values()
    configs = {topic.name: topic.config for topic in topics}
    ensure_topics(ground.servers(), dict.fromkeys(configs, PARTITIONS), configs)


def updates(count: int, agents: int, boards: int, mark: str) -> Iterator[NewRecord]:
    """Update n is said by agent n, modulo, on board n, modulo."""
    for number in range(count):
        said = {"subject": f"s{number}", "predicate": "seen", "value": "x", "confidence": 0.5}
        headers = {"ce_id": f"{mark}-{number}", "ce_source": f"agent-{number % agents}"}
        pairs = tuple((name, text.encode()) for name, text in headers.items())
        key = f"{mark}-{number % boards}".encode()
        yield NewRecord("board_updates", key, json.dumps(said).encode(), pairs)


def on_the_log(agents: int) -> Logged:
    """Each of so many agents says one thing on one board."""
    mark = uuid.uuid4().hex[:8]
    begun = time.time()
    produce_all(ground.servers(), updates(agents, agents, 1, mark))
    connections = open_connections()
    entries, ended = _entries(mark, agents)
    return Logged(agents, connections, agents + entries, ended - begun)


def updated(count: int, *, kill_at_half: bool = False) -> float:
    """Seconds until every update is an entry; each is one, however often it was delivered."""
    mark = uuid.uuid4().hex[:8]
    begun = time.time()
    if kill_at_half:
        produce_all(ground.servers(), updates(count // 2, 100, BOARDS, mark))
        victim = _worker()
        os.kill(victim.pid, signal.SIGKILL)
        rest = list(updates(count, 100, BOARDS, mark))[count // 2 :]
        produce_all(ground.servers(), rest)
        assert not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE
    else:
        produce_all(ground.servers(), updates(count, 100, BOARDS, mark))
    return _entries(mark, count)[1] - begun


def _entries(mark: str, count: int) -> tuple[int, float]:
    """Wait for so many entries: how many records they are, and when the last came (epoch, s)."""
    deadline = time.monotonic() + LIMIT_S
    first: dict[str, int] = {}
    ends: dict[tuple[str, int], int] = {}
    records = 0
    while len(first) < count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(first)} of {count} updates are entries after {LIMIT_S:.0f} s")
        for record in read_all(ground.servers(), ["board"], ends):
            ends[record.topic, record.partition] = record.offset + 1
            if (record.key or b"").startswith(mark.encode()):
                records += 1
                identity = json.loads(record.value or b"{}")["entry_id"]
                first.setdefault(identity, record.timestamp_ms)
        time.sleep(0.02)
    return records, max(first.values()) / 1000


def join_s() -> float:
    """A reader is submitted while updates come: seconds until the first row that it writes."""
    command = [sys.executable, "-m", "jobs.cli", "submit", "blackboard/project_facts"]
    begun = time.time()
    process = subprocess.Popen(command, cwd=ground.ROOT, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + LIMIT_S
    while True:
        produce_all(ground.servers(), updates(50, 10, 10, uuid.uuid4().hex[:8]))
        rows = next(iter(read_all(ground.servers(), ["board_facts"])), None)
        if rows is not None:
            process.wait(LIMIT_S)
            return rows.timestamp_ms / 1000 - begun
        if time.monotonic() > deadline:
            raise RuntimeError(f"the reader wrote nothing in {LIMIT_S:.0f} s")
        time.sleep(0.1)


def open_connections() -> int:
    """Connections that stand at the broker's port: all of the team's, and this producer's."""
    port = int(ground.servers().rpartition(":")[2])
    return sum(
        one.status == psutil.CONN_ESTABLISHED and bool(one.laddr) and one.laddr.port == port
        for one in psutil.net_connections("tcp")
    )


def _worker() -> psutil.Process:
    """The Python worker of the keeper's job."""
    for name, record in StackRecord.load(settings().home).processes.items():
        if name.startswith("flink-taskmanager"):
            for process in record.family():
                if (
                    process.name().startswith("python")
                    and cpu.kind(process, False) == "Beam worker"
                ):
                    return process
    raise RuntimeError("no Python worker runs")
