"""Instructions in; a schema for the JSON object that they ask for in words out.

For `response_format: json_object`, where the shape stands in the prompt: as a JSON Schema, as an
example object, or as a list of keys with hints ("score (integer, 0-100)").
"""

from __future__ import annotations

import re
from typing import Any

from deploy.offline_model.reading import Reading
from deploy.offline_model.schema import Schema

_KEYS = re.compile(
    r"\b(?:keys?|fields?|properties|attributes|members?)\b(?:\s*(?:named|called"
    r"|are))?\s*:?\s+([^\n]{3,400})",
    re.I,
)
_ITEM = re.compile(
    r"^[-*•]?\s*[\"'`*]{0,3}([a-z][a-z0-9_]{1,40})[\"'`*]{0,3}\s*(?:\(([^)]*)\))?\s*(?"
    r"::|–|—| - )\s*(.*)$"
)
_NAME = re.compile(r"^[\"'`*]*([a-zA-Z][\w-]{0,40})[\"'`*]*\s*(?:\(([^)]*)\))?")
_RANGE = re.compile(r"(-?\d+(?:\.\d+)?)\s*(?:-|–|to|\.\.|and)\s*(\d+(?:\.\d+)?)")
_ONE_OF = re.compile(
    r"\b(?:one of|either|exactly one(?: word)?(?: of)?|only (?:one of"
    r"|with)?)\b[:\s]+([^\n.]{3,300})",
    re.I,
)
_BARS = re.compile(r"^[\w -]{1,40}(?:\s*\|\s*[\w -]{1,40})+$")
DEFAULT: Schema = {
    "type": "object",
    "properties": {"answer": {"type": "string", "description": "The answer"}},
    "required": ["answer"],
}


def wanted_schema(reading: Reading) -> Schema:
    """The schema of the object that the instructions describe."""
    if reading.schemas:
        return reading.schemas[-1]
    if reading.templates:
        return _of_example(reading.templates[-1])
    properties = _listed(reading.instructions) or _named(reading.instruction_text)
    if not properties:
        return DEFAULT
    return {"type": "object", "properties": properties, "required": list(properties)}


def _listed(lines: list[str]) -> dict[str, Schema]:
    """Keys as a list of lines: "- score (integer): how well it fits"."""
    found: dict[str, Schema] = {}
    for line in lines:
        match = _ITEM.match(line.strip())
        if match and match.group(1).lower() not in {"note", "important", "example", "lead", "json"}:
            found[match.group(1)] = _hinted(f"{match.group(2) or ''} {match.group(3)}".strip())
    return found if len(found) >= 2 else {}


def _named(text: str) -> dict[str, Schema]:
    """Keys within a sentence: "with the keys score, next_step and reason"."""
    match = _KEYS.search(text)
    if match is None:
        return {}
    found: dict[str, Schema] = {}
    for part in re.split(r",\s*(?![^(]*\))(?:and\s+)?|\s+and\s+(?![^(]*\))", match.group(1)):
        name = _NAME.match(part.strip(" .:"))
        if name:
            found[name.group(1)] = _hinted(name.group(2) or "")
    return found


def _hinted(hint: str) -> Schema:
    """A property's schema from words such as "integer from 0 to 100" or "one of a, b or c"."""
    low = hint.lower()
    if options := options_of(hint):
        return {"type": "string", "enum": options, "description": hint}
    if re.search(r"\b(?:list|array|strings|bullets)\b", low):
        return {"type": "array", "items": {"type": "string"}, "description": hint}
    if re.search(r"\bbool|true\b|\byes or no\b", low):
        return {"type": "boolean", "description": hint}
    whole = re.search(r"\b(?:int|integer|whole)\b", low)
    if whole or re.search(r"\b(?:number|float|decimal)\b|^\W*\d+\s*(?:-|–|to)\s*\d+", low):
        schema: Schema = {
            "type": "integer" if whole or "." not in low else "number",
            "description": hint,
        }
        if bounds := _RANGE.search(hint):
            schema["minimum"], schema["maximum"] = float(bounds.group(1)), float(bounds.group(2))
        return schema
    return {"type": "string", "description": hint}


def options_of(text: str) -> list[str]:
    """The choices that a text gives: "one of: spam, ham or eggs"; none if it gives none."""
    match = _ONE_OF.search(text)
    listed = match.group(1) if match else (text if _BARS.match(text.strip()) else "")
    if not listed:
        return []
    parts = re.split(r"\s*\|\s*|,\s*(?:or\s+)?|\s+or\s+|/", listed.strip(" .:"))
    cleaned = [part.strip(" \"'`*.()") for part in parts]
    good = [one for one in cleaned if 0 < len(one.split()) <= 4]
    return good if 2 <= len(good) == len([one for one in cleaned if one]) else []


def _of_example(value: Any) -> Schema:
    """The schema that an example object follows; its texts are hints."""
    if isinstance(value, dict):
        return {
            "type": "object",
            "properties": {str(key): _of_example(one) for key, one in value.items()},
            "required": [str(key) for key in value],
        }
    if isinstance(value, list):
        return {"type": "array", "items": _of_example(value[0]) if value else {"type": "string"}}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if isinstance(value, int):
        return {"type": "integer", "minimum": 0, "maximum": 100}
    if isinstance(value, float):
        return {"type": "number", "minimum": 0, "maximum": 1 if value <= 1 else 100}
    return (
        _hinted(value.strip("<>[]() .…"))
        if isinstance(value, str)
        else {"type": ["string", "null"]}
    )
