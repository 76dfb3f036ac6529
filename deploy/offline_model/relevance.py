"""A topic or question, and the texts that were found for it, in; how much of it a text has, out.

Words that few of the texts have count more, so that in a hundred documents about one system its
name counts for little. A word that no text has still counts: what is asked for and found nowhere
keeps the others from looking like an answer.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence

from deploy.offline_model.text import stem, stems, weight

UNKNOWN = 1.2
_ALSO = {"own": "belong", "cost": "price", "begin": "start", "allow": "permit"}


class Relevance:
    """Of texts to one topic: 0 for nothing in common, 1 for all of its words."""

    def __init__(self, topic: str, texts: Sequence[str]) -> None:
        wanted = dict.fromkeys(stems(topic))
        split = {one: re.split(r"[@&.+-]+", one) for one in wanted}
        parts = {stem(part) for one, found in split.items() for part in found if part != one}
        known = Counter(s for text in texts for s in wanted if _has(stems(text), s))
        self._value = {
            s: weight(s)
            * (math.log(1 + len(texts) / (1 + known[s])) + 0.3 if known[s] else UNKNOWN)
            for s in wanted
            if s not in parts
        }
        self._most = sum(self._value.values()) or 1.0

    def of(self, found: Collection[str]) -> float:
        """Of a text, by its stems."""
        return sum(value for s, value in self._value.items() if _has(found, s)) / self._most

    def meets(self, found: Collection[str], least: float) -> bool:
        """Whether it has so much of the topic, and of a longer topic more than one word."""
        words = sum(_has(found, s) for s in self._value)
        return self.of(found) >= least and words >= max(1, min(2, len(self._value) - 1))


def nearest(topic: str, texts: Iterable[str], least: float) -> list[str]:
    """Those texts that have at least this much of a topic, most first."""
    found = list(dict.fromkeys(texts))
    relevance = Relevance(topic, found)
    words = {text: stems(text) for text in found}
    kept = [text for text in found if relevance.meets(words[text], least)]
    return sorted(kept, key=lambda text: -relevance.of(words[text]))


def _has(found: Collection[str], wanted: str) -> bool:
    return wanted in found or _ALSO.get(wanted) in found
