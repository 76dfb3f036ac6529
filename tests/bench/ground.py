"""What a measurement stands on: a timed model, load, waits, and times by Kafka's own clock."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx2
import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka import end_offsets, read_all
from tests.conftest import tidemill

ROOT = Path(__file__).parents[2]
SQL = Path(__file__).parent / "sql"
Place = tuple[str, int]
Check = Callable[[bytes], bool]
Item = TypeVar("Item")


def say(what: str) -> None:
    """Tell how far a measurement is."""
    print(f"{time.strftime('%H:%M:%S')} {what}", flush=True)


def rotated(items: Sequence[Item], by: int) -> Sequence[Item]:
    """No one is always first."""
    at = by % len(items)
    return [*items[at:], *items[:at]]


@dataclass(frozen=True)
class Model:
    """A running stand-in of a model."""

    url: str
    process: psutil.Process

    def slow(self, every: int) -> None:
        """Make every so manyth answer slow; 0 for none."""
        httpx2.put(f"{self.url.removesuffix('/v1')}/slow/{every}").raise_for_status()


@contextmanager
def model(*options: str) -> Iterator[Model]:
    """A model server with these options."""
    command = [sys.executable, "-m", "tests.bench.model_server", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout
        port = int(process.stdout.readline())
        yield Model(f"http://127.0.0.1:{port}/v1", psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait(10)


def submit(name: str, *options: str) -> None:
    """Submit one script; what the command says is shown where it fails."""
    done = tidemill("submit", name, *options, environment=os.environ, timeout_s=300)
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def servers() -> str:
    return os.environ["KAFKA_BOOTSTRAP_SERVERS"]


def create_topics(*topics: str, partitions: int = 4) -> None:
    """Create topics whose records carry the broker's time, so that latencies can be read there."""
    config = {"message.timestamp.type": "LogAppendTime"}
    admin = AdminClient({"bootstrap.servers": servers()})
    new = [NewTopic(topic, partitions, config=config) for topic in topics]
    for created in admin.create_topics(new).values():
        created.result()


def offered(topic: str, rate: float, seconds: float, first: int, value: bytes) -> int:
    """Send `rate` records a second, each with a key of its own from `first` on; how many."""
    producer = Producer({"bootstrap.servers": servers(), "linger.ms": 1})
    started, total = time.monotonic(), int(rate * seconds)
    for number in range(total):
        late_s = started + number / rate - time.monotonic()
        if late_s > 0.001:
            time.sleep(late_s)
        producer.produce(topic, key=f"q{first + number}".encode(), value=value)
        producer.poll(0)
    producer.flush(30)
    return total


def await_records(topic: str, total: int, timeout_s: float = 120.0) -> None:
    """Wait until the topic has so many records."""
    deadline = time.monotonic() + timeout_s
    while (found := sum(end_offsets(servers(), [topic]).values())) < total:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{topic} has {found} records of {total} after {timeout_s:.0f} s")
        time.sleep(0.25)


def arrivals(topic: str, start: Mapping[Place, int]) -> dict[bytes, int]:
    """When the broker took each key's first record behind `start`, in ms since the epoch."""
    found: dict[bytes, int] = {}
    for record in read_all(servers(), [topic], start):
        found.setdefault(record.key or b"", record.timestamp_ms)
    return found


def pile(topic: str, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Write records as fast as the broker takes them."""
    settings = {"bootstrap.servers": servers(), "linger.ms": 20, "compression.type": "lz4"}
    producer = Producer({**settings, "queue.buffering.max.messages": 1_000_000})
    for key, value in records:
        producer.produce(topic, value, key)
    producer.flush(60)


def steady_rate(topic: str, start: Mapping[Place, int], steady_from: float, check: Check) -> float:
    """Records a second behind `start`, from this share of them on. Raises where one is wrong."""
    records = list(read_all(servers(), [topic], start))
    wrong = next((r for r in records if not check(r.value or b"")), None)
    if wrong or len({r.key for r in records}) != len(records):
        raise RuntimeError(f"{topic} is not what it should be: {wrong or 'a key came twice'}")
    times = sorted(record.timestamp_ms for record in records)
    steady = times[int(len(times) * steady_from) :]
    return (len(steady) - 1) * 1000 / (steady[-1] - steady[0])
