"""Topics, journal, mails and requests in; for each case the words that say what came of it, out.

Only what lies outside is read: a record's way is followed from place to place (each output and each
dead letter names the record that it was made from), bytes are compared with those on the topic that
the case was written to.
"""

import hashlib
import json
import os
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from connectors.kafka import KafkaRecord, partitions, read_all
from connectors.mongodb import client
from connectors.settings import settings
from tests.torture.case import JOBS, Case
from tests.torture.world import Place

DEAD_LETTERS = "sdr_dead_letters"
ROUTES = {"leads_to_activate", "leads_to_nurture", "leads_disqualified"}
OUTPUT = {
    "sdr.lead_ingestion": "lead_ingestion_output",
    "sdr.lead_scoring": "lead_scoring_output",
    "sdr.active_outreach": "email_campaigns",
    "sdr.nurture_campaign": "email_campaigns",
    "sdr.send_email": "sent_emails",
}
ALL = (*JOBS, "lead_scoring_output", "leads_disqualified", "sent_emails", DEAD_LETTERS)
KEPT_BYTES = 64 << 10
CUT_BYTES = 3 << 20
_TOOLS: list[dict[str, Any]] = [
    {"$match": {"kind": "tool", "name": "look_up_account"}},
    {"$group": {"_id": "$trace_id", "calls": {"$sum": 1}}},
]
_PAGE = re.compile(r"failed: Web(?:Refused|Failed): (\w+):")


@dataclass(frozen=True)
class Value:
    """A record's value: its size and hash, and the hash of its beginning."""

    size: int
    digest: str
    beginning: str

    @classmethod
    def of(cls, value: bytes | None) -> "Value":
        if value is None:
            return cls(0, "", "")
        return cls(len(value), _sha256(value), _sha256(value[:CUT_BYTES]))

    def begins(self, other: "Value") -> bool:
        """Whether the other is this one, or its beginning."""
        return self == other or (other.size == CUT_BYTES and self.beginning == other.digest)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Seen:
    """One record; `document` is what one of `sent_emails` says."""

    place: Place
    origin: Place | None
    value: "Value"
    key: bytes | None
    headers: Mapping[str, bytes | None]
    document: dict[str, Any]

    def says(self, header: str) -> str:
        return (self.headers.get(header) or b"").decode("utf-8", "replace")


@dataclass
class Outside:
    """What lies outside, as of the last look; each look reads what has come since."""

    records: dict[Place, Seen] = field(default_factory=dict)
    made_of: dict[Place, list[Seen]] = field(default_factory=lambda: defaultdict(list))
    pages: dict[str, list[str]] = field(default_factory=dict)  # trace → what the tool said
    _ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def look(self) -> "Outside":
        servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
        there = partitions(servers)
        for record in read_all(servers, [t for t in ALL if t in there], self._ends):
            seen = _seen(record)
            self.records[seen.place] = seen
            if seen.origin:
                self.made_of[seen.origin].append(seen)
            self._ends[record.topic, record.partition] = record.offset + 1
        self.pages = _pages()
        return self

    def words(self, case: Case, places: Sequence[Place]) -> list[str]:
        """What the case's job made of its inputs."""
        found: dict[Any, str] = {}
        for place in places:
            for seen in self.made_of.get(place, ()):
                if (word := self._word(case.job, seen)) is not None:
                    same = (seen.says("ce_id"), seen.value, seen.place[0])
                    if seen.place[0] == DEAD_LETTERS:
                        same = (str(place), seen.says("ce_id"), seen.says("dlq_reason"))
                    found[same] = word
        words = list(found.values())
        for kind in ("page", "tool calls"):
            if any(end.startswith(kind) for end in case.ends):
                traces = {one.says("traceparent")[3:35] for p in places for one in self.made_of[p]}
                told = (word for trace in traces for word in self.pages.get(trace, ()))
                words += [word for word in told if word.startswith(kind)]
        return sorted(words)

    def _word(self, job: str, seen: Seen) -> str | None:
        topic = seen.place[0]
        if topic == DEAD_LETTERS:
            if seen.says("dlq_job") != job:
                return None
            word = f"dead letter: {seen.says('dlq_reason')}"
            return word + compared(self.records, seen)
        if topic != OUTPUT[job]:
            return None
        return str(seen.document.get("status")) if topic == "sent_emails" else "result"

    def messages(self, places: Sequence[Place]) -> list[str]:
        """The sentences of the dead letters of these inputs."""
        seen = [one for place in places for one in self.made_of.get(place, ())]
        return sorted({s.says("dlq_message") for s in seen if s.place[0] == DEAD_LETTERS})

    def unended(self, excused: set[Place]) -> list[Place]:
        """Records on topics that jobs read, of which nothing has been made, nor of their like: a
        job handles an event once, however often it comes."""

        def event(seen: Seen) -> tuple[object, ...]:
            identity = seen.says("ce_id") or (seen.key, seen.value)
            return seen.place[0], identity, seen.says("attempt") or "1"

        read = [seen for place, seen in self.records.items() if place[0] in JOBS]
        ended = {event(seen) for seen in read if self.made_of.get(seen.place)}
        return [s.place for s in read if event(s) not in ended and s.place not in excused]


