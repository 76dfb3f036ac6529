"""The research team's topics in, where every source of every bundle is out.

The same rules that fire a version (`udfs.core.bundle`) are applied to the same events here, so that
what a person sees is what the job waits for. Each look reads only what has come since the last.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from connectors.kafka import KafkaError, KafkaRecord, bootstrap_servers, ensure_topics, read_all
from jobs.team_topics import PARTITIONS, team_topics
from udfs.core import events
from udfs.core.bundle import Asked, Bundle, Source
from udfs.core.fold import BadEvent

Json = dict[str, Any]

TEAM = "research"
_KINDS = {
    "research_requests": "requested",
    "source_documents": "checked",
    "stored_documents": "stored",
    "mined_questions": "mined",
}
_VERSIONS, _BRIEFS = "bundle_versions", "research_briefs"


@dataclass
class Seen:
    """What the topics say of one bundle. `briefs` and `versions` by their number."""

    bundle: Bundle = field(default_factory=Bundle)
    asked: bool = False
    repeats: set[str] = field(default_factory=set)
    statuses: dict[str, str] = field(default_factory=dict)
    versions: dict[int, Json] = field(default_factory=dict)
    briefs: dict[int, Json] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    @property
    def known(self) -> "Known":
        """What there is now."""
        return Known(max([0, *self.versions, *self.briefs]), len(self.failures))

    @property
    def latest(self) -> Json | None:
        """The brief of the highest version that has one."""
        return self.briefs[max(self.briefs)] if self.briefs else None

    @property
    def request(self) -> Asked:
        return self.bundle.asked

    def sources(self) -> list[Source]:
        """In the order in which they were named."""
        return sorted(self.bundle.sources.values(), key=lambda one: (one.place, one.url))

    def state(self, source: Source) -> str:
        """One word for where a source is."""
        status = self.statuses.get(source.url)
        if source.awaited or status is None:
            return "waiting"
        if status == "failed":
            return "failed"
        if status in ("listing", "removed"):
            return "listed" if status == "listing" else "removed"
        if source.arrived:
            return "unchanged" if status == "unchanged" else "ready"
        if source.content_hash is None:
            return "unchanged"
        return "stored" if source.stored_hash == source.content_hash else "read"


class Known(NamedTuple):
    """What was known of a bundle at a moment: its newest version, how many failures."""

    version: int
    failures: int


class Bundles:
    """All bundles that the topics tell of."""

    def __init__(self) -> None:
        self.servers, team = bootstrap_servers(), team_topics(TEAM)
        self.letters = team.dead_letters
        self.topics = [*_KINDS, _VERSIONS, _BRIEFS, self.letters]
        self._ends: dict[tuple[str, int], int] = {}
        self.found: dict[str, Seen] = {}
        self._looked_at = time.monotonic()

    def prepare(self) -> None:
        """Create the topics that are not there."""
        ensure_topics(self.servers, dict.fromkeys(self.topics, PARTITIONS))

    def look(self, patience_s: float = 0.0) -> dict[str, Seen]:
        """Every bundle as it is now, by its id. A broker that does not answer is asked again, and
        raises KafkaError when `patience_s` have passed since it last did."""
        try:
            for record in read_all(self.servers, self.topics, self._ends):
                self._ends[record.topic, record.partition] = record.offset + 1
                self.take(record)
        except KafkaError:
            if time.monotonic() - self._looked_at > patience_s:
                raise
        else:
            self._looked_at = time.monotonic()
        return self.found

    def take(self, record: KafkaRecord) -> None:
        """Count one record in, whatever it holds; one that was seen is not counted again."""
        key = (record.key or b"").decode("utf-8", "replace")
        if not key:
            return
        seen = self.found.setdefault(key, Seen())
        headers = {name: value or b"" for name, value in record.headers}
        identity = events.text(headers, "ce_id") or record.place
        identity = f"{record.topic}#{identity}#{events.attempt(headers)}"
        if identity in seen.repeats:
            return
        seen.repeats.add(identity)
        if record.topic == self.letters:
            seen.failures += _failure(headers)
            return
        value = _object(record.value)
        if record.topic == _VERSIONS:
            seen.versions[int(value.get("version") or 0)] = value
        elif record.topic == _BRIEFS:
            seen.briefs.setdefault(int(value.get("version") or 0), value)
        else:
            self._apply(seen, record, value, headers)

    def _apply(self, seen: Seen, record: KafkaRecord, value: Json, headers: Any) -> None:
        trace, _ = events.trace_context(headers)
        kind = _KINDS[record.topic]
        try:
            seen.bundle.take(kind, value, trace, {}, record.timestamp_ms)
        except BadEvent as problem:
            seen.failures.append(f"{record.topic}: {problem}")
            return
        if kind == "checked":
            seen.statuses[value["url"]] = value["status"]
        seen.asked = seen.asked or kind == "requested"


def _failure(headers: Any) -> Iterator[str]:
    job, reason = events.text(headers, "dlq_job"), events.text(headers, "dlq_reason")
    yield f"{job or 'a job'}: {reason or 'unknown'}: {events.text(headers, 'dlq_message') or ''}"


def _object(value: bytes | None) -> Json:
    try:
        found = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
