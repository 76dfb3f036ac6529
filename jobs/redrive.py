"""Dead letters of a team in, the records that they stand for on their topics again out.

What is driven is the original record, byte for byte, read at its place; where retention has taken
it, what the dead letter kept of it, if that is what the topic takes. Its `attempt` is one more.
Every redrive is an event on `<team>_redrives`, and one attempt is driven once: by that event here,
by its id and attempt in every job behind it.
"""

import datetime as dt
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.kafka import (
    KafkaRecord,
    NewRecord,
    bootstrap_servers,
    end_offsets,
    ensure_topics,
    produce_all,
    read_all,
    read_at,
)
from jobs.errors import TidemillError
from jobs.evidence import Fact, fact, flat_headers, identity, raw_record
from jobs.team_topics import TeamTopics
from udfs.core.decode import Rejected, decode_record

TOGETHER = 100
Driven = tuple[str, str, int]  # topic, event id, attempt


@dataclass
class DeadLetter:
    """One dead letter; delivered again it is the same, and counted. Its value is not held here."""

    number: int
    place: tuple[str, int, int]
    origin: str  # topic/partition/offset of the record that the job read, or ""
    key: str
    says: Mapping[str, str]
    copies: int = 1

    @property
    def origin_place(self) -> tuple[str, int, int] | None:
        topic, _, offset = self.origin.rpartition("/")
        topic, _, partition = topic.rpartition("/")
        known = bool(topic) and partition.isdecimal() and offset.isdecimal()
        return (topic, int(partition), int(offset)) if known else None


class Desk:
    """The dead letters of a team, or those with one reason, and what was driven again already."""

    def __init__(self, team: TeamTopics, reason: str | None = None) -> None:
        self.team, self.servers = team, bootstrap_servers()
        self.driven: set[Driven] = set()
        self.origins_driven: set[str] = set()
        self._read_redrives()
        found = self._read_letters()
        self.letters = [x for x in found if reason in (None, x.says["reason"])]
        if reason and not self.letters:
            reasons = ", ".join(sorted({x.says["reason"] for x in found})) or "none"
            raise TidemillError(
                f"team {team.team} has no dead letter with reason {reason}", f"there are: {reasons}"
            )

    def _read_redrives(self) -> None:
        for record in read_all(self.servers, [self.team.redrives]):
            try:
                said = json.loads(record.value or b"")
                name = (str(said["topic"]), str(said["event_id"]), int(said["attempt"]))
                self.origins_driven.add(str(said["origin"]))
                self.driven.add(name)
            except (ValueError, KeyError, TypeError):
                continue  # somebody else's record

    def _read_letters(self) -> list[DeadLetter]:
        """All of them, numbered from the oldest."""
        records = read_all(self.servers, [self.team.dead_letters])
        found = [fact(record, self.team) for record in records]
        known: dict[tuple[object, ...], DeadLetter] = {}
        for one in sorted(found, key=lambda f: (f.timestamp_ms, f.partition, f.offset)):
            same = (one.source or one.place, one.event_id, one.attempt, one.says["reason"])
            if same in known:
                known[same].copies += 1
            else:
                known[same] = _letter(len(known) + 1, one)
        return list(known.values())

    def letter(self, number: int) -> DeadLetter:
        """The one of that number. Raises TidemillError."""
        for letter in self.letters:
            if letter.number == number:
                return letter
        numbers = f"1 to {self.letters[-1].number}" if self.letters else "none"
        raise TidemillError(
            f"team {self.team.team} has no dead letter {number}", f"there are: {numbers}"
        )

    def whole(self, letter: DeadLetter) -> KafkaRecord:
        """The dead letter's own record, with its value."""
        record = read_at(self.servers, *letter.place)
        if record is None:
            raise TidemillError(f"dead letter {letter.number} is gone", "list them again")
        return record

    def original(self, letter: DeadLetter) -> KafkaRecord | None:
        """The record that the job read, while it is there."""
        return read_at(self.servers, *letter.origin_place) if letter.origin_place else None

    def originals(
        self, letters: Sequence[DeadLetter]
    ) -> Iterator[tuple[DeadLetter, KafkaRecord | None]]:
        """Each letter with the record that its job read, in one pass over their topics."""
        wanted: dict[str, list[DeadLetter]] = {}
        start: dict[tuple[str, int], int] = {}
        for letter in letters:
            wanted.setdefault(letter.origin, []).append(letter)
            if letter.origin_place:
                topic, partition, offset = letter.origin_place
                start[topic, partition] = min(offset, start.get((topic, partition), offset))
        start = {**end_offsets(self.servers, {topic for topic, _ in start}), **start}
        for record in read_all(self.servers, {topic for topic, _ in start}, start):
            for letter in wanted.pop(record.place, ()):
                yield letter, record
        for missing in wanted.values():
            for letter in missing:
                yield letter, None


