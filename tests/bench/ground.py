"""What a measurement stands on: a timed model, paced load, waits and times by Kafka."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka import end_offsets, read_all
from tests.conftest import tidemill


@contextmanager
def model(*options: str) -> Iterator[str]:
    """A model server with these options; its base URL."""
    command = [sys.executable, "-m", "tests.bench.model_server", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.wait(10)


def submit(name: str) -> None:
    """Submit one script; what the command says is shown where it fails."""
    done = tidemill("submit", name, environment=os.environ, timeout_s=300)
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


def arrivals(topic: str) -> dict[bytes, int]:
    """When the broker took each key's first record, in milliseconds since the epoch."""
    found: dict[bytes, int] = {}
    for record in read_all(servers(), [topic]):
        found.setdefault(record.key or b"", record.timestamp_ms)
    return found
