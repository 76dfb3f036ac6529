"""A JSON Schema in; a form of it that is quick to answer from out.

References within the schema are followed, `allOf` is merged, and the analysis is kept per schema,
so that a thousand requests with one schema pay for it once.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from jsonschema.validators import validator_for

Schema = dict[str, Any]
KEPT_SCHEMAS = 256
MAX_DEPTH = 12


class BadSchemaError(ValueError):
    """The request's schema is not a JSON Schema."""


@dataclass(frozen=True)
class Compiled:
    root: Schema
    validator: Any
    labels: frozenset[str]

    def resolve(self, schema: Any) -> Schema:
        return resolve(schema, self.root)

    def valid(self, value: Any) -> bool:
        return bool(self.validator.is_valid(value))


_kept: OrderedDict[str, Compiled] = OrderedDict()


def compiled(schema: Mapping[str, Any]) -> Compiled:
    """The analysis of a schema, made once."""
    key = json.dumps(schema, sort_keys=True, default=str)
    if key in _kept:
        _kept.move_to_end(key)
        return _kept[key]
    root = dict(schema)
    kind = validator_for(root, default=Draft202012Validator)
    try:
        kind.check_schema(root)
    except SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "(root)"
        raise BadSchemaError(f"{error.message[:300]} at {where}") from error
    found = Compiled(root, kind(root), frozenset(_labels(root)))
    _kept[key] = found
    if len(_kept) > KEPT_SCHEMAS:
        _kept.popitem(last=False)
    return found


def _labels(schema: Any, depth: int = 0) -> Iterator[str]:
    if depth > 2 * MAX_DEPTH:
        return
    if isinstance(schema, dict):
        values = schema.get("enum")
        if isinstance(values, list):
            yield from (one.lower() for one in values if isinstance(one, str) and one)
        if isinstance(schema.get("const"), str):
            yield schema["const"].lower()
        for one in schema.values():
            yield from _labels(one, depth + 1)
    elif isinstance(schema, list):
        for one in schema:
            yield from _labels(one, depth + 1)


def resolve(schema: Any, root: Schema, depth: int = 0) -> Schema:
    """The schema with its own reference followed and `allOf` merged; its parts stay as they are."""
    if not isinstance(schema, dict):
        return {} if schema is not False else {"not": {}}
    found = schema
    if depth < MAX_DEPTH and isinstance(reference := found.get("$ref"), str):
        rest = {key: one for key, one in found.items() if key != "$ref"}
        found = merged(resolve(_at(root, reference), root, depth + 1), rest)
    if depth < MAX_DEPTH and isinstance(parts := found.get("allOf"), list):
        rest = {key: one for key, one in found.items() if key != "allOf"}
        for part in parts:
            rest = merged(rest, resolve(part, root, depth + 1))
        found = rest
    return found


def _at(root: Schema, reference: str) -> Any:
    """What a reference such as "#/$defs/person" points to."""
    if reference == "#":
        return root
    if not reference.startswith("#/"):
        return {}
    here: Any = root
    for part in reference[2:].split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        if isinstance(here, list) and part.isdigit() and int(part) < len(here):
            here = here[int(part)]
        elif isinstance(here, dict) and part in here:
            here = here[part]
        else:
            return {}
    return here


def merged(one: Schema, other: Schema) -> Schema:
    """Two schemas that must both hold, as one."""
    found = dict(one)
    for key, value in other.items():
        if key not in found:
            found[key] = value
        elif key == "properties":
            both = dict(found[key])
            for name, schema in value.items():
                both[name] = {"allOf": [both[name], schema]} if name in both else schema
            found[key] = both
        elif key == "required":
            found[key] = list(dict.fromkeys([*found[key], *value]))
        elif key == "enum":
            found[key] = [v for v in found[key] if v in value] or found[key]
        elif key in ("minimum", "exclusiveMinimum", "minLength", "minItems"):
            found[key] = max(found[key], value)
        elif key in ("maximum", "exclusiveMaximum", "maxLength", "maxItems"):
            found[key] = min(found[key], value)
        else:
            found[key] = value
    return found


def type_of(schema: Schema) -> str:
    """The type that an answer takes; the first that is not null where there are several."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((one for one in kind if one != "null"), "null")
    if isinstance(kind, str):
        return kind
    for found, keys in _TELLING.items():
        if any(key in schema for key in keys):
            return found
    return ""


_TELLING = {
    "object": ("properties", "required", "additionalProperties", "minProperties"),
    "array": ("items", "prefixItems", "minItems", "contains"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "multipleOf", "exclusiveMinimum", "exclusiveMaximum"),
}


def nullable(schema: Schema) -> bool:
    kind = schema.get("type")
    branches = [*schema.get("anyOf", ()), *schema.get("oneOf", ())]
    return (
        kind == "null"
        or (isinstance(kind, list) and "null" in kind)
        or None in schema.get("enum", ())
        or any(isinstance(one, dict) and one.get("type") == "null" for one in branches)
    )


def bounds(schema: Schema) -> tuple[float | None, float | None]:
    """The lowest and highest number allowed, whole for integers."""
    whole = type_of(schema) == "integer"
    low, high = schema.get("minimum"), schema.get("maximum")
    step = 1 if whole else 1e-6
    if isinstance(above := schema.get("exclusiveMinimum"), (int, float)) and not isinstance(
        above, bool
    ):
        least = math.floor(above) + 1 if whole else above + step
        low = least if low is None else max(low, least)
    if isinstance(below := schema.get("exclusiveMaximum"), (int, float)) and not isinstance(
        below, bool
    ):
        most = math.ceil(below) - 1 if whole else below - step
        high = most if high is None else min(high, most)
    return low, high
