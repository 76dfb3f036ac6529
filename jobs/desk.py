"""A team's topics in, its dead letters with what was decided about each out, and those of a filter.

A dead letter's number is its place (`offset × partitions + partition + 1`), so that it is the same
tomorrow, whatever comes or goes. Delivered again, a dead letter is the same one, and counted; each
of its places is its number. Values are read and let go: ten thousand letters are a few megabytes.
"""

import datetime as dt
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from connectors.kafka import (
    KafkaRecord,
    bootstrap_servers,
    end_offsets,
    partitions,
    read_all,
    read_at,
)
from jobs.decisions import Decision, Driven, decision
from jobs.errors import TidemillError, one_line
from jobs.evidence import Fact, LetterName, fact
from jobs.team_topics import TeamTopics

Place = tuple[str, int, int]


@dataclass
class DeadLetter:
    """One dead letter and what was decided about it. Its value is not held here."""

    number: int
    name: LetterName
    place: Place
    origin: str  # topic/partition/offset of the record that the job read, or ""
    key: str
    event_id: str
    attempt: int
    timestamp_ms: int
    says: Mapping[str, str]
    numbers: set[int] = field(default_factory=set)
    decision: Decision | None = None

    @property
    def origin_place(self) -> Place | None:
        return place_of(self.origin)

    @property
    def own_place(self) -> str:
        return "/".join(map(str, self.place))


@dataclass(frozen=True)
class Filter:
    """Which dead letters. None or "" is any; `decided` takes those too that need nobody."""

    reason: str | None = None
    job: str | None = None
    stage: str | None = None
    key: str | None = None
    text: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    decided: bool = False
    limit: int | None = None

    def takes(self, letter: DeadLetter) -> bool:
        """Whether it is one of these; `decided` and `limit` aside."""
        says = letter.says
        return (
            self.reason in (None, says["reason"])
            and (self.job is None or says["job"] == self.job)
            and self.stage in (None, says["stage"])
            and self.key in (None, letter.key)
            and (self.text is None or self.text.lower() in says["message"].lower())
            and (self.since_ms is None or letter.timestamp_ms >= self.since_ms)
            and (self.until_ms is None or letter.timestamp_ms < self.until_ms)
        )


