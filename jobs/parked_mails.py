"""A team's ledger and topics in, the mails whose fate nobody knows out, the oldest first.

The ledger says which they are and names no person. Whom a mail was for, and which event it was made
of, stands in its outcome, on a topic that its job writes, for as long as that lies there.

A mail of which a person said that it is not there is *half decided* until its event is driven
again: a desk that died in between has left it so, and it is still listed.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pymongo.errors import PyMongoError

from connectors.kafka import KafkaRecord, bootstrap_servers, read_all
from connectors.ledger import NOT_SENT, MongoLedger
from connectors.mongodb import Document, async_client
from connectors.settings import settings
from jobs.desk import Desk
from jobs.errors import TidemillError, one_line
from jobs.evidence import flat_headers, identity, json_object
from jobs.team_topics import TeamTopics
from udfs.core import events

ANSWER_S = 20.0
SHORTEST, FEWEST = 8, 6  # digits of an id that are shown, and that are taken
_MESSAGE_ID = re.compile(r"<?([0-9a-f]+)(@[^<>\s]*)?>?\Z")
_REASONS = {
    "no_answer": "the server's answer to it was lost",
    "owner_lost": "its worker was gone before the server's answer was recorded",
    "abandoned": "its job was given up while it was being sent",
    NOT_SENT: "said not to be there, and not driven yet: the same `again` completes it",
}
T = TypeVar("T")


@dataclass(frozen=True)
class Told:
    """What the outcome of a mail says. `origin` is the place of the event that it was made of."""

    to: str
    subject: str
    attempt: int
    origin: str


@dataclass(frozen=True)
class ParkedMail:
    """A mail that waits for a person; `told` is None where its outcome is on no topic."""

    effect_id: str
    short: str
    key: str
    job: str
    claim: str
    attempt: int
    since_ms: int
    reason: str
    told: Told | None

    @property
    def why(self) -> str:
        """The reason in words."""
        return _REASONS.get(self.reason, f"whether it was sent is not known ({self.reason})")


class ParkedDesk:
    """The parked mails of a team. Raises TidemillError where MongoDB does not tell."""

    def __init__(self, team: TeamTopics) -> None:
        self.team = team
        self._entries = {one["_id"]: one for one in self._waiting()}
        told = told_of(self._outcomes(), self._entries)
        length = digits(self._entries)
        self.mails = [parked_mail(e, length, told.get(id_)) for id_, e in self._entries.items()]

    @cached_property
    def desk(self) -> Desk:
        """The desk for dead letters, where what is driven again is decided."""
        return Desk(self.team)

    def _waiting(self) -> list[Document]:
        async def both(ledger: MongoLedger) -> tuple[list[Document], list[Document]]:
            return await ledger.parked(self.team.team), await ledger.said_not_sent(self.team.team)

        parked, said = ask_ledger(both)
        driven = self.desk.driven_mails if said else {}
        half = [one for one in said if half_decided(one, driven)]
        return sorted([*parked, *half], key=lambda one: (one["parked_at"], one["_id"]))

    def _outcomes(self) -> Iterable[KafkaRecord]:
        jobs = {str(one["job"]) for one in self._entries.values()}
        topics = {topic for job in jobs for topic in self.team.writes.get(job, ())}
        return read_all(bootstrap_servers(), topics) if topics else ()

    def find(self, word: str) -> ParkedMail | Document:
        """The mail that a word means: one that waits, else the ledger's entry of one that no longer
        does. Raises TidemillError where it means none, or several."""
        team, start = self.team.team, _start(word)
        found: list[Any] = [mail for mail in self.mails if mail.effect_id.startswith(start)]
        ids = [mail.effect_id for mail in found]
        if not found:
            found = ask_ledger(lambda ledger: ledger.beginning_with(team, start, 3))
            ids = [one["_id"] for one in found]
        if not found:
            raise TidemillError(
                f"team {team} has no mail {start}", f"`tidemill parked {team}` lists what is parked"
            )
        if len(found) > 1:
            listed = ", ".join(id_[: digits(ids)] for id_ in ids)
            raise TidemillError(f"{start} means several mails ({listed})", "write more of its id")
        return found[0]


def half_decided(entry: Mapping[str, Any], driven: Container[str]) -> bool:
    """Whether a person said that this mail is not there, and its claim is none of the `driven`."""
    return entry.get("reason") == NOT_SENT and entry["claim"] not in driven


def told_of(
    records: Iterable[KafkaRecord], entries: Mapping[str, Mapping[str, Any]]
) -> dict[str, Told]:
    """Effect id → what the outcome of its last attempt says, of these entries of the ledger. The
    outcomes of other events that wanted the same mail are none."""
    found: dict[str, Told] = {}
    for record in records:
        value = json_object(record)
        entry = entries.get(str(value.get("effect_id")))
        headers = flat_headers(record)
        event_id, attempt, _ = identity(record, headers)
        if entry is None or event_id != _outcome_id(entry, headers):
            continue
        known = found.get(entry["_id"])
        if known is None or attempt >= known.attempt:
            to, subject = (str(value.get(name) or "") for name in ("to", "subject"))
            origin = events.text(headers, "source") or ""
            found[entry["_id"]] = Told(to, subject, attempt, origin)
    return found


def _outcome_id(entry: Mapping[str, Any], headers: Mapping[str, bytes]) -> str:
    """The id of the event that the operator, which is this one's type, made of the entry's."""
    return events.child_id(entry["event_id"], events.text(headers, "ce_type") or "")


def parked_mail(entry: Mapping[str, Any], length: int, told: Told | None) -> ParkedMail:
    """The ledger's entry as a person sees it, its id so many digits long."""
    return ParkedMail(
        effect_id=entry["_id"],
        short=entry["_id"][:length],
        key=str(entry["key"]),
        job=str(entry["job"]),
        claim=str(entry["claim"]),
        attempt=int(entry["attempt"]),
        since_ms=int(entry["parked_at"]),
        reason=str(entry.get("reason")),
        told=told,
    )


def digits(ids: Iterable[str]) -> int:
    """How many digits of these ids tell them apart, not fewer than `SHORTEST`."""
    length, known = SHORTEST, set(ids)
    while len({one[:length] for one in known}) < len(known):
        length += 1
    return length


def _start(word: str) -> str:
    """The beginning of an effect's id that a word is; a Message-ID is one, too."""
    found = _MESSAGE_ID.match(word.strip().lower())
    if found is None or len(found[1]) < FEWEST:
        raise TidemillError(
            f"{one_line(word)[:80]!r} is no id of a mail",
            f"write at least {FEWEST} of its hexadecimal digits, or its Message-ID",
        )
    return found[1]


def ask_ledger(work: Callable[[MongoLedger], Awaitable[T]]) -> T:
    """What the ledger says. Raises TidemillError where it says nothing for `ANSWER_S` seconds."""

    async def main() -> T:
        async with async_client() as mongodb:
            ledger = MongoLedger(mongodb[settings().mongodb_database])
            return await asyncio.wait_for(work(ledger), ANSWER_S)

    try:
        return asyncio.run(main())
    except (TimeoutError, PyMongoError) as error:
        words = f": {str(error)[:200]}" if str(error) else ""
        raise TidemillError(
            f"MongoDB does not tell which mails are parked{words}",
            "run the same command again when `tidemill status` shows it",
        ) from None
