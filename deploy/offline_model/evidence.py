"""The data of a request in; how far it supports a word, a phrase or a numeric condition out.

Evidence is counted once per request: which stems and ideas are said, which are denied ("no
budget"), and which numbers stand beside which words.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from deploy.offline_model.lexicon import Idea, Unit, units
from deploy.offline_model.text import stem, stems, weight, words

_NUMBER = re.compile(
    r"(?<![\w.])([$€£]?)\s?(\d{1,15}(?:[,.’']\d{1,6})*)\s?(k|m|bn|b|million|billion"
    r"|thousand|%)?(?![\w])",
    re.IGNORECASE,
)
_SCALE = {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6, "b": 1e9, "bn": 1e9, "billion": 1e9}
_CONTEXT_WORDS = 4
MAX_NUMBERS = 400


@dataclass(frozen=True)
class Number:
    value: float
    context: frozenset[str]
    text: str


@dataclass
class Evidence:
    """What a body of data says and denies."""

    said: dict[str, float] = field(default_factory=dict)
    denied: dict[str, float] = field(default_factory=dict)
    ideas_said: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    ideas_denied: dict[str, dict[tuple[str, ...], float]] = field(default_factory=dict)
    ideas: dict[str, Idea] = field(default_factory=dict)
    numbers: list[Number] = field(default_factory=list)
    size: int = 0

    def add(self, text: str, trust: float = 1.0) -> None:
        """Counts a text; `trust` below 1 for words that merely name a field."""
        for unit in units(text):
            words_seen, ideas_seen = (
                (self.denied, self.ideas_denied) if unit.denied else (self.said, self.ideas_said)
            )
            for one in unit.stems:
                words_seen[one] = max(words_seen.get(one, 0.0), trust)
            for idea in unit.ideas:
                self.ideas[idea.name] = idea
                seen = ideas_seen.setdefault(idea.name, {})
                seen[unit.stems] = max(seen.get(unit.stems, 0.0), trust)
            self.size += 1

    def add_numbers(self, text: str, key: str = "") -> None:
        if len(self.numbers) < MAX_NUMBERS:
            self.numbers.extend(numbers(text, key))

    def word(self, stem_: str) -> float:
        """From -0.6 (only denied) to 1 (said); half for a word with a long common beginning."""
        if stem_ in self.said:
            return self.said[stem_]
        if stem_ in self.denied:
            return -0.6
        if len(stem_) >= 6 and stem_[:6] in self._beginnings():
            return 0.5
        return 0.0

    def _beginnings(self) -> frozenset[str]:
        if self._short is None or len(self.said) != self._short_of:
            self._short = frozenset(one[:6] for one in self.said if len(one) >= 6)
            self._short_of = len(self.said)
        return self._short

    _short: frozenset[str] | None = None
    _short_of: int = -1

    def idea(self, name: str) -> float:
        """From -0.6 to 1, growing with the number of different cues seen."""
        said = sum(self.ideas_said.get(name, {}).values())
        denied = sum(self.ideas_denied.get(name, {}).values())
        polar = name in self.ideas and self.ideas[name].polarity != 0
        if polar:
            said -= denied
        else:
            said += 0.8 * denied
        if said > 0:
            return 1.0 - 0.3 * math.exp(-(said - 1.0) * 0.8) if said >= 1 else 0.7 * said
        return -0.6 if denied > 0 and polar else 0.0

    def unit(self, unit: Unit) -> float:
        """Support for one word or phrase, by itself or by the ideas that it speaks of."""
        own = min((self.word(one) for one in unit.stems), default=0.0)
        by_idea = 0.9 * max((self.idea(idea.name) for idea in unit.ideas), default=0.0)
        signs = {idea.polarity > 0 for idea in unit.ideas if idea.polarity}
        if len(signs) == 2:  # good and bad at once ("exploring"): only both together meet it
            by_idea = 0.5 * by_idea + 0.45 * min(self.idea(idea.name) for idea in unit.ideas)
        if own >= 0 and by_idea >= 0:
            return max(own, by_idea)
        return min(own, by_idea) if own <= 0 or by_idea <= -0.5 else own

    def text(self, text: str) -> float:
        """Weighted mean support for the words of a text, -0.6 to 1."""
        total = found = 0.0
        for unit in units(text):
            heavy = max(weight(one) for one in unit.stems)
            total += heavy
            found += heavy * self.unit(unit)
        return found / total if total else 0.0

    def leaning(self) -> tuple[float, float]:
        """Favourable and unfavourable evidence, each from 0 up: sums over the polar ideas."""
        favourable = unfavourable = 0.0
        for name, idea in self.ideas.items():
            if idea.polarity == 0:
                continue
            strength = self.idea(name) * abs(idea.polarity)
            if strength > 0 and idea.polarity > 0:
                favourable += strength
            elif strength > 0:
                unfavourable += strength
            elif idea.polarity > 0:
                unfavourable -= 0.4 * strength
            else:
                favourable -= 0.4 * strength
        return favourable, unfavourable

    def gravity(self) -> float:
        """How grave the data is, 0 to 1: the gravest ideas count most."""
        graves = sorted(
            (
                max(self.idea(name), 0.0) ** 0.5 * idea.gravity / 4
                for name, idea in self.ideas.items()
            ),
            reverse=True,
        )
        return 1 - math.prod(1 - 0.85 * one for one in graves[:4])


def numbers(text: str, key: str = "") -> Iterable[Number]:
    """Numbers of a text with the stems around them: "250 employees" → 250 near {employee}."""
    around_key = frozenset(stems(key))
    for match in _NUMBER.finditer(text):
        value = number_value(match.group(2), match.group(3))
        if value is None:
            continue
        before = words(text[max(0, match.start() - 40) : match.start()])[-_CONTEXT_WORDS:]
        after = words(text[match.end() : match.end() + 40])[:_CONTEXT_WORDS]
        context = frozenset(stem(word) for word in before + after) | around_key
        if match.group(1):
            context |= {"money", "budget", "amount", "price", "cost"}
        yield Number(value, context, match.group(0).strip())


def number_value(digits: str, scale: str | None) -> float | None:
    """ "1,200" → 1200, "2.5" with "k" → 2500; None where it reads as no number."""
    plain = digits.replace("’", "").replace("'", "")
    thousands = re.fullmatch(r"[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", plain) is not None
    plain = plain.replace(",", "" if thousands else ".")
    try:
        value = float(plain)
    except ValueError:
        return None
    return value * _SCALE.get((scale or "").lower(), 1.0)
