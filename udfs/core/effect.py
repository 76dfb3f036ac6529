"""An intent and what the ledger holds under its id in, the next step of the effect out.

An e-mail cannot be taken back and SMTP has no transaction, so every send is bracketed by two writes
to a ledger: a claim before, the result after. Here are the rules, without a clock, a database or a
network; `udfs.core.outbox` carries them out.

    (nothing) ──> claimed ──> sent                    the server said 250
                    │  │ ├──> refused                 the server said 5xx: nobody was mailed
                    │  │ └──> opted_out               nobody was mailed
                    │  └────> waiting ──> claimed …   surely not accepted; the next may try
                    │           └───────> failed      … for too long: nobody was mailed
                    └───────> parked                  nobody knows: for a human, never sent again

Only what is surely not mailed (waiting, refused, failed, opted_out) is ever claimed again, and the
last three only by a raised attempt or by another event.
"""

import hashlib
import unicodedata
from dataclasses import asdict, dataclass, fields
from typing import Any

from email_validator import EmailNotValidError, validate_email

SUBJECT_CHARACTERS = 255
BODY_CHARACTERS = 100_000
KEY_CHARACTERS = 512

NOT_MAILED = frozenset({"waiting", "refused", "failed", "opted_out"})
DEAD = frozenset({"refused", "failed"})
_JOINERS = {
    "\u200c",
    "\u200d",
}  # Persian and emoji need them; every other format character goes


@dataclass(frozen=True)
class Intent:
    """One e-mail that an agent wants sent. Times are milliseconds of the clock that `Outbox` has.

    `effect_key` is a business key made in SQL (person, campaign, step), never of model text.
    `not_before_ms` and `valid_until_ms` are no part of the payload.
    """

    job: str
    effect_key: str
    event_id: str
    key: str
    to: str | None
    subject: str | None
    body: str | None
    attempt: int = 1
    not_before_ms: int | None = None
    valid_until_ms: int | None = None

    @property
    def effect_id(self) -> str:
        return _digest(self.job, self.effect_key)

    @property
    def payload_hash(self) -> str:
        return _digest(self.to or "", self.subject or "", self.body or "")


