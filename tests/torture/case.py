"""What a bad input is: bytes, what misbehaves meanwhile, and what must come of it. Data only.

Numbers group what is alike. The letters: D dead letter with a reason, R refused,
I no-op, T cut at a limit, P parked for a human, K goes on unharmed. What a case comes to is told in
*words*, one for each thing that the job made of it:

    result                      a row on the job's output topic
    sent, duplicate, opted_out, parked      the same, of the job that mails
    dead letter: REASON         and, where the source refused it, with the very bytes that came
    page: ok | page: REASON     what the website tool told the model
"""

import itertools
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

LETTERS = {
    "D": "dead letter",
    "R": "refused",
    "I": "no-op",
    "T": "cut at a limit",
    "P": "parked",
    "K": "goes on",
}
JOBS = {
    "incoming_leads": "sdr.lead_ingestion",
    "lead_ingestion_output": "sdr.lead_scoring",
    "leads_to_activate": "sdr.active_outreach",
    "leads_to_nurture": "sdr.nurture_campaign",
    "email_campaigns": "sdr.send_email",
}
TOPICS = tuple(JOBS)
DOMAIN = "torture.example"
Json = dict[str, Any]


@dataclass(frozen=True)
class Input:
    """One record to write. `headers` may repeat a name; no `timestamp_ms` means now."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
    timestamp_ms: int | None = None


@dataclass(frozen=True)
class Case:
    """One bad input, tried in one place. `ends` are the words that must come of it, no others.

    `faults` are rules for the offline model, `mail` what the mail server does with the mails to an
    address, `pages` what the web server answers under a path.
    """

    number: int
    name: str
    where: str
    expected: str
    inputs: tuple[Input, ...]
    ends: tuple[str, ...]
    faults: tuple[Mapping[str, Any], ...] = ()
    mail: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    pages: Mapping[str, str] = field(default_factory=dict)
    wave: str = "quick"
    note: str = ""
    packing: str = "lz4"  # of the batches that the producer sends

    @property
    def job(self) -> str:
        return JOBS[self.inputs[0].topic]


_numbers = itertools.count(1)


def fresh(stem: str) -> str:
    """A key that nothing else in this run has."""
    return f"{stem}-{next(_numbers)}"


def address(key: str) -> str:
    """The address of the person behind a key."""
    return f"{key}@{DOMAIN}"


def lead(key: str, **changes: Any) -> Json:
    """The words of one lead. The key stands in its address, so every prompt about it holds it."""
    return {
        "name": "Robin Okafor",
        "email": address(key),
        "company_name": "Okafor Cold Chain",
        "company_website": None,
        "job_title": "CTO",
        "lead_source": "webinar",
        "project_description": (
            "We must replace nightly batches by live streams before June; budget approved."
        ),
    } | changes


EVALUATION = {
    "score": 80,
    "next_step": "Actively Engage",
    "talking_points": ["They must replace nightly batches by live streams before June."],
}


@dataclass(frozen=True)
class Shape:
    """Of another team's topic: what a good record holds, a field that must be there, and a text."""

    make: Callable[[str], Json]
    required: str
    text: str  # the name of a field that holds one


SHAPES: dict[str, Shape] = {}


def required(topic: str) -> str:
    """A field that a record of this topic must have."""
    if topic in SHAPES:
        return SHAPES[topic].required
    return "emails" if topic == "email_campaigns" else "lead_data"


def some_text(topic: str) -> str:
    """A text that stands in every good record of this topic."""
    if topic in SHAPES:
        return str(SHAPES[topic].make("any")[SHAPES[topic].text])
    return "Live streams" if topic == "email_campaigns" else "Robin Okafor"


def document(topic: str, key: str, **changes: Any) -> Json:
    """What a good record of this topic holds; `changes` are to the lead, or to the e-mail. In a
    record of another team the one change is to its text."""
    if topic in SHAPES:
        shape = SHAPES[topic]
        return shape.make(key) | dict.fromkeys([shape.text] if changes else [], *changes.values())
    if topic == "email_campaigns":
        mail = {"to": address(key), "subject": "Live streams", "body": "Hello,\nshall we talk?\n"}
        return {"campaign_type": "active_outreach", "emails": [mail | changes]}
    value: Json = {"lead_data": lead(key, **changes)}
    if topic == "lead_ingestion_output":
        value["context"] = "A carrier of cooled goods that wants live streams before June."
    if topic in ("leads_to_activate", "leads_to_nurture"):
        value["lead_evaluation"] = EVALUATION
    return value


def encoded(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def good(topic: str, key: str, **changes: Any) -> Input:
    """A record that nothing is wrong with."""
    return Input(topic, key.encode(), encoded(document(topic, key, **changes)))


def done(topic: str) -> str:
    """The word for a record of this topic that went through."""
    return "sent" if topic == "email_campaigns" else "result"


def everywhere(make: Callable[[str], Case], topics: Sequence[str] = TOPICS) -> list[Case]:
    """The same case on each topic that a job reads."""
    return [make(topic) for topic in topics]


def changed(record: Input, **changes: Any) -> Input:
    return replace(record, **changes)


def now_ms() -> int:
    return int(time.time() * 1000)
