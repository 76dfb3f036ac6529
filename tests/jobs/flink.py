"""A script's text in, what it wrote to a real broker out: a MiniCluster for runner tests."""

import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from connectors.kafka import (
    KafkaRecord,
    NewRecord,
    committed_offsets,
    ensure_topics,
    produce_all,
    read_all,
)
from deploy.flink_cluster import job_configuration
from jobs.assemble import Job, assemble
from jobs.planner import environments
from jobs.script import load_script
from jobs.submit import prepare_topics
from jobs.topics import KafkaTopics
from udfs.keyed_function import KeyedFunction
from udfs.keyed_functions import KEYED_FUNCTIONS

TOPIC = """
CREATE TABLE kafka_topic (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR event_time AS event_time - INTERVAL '1' SECOND
) WITH (
  'connector' = 'kafka',
  'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json',
  'key.format' = 'raw',
  'value.fields-include' = 'EXCEPT_KEY'
);
"""


COMMITTED_S = 120  # a checkpoint each second, on a machine that does other things


class TeamOfOne:
    """A team in a folder of its own, with topics that no other test has."""

    def __init__(self, folder: Path, **keyed: KeyedFunction) -> None:
        self.sql_dir, self.name = folder / "sql", f"t{uuid.uuid4().hex[:8]}"
        (self.sql_dir / self.name).mkdir(parents=True)
        self.keyed: dict[str, Callable[..., KeyedFunction]] = {
            name: partial(_constantly, function) for name, function in keyed.items()
        }
        self.servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]

    def topic(self, table: str) -> str:
        return f"{self.name}_{table}"

    def tables(self, text: str) -> None:
        """tables.sql; `@name` in it is a topic of this team."""
        self._write("tables.sql", TOPIC + text.replace("@", f"{self.name}_"))

    def script(self, text: str) -> None:
        self._write("job.sql", text)

    def _write(self, file: str, text: str) -> None:
        (self.sql_dir / self.name / file).write_text(text)

    def job(self, options: Mapping[str, str] | None = None, *, endless: bool = False) -> Job:
        """Assemble the script for a run in which a failure is a failure; bounded, if not told."""
        script = load_script(self.sql_dir, f"{self.name}/job", os.environ)
        settings = {
            **job_configuration(),
            "python.executable": sys.executable,
            "restart-strategy.type": "disable",
            "execution.checkpointing.interval": "1 s",
            **(options or {}),
        }
        stream, table = environments(settings)
        topics = KafkaTopics(script.job_name, endless=endless)
        with_functions = {**KEYED_FUNCTIONS, **self.keyed}
        before = dict(KEYED_FUNCTIONS)
        KEYED_FUNCTIONS.update(with_functions)
        try:
            job = assemble(script, self.sql_dir, stream, table, topics, self.servers)
        finally:
            KEYED_FUNCTIONS.clear()
            KEYED_FUNCTIONS.update(before)
        prepare_topics(job)
        return job

    def run(self, options: Mapping[str, str] | None = None) -> None:
        """Run to the end of what the topics hold now."""
        self.job(options).plan().execute().get_job_execution_result().result()

    def run_until_committed(self, table: str, count: int, written: str) -> None:
        """Run without an end, until the job's group has committed `count` records of a topic and
        has `written` as many to another.

        A bounded run hands its last offsets to a consumer that it may close before they are sent.
        """
        client = self.job(endless=True).plan().execute()
        try:
            deadline = time.monotonic() + COMMITTED_S
            while self.committed(table) < count or len(self.read(written)) < count:
                assert time.monotonic() < deadline, "no offsets committed"
                time.sleep(0.2)
        finally:
            client.cancel().result()

    def committed(self, table: str) -> int:
        topics = [self.topic(table)]
        return sum(committed_offsets(self.servers, f"{self.name}.job", topics).values())

    def send(self, table: str, records: list[tuple[Any, Any]], headers: Any = ()) -> None:
        """Produce (key, value) pairs; values that are not bytes are sent as JSON."""
        ensure_topics(self.servers, {self.topic(table): 2})
        produce_all(
            self.servers,
            [
                NewRecord(self.topic(table), _bytes(k), _bytes(v), tuple(headers))
                for k, v in records
            ],
        )

    def read(self, table: str) -> list[KafkaRecord]:
        return list(read_all(self.servers, [self.topic(table)]))

    def rows(self, table: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for record in self.read(table):
            yield (record.key or b"").decode(), json.loads(record.value or b"null")


def _constantly(function: KeyedFunction, *_: Any) -> KeyedFunction:
    return function


def _bytes(value: Any) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return value.encode() if isinstance(value, str) else json.dumps(value).encode()
