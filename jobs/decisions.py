"""What a person decided about a dead letter in, an event on the decisions topic out; and back.

A parked mail that is driven again is decided there, too: `effect_id` names it.

Headers are CloudEvents: `ce_type` says what was decided, `ce_subject` whose event it was, `ce_id`
is the same for the same decision. The value says the same again with who, when and why, and of an
edit what stood there before.
"""

import base64
import datetime as dt
import getpass
import hashlib
import json
import socket
from dataclasses import asdict, dataclass, fields

from connectors.kafka import KafkaRecord, NewRecord
from jobs.evidence import LetterName
from udfs.core import events

REDRIVEN, EDITED, DISCARDED = "redriven", "edited", "discarded"
SOURCE = b"tidemill:desk"
Driven = tuple[str, str, int]  # topic, event id, attempt


@dataclass(frozen=True)
class Decision:
    """One decision. Of a drive, `attempt` is the one that was driven; of a discard, the letter's.

    `origin` is the place of the record that the job read, `dead_letter` the dead letter's own.
    """

    decision: str
    event_id: str
    attempt: int
    topic: str = ""
    origin: str = ""
    dead_letter: str = ""
    reason: str = ""
    key: str = ""
    job: str = ""
    stage: str = ""
    because: str = ""
    by: str = ""
    at: str = ""
    value_sha256: str = ""  # of an edit: of the bytes that were driven
    original: str = ""  # of an edit: what stood there before, up to 1 MiB, as text or as base64
    original_is_base64: bool = False
    effect_id: str = ""  # of a parked mail
    claim: str = ""  # of a parked mail: the one that was parked

    @property
    def drives(self) -> bool:
        return self.decision != DISCARDED

    @property
    def driven(self) -> Driven:
        """What it drove: an attempt of an event on a topic."""
        return self.topic, self.event_id, self.attempt

    @property
    def letter(self) -> LetterName:
        """Of a discard: the dead letter that it is about."""
        return self.origin or self.dead_letter, self.event_id, self.attempt, self.reason

    def record(self, topic: str) -> NewRecord:
        """The event of it, for the decisions topic."""
        step = "/".join(("desk", self.decision, self.origin or self.dead_letter, self.reason))
        what = "dead_letter"
        if self.effect_id:
            step, what = f"{step}/{self.effect_id}", "parked_mail"
        headers = {
            "ce_id": events.child_id(self.event_id, step, self.attempt).encode(),
            "ce_source": SOURCE,
            "ce_type": f"{what}.{self.decision}".encode(),
            "ce_time": self.at.encode(),
            "ce_subject": self.key.encode("utf-8", "replace"),
        }
        said = {name: value for name, value in asdict(self).items() if value}
        value = json.dumps(said, ensure_ascii=False).encode("utf-8", "replace")
        return NewRecord(topic, self.event_id.encode(), value, tuple(headers.items()))


_TEXTS = {one.name for one in fields(Decision)} - {"attempt", "original_is_base64"}


def decision(record: KafkaRecord) -> Decision | None:
    """The decision that a record is, or None where somebody else wrote it."""
    try:
        said = {"decision": REDRIVEN, **json.loads(record.value or b"")}
        texts = {name: str(said[name]) for name in _TEXTS & said.keys()}
        base64_ = said.get("original_is_base64") is True
        found = Decision(**texts, attempt=int(said["attempt"]), original_is_base64=base64_)
        return found if found.event_id and (found.topic or not found.drives) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def decided_by() -> str:
    """Who sits here, as user@machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")


def as_text(raw: bytes) -> tuple[str, bool]:
    """Bytes as JSON can hold them, and whether that is base64."""
    try:
        return raw.decode("utf-8"), False
    except UnicodeDecodeError:
        return base64.b64encode(raw).decode(), True


def sha256(raw: bytes) -> str:
    return hashlib.sha256(raw).hexdigest()