class Desk:
    """The dead letters of a team, the oldest first, and what was decided."""

    def __init__(self, team: TeamTopics) -> None:
        self.team, self.servers = team, bootstrap_servers()
        self._partitions = partitions(self.servers).get(team.dead_letters, 1)
        self.letters = self._read_letters()
        self._by_number = {n: letter for letter in self.letters for n in letter.numbers}
        self.read_decisions()

    def _read_letters(self) -> list[DeadLetter]:
        found = [fact(r, self.team) for r in read_all(self.servers, [self.team.dead_letters])]
        known: dict[LetterName, DeadLetter] = {}
        for one in sorted(found, key=lambda f: (f.timestamp_ms, f.partition, f.offset)):
            number = one.offset * self._partitions + one.partition + 1
            letter = known.setdefault(one.letter, _letter(number, one))
            letter.numbers.add(number)
        return list(known.values())

    def read_decisions(self) -> None:
        """Take in all that was decided until now, here or at another desk."""
        self.driven: set[Driven] = set()
        self.driven_from: dict[str, Decision] = {}  # by origin
        self.driven_mails: dict[str, str] = {}  # claim of a parked mail → its effect
        self._discarded: dict[LetterName, Decision] = {}
        for record in read_all(self.servers, [self.team.decisions]):
            said = decision(record)
            if said:
                self.note(said)
        for letter in self.letters:
            letter.decision = self.decision_on(letter)

    def note(self, said: Decision) -> None:
        """Know this decision; the first of its kind stands."""
        if said.drives:
            self.driven.add(said.driven)
            self.driven_from.setdefault(said.origin, said)
            if said.claim:
                self.driven_mails[said.claim] = said.effect_id
        else:
            self._discarded.setdefault(said.letter, said)

    def decision_on(self, letter: DeadLetter) -> Decision | None:
        """What stands of a letter: that its record was driven again, else that it was discarded."""
        driven = self.driven_from.get(letter.origin) if letter.origin else None
        return driven or self._discarded.get(letter.name)

    def letter(self, number: int) -> DeadLetter:
        """The one of that number. Raises TidemillError."""
        if number in self._by_number:
            return self._by_number[number]
        team = self.team.team
        if not self.letters:
            raise TidemillError(f"team {team} has no dead letter {number}: it has none")
        near = ", ".join(map(str, sorted(self._by_number, key=lambda n: abs(n - number))[:3]))
        raise TidemillError(
            f"team {team} has no dead letter {number}",
            f"near it are {near}; `tidemill dead-letters {team} list` shows all",
        )

    def select(self, wanted: Filter) -> list[DeadLetter]:
        """Those of a filter. Raises TidemillError where it names what no dead letter says."""
        if wanted.job and "." not in wanted.job:
            wanted = replace(wanted, job=f"{self.team.team}.{wanted.job}")
        for name in ("reason", "job", "stage"):
            asked, there = getattr(wanted, name), sorted({x.says[name] for x in self.letters})
            if asked and self.letters and asked not in there:
                raise TidemillError(
                    f"team {self.team.team} has no dead letter with {name} {one_line(asked)}",
                    f"there are: {one_line(', '.join(there))}",
                )
        found = [x for x in self.letters if wanted.takes(x) and (wanted.decided or not x.decision)]
        return found[: wanted.limit]

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
        return self._at((letter, letter.origin_place) for letter in letters)

    def wholes(
        self, letters: Sequence[DeadLetter]
    ) -> Iterator[tuple[DeadLetter, KafkaRecord | None]]:
        """Each letter with its own record, in one pass."""
        return self._at((letter, letter.place) for letter in letters)

    def _at(
        self, places: Iterable[tuple[DeadLetter, Place | None]]
    ) -> Iterator[tuple[DeadLetter, KafkaRecord | None]]:
        """Letters with the records at their places; those last that are not there."""
        wanted: dict[Place, list[DeadLetter]] = {}
        nowhere: list[DeadLetter] = []
        for letter, place in places:
            (wanted.setdefault(place, []) if place else nowhere).append(letter)
        start: dict[tuple[str, int], int] = {}
        for topic, partition, offset in wanted:
            start[topic, partition] = min(offset, start.get((topic, partition), offset))
        start = {**end_offsets(self.servers, {topic for topic, _ in start}), **start}
        for record in read_all(self.servers, {topic for topic, _ in start}, start):
            for letter in wanted.pop((record.topic, record.partition, record.offset), ()):
                yield letter, record
            if not wanted:
                break
        for letter in (*nowhere, *(one for missing in wanted.values() for one in missing)):
            yield letter, None


def place_of(origin: str) -> Place | None:
    """What `topic/partition/offset` says; None where it is not that."""
    topic, _, offset = origin.rpartition("/")
    topic, _, partition = topic.rpartition("/")
    known = bool(topic) and partition.isdecimal() and offset.isdecimal()
    return (topic, int(partition), int(offset)) if known else None


def _letter(number: int, one: Fact) -> DeadLetter:
    return DeadLetter(
        number=number,
        name=one.letter,
        place=(one.topic, one.partition, one.offset),
        origin=one.source,
        key=one.key,
        event_id=one.event_id,
        attempt=one.attempt,
        timestamp_ms=one.timestamp_ms,
        says={name: str(value) for name, value in one.says.items()},
    )


_AGO = re.compile(r"(\d+)\s*([smhdw])\Z")
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def moment_ms(text: str, now: dt.datetime | None = None) -> int:
    """A moment as people write it: `2h` (ago), `2026-11-23`, `2026-11-23T10:00`; UTC if no zone."""
    now = now or dt.datetime.now(dt.UTC)
    ago = _AGO.match(text.strip())
    try:
        if ago:
            found = now - dt.timedelta(seconds=int(ago[1]) * _UNITS_S[ago[2]])
        else:
            found = dt.datetime.fromisoformat(text.strip())
    except (ValueError, OverflowError):
        raise TidemillError(
            f"{text!r} is no moment", "write 2h or 3d (ago), 2026-11-23, or 2026-11-23T10:00"
        ) from None
    return int((found if found.tzinfo else found.replace(tzinfo=dt.UTC)).timestamp() * 1000)
