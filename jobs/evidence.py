"""Kafka records in, what each is evidence of out: whose event it is, and what it was made from.

Every record that a job writes has a header `source`, the place of the record that it was made from;
a dead letter has that place in `dlq_topic`, `dlq_partition` and `dlq_offset`. So the way of a lead
is a chain of places, however its ids look. A fact is small: values are read and let go.
"""

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.kafka import KafkaRecord
from jobs.team_topics import TeamTopics, Topic
from udfs.core import events
from udfs.core.decode import Record, Rejected, decode_record
from udfs.core.types import plain

CAMPAIGNS, MAILS = "email_campaigns", "sent_emails"
EDITED_FROM = "edited_from"  # header: the place of the record that a person edited into this one
LetterName = tuple[str, str, int, str]


@dataclass(frozen=True, slots=True)
class Fact:
    """One record. `says` has what its topic tells: of a mail its `status`, `step`, `effect_id`; of
    a campaign its number of `emails`; of a dead letter its `reason`, `stage`, `job`, `message`,
    and the `step` of a mail; of a record from outside its `content` (a digest), and the place that
    it was `edited_from`."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: str
    event_id: str
    attempt: int
    trace_id: str
    source: str = ""  # place of the record that it was made from
    tombstone: bool = False
    says: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @property
    def letter(self) -> LetterName:
        """Of a dead letter: what is the same each time that it is delivered."""
        return self.source or self.place, self.event_id, self.attempt, self.says["reason"]


def facts(records: Iterable[KafkaRecord], team: TeamTopics) -> Iterator[Fact]:
    """What each record is evidence of."""
    external = {topic.name: topic for topic in team.external}
    for record in records:
        yield fact(record, team, external.get(record.topic))


def fact(record: KafkaRecord, team: TeamTopics, external: Topic | None = None) -> Fact:
    """What one record is evidence of; `external` is its topic, where someone outside wrote it."""
    headers = flat_headers(record)
    dead = record.topic == team.dead_letters
    says = _dead_letter(record, headers, team) if dead else _says(record, headers, external)
    event_id, attempt, trace_id = identity(record, headers)
    return Fact(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        key=says.get("key") or (record.key or b"").decode("utf-8", "replace"),
        event_id=event_id,
        attempt=attempt,
        trace_id=trace_id,
        source="" if external else _origin(headers) if dead else _text(headers, "source"),
        tombstone=record.value is None,
        says=says,
    )


def flat_headers(record: KafkaRecord) -> events.Headers:
    """Headers as Flink's connector gives them: the last of a name, null as empty."""
    return {name: value or b"" for name, value in record.headers}


def identity(record: KafkaRecord, headers: events.Headers) -> tuple[str, int, str]:
    """(event id, attempt, trace id); what a header does not say is derived as a job derives it."""
    topic = _text(headers, "dlq_topic") or record.topic
    event_id = events.text(headers, "ce_id") or events.event_id(topic, record.key, record.value)
    trace_id, _ = events.trace_context({**headers, "ce_id": event_id.encode()})
    return event_id, events.attempt(headers), trace_id


def _origin(headers: events.Headers) -> str:
    parts = [_text(headers, f"dlq_{name}") for name in ("topic", "partition", "offset")]
    return "/".join(parts) if all(parts) else ""


def _text(headers: events.Headers, name: str) -> str:
    return events.text(headers, name) or ""


def _dead_letter(
    record: KafkaRecord, headers: events.Headers, team: TeamTopics
) -> Mapping[str, Any]:
    names = ("reason", "stage", "job", "message", "at")
    says: dict[str, Any] = {name: _text(headers, f"dlq_{name}") for name in names}
    if says["stage"] != "decode":  # the value is a view's row, and the key what it is keyed by
        row = json_object(record)
        keys = (row.get(topic.key) for topic in team.topics.values())
        says["key"] = next((key for key in keys if isinstance(key, str)), "")
        if says["stage"] == "effect":
            says["step"] = row.get("step")
    return says


def _says(
    record: KafkaRecord, headers: events.Headers, external: Topic | None
) -> Mapping[str, Any]:
    if external:
        return {"content": content(record, external), EDITED_FROM: _text(headers, EDITED_FROM)}
    if record.topic == CAMPAIGNS:
        emails = json_object(record).get("emails")
        return {"emails": len(emails) if isinstance(emails, list) else 0}
    if record.topic == MAILS:
        value = json_object(record)
        return {name: value.get(name) for name in ("status", "reason", "step", "effect_id")}
    return {}


def json_object(record: KafkaRecord) -> dict[str, Any]:
    """The value as a JSON object; empty where it is none."""
    try:
        value = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def raw_record(record: KafkaRecord) -> Record:
    """The record as the guarded source takes it."""
    return Record(
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        timestamp_ms=record.timestamp_ms,
        key=record.key,
        value=record.value,
        headers=dict(record.headers),
    )


def content(record: KafkaRecord, topic: Topic) -> str:
    """A digest by which two records are told apart as a job does: by their rows, else by bytes."""
    columns = [c for c in topic.columns if c.source in ("key", "value")]
    said: Any
    try:
        row = decode_record(raw_record(record), columns, int(time.time() * 1000)) or ()
        said = [plain(value, c.type) for value, c in zip(row, columns, strict=False)]
    except Rejected:
        said = [part.hex() if part is not None else None for part in (record.key, record.value)]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]