def compared(records: Mapping[Place, Seen], letter: Seen) -> str:
    """Nothing where a dead letter of the source has key and value of the record that it names,
    ", cut" where it has their beginnings and says so; else what is wrong."""
    if letter.says("dlq_stage") != "decode" or letter.origin is None:
        return ""
    original = records.get(letter.origin)
    if original is None:
        return ", of a record that is not there"
    if (original.value, original.key or b"") == (letter.value, letter.key or b""):
        return ""
    begins = original.value.begins(letter.value) and (original.key or b"").startswith(
        letter.key or b""
    )
    return ", cut" if begins and "or more" in letter.says("dlq_message") else ", other bytes"


def fits(case: Case, words: Sequence[str]) -> bool:
    """Whether these words are the case's ends; an end may hold wildcards."""
    left = list(words)
    for end in sorted(case.ends, key=lambda e: "*" in e):
        match = next((word for word in left if fnmatchcase(word, end)), None)
        if match is None:
            return False
        left.remove(match)
    return not left


def shown(words: Sequence[str]) -> str:
    """Words with their counts."""
    counts = Counter(words)
    return ", ".join(f"{n} × {w}" if n > 1 else w for w, n in sorted(counts.items())) or "nothing"


def _seen(record: KafkaRecord) -> Seen:
    headers = dict(record.headers)
    value = record.value
    small = value is not None and len(value) <= KEPT_BYTES and record.topic == "sent_emails"
    return Seen(
        (record.topic, record.partition, record.offset),
        origin(record.topic, headers),
        Value.of(value),
        record.key,
        headers if len(headers) < 200 else {n: v for n, v in headers.items() if n[:4] == "dlq_"},
        json.loads(value or b"{}") if small else {},
    )


def origin(
    topic: str, headers: Mapping[str, bytes | None], dead_letters: str = DEAD_LETTERS
) -> Place | None:
    """The record that one was made of."""
    if topic == dead_letters:
        parts = [headers.get(f"dlq_{name}") or b"" for name in ("topic", "partition", "offset")]
    else:
        parts = (headers.get("source") or b"").rsplit(b"/", 2)
    if len(parts) != 3 or not (parts[1].isdigit() and parts[2].isdigit()):
        return None
    return parts[0].decode(), int(parts[1]), int(parts[2])


def _pages() -> dict[str, list[str]]:
    """What the website tool told the model, by trace, from the journal."""
    found: dict[str, list[str]] = defaultdict(list)
    with client() as mongo:
        journal = mongo[settings().mongodb_database]["journal"]
        for entry in journal.find({"kind": "tool", "name": "fetch_page"}):
            answer = json.loads(entry["answer"])
            failed = _PAGE.search(answer["text"])
            late = "timeout" if "did not answer within" in answer["text"] else "failed"
            word = "ok" if answer["ok"] else failed[1] if failed else late
            found[entry["trace_id"]].append(f"page: {word}")
        for entry in journal.aggregate(_TOOLS):
            found[entry["_id"]].append(f"tool calls: {entry['calls']}")
    return found