def _letter(number: int, one: Fact) -> DeadLetter:
    says = {name: str(value) for name, value in one.says.items()}
    return DeadLetter(number, (one.topic, one.partition, one.offset), one.source, one.key, says)


@dataclass
class Redriven:
    """What came of a redrive: how many went to which topic, and what did not."""

    driven: Counter[str] = field(default_factory=Counter)
    already: int = 0
    refused: list[tuple[DeadLetter, str]] = field(default_factory=list)


class Refused(Exception):
    """A dead letter that stands for no record any more. Why, in a few words."""


def redrive_all(desk: Desk, letters: Sequence[DeadLetter]) -> Redriven:
    """Drive the records of these dead letters again; each attempt of each record once."""
    ensure_topics(desk.servers, {desk.team.redrives: 1})
    result = Redriven()
    records: list[NewRecord] = []
    marks: list[NewRecord] = []
    for letter, original in desk.originals(letters):
        try:
            record = original or _kept(desk, letter)
        except Refused as refused:
            result.refused.append((letter, str(refused)))
            continue
        event_id, attempt, _ = identity(record, flat_headers(record))
        name = (record.topic, event_id, attempt + 1)
        if name in desk.driven:
            result.already += 1
            continue
        desk.driven.add(name)
        records.append(next_attempt(record, attempt + 1))
        marks.append(_mark(desk, letter, name))
        result.driven[record.topic] += 1
        if len(records) >= TOGETHER:
            _write(desk, records, marks)
    _write(desk, records, marks)
    return result


def _write(desk: Desk, records: list[NewRecord], marks: list[NewRecord]) -> None:
    """The records first: a mark without its record would keep it from ever being driven."""
    if records:
        produce_all(desk.servers, records)
        produce_all(desk.servers, marks)
    records.clear()
    marks.clear()


def next_attempt(record: KafkaRecord, attempt: int) -> NewRecord:
    """The same record once more: key, value and headers as they were, but for the attempt."""
    others = tuple(header for header in record.headers if header[0] != "attempt")
    headers = (*others, ("attempt", str(attempt).encode()))
    return NewRecord(record.topic, record.key, record.value, headers)


def _mark(desk: Desk, letter: DeadLetter, name: Driven) -> NewRecord:
    topic, event_id, attempt = name
    said = {
        "topic": topic,
        "event_id": event_id,
        "attempt": attempt,
        "origin": letter.origin,
        "dead_letter": "/".join(map(str, letter.place)),
        "reason": letter.says["reason"],
        "by": os.environ.get("USER", "desk"),
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
    }
    value = json.dumps(said, ensure_ascii=False).encode()
    return NewRecord(desk.team.redrives, event_id.encode(), value)


def _kept(desk: Desk, letter: DeadLetter) -> KafkaRecord:
    """The record as its dead letter kept it. Raises Refused where that is not the record."""
    if letter.origin_place is None:
        raise Refused("it does not say from where its record came")
    kept = desk.whole(letter)
    topic, partition, offset = letter.origin_place
    record = replace(
        kept,
        topic=topic,
        partition=partition,
        offset=offset,
        headers=tuple(h for h in kept.headers if not h[0].startswith("dlq_")),
    )
    if letter.says["stage"] != "decode":  # there it is the bytes that came, elsewhere a view's row
        declared = desk.team.by_name(topic)
        columns = [
            c for c in (declared.columns if declared else ()) if c.source in ("key", "value")
        ]
        try:
            decode_record(raw_record(record), columns, kept.timestamp_ms)
        except Rejected as rejected:
            raise Refused(
                f"its record at {letter.origin} is gone, and what is left is not one: {rejected}"
            ) from None
    return record
