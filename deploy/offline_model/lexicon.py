"""The thesaurus file in; for words and phrases, the ideas that they speak of, out.

`lexicon.txt` is general knowledge of words, a line an idea. It is what lets "our invoice is wrong"
meet a category called "Billing", and "VP of Data" a rubric that asks for a decision maker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from deploy.offline_model.text import NEGATORS, STOP, stem, words

LONGEST_PHRASE = 5
_HEAD = re.compile(r"^(\w+)((?:\s+[+-]\d)?(?:\s+!\d)?)$")
_SCOPE_END = re.compile(
    r"[.;:!?\n]+(?:\s|$)|\n|\s+[-–—]\s+|\b(?:but|however|although|though)\b"
    r"|,\s+(?:and|so)\s+(?=(?:the|we|our|it|they|i|my|an?)\b)",
    re.I,
)
_SCOPE_WORDS = 5
_PERIOD = (
    r"(?:weeks?|months?|quarters?|half year|year.?end|end of the year|peak season|season|spring"
    r"|summer|autumn|fall|winter|q[1-4]|january|february|march|april|may|june|july|august|september"
    r"|october|november|december)"
)
# Ideas that are known by a form, not by words: a date to keep, an amount of money.
_FORMS = (
    (
        "timeline",
        re.compile(
            rf"\b(?:by|before|within|until|in|this|next|start(?:s|ing)?|end of)\b"
            rf"(?: (?!last|next year)[\w-]+){{0,4}}? {_PERIOD}\b|\bthis year\b",
            re.I,
        ),
    ),
    (
        "budget",
        re.compile(
            r"[$€£]\s?\d[\d,.]*\s?(?:k|m|million)\b|[$€£]\s?\d{1,3}(?:[,.]\d{3})+"
            r"|\b(?:\d{1,3}(?:[,.]\d{3})+|\d{4,}|\d[\d,.]*\s?(?:k|m|million))\s?"
            r"(?:euros?|eur|usd|us dollars|dollars|pounds|gbp|chf)\b",
            re.I,
        ),
    ),
)


@dataclass(frozen=True)
class Idea:
    name: str
    polarity: int
    gravity: int


@dataclass(frozen=True)
class Unit:
    """A word or known phrase of a text: its stems, the ideas it speaks of, and whether denied."""

    stems: tuple[str, ...]
    ideas: tuple[Idea, ...]
    denied: bool = False


Cues = dict[tuple[str, ...], tuple[Idea, ...]]


@lru_cache(maxsize=1)
def cues() -> Cues:
    """Every word and phrase of the thesaurus, as stems, with its ideas."""
    found: dict[tuple[str, ...], list[Idea]] = {}
    text = files("deploy.offline_model").joinpath("lexicon.txt").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        head, _, listed = line.partition(":")
        idea = _idea(head)
        for phrase in [idea.name.replace("_", " "), *listed.split(",")]:
            cue = tuple(stem(word) for word in words(phrase))[:LONGEST_PHRASE]
            if cue and idea not in found.setdefault(cue, []):
                found[cue].append(idea)
    return {cue: tuple(ideas) for cue, ideas in found.items()}


@lru_cache(maxsize=1)
def _longest_from() -> dict[str, int]:
    """For each stem that begins a cue, the length of the longest cue that it begins."""
    found: dict[str, int] = {}
    for cue in cues():
        found[cue[0]] = max(found.get(cue[0], 0), len(cue))
    return found


@lru_cache(maxsize=16)
def _named(name: str) -> Idea:
    return next(idea for ideas in cues().values() for idea in ideas if idea.name == name)


def _idea(head: str) -> Idea:
    match = _HEAD.match(head.strip())
    if match is None:
        raise ValueError(f"lexicon.txt: {head!r} is not 'name [+n|-n] [!n]'")
    marks = match.group(2).split()
    polarity = next((int(mark) for mark in marks if mark[0] in "+-"), 0)
    gravity = next((int(mark[1:]) for mark in marks if mark[0] == "!"), 0)
    return Idea(match.group(1), polarity, gravity)


@lru_cache(maxsize=8_192)
def units(text: str) -> tuple[Unit, ...]:
    """The telling words and known phrases of a text, longest phrases first, with denial marked."""
    found: list[Unit] = []
    for scope in _SCOPE_END.split(text):
        if scope and not scope.isspace():
            found.extend(_scope_units(words(scope)))
            found.extend(_formed_units(scope))
    return tuple(found)


def _scope_units(raw: list[str]) -> Iterator[Unit]:
    table = cues()
    stemmed = [stem(word) for word in raw]
    denied_until = -1
    at = 0
    while at < len(raw):
        size, ideas = _longest_cue(table, stemmed, at)
        denied = at <= denied_until
        if size > 1 or raw[at] not in STOP or ideas:
            if raw[at] not in NEGATORS or size > 1:
                yield Unit(tuple(stemmed[at : at + size]), ideas, denied)
        if raw[at] in NEGATORS and size == 1 and raw[at + 1 : at + 2] != ["only"]:
            denied_until = at + _SCOPE_WORDS
        at += size


def _formed_units(scope: str) -> Iterator[Unit]:
    for name, form in _FORMS:
        match = form.search(scope)
        if match is not None:
            denied = not NEGATORS.isdisjoint(words(scope[: match.start()])[-3:])
            yield Unit((f"@{name}",), (_named(name),), denied)


def _longest_cue(table: Cues, stemmed: list[str], at: int) -> tuple[int, tuple[Idea, ...]]:
    longest = _longest_from().get(stemmed[at], 0)
    for size in range(min(longest, len(stemmed) - at), 0, -1):
        ideas = table.get(tuple(stemmed[at : at + size]))
        if ideas is not None:
            return size, ideas
    return 1, ()


@lru_cache(maxsize=4_096)
def ideas_of(text: str) -> frozenset[str]:
    """Names of the ideas that a short text speaks of."""
    return frozenset(idea.name for unit in units(text) for idea in unit.ideas)
