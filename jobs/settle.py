"""What a person saw at the mail server in; the ledger's last word on parked mails, and their events
on their topics again, out.

The ledger is written first, and the event is driven after it, as the next attempt, in one
transaction with the decision (see `jobs.redrive`). The other way round the attempt could find its
mail still parked, and it would never be sent. A desk that dies in between has sent nothing, for
only a raised attempt may claim the mail; the same command again drives what was not driven.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.kafka import KafkaRecord, read_all, read_at
from connectors.ledger import LedgerError, MongoLedger
from jobs.decisions import REDRIVEN, Decision, decided_by
from jobs.desk import Desk, place_of
from jobs.evidence import flat_headers, identity
from jobs.parked_mails import ParkedDesk, ParkedMail, ask_ledger
from jobs.redrive import Writing, deciding, next_attempt

Event = tuple[str, str]  # topic, event id


@dataclass
class Settled:
    """What came of it. `driven` are events: one may have several mails."""

    sent: int = 0
    driven: Counter[str] = field(default_factory=Counter)
    already: int = 0
    refused: list[tuple[ParkedMail, str]] = field(default_factory=list)


def sent(mails: Sequence[ParkedMail]) -> Settled:
    """Record that these are there."""
    done = Settled()
    done.sent = len(_resolved(mails, "sent", done))
    return done


def again(parked: ParkedDesk, mails: Sequence[ParkedMail], because: str = "") -> Settled:
    """Record that these are not there, and drive the event of each as its next attempt."""
    done, desk = Settled(), parked.desk
    with deciding(desk, because) as writing:
        left = [m for m in mails if m.claim not in desk.driven_mails]
        done.already += len(mails) - len(left)
        there = _events(desk, left, done)
        said = _resolved([m for m in left if m.effect_id in there], "not_sent", done)
        attempts: dict[Event, int] = {}
        for mail in said:
            _drive(writing, mail, there[mail.effect_id], attempts)
        done.driven.update(topic for topic, _ in attempts)
    return done


def _resolved(mails: Sequence[ParkedMail], decision: str, done: Settled) -> list[ParkedMail]:
    """Those of which the ledger says so now."""
    by, said = decided_by(), list[ParkedMail]()

    async def resolve(ledger: MongoLedger) -> None:
        for mail in mails:
            try:
                await ledger.resolve_parked(mail.effect_id, decision, by)
                said.append(mail)
            except LedgerError as error:
                done.refused.append((mail, str(error)))

    if mails:
        ask_ledger(resolve)
    return said


def _events(desk: Desk, mails: Sequence[ParkedMail], done: Settled) -> dict[str, list[KafkaRecord]]:
    """Effect id → the event that its mail was made of, each time that it lies there."""
    wanted: dict[str, Event] = {}
    found: dict[Event, list[KafkaRecord]] = {}
    for mail in mails:
        record, why = _origin(desk, mail)
        if record is None:
            done.refused.append((mail, why))
        else:
            event = (record.topic, identity(record, flat_headers(record))[0])
            wanted[mail.effect_id] = event
            found.setdefault(event, []).append(record)
    for record in read_all(desk.servers, {topic for topic, _ in found}) if found else ():
        event = (record.topic, identity(record, flat_headers(record))[0])
        if event in found:
            found[event].append(record)
    return {effect_id: found[event] for effect_id, event in wanted.items()}


def _origin(desk: Desk, mail: ParkedMail) -> tuple[KafkaRecord | None, str]:
    """The record that the mail was made of, or why it cannot be driven."""
    place = place_of(mail.told.origin) if mail.told else None
    if place is None:
        return None, "no topic tells of which event it was made"
    record = read_at(desk.servers, *place)
    return record, f"its event is gone from {place[0]}: retention has taken it"


def _drive(
    writing: Writing, mail: ParkedMail, there: Sequence[KafkaRecord], attempts: dict[Event, int]
) -> None:
    """Drive the event in the form that its last attempt has; for several of its mails once."""
    known = [(identity(record, flat_headers(record)), record) for record in there]
    (event_id, last, _), record = max(known, key=lambda one: one[0][1])
    event = (record.topic, event_id)
    first = event not in attempts
    if first:
        driven = [a for t, e, a in writing.desk.driven if (t, e) == event]
        attempts[event] = max(last, mail.attempt, *driven) + 1
    attempt = attempts[event]
    made = Decision(
        decision=REDRIVEN,
        event_id=event_id,
        attempt=attempt,
        topic=record.topic,
        origin=record.place,
        reason=mail.reason,
        key=mail.key,
        job=mail.job,
        stage="effect",
        effect_id=mail.effect_id,
        claim=mail.claim,
    )
    writing.decide(made, next_attempt(record, attempt) if first else None)
