"""Entries of a blackboard that somebody subscribed to in; what they say together, then, out.

Each entry comes with a weight, which the subscriber's SQL gave it. Of the entries that stand on one
fact the heaviest prevails, of equal ones the first in the alphabet of sources; the others are told
beside it. An entry is *grounded* unless something that it names as its evidence is known to stand
no more: replaced, taken back or expired.

A view emits once for each entry that wakes it, at that entry's own time, from nothing but the log:
read again from the first offset it says the same again.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from udfs.core.board import Fact, is_valid

Json = dict[str, Any]

REPLACED_KEPT = 16


@dataclass(frozen=True)
class Entry:
    """What one source says of one fact, with what the subscriber thinks of it."""

    entry_id: str
    source: str
    subject: str
    predicate: str
    value: str | None
    confidence: float
    version: int
    said_at: str
    weight: float
    valid_until: str | None = None
    evidence: tuple[str, ...] = ()
    replaced: tuple[str, ...] = ()  # ids that stood in this place, the last ones

    @property
    def fact(self) -> Fact:
        return self.subject, self.predicate

    @property
    def rank(self) -> tuple[float, str]:
        """The least prevails."""
        return -self.weight, self.source

    def stands(self, at: str) -> bool:
        return self.value is not None and is_valid(self.valid_until, at)


class BoardView:
    """The state of one board for one subscriber: the last entry of each source on each fact."""

    def __init__(self, pieces: Mapping[str, Json] | None = None) -> None:
        known = {field.name for field in fields(Entry)}
        self._facts: dict[Fact, dict[str, Entry]] = {}
        self._replaced: set[str] = set()
        for piece in (pieces or {}).values():
            kept = {name: value for name, value in piece.items() if name in known}
            lists = {name: tuple(kept.get(name) or ()) for name in ("evidence", "replaced")}
            self._put(Entry(**{**kept, **lists}))
        self._touched: set[tuple[Fact, str]] = set()

    def changed_pieces(self) -> dict[str, Json]:
        """What must be stored since the last call."""
        touched, self._touched = self._touched, set()
        return {json.dumps([*f, s]): asdict(self._facts[f][s]) for f, s in touched}

    def take(self, entry: Entry) -> bool:
        """Put an entry in its place; False where it, or a later version, stands there already."""
        before = self._facts.get(entry.fact, {}).get(entry.source)
        if before is not None:
            if before.version >= entry.version:
                return False
            replaced = (*before.replaced, before.entry_id)
            self._replaced.difference_update(replaced[:-REPLACED_KEPT])
            entry = replace(entry, replaced=replaced[-REPLACED_KEPT:])
        self._put(entry)
        self._touched.add((entry.fact, entry.source))
        return True

    def prevailing(self, fact: Fact, at: str) -> Json:
        """The entry that prevails on a fact at this moment, and whether any speaks against it."""
        standing = [e for e in self._facts.get(fact, {}).values() if e.stands(at)]
        if not standing:
            return {"value": None, "source": None, "confidence": None, "disputed": False}
        first = min(standing, key=lambda entry: entry.rank)
        return {
            "value": first.value,
            "source": first.source,
            "confidence": first.confidence,
            "disputed": any(entry.value != first.value for entry in standing),
        }

    def standing(self, at: str, most: int) -> tuple[list[Json], int]:
        """The entries that stand at this moment, by fact, the prevailing first; how many more do.

        Where there are more than `most`, each source is heard in turn with its heaviest: no number
        of entries of one source keeps another's out.
        """
        all_entries = [e for of_fact in self._facts.values() for e in of_fact.values()]
        entries = sorted((e for e in all_entries if e.stands(at)), key=lambda entry: entry.rank)
        expired = {e.entry_id for e in all_entries if not e.stands(at)}
        first = {entry.fact: entry for entry in reversed(entries)}
        turns: Counter[str] = Counter()
        turn: dict[str, int] = {}
        for entry in entries:
            turn[entry.entry_id] = turns[entry.source]
            turns[entry.source] += 1
        heard = sorted(entries, key=lambda entry: turn[entry.entry_id])[:most]
        heard.sort(key=lambda entry: (entry.fact, entry.rank))
        gone = self._replaced | expired
        listed = [
            {
                "subject": entry.subject,
                "predicate": entry.predicate,
                "value": entry.value,
                "confidence": entry.confidence,
                "source": entry.source,
                "entry_id": entry.entry_id,
                "version": entry.version,
                "prevails": first[entry.fact] is entry,
                "grounded": gone.isdisjoint(entry.evidence),
            }
            for entry in heard
        ]
        return listed, len(entries) - len(heard)

    def _put(self, entry: Entry) -> None:
        self._facts.setdefault(entry.fact, {})[entry.source] = entry
        self._replaced.update(entry.replaced)