@dataclass(frozen=True)
class Mail:
    """What the mailer gets: one address in ASCII, one line of subject, lines ended by LF."""

    effect_id: str
    to: str
    subject: str
    body: str
    to_hashes: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How an intent ended.

    status: `sent`, `duplicate`, `opted_out`, `parked`, `refused`, `failed`, or `deferred` (it came
    before its time, nothing was done). `reason` is a code, `detail` a sentence. A redelivery has
    the outcome of the first delivery again, with `repeated` set.
    """

    status: str
    effect_id: str
    reason: str | None = None
    detail: str | None = None
    sent_at_ms: int | None = None
    repeated: bool = False

    @property
    def dead(self) -> bool:
        """Whether the intent belongs into dead letters."""
        return self.status in DEAD


@dataclass(frozen=True)
class Entry:
    """The ledger's document of one effect. It names no person: a lead's key and hashes only."""

    effect_id: str
    status: str
    claim: str
    owner: str
    claimed_at: int
    payload_hash: str
    job: str
    event_id: str
    attempt: int
    key: str
    to_hash: str
    sends: int = 0
    deferrals: int = 0
    deferred_at: int | None = None
    sent_at: int | None = None
    parked_at: int | None = None
    reason: str | None = None
    detail: str | None = None

    def document(self) -> dict[str, Any]:
        """As MongoDB keeps it; what is None is left out (`parked_at` has a sparse index)."""
        kept = {name: value for name, value in asdict(self).items() if value is not None}
        return {"_id": kept.pop("effect_id"), **kept}

    @classmethod
    def of(cls, document: dict[str, Any]) -> "Entry":
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in document.items() if name in known}
        return cls(effect_id=document["_id"], **values)


@dataclass(frozen=True)
class Claim:
    """Take the effect: insert (where `over` is None) or take over what stands."""

    over: Entry | None


@dataclass(frozen=True)
class Wait:
    """Another owner may be sending just now: look again, and after `for_s` seconds park it."""

    for_s: float


@dataclass(frozen=True)
class Park:
    """The owner is gone between claim and result: nobody knows whether the mail went out."""

    entry: Entry


def decide(
    stands: Entry | None, intent: Intent, now_ms: int, lease_s: float
) -> Claim | Wait | Park | Outcome:
    """The next step for an intent whose ledger entry is `stands`. A lease is longer than a send."""
    if stands is None:
        return Claim(None)
    same_event = stands.event_id == intent.event_id
    if stands.status in NOT_MAILED:
        if not same_event or intent.attempt > stands.attempt:
            return Claim(stands)
    elif not same_event and stands.status in ("sent", "parked"):
        reason = "already_mailed" if stands.status == "sent" else "already_parked"
        detail = f"lead {stands.key}, event {stands.event_id} did"
        return Outcome("duplicate", intent.effect_id, reason, detail, stands.sent_at)
    if same_event and stands.payload_hash != intent.payload_hash:
        detail = f"this effect was {stands.status} with another recipient, subject or body"
        return Outcome("refused", intent.effect_id, "conflict", detail)
    if stands.status == "waiting":
        return Claim(stands)
    if stands.status == "claimed":
        # Clocks differ between machines, so the wait is never longer than one whole lease.
        left_ms = min(stands.claimed_at + lease_s * 1000 - now_ms, lease_s * 1000)
        return Wait(left_ms / 1000) if left_ms > 0 else Park(stands)
    return recorded(stands, repeated=True)


def recorded(entry: Entry, repeated: bool = False) -> Outcome:
    """The outcome that a finished entry stands for."""
    return Outcome(
        entry.status,
        entry.effect_id,
        entry.reason,
        entry.detail,
        entry.sent_at,
        repeated,
    )


def check(intent: Intent, now_ms: int) -> Mail | Outcome:
    """The mail that an intent asks for, or why it is refused (or deferred) before any claim."""
    to, subject, body = intent.to or "", intent.subject or "", intent.body or ""
    if problem := _problem(intent, to, subject, body, now_ms):
        return Outcome("refused", intent.effect_id, *problem)
    if intent.not_before_ms is not None and now_ms < intent.not_before_ms:
        return Outcome("deferred", intent.effect_id, "not_before", "its time has not come")
    try:
        address = validate_email(
            to.strip(), check_deliverability=False, allow_smtputf8=False, strict=True
        )
    except EmailNotValidError as error:
        return Outcome("refused", intent.effect_id, "invalid_address", str(error))
    ascii_to = address.ascii_email or address.normalized
    hashes = tuple(dict.fromkeys(map(address_hash, (to, address.normalized, ascii_to))))
    clean = Mail(intent.effect_id, ascii_to, one_line(subject), plain_text(body), hashes)
    if not clean.subject or not clean.body.strip():
        missing = "subject" if not clean.subject else "body"
        return Outcome("refused", intent.effect_id, f"empty_{missing}", f"the {missing} is empty")
    return clean


def _problem(
    intent: Intent, to: str, subject: str, body: str, now_ms: int
) -> tuple[str, str] | None:
    """(reason code, sentence) of the first rule that the intent breaks."""
    if intent.valid_until_ms is not None and now_ms > intent.valid_until_ms:
        return "expired", "it was valid until a time that has passed"
    if not 0 < len(intent.effect_key) <= KEY_CHARACTERS:
        return "invalid_key", f"effect_key must have 1 to {KEY_CHARACTERS} characters"
    if any(unicodedata.category(c) == "Cs" for text in (to, subject, body) for c in text):
        return "invalid_text", "it holds half a character (a lone surrogate)"
    if any(c in text for text in (to, subject) for c in "\r\n"):
        return "header_injection", "recipient and subject must be one line each"
    if not to.strip():
        return "invalid_address", "there is no recipient"
    if to.count("@") > 1 or any(c in to for c in ",;"):
        return "several_recipients", "an intent has exactly one recipient"
    if len(subject) > SUBJECT_CHARACTERS:
        return (
            "subject_too_long",
            f"the subject is longer than {SUBJECT_CHARACTERS} characters",
        )
    if len(body) > BODY_CHARACTERS:
        return "body_too_long", f"the body is longer than {BODY_CHARACTERS} characters"
    return None


def one_line(text: str) -> str:
    """Text for a header: no control, bidirectional or zero-width characters, single spaces."""
    return " ".join(plain_text(text).split())


def plain_text(text: str) -> str:
    """Text for a body: line ends as LF, no other control and no invisible format characters."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    for separator in "\u2028\u2029\x85\x0b\x0c":
        lines = lines.replace(separator, "\n")
    return "".join(c for c in lines if c in "\n\t" or c in _JOINERS or not _invisible(c))


def _invisible(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf")


def address_hash(email: str) -> str:
    """The `_id` of an opt-out: sha256 of the address in lower case, without spaces around."""
    return hashlib.sha256(email.strip().lower().encode("utf-8", "surrogatepass")).hexdigest()


def _digest(*parts: str) -> str:
    """sha256 of parts, lengths written in, so that no two lists of parts collide."""
    digest = hashlib.sha256()
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(8, "big"))
        digest.update(raw)
    return digest.hexdigest()
