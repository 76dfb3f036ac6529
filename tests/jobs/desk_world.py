"""A team of its own for a test: topics on the shared broker, scripts in a folder, commands."""

from __future__ import annotations

import datetime as dt
import io
import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
import typer
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from rich.console import Console
from typer.testing import CliRunner, Result

from connectors.kafka import KafkaRecord, NewRecord, ensure_topics, produce_all, read_all
from jobs import terminal
from jobs.evidence import flat_headers, raw_record
from jobs.team_topics import TeamTopics, team_topics
from udfs.core import events
from udfs.core.dead_letter import dead_letter_headers
from udfs.core.decode import Rejected, decode_record

TABLES = """
CREATE TABLE kafka_topic (event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL)
WITH (
  'connector' = 'kafka', 'properties.bootstrap.servers' = '${{KAFKA_BOOTSTRAP_SERVERS}}',
  'format' = 'json', 'key.format' = 'raw', 'key.fields' = 'lead_id',
  'value.fields-include' = 'EXCEPT_KEY'
);
CREATE TABLE {team}_leads (
  lead_id STRING,
  lead_data ROW<name STRING, email STRING NOT NULL> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: a test' WITH ('topic' = '{team}_leads') LIKE kafka_topic;
CREATE TABLE {team}_reports (
  lead_id STRING,
  report STRING NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = '{team}_reports') LIKE kafka_topic;
"""
SCRIPT = """
INSERT INTO {team}_reports SELECT lead_id, lead_data.name AS report, headers FROM {team}_leads;
"""


@dataclass
class World:
    """One team's topics, and its commands."""

    team: TeamTopics
    servers: str
    app: typer.Typer

    @property
    def leads(self) -> str:
        return f"{self.team.team}_leads"

    def command(self, *words: str) -> Result:
        """The command's result; what it raises is raised, as in the real command."""
        return CliRunner().invoke(self.app, list(words), catch_exceptions=False)

    def records(self, topic: str) -> list[KafkaRecord]:
        found = read_all(self.servers, [topic])
        return sorted(found, key=lambda r: (r.timestamp_ms, r.partition, r.offset))

    def put(self, *records: NewRecord) -> None:
        produce_all(self.servers, records)

    def lead(
        self, key: bytes | None, value: bytes | None, *headers: tuple[str, bytes | None]
    ) -> KafkaRecord:
        """A record on the external topic, as it lies there."""
        known = {r.place for r in self.records(self.leads)}
        self.put(NewRecord(self.leads, key, value, headers))
        return next(r for r in self.records(self.leads) if r.place not in known)

    def decode(self) -> int:
        """What the guarded source does with what has come: dead letters; returns how many."""
        dead = []
        for record in self.records(self.leads):
            try:
                decode_record(raw_record(record), self.team.topics[self.leads].columns, 2**42)
            except Rejected as rejected:
                dead.append(self._dead(record, rejected.reason, str(rejected), "decode"))
        self.put(*dead)
        return len(dead)

    def fail(
        self,
        record: KafkaRecord,
        reason: str,
        payload: bytes,
        message: str | None = None,
        stage: str = "agent",
        job: str | None = None,
    ) -> None:
        """What an agent's operator does with a record that it read and could not handle."""
        message = message or f"it ended with {reason}"
        self.put(self._dead(record, reason, message, stage, payload, job))

    def forget_leads(self) -> None:
        """Retention takes all of the external topic."""
        ends = [TopicPartition(self.leads, partition, -1) for partition in (0, 1)]
        admin = AdminClient({"bootstrap.servers": self.servers})
        for future in admin.delete_records(ends).values():
            future.result()

    def rows(self, *words: str) -> list[list[str]]:
        """The list's lines, as a script reads them; all of them unless words say which."""
        output = self.command(self.team.team, "list", *(words or ["--decided"])).output
        return [line.split("\t") for line in output.splitlines() if "\t" in line]

    def number(self, key: str, reason: str | None = None) -> str:
        """The number of the last dead letter of a key."""
        rows = [r for r in self.rows() if r[6] == key and (reason is None or reason in r[4])]
        return rows[-1][0]

    def decisions(self) -> list[dict[str, object]]:
        """What stands on the decisions topic."""
        return [json.loads(r.value or b"") for r in self.records(self.team.decisions)]

    def _dead(
        self,
        record: KafkaRecord,
        reason: str,
        message: str,
        stage: str,
        payload: bytes = b"",
        job: str | None = None,
    ) -> NewRecord:
        headers = flat_headers(record)
        if stage != "decode":
            headers = events.identified(
                headers, topic=record.topic, key=record.key, value=record.value, time=""
            )
        headers["source"] = record.place.encode()
        written = dead_letter_headers(
            headers,
            reason=reason,
            message=message,
            stage=stage,
            job=job or self.team.jobs[0],
            at=dt.datetime.now(dt.UTC),
        )
        value = record.value if stage == "decode" else payload
        return NewRecord(
            self.team.dead_letters, record.key or b"", value or b"", tuple(written.items())
        )


def new_world(
    folder: Path,
    servers: str,
    monkeypatch: pytest.MonkeyPatch,
    app: typer.Typer,
    files: Mapping[str, str] | None = None,
) -> World:
    """A team that nobody else has; `{team}` in its other files is its name."""
    name = f"desk_{uuid.uuid4().hex[:10]}"
    (folder / name).mkdir()
    (folder / name / "tables.sql").write_text(TABLES.format(team=name))
    (folder / name / "report.sql").write_text(SCRIPT.format(team=name))
    for file, text in (files or {}).items():
        (folder / name / file).write_text(text.replace("{team}", name))
    monkeypatch.setenv("TIDEMILL_SQL", str(folder))
    team = team_topics(name)
    topics = [*(t.name for t in team.topics.values()), team.dead_letters]
    ensure_topics(servers, dict.fromkeys(topics, 2))
    return World(team, servers, app)


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> io.StringIO:
    """The commands print to a terminal of that width."""
    written = io.StringIO()
    screen = Console(file=written, force_terminal=True, color_system=None, width=width)
    monkeypatch.setattr(terminal, "console", lambda: screen)
    return written
