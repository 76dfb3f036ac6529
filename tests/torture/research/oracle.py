"""Topics, store and journal in; the words that say what came of each case out.

    page: document | page: failed: REASON | page: listing …     one visit of a source
    stored | mined | version: 1 of 2 | brief                    what was made of it, to the end
    dead letter: REASON                     and, where the source refused it, with the very bytes

A record's way is followed from place to place, by the header in which each names what it was made
of. Only what lies outside is read.
"""

import json
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.kafka import KafkaRecord, read_all
from connectors.mongodb import client
from connectors.settings import settings
from tests.torture.case import Case
from tests.torture.injection import EVIL
from tests.torture.oracle import Seen, Value, compared, origin
from tests.torture.research.shapes import TOPICS
from tests.torture.world import Place

DEAD_LETTERS = "research_dead_letters"
BRIEFS = "research_briefs"
ALL = (*TOPICS, BRIEFS, DEAD_LETTERS)
TOLD = ("source_documents", "bundle_versions", BRIEFS)
ACTS = re.compile(rf"!\[|\]\(|<https?://[^>]*{EVIL}|(?<!\\)<[a-z]+>")
OWN_TOOLS = {"search_chunks"}


@dataclass
class Outside:
    """What lies outside, as of the last look; each look reads what has come since."""

    records: dict[Place, Seen] = field(default_factory=dict)
    made_of: dict[Place, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    _ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def look(self) -> "Outside":
        for record in read_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], ALL, self._ends):
            seen = _seen(record)
            self.records[seen.place] = seen
            if seen.origin:
                self.made_of[seen.origin].append(seen)
            self._ends[record.topic, record.partition] = record.offset + 1
        return self

    def words(self, case: Case, places: Sequence[Place]) -> list[str]:
        """What all jobs made of the case's inputs, and of what came of those."""
        found: dict[Any, str] = {}
        for seen in self._after(places):
            if (word := self._word(seen)) is not None:
                found[_identity(seen)] = word
        return sorted(found.values())

    def messages(self, places: Sequence[Place]) -> list[str]:
        """The sentences of the dead letters of these inputs."""
        after = [one for one in self._after(places) if one.place[0] == DEAD_LETTERS]
        return sorted({one.says("dlq_message") for one in after})[:3]

    def _after(self, places: Sequence[Place]) -> list[Seen]:
        found: dict[Place, Seen] = {}
        todo = list(places)
        while todo:
            for seen in self.made_of.get(todo.pop(), ()):
                if seen.place not in found:
                    found[seen.place] = seen
                    todo.append(seen.place)
        return list(found.values())

    def _word(self, seen: Seen) -> str | None:
        topic, row = seen.place[0], seen.document
        if topic == DEAD_LETTERS:
            return f"dead letter: {seen.says('dlq_reason')}" + compared(self.records, seen)
        if topic == "source_documents":
            reason = f": {row['reason']}" if row.get("status") == "failed" else ""
            return f"page: {row.get('status')}{reason}"
        if topic == "bundle_versions":
            return f"version: {row.get('arrived')} of {row.get('expected')}"
        if topic == BRIEFS:
            return "brief: acts" if ACTS.search(row["brief"]) else "brief"
        return {"stored_documents": "stored", "mined_questions": "mined"}.get(topic)

    def briefs(self) -> list[Seen]:
        return [seen for place, seen in self.records.items() if place[0] == BRIEFS]


def foreign_citations(outside: Outside) -> int:
    """Citations that are told to hold and stand in no passage of their bundle."""
    wrong = 0
    with client() as mongo:
        chunks = mongo[settings().mongodb_database]["chunks"]
        for brief in outside.briefs():
            bundle = (brief.key or b"").decode()
            for citation in brief.document["citations"]:
                if citation["verified"]:
                    chunk = chunks.find_one({"_id": citation["chunk_id"]}) or {}
                    text = chunk.get("text", "") if chunk.get("bundle_id") == bundle else ""
                    wrong += citation["quote"] not in text or not text
    return wrong


def called_tools() -> list[str]:
    """What any run has called that is not the team's own tool."""
    with client() as mongo:
        journal = mongo[settings().mongodb_database]["journal"]
        return sorted({row["name"] for row in journal.find({"kind": "tool"})} - OWN_TOOLS)


def _identity(seen: Seen) -> tuple[object, ...]:
    if seen.place[0] == DEAD_LETTERS:
        names = ("ce_id", "dlq_reason", "dlq_job")
        return (seen.origin, *(seen.says(name) for name in names), seen.value)
    return seen.place[0], seen.says("ce_id"), seen.value


def _seen(record: KafkaRecord) -> Seen:
    headers, value = dict(record.headers), record.value
    document: Any = {}
    if record.topic in TOLD:
        try:
            document = json.loads(value or b"{}")
        except (ValueError, RecursionError):
            document = {}
    return Seen(
        (record.topic, record.partition, record.offset),
        origin(record.topic, headers, DEAD_LETTERS),
        Value.of(value),
        record.key,
        headers if len(headers) < 200 else {n: v for n, v in headers.items() if n[:4] == "dlq_"},
        document if isinstance(document, dict) else {},
    )
