"""Values and a schema in; the nearest values that the schema allows out.

Also the smallest valid value of a schema, the last resort where the data gives nothing that fits.
"""

from __future__ import annotations

import math
from typing import Any

from deploy.offline_model.patterns import matching
from deploy.offline_model.schema import (
    MAX_DEPTH,
    Schema,
    bounds,
    merged,
    nullable,
    resolve,
    type_of,
)
from deploy.offline_model.text import shorten

ANYTHING: Schema = {"type": "string"}
MAX_ITEMS = 1_000


def fitted_number(value: float, schema: Schema) -> float | int:
    """The nearest number that the schema allows."""
    low, high = bounds(schema)
    whole = type_of(schema) == "integer"
    step = schema.get("multipleOf")
    if low is not None:
        value = max(value, low)
    if high is not None:
        value = min(value, high)
    if isinstance(step, (int, float)) and step > 0:
        value = round(value / step) * step
        if high is not None and value > high:
            value = math.floor(high / step) * step
        if low is not None and value < low:
            value = math.ceil(low / step) * step
        return int(value) if whole or float(value).is_integer() else round(value, 10)
    if whole:
        return int(round(value))
    return (
        round(value, 4) if low is None or high is None or low <= round(value, 4) <= high else value
    )


def fitted_text(text: str, schema: Schema) -> str:
    """The text cut or padded to the schema's lengths."""
    most, least = schema.get("maxLength"), schema.get("minLength", 0)
    if isinstance(most, int) and len(text) > most:
        text = shorten(text, most)
    if isinstance(least, int) and len(text) < least:
        filler = " No further information was given." if text else "No information was given."
        repeats = (least - len(text)) // len(filler) + 1
        text = (text + filler * repeats)[: most if isinstance(most, int) else None]
        text = text if len(text) >= least else text.ljust(least, ".")
    return text


def smallest(schema: Any, root: Schema, depth: int = 0) -> Any:
    """The simplest value that a schema allows, made without looking at any data."""
    schema = resolve(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if "default" in schema:
        return schema["default"]
    for key in ("anyOf", "oneOf"):
        if branches := schema.get(key):
            rest = {k: v for k, v in schema.items() if k != key}
            easy = min(
                branches, key=lambda one: (depth > 3) and type_of(resolve(one, root)) != "null"
            )
            return smallest(merged(resolve(easy, root), rest), root, depth + 1)
    kind = type_of(schema)
    if depth > MAX_DEPTH and nullable(schema):
        return None
    if kind == "object":
        properties = schema.get("properties", {})
        return {
            name: smallest(properties.get(name, {}), root, depth + 1)
            for name in schema.get("required", ())
            if depth <= 3 * MAX_DEPTH
        }
    if kind == "array":
        return _smallest_list(schema, root, depth)
    if kind in ("integer", "number"):
        return fitted_number(0, schema)
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    return _smallest_text(schema)


def _smallest_list(schema: Schema, root: Schema, depth: int) -> list[Any]:
    first = [smallest(one, root, depth + 1) for one in schema.get("prefixItems", ())]
    wanted = schema.get("minItems", 0)
    item = schema.get("items", ANYTHING)
    if "contains" in schema and wanted == 0:
        return [smallest(schema["contains"], root, depth + 1)]
    while len(first) < wanted and len(first) < MAX_ITEMS:
        one = smallest(item, root, depth + 1)
        if schema.get("uniqueItems") and one in first:
            one = varied(one, len(first), resolve(item, root))
        first.append(one)
    return first[: max(wanted, 0)] if "prefixItems" in schema and not wanted else first


def varied(value: Any, number: int, schema: Schema) -> Any:
    """Another value of the same shape, for lists without repeats."""
    options = schema.get("enum")
    if options:
        return options[number % len(options)]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        low, _ = bounds(schema)
        return fitted_number((low or 0) + number * schema.get("multipleOf", 1), schema)
    if isinstance(value, str):
        most = schema.get("maxLength")
        mark = f" {number + 1}"
        return value[: most - len(mark)] + mark if isinstance(most, int) else value + mark
    if isinstance(value, dict):
        for name, one in value.items():
            part = schema.get("properties", {}).get(name, {})
            if isinstance(one, (str, int, float)) and not isinstance(one, bool):
                return {**value, name: varied(one, number, part)}
    return value


_SAMPLES = {
    "date": "1970-01-01",
    "date-time": "1970-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "uuid": "00000000-0000-0000-0000-000000000000",
    "ipv4": "0.0.0.0",
    "ipv6": "::",
    "duration": "PT0S",
}


def _smallest_text(schema: Schema) -> str:
    if isinstance(pattern := schema.get("pattern"), str):
        found = matching(pattern, schema.get("minLength", 0))
        if found is not None:
            return found
    if schema.get("format") in _SAMPLES and schema.get("minLength", 0) > 0:
        return _SAMPLES[schema["format"]]
    return fitted_text("", schema)
