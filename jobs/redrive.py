"""Decisions of a person in; records on their topics again, and each decision as an event, out.

What is driven is the original record, byte for byte, read at its place; where retention has taken
it, what the dead letter kept of it, if that is what the topic takes; or what a person made of it.
Its `attempt` is one more, and one attempt of an event is driven once.

A record and the decision to drive it are one transaction, and a team's desk is one transactional
id. So a desk that dies in the middle has driven nothing of what it has not said, and of two desks
at once the one that began first is stopped (`Fenced`) and has written nothing of its last batch.
Jobs read committed records only. Whoever does not may see such a batch and then the same again,
alike to the byte, and drops the repeat by event id and attempt, as any other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from connectors.kafka import KafkaRecord, NewRecord, ensure_topics
from connectors.kafka_transaction import Fenced, Transactions
from jobs.decisions import (
    DISCARDED,
    EDITED,
    REDRIVEN,
    Decision,
    as_text,
    decided_by,
    now,
    sha256,
)
from jobs.desk import DeadLetter, Desk
from jobs.errors import TidemillError
from jobs.evidence import EDITED_FROM, flat_headers, identity, raw_record
from jobs.team_topics import TeamTopics, Topic
from udfs.core.decode import MAX_VALUE_BYTES, Rejected, decode_record

KEPT_FOR_EVER = {"retention.ms": "-1"}
TOGETHER, TOGETHER_BYTES = 200, 8 << 20


@dataclass
class Done:
    """What came of it: how many went to which topic or were discarded, and what did not."""

    driven: Counter[str] = field(default_factory=Counter)
    discarded: int = 0
    already: int = 0
    left: int = 0  # decided the other way before, and not named by number
    refused: list[tuple[DeadLetter, str]] = field(default_factory=list)


class Refused(Exception):
    """A dead letter that stands for no record any more. Why, in a few words."""


class Writing:
    """Records and decisions of one command, written together in batches."""

    def __init__(self, desk: Desk, log: Transactions, because: str) -> None:
        self.desk, self._log, self._because, self._by = desk, log, because, decided_by()
        self._batch: list[NewRecord] = []
        self._bytes = 0

    def decide(self, made: Decision, record: NewRecord | None = None) -> None:
        """Take a decision, with the record that it drives."""
        made = replace(made, because=self._because, by=self._by, at=now())
        self.desk.note(made)
        for one in (record, made.record(self.desk.team.decisions)):
            if one:
                self._batch.append(one)
                self._bytes += len(one.value or b"")
        if len(self._batch) >= TOGETHER or self._bytes >= TOGETHER_BYTES:
            self.flush()

    def flush(self) -> None:
        if self._batch:
            self._log.batch(self._batch)
            self._batch, self._bytes = [], 0


@contextmanager
def deciding(desk: Desk, because: str) -> Iterator[Writing]:
    """The desk as the only one of its team that writes, knowing what all others have decided."""
    team = desk.team
    ensure_topics(desk.servers, {team.decisions: 1}, {team.decisions: KEPT_FOR_EVER})
    try:
        with Transactions(desk.servers, f"tidemill.desk.{team.team}") as log:
            desk.read_decisions()
            writing = Writing(desk, log, because)
            yield writing
            writing.flush()
    except Fenced:
        raise TidemillError(
            f"another desk of team {team.team} began to decide while this one did; nothing is "
            "driven twice",
            "run the same command again: it goes on where this one ended",
        ) from None


def redrive(
    desk: Desk, letters: Sequence[DeadLetter], because: str = "", *, named: bool = False
) -> Done:
    """Drive the records of these again, each attempt of each once; what was discarded only where
    it is `named`."""
    done = Done()
    with deciding(desk, because) as writing:
        gone = []
        for letter, original in desk.originals(_undecided(letters, done, named=named)):
            if original:
                _drive(writing, letter, original, done)
            else:
                gone.append(letter)
        for letter, whole in desk.wholes(gone):
            try:
                _drive(writing, letter, kept(desk.team, letter, whole), done)
            except Refused as refused:
                done.refused.append((letter, str(refused)))
    return done


def _undecided(letters: Sequence[DeadLetter], done: Done, *, named: bool) -> list[DeadLetter]:
    found = []
    for letter in letters:
        if letter.decision is None or (named and not letter.decision.drives):
            found.append(letter)
        elif letter.decision.drives:
            done.already += 1
        else:
            done.left += 1
    return found


def _drive(writing: Writing, letter: DeadLetter, record: KafkaRecord, done: Done) -> None:
    before = writing.desk.decision_on(letter)
    if before and before.drives:  # by another dead letter of the same record
        done.already += 1
        return
    event_id, attempt, _ = identity(record, flat_headers(record))
    made = _decision(REDRIVEN, letter, record.topic, event_id, attempt + 1)
    if made.driven in writing.desk.driven:  # the same event lies there twice, and this is the other
        done.already += 1
        writing.decide(made)
        return
    writing.decide(made, next_attempt(record, attempt + 1))
    done.driven[record.topic] += 1


def discard(desk: Desk, letters: Sequence[DeadLetter], because: str) -> Done:
    """Say that nothing more is to be done about these."""
    done = Done()
    with deciding(desk, because) as writing:
        for letter in letters:
            if letter.decision is None:
                topic = letter.origin.rsplit("/", 2)[0]
                writing.decide(_decision(DISCARDED, letter, topic, letter.event_id, letter.attempt))
                done.discarded += 1
            elif letter.decision.drives:
                done.left += 1
            else:
                done.already += 1
    return done


def edit(
    desk: Desk, letter: DeadLetter, record: KafkaRecord, edited: NewRecord, because: str = ""
) -> Done:
    """Drive `edited` in place of the record. The same edit a second time is none.

    Raises TidemillError where the letter's record was driven in another form.
    """
    done = Done()
    event_id, attempt, _ = identity(record, flat_headers(record))
    value = record.value or b""
    original, is_base64 = as_text(value) if len(value) <= MAX_VALUE_BYTES else ("", False)
    made = replace(
        _decision(EDITED, letter, record.topic, event_id, attempt + 1),
        value_sha256=_digest(edited),
        original=original,
        original_is_base64=is_base64,
    )
    with deciding(desk, because) as writing:
        before = desk.decision_on(letter)
        refuse_another(letter.number, before, edited)
        if before and before.drives:
            done.already = 1
        elif made.driven in desk.driven:
            raise TidemillError(
                f"attempt {attempt + 1} of this event was driven already", _OF_ITS_OWN
            )
        else:
            writing.decide(made, edited_attempt(record, edited, event_id, attempt + 1))
            done.driven[record.topic] = 1
    return done


_OF_ITS_OWN = "if that died again, it is a dead letter of its own: edit that one"


def refuse_another(number: int, before: Decision | None, edited: NewRecord) -> None:
    """Raise TidemillError where the record was driven in another form than this."""
    if before and before.drives and before.value_sha256 != _digest(edited):
        by = f"by {before.by or 'somebody'} at {before.at[:19]}"
        raise TidemillError(
            f"dead letter {number} was {before.decision} already, {by}", _OF_ITS_OWN
        )


def _digest(edited: NewRecord) -> str:
    key = edited.key or b""
    return sha256(b"%d:%b%b" % (len(key), key, edited.value or b""))


def _decision(what: str, letter: DeadLetter, topic: str, event_id: str, attempt: int) -> Decision:
    return Decision(
        decision=what,
        topic=topic,
        event_id=event_id,
        attempt=attempt,
        origin=letter.origin,
        dead_letter=letter.own_place,
        reason=letter.says["reason"],
        key=letter.key,
        job=letter.says["job"],
        stage=letter.says["stage"],
    )


def next_attempt(record: KafkaRecord, attempt: int) -> NewRecord:
    """The same record once more: key, value and headers as they were, but for the attempt."""
    others = tuple(header for header in record.headers if header[0] != "attempt")
    headers = (*others, ("attempt", str(attempt).encode()))
    return NewRecord(record.topic, record.key, record.value, headers)


def edited_attempt(
    record: KafkaRecord, edited: NewRecord, event_id: str, attempt: int
) -> NewRecord:
    """The edited record as the next attempt: the id is the event's, whatever its bytes are now."""
    ours = {"ce_id": event_id.encode(), EDITED_FROM: record.place.encode()}
    others = tuple(header for header in record.headers if header[0] not in ours)
    headers = (*others, *ours.items())
    return next_attempt(
        replace(record, key=edited.key, value=edited.value, headers=headers), attempt
    )


def kept(
    team: TeamTopics, letter: DeadLetter, found: KafkaRecord | None, *, as_it_is: bool = False
) -> KafkaRecord:
    """The record as its dead letter (`found`) kept it. Raises Refused where that is not the record,
    unless it is taken `as_it_is`, for a person to make one of it."""
    if letter.origin_place is None:
        raise Refused("it does not say from where its record came")
    if found is None:
        raise Refused("the dead letter is gone, too")
    topic, partition, offset = letter.origin_place
    record = replace(
        found,
        topic=topic,
        partition=partition,
        offset=offset,
        headers=tuple(h for h in found.headers if not h[0].startswith("dlq_")),
    )
    if letter.says["stage"] != "decode" and not as_it_is:  # there the bytes, elsewhere a view's row
        try:
            check(record, team.by_name(topic))
        except Rejected as rejected:
            raise Refused(
                f"its record at {letter.origin} is gone, and what is left is not one: {rejected}"
            ) from None
    return record


def check(record: KafkaRecord, declared: Topic | None) -> None:
    """Whether a job will take the record. Raises Rejected."""
    columns = [c for c in (declared.columns if declared else ()) if c.source in ("key", "value")]
    decode_record(raw_record(record), columns, record.timestamp_ms)
