"""A list's schema, and what was made for it, in; how many items it has, and which, out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from deploy.offline_model.fitting import MAX_ITEMS, fitted_text, smallest, varied
from deploy.offline_model.place import Place
from deploy.offline_model.reading import Fact, Reading
from deploy.offline_model.reporting import wanted_count
from deploy.offline_model.schema import Schema
from deploy.offline_model.text import plain_key

USUAL_ITEMS = 3
_ITEM_WORDS = (
    r"(?:items?|points?|e-?mails?|messages?|letters?|sentences?|entries|elements|steps?|questions?"
    r"|tags?|facts?|tasks?|ideas?|reasons?|bullets?|findings?|keywords?)"
)


def item_count(reading: Reading, schema: Schema, place: Place) -> int:
    """How many items: what the schema, the description or the instructions ask for."""
    least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
    wanted = wanted_count(place.description, _ITEM_WORDS)
    if wanted is None:
        noun = (plain_key(place.name).rstrip("s").split() or ["item"])[-1]
        noun = "e-?mail" if noun == "email" else re.escape(noun)
        wanted = wanted_count(reading.instruction_text[:8_000], noun)
    if wanted is None or wanted < 2:  # "each one short sentence" counts no items
        wanted = max(USUAL_ITEMS, least)
    return int(max(least, min(wanted, most)))


def rows(reading: Reading, name: str) -> list[Reading]:
    """One reading for each object of the list in the data that bears the name."""
    found: dict[tuple[str, ...], list[Fact]] = {}
    wanted = plain_key(name).rstrip("s")
    for fact in reading.facts:
        for depth, part in enumerate(fact.path[:-1]):
            if part.isdigit() and depth and plain_key(fact.path[depth - 1]).rstrip("s") == wanted:
                found.setdefault(fact.path[: depth + 1], []).append(fact)
                break
    return [
        replace(
            reading,
            facts=facts,
            passages=[p for p in reading.passages if any(p.text in str(f.value) for f in facts)],
        )
        for facts in found.values()
    ]


def completed(made: list[Any], item: Schema, schema: Schema, root: Schema) -> list[Any]:
    """The items without repeats where none may be, and as many as there must be."""
    least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
    unique = bool(schema.get("uniqueItems"))
    found: list[Any] = []
    for one in made:
        if not (unique and one in found):
            found.append(one)
    while len(found) < min(least, MAX_ITEMS):
        one = made[len(found) % len(made)] if made else _nothing(item, root)
        found.append(varied(one, len(found), item) if unique and one in found else one)
    return found[:most]


def _nothing(item: Schema, root: Schema) -> Any:
    least = smallest(item, root)
    return fitted_text("Nothing more is known.", item) if least == "" else least
