"""A number of records in, one in a hundred of them bad, in every way; what came of each, out.

The job is the smallest that there is: a guarded topic copied to another. So what is measured is the
guard and what carries dead letters, at their full speed; no model waits in between.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from connectors.kafka import KafkaRecord, read_all
from deploy import stack
from deploy.java import client_environment
from jobs.cluster import Cluster
from tests.chaos.variants import ROOT
from tests.torture.case import Input, fresh, good, now_ms
from tests.torture.records import EVERYWHERE, Row
from tests.torture.world import PARTS, careless_topics, restarts_of

MADE_LIKE = "incoming_leads"
STALLED_S = 30.0
TABLES = """
CREATE TABLE kafka_topic (event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL) WITH (
  'connector' = 'kafka', 'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json', 'key.format' = 'raw', 'key.fields' = 'lead_id',
  'value.fields-include' = 'EXCEPT_KEY');
CREATE TABLE leads_in (
  lead_id STRING,
  lead_data ROW<name STRING, email STRING NOT NULL, company_name STRING, company_website STRING,
    job_title STRING, lead_source STRING, project_description STRING> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: this test' WITH ('topic' = 'TEAM_in') LIKE kafka_topic;
CREATE TABLE leads_out WITH ('topic' = 'TEAM_out') LIKE leads_in;
"""
SCRIPT = """
CREATE TEMPORARY VIEW all_leads AS SELECT lead_id, lead_data, headers FROM leads_in;
INSERT INTO leads_out SELECT lead_id, lead_data, headers FROM all_leads;
"""
# A tombstone says nothing, so nothing tells whether it was read.
KINDS = [row for row in EVERYWHERE if row[1] != "null value"]
Place = tuple[int, int]  # partition, offset


@dataclass
class Flood:
    """What was written and what came of it. `odd` records are unusual, and records all the same."""

    good: int = 0
    odd: int = 0
    bad: int = 0
    kinds: int = 0
    seconds: float = 0.0
    restarts: int = 0
    through: set[Place] = field(default_factory=set)
    dead: set[Place] = field(default_factory=set)
    wrong: Counter[str] = field(default_factory=Counter)
    told: dict[Place, tuple[Row | None, Input]] = field(default_factory=dict)

    @property
    def breaches(self) -> dict[str, int]:
        """What must not be."""
        found = {
            "good ones lost": self.good + self.odd - len(self.through),
            "bad ones without a dead letter": self.bad - len(self.dead),
            **self.wrong,
            "restarts": self.restarts,
        }
        return {name: count for name, count in found.items() if count}


@contextmanager
def ground() -> Iterator[None]:
    """A broker and a cluster."""
    with stack.private(PARTS, client_environment()):
        yield


def flood(team: str, count: int, seed: int, folder: Path, code: Path = ROOT) -> Flood:
    """Run the job of a team of this name, and write so many records to it."""
    careless_topics([f"{team}_in"])
    _submit(team, folder, code)
    done, started = Flood(), time.monotonic()
    _write(team, count, seed, done)
    _read(team, done)
    done.seconds = time.monotonic() - started
    cluster = Cluster(os.environ["FLINK_REST_URL"])
    if job := cluster.running(f"{team}.copy"):
        done.restarts = restarts_of(cluster, job)
        cluster.cancel(job)
    return done


def _submit(team: str, folder: Path, code: Path) -> None:
    """With this code on the client's side, as if it had been installed."""
    place = folder / "sql" / team
    place.mkdir(parents=True)
    (place / "tables.sql").write_text(TABLES.replace("TEAM", team))
    (place / "copy.sql").write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, "-m", "jobs.cli", "submit", f"{team}/copy"],
        env={
            **os.environ,
            "TIDEMILL_SQL": str(folder / "sql"),
            "PYTHONPATH": os.pathsep.join([str(code), str(ROOT)]),
        },
        cwd=code,
        capture_output=True,
        text=True,
        timeout=300,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)


def _records(count: int, rng: random.Random) -> Iterator[tuple[Input, Row | None]]:
    """Good records with a bad or odd one among each hundred, of each kind in turn."""
    for start in range(0, count, 100):
        strikes = rng.randrange(100)
        for number in range(start, min(start + 100, count)):
            if number - start == strikes:
                row = KINDS[start // 100 % len(KINDS)]
                yield row[3](MADE_LIKE, fresh("v")), row
            else:
                yield good(MADE_LIKE, fresh("v")), None


def _is_bad(row: Row | None) -> bool:
    return row is not None and row[4](MADE_LIKE) != ("result",)


def _write(team: str, count: int, seed: int, done: Flood) -> None:
    producer = Producer(
        {
            "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
            "log_level": 0,
            "partitioner": "murmur2_random",
            "compression.type": "lz4",
            "message.max.bytes": 16 << 20,
        }
    )
    kinds: set[str] = set()
    for record, row in _records(count, random.Random(seed)):
        done.good += row is None
        done.bad += _is_bad(row)
        done.odd += row is not None and not _is_bad(row)
        kinds.update([row[1]] if row else [])

        def delivered(error: Any, message: Any, told: Any = (row, record)) -> None:
            assert not error, error
            done.told[message.partition(), message.offset()] = told

        producer.produce(
            f"{team}_in",
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            timestamp=now_ms() if record.timestamp_ms is None else record.timestamp_ms,
            on_delivery=delivered,
        )
        producer.poll(0)
    producer.flush(60)
    done.kinds = len(kinds)


def _read(team: str, done: Flood) -> None:
    """Read on what comes, until all is there or nothing has come for long."""
    servers, ends = os.environ["KAFKA_BOOTSTRAP_SERVERS"], {}
    out, news = f"{team}_out", time.monotonic()
    while len(done.through) + len(done.dead) < len(done.told):
        if time.monotonic() - news > STALLED_S:
            return
        for record in read_all(servers, [out, f"{team}_dead_letters"], ends):
            news = time.monotonic()
            ends[record.topic, record.partition] = record.offset + 1
            _judge(done, record, record.topic == out)
        time.sleep(0.1)


def _judge(done: Flood, record: KafkaRecord, is_through: bool) -> None:
    """What one record of the output or of the dead letters says about the one it was made of."""
    place = _origin(record, is_through)
    row, sent = done.told.get(place, (None, None)) if place else (None, None)
    if place is None or sent is None or _is_bad(row) is is_through:
        done.wrong["records where none belong"] += 1
    elif is_through:
        done.through.add(place)
    else:
        assert row is not None
        done.dead.add(place)
        reason = (record.header("dlq_reason") or b"").decode()
        if not fnmatchcase(f"dead letter: {reason}", row[4](MADE_LIKE)[0]):
            done.wrong["dead letters for another reason"] += 1
        if (record.value or b"", record.key or b"") != (sent.value or b"", sent.key or b""):
            done.wrong["dead letters with other bytes"] += 1


def _origin(record: KafkaRecord, is_through: bool) -> Place | None:
    if is_through:
        parts = (record.header("source") or b"").rsplit(b"/", 2)[1:]
    else:
        parts = [record.header(f"dlq_{name}") or b"" for name in ("partition", "offset")]
    if len(parts) != 2 or not all(part.isdigit() for part in parts):
        return None
    return int(parts[0]), int(parts[1])
