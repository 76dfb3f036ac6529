"""A schema's node and its name in; what the rest of the model wants to know of both out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from deploy.offline_model.schema import Schema
from deploy.offline_model.text import plain_key

TOLD = "x-told"  # what `anyOf` branches with constants say of them


@dataclass
class Place:
    """Where in the reply a value stands: its name, what is said of it, and its turn in a list."""

    name: str
    description: str
    depth: int = 0
    number: int = 0
    total: int = 1
    siblings: frozenset[str] = frozenset()
    verdicts: dict[str, Any] = field(default_factory=dict)  # what the object has decided so far
    margin: float = 0.4  # how clear the last choice of a label was
    used: list[str] = field(default_factory=list)  # texts that earlier items of the list took


def described(schema: Schema, name: str) -> str:
    return str(schema.get("description") or schema.get("title") or plain_key(name))


def label_descriptions(schema: Schema) -> dict[str, str]:
    """What a schema says of each of its labels, if it does."""
    told = schema.get(TOLD) or schema.get("enumDescriptions") or schema.get("x-enum-descriptions")
    if isinstance(told, list):
        told = dict(zip(map(str, schema["enum"]), map(str, told), strict=False))
    if not isinstance(told, dict):
        return {}
    known = {str(one) for one in schema["enum"]}
    return {label: text for label, text in told.items() if label in known and text}


def text_labels(schema: Schema) -> list[str]:
    """The texts among an enum's values."""
    values = schema.get("enum")
    return [one for one in values if isinstance(one, str)] if isinstance(values, list) else []


def tells(value: Any) -> bool:
    """Whether a value says something: not null, and not an empty text, list or object."""
    return not (value is None or (isinstance(value, (str, list, dict)) and not value))
