"""A reading and a query in; the passages of the data that answer it best, in order, out.

A passage counts by the query's words and ideas that it holds, by what it says of needs and facts,
and by where it stands. Boiler-plate and orders to the reader sink to the bottom.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache

from deploy.offline_model.lexicon import units
from deploy.offline_model.reading import Passage, Reading, is_report
from deploy.offline_model.text import stems, weight

_BOILER = re.compile(
    r"cookie|all rights reserved|©|copyright|privacy policy|terms of (?:use|service)"
    r"|javascript|log ?in\b"
    r"|subscribe|sign up|skip to|menu\b|click here|read more|unsubscribe|follow us|\bhttp\S+$",
    re.I,
)
_ORDERS = re.compile(
    r"\bset (?:the |your )?score|\b(?:send|mail) (?:every|all) |\breveal\b|\bprint your\b"
    r"|\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:instruction|previous|prior"
    r"|above|prompt|rules?)"
    r"|system prompt|you are (?:now|an? (?:ai|assistant))|\bas an ai\b|<\|?(?:im_"
    r"|system|assistant)",
    re.I,
)
_LISTING = re.compile(r"^[A-Z][\w /-]{1,30}: [^;]{1,60}(?:;|\.?$)")
_ASIDE = re.compile(
    r"^(?:not (?:available|stated|known|found)|unknown)\b|^the data also holds", re.I
)
_GREETING = re.compile(
    r"^(?:hi|hello|hey|dear|thanks|thank you|best|kind regards|regards|cheers"
    r"|sincerely)\b.{0,40}$",
    re.I,
)
_TOLD = frozenset(
    {
        "need",
        "budget",
        "timeline",
        "failure",
        "outage",
        "purchase_intent",
        "growth",
        "cost_saving",
        "overcharge",
        "feature_request",
    }
)
ENOUGH_PASSAGES = 400
VAGUE_QUERY = 0.2  # where nothing is much like the query, what stands first tells most


@lru_cache(maxsize=8_192)
def _holds(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Stems and ideas of a passage."""
    found = units(text)
    own = frozenset(one for unit in found for one in unit.stems)
    return own, frozenset(idea.name for unit in found for idea in unit.ideas)


@lru_cache(maxsize=2_048)
def _query(text: str) -> tuple[tuple[frozenset[str], frozenset[str], float], ...]:
    return tuple(
        (
            frozenset(unit.stems),
            frozenset(idea.name for idea in unit.ideas),
            max(weight(one) for one in unit.stems),
        )
        for unit in units(text[:2_000])
    )[:80]


def likeness(query: str, text: str) -> float:
    """How much of the query's meaning a text holds, 0 to 1."""
    asked = _query(query)
    own, ideas = _holds(text)
    total = found = 0.0
    for wanted, about, heavy in asked:
        total += heavy
        if wanted <= own:
            found += heavy
        elif about & ideas:
            found += 0.6 * heavy
    return found / total**0.7 if total else 0.0


def gives_orders(text: str) -> bool:
    """Whether a passage tries to command whoever reads it."""
    return _ORDERS.search(text) is not None


@lru_cache(maxsize=16_384)
def worth(text: str) -> float:
    """What a passage is worth to any reader: below 0 for boiler-plate and orders."""
    count = len(text.split())
    if gives_orders(text):
        return -2.0
    if _GREETING.match(text) or count < 3:
        return -0.6
    _, ideas = _holds(text)
    value = 0.12 * len(ideas & _TOLD) + 0.1 * math.tanh(len(stems(text)) / 8)
    value += 0.1 if re.search(r"\d", text) else 0.0
    value -= 0.5 if _BOILER.search(text) else 0.0
    value -= 0.8 if _LISTING.match(text) or _ASIDE.match(text) else 0.0
    value -= 0.3 if count > 60 else 0.0
    value -= 0.3 if text.endswith("?") else 0.0
    value -= 0.25 if text[:6].lower() == "please" else 0.0
    value -= 0.4 if "|" in text and count < 12 else 0.0
    return value


@lru_cache(maxsize=8_192)
def leaning(text: str) -> int:
    """Above 0 for a passage of good news, below 0 for bad."""
    return sum(
        (-1 if unit.denied else 1) * idea.polarity
        for unit in units(text)
        for idea in unit.ideas
        if not (unit.denied and idea.polarity < 0)
    )


_ASKS_GOOD = re.compile(
    r"\b(?:strengths?|pros\b|advantages?|positives?|merits?|opportunit|upsides?"
    r"|speaks? for|highlights?)",
    re.I,
)
_ASKS_BAD = re.compile(
    r"\b(?:red flags?|risks?|weakness|cons\b|concerns?|negatives?|warning|downsides?"
    r"|disadvantages?|speaks? against|problems?|objections?|threats?)",
    re.I,
)


def asked_leaning(query: str) -> int:
    """1 where good points are asked for, -1 for bad ones, 0 where it does not matter."""
    good, bad = _ASKS_GOOD.search(query), _ASKS_BAD.search(query)
    if bool(good) == bool(bad):
        return 0
    return 1 if good else -1


def ranked(
    reading: Reading,
    query: str,
    count: int,
    without: Iterable[str] = (),
    least: float = -0.3,
    lean: int = 0,
    skip: str = "",
) -> list[Passage]:
    """The best passages for a query, none like another; with `lean`, only good or bad news."""
    seen = [stem_set(text) for text in without]
    among = [
        (number, passage, likeness(query, passage.text))
        for number, passage in enumerate(_candidates(reading))
        if passage.text != skip and not (lean and leaning(passage.text) * lean <= 0)
    ]
    vague = max((like for _, _, like in among), default=0.0) < VAGUE_QUERY
    late = (0.6 if vague else 0.15) / max(len(reading.passages), 1)
    scored = []
    for number, passage, like in among:
        value = 1.5 * like + worth(passage.text) - late * number
        value += 0.25 if passage.source == "user" and not is_report(passage.key) else 0.0
        if value > least:
            scored.append((-value, number, passage))
    scored.sort(key=lambda one: one[:2])
    chosen: list[Passage] = []
    for _, _, passage in scored:
        if len(chosen) >= count:
            break
        own = stem_set(passage.text)
        if not any(_alike(own, other) for other in seen):
            chosen.append(passage)
            seen.append(own)
    return chosen


def _candidates(reading: Reading) -> list[Passage]:
    if len(reading.passages) <= ENOUGH_PASSAGES:
        return reading.passages
    step = len(reading.passages) / ENOUGH_PASSAGES
    return [reading.passages[int(number * step)] for number in range(ENOUGH_PASSAGES)]


@lru_cache(maxsize=8_192)
def stem_set(text: str) -> frozenset[str]:
    return frozenset(stems(text))


def _alike(one: frozenset[str], other: frozenset[str]) -> bool:
    if not one or not other:
        return one == other
    return len(one & other) / min(len(one), len(other)) > 0.75


def in_order(reading: Reading, passages: Iterable[Passage]) -> list[Passage]:
    """Passages as they stood in the data."""
    place = {id(passage): number for number, passage in enumerate(reading.passages)}
    return sorted(passages, key=lambda one: place.get(id(one), 0))
