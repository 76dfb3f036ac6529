"""What a request's messages say: its data as facts and passages, its instructions, its background.

Filled by `conversation`, read by everything that answers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from deploy.offline_model.evidence import Evidence
from deploy.offline_model.persona import Persona
from deploy.offline_model.text import plain_key, sentences

MAX_FACTS = 3_000
MAX_DEPTH = 12
SECOND_HAND = 0.6  # how much a report or web page counts beside a person's own words
Scalar = str | float | int | bool | None
_REPORT_KEY = re.compile(
    r"\b(?:context|research|report|summary|notes?|analysis|points?|reasons?|website|page|history"
    r"|memory|profile|background)\b"
)
_SAYS_UNKNOWN = re.compile(
    r"(?:unknown|not (?:stated|known|found|available|given)|nothing (?:was |is )?(?:found|known)"
    r"|no information|missing)\b",
    re.I,
)
_ACCORDING = re.compile(r"^(?:from|according to) [\w ]{3,40}: (?=\S)", re.I)
_YES = frozenset({"yes", "true"})
_NO = frozenset({"no", "none", "false", "0", "n/a", "nil", "never"})
_SALUTATION = re.compile(
    r"^(?:hi|hello|hey|dear|good (?:morning|day|evening))(?: [\w.]+){0,3}[,!:]\s+(?=\S)", re.I
)


@dataclass(frozen=True)
class Fact:
    path: tuple[str, ...]
    value: Scalar
    source: str

    @cached_property
    def key(self) -> str:
        return next((part for part in reversed(self.path) if not part.isdigit()), "")


@dataclass(frozen=True)
class Passage:
    """One sentence of the data, the key of the value that holds it, and where that came from."""

    text: str
    key: str
    source: str


@dataclass
class Reading:
    instructions: list[str] = field(default_factory=list)
    background: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    schemas: list[dict[str, Any]] = field(default_factory=list)
    templates: list[dict[str, Any]] = field(default_factory=list)
    system_pairs: list[tuple[str, str]] = field(default_factory=list)
    question: str = ""
    persona: Persona = field(default_factory=Persona)
    memo: dict[object, Any] = field(default_factory=dict, init=False)

    @cached_property
    def evidence(self) -> Evidence:
        found = Evidence()
        for fact in self.facts:
            _count_fact(found, fact)
        for passage in self.passages:
            if _SAYS_UNKNOWN.match(passage.text):
                continue
            second_hand = passage.source != "user" or is_report(passage.key)
            found.add(passage.text, trust=SECOND_HAND if second_hand else 1.0)
            found.add_numbers(passage.text, passage.key)
        return found

    @cached_property
    def by_key(self) -> dict[str, list[Fact]]:
        """Facts by their key in plain words."""
        found: dict[str, list[Fact]] = {}
        for fact in self.facts:
            found.setdefault(plain_key(fact.key), []).append(fact)
        return found

    @cached_property
    def instruction_text(self) -> str:
        return "\n".join(self.instructions)

    def take(self, value: Any, path: tuple[str, ...], source: str) -> None:
        """Adds a JSON value's leaves as facts, the sentences of its longer texts as passages."""
        if len(self.facts) >= MAX_FACTS or len(path) > MAX_DEPTH:
            return
        if isinstance(value, dict):
            if "properties" in value and ("type" in value or "$schema" in value):
                self.schemas.append(value)
                return
            for key, one in value.items():
                self.take(one, (*path, str(key)), source)
        elif isinstance(value, list):
            for number, one in enumerate(value):
                self.take(one, (*path, str(number)), source)
        elif isinstance(value, str):
            self.take_text(value.strip(), path, source)
        elif value is None or isinstance(value, (bool, int, float)):
            self.facts.append(Fact(path, value, source))

    def take_text(self, text: str, path: tuple[str, ...], source: str) -> None:
        """Adds a field's text; what is JSON itself is taken apart."""
        if text[:1] in "{[" and len(text) > 2:
            try:
                self.take(json.loads(text), path, source)
                return
            except (ValueError, RecursionError):
                pass
        fact = Fact(path, text, source)
        self.facts.append(fact)
        if len(text.split()) > 5 or len(text) > 60:
            for one in sentences(text):
                self.take_sentence(one, fact.key, source)

    def take_sentence(self, sentence: str, key: str, source: str) -> None:
        plain = _ACCORDING.sub("", _SALUTATION.sub("", sentence))
        self.passages.append(Passage(plain, key, source))

    def texts(self) -> Iterable[str]:
        """All text values of the data, whole."""
        yield from (fact.value for fact in self.facts if isinstance(fact.value, str))
        yield from (p.text for p in self.passages if not p.key)


def is_report(key: str) -> bool:
    """Whether a field holds notes about somebody, not their own words."""
    return _REPORT_KEY.search(plain_key(key)) is not None


def _count_fact(found: Evidence, fact: Fact) -> None:
    key = plain_key(fact.key)
    value = fact.value
    if isinstance(value, str) and (low := value.strip().lower()) in _YES | _NO:
        found.add_numbers(value, key)
        value = low in _YES
    if value is False:
        found.add(f"no {key}")
    elif value is True:
        found.add(key)
    elif isinstance(value, str) and value:
        if len(value) <= 120:
            found.add(value)
            found.add_numbers(value, key)
        if len(value.split()) <= 3:
            found.add(key, trust=0.3)
    elif isinstance(value, (int, float)):
        found.add(key if value else f"no {key}")
        found.add_numbers(f"{value:.12g}" if isinstance(value, float) else str(value), key)
