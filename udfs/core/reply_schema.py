"""A reply's JSON Schema in; its problems, its Flink column types and its strict wire form out.

Only what maps to a typed column is allowed: an object of strings, integers, numbers, booleans,
arrays and objects of these, each with one type (or that type and "null"). Three keywords are ours:

- `x-grounded: true` on a string or an array of strings: every e-mail address and URL in it must
  stand in the input row, in a tool result or in the agent's own instructions.
- `x-echo: COLUMN` on a top-level string or integer: it must equal that column of the input row, so
  that an answer meant for another row is caught.
- `x-results: TOOL` on a top-level array of objects: no model writes it; it holds the rows that the
  calls of this tool returned in this run, so that a script can check a reply against them.
"""

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Schema = Mapping[str, Any]

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
DEPTH_MAX = 8
INT = (-(2**31), 2**31 - 1)
BIGINT = (-(2**63), 2**63 - 1)

_ANY = {"type", "title", "description", "enum", "examples"}
KEYWORDS: dict[str, set[str]] = {
    "string": _ANY | {"minLength", "maxLength", "pattern", "format", "x-grounded", "x-echo"},
    "integer": _ANY
    | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "x-echo"},
    "number": _ANY | {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"},
    "boolean": _ANY,
    "array": _ANY | {"items", "minItems", "maxItems", "uniqueItems", "x-grounded", "x-results"},
    "object": _ANY | {"properties", "required", "additionalProperties"},
}
_PYTHON: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}
_NOT_ON_THE_WIRE = {"minLength", "maxLength", "uniqueItems", "examples", "title"}
_WIRE_FORMATS = {
    "date-time",
    "time",
    "date",
    "duration",
    "email",
    "hostname",
    "ipv4",
    "ipv6",
    "uuid",
}


class Problem(NamedTuple):
    """What is wrong, and where: the keys from the reply's root."""

    path: tuple[str, ...]
    message: str


def type_of(schema: Schema) -> str:
    """The one type that is not "null"."""
    declared = schema["type"]
    return declared if isinstance(declared, str) else next(t for t in declared if t != "null")


def nullable(schema: Schema) -> bool:
    return isinstance(schema["type"], list) and "null" in schema["type"]


def problems(reply: object) -> list[Problem]:
    """All that keeps a schema from being a reply's; empty when it is right."""
    if not isinstance(reply, dict) or reply.get("type") != "object":
        return [Problem((), "the reply must be a JSON Schema with `type: object`")]
    return list(_problems(reply, (), 1))


def _problems(schema: object, path: tuple[str, ...], depth: int) -> Iterator[Problem]:
    if not isinstance(schema, dict):
        yield Problem(path, "must be a schema, such as {type: string}")
        return
    kind = _declared_type(schema.get("type"))
    if kind is None:
        allowed = ", ".join(KEYWORDS)
        yield Problem(path, f"`type` must be one of {allowed}, or a list of one of them and 'null'")
        return
    if depth > DEPTH_MAX:
        yield Problem(path, f"is nested more than {DEPTH_MAX} deep")
        return
    for keyword in schema.keys() - KEYWORDS[kind]:
        allowed = ", ".join(sorted(KEYWORDS[kind]))
        yield Problem((*path, keyword), f"keyword is not allowed on {kind}; allowed: {allowed}")
    yield from _value_problems(schema, kind, path)
    if kind == "object":
        yield from _object_problems(schema, path, depth)
    elif kind == "array":
        if "items" not in schema:
            yield Problem(path, "an array needs `items`, the schema of one element")
        else:
            yield from _problems(schema["items"], (*path, "items"), depth + 1)


def _declared_type(declared: object) -> str | None:
    if isinstance(declared, str):
        return declared if declared in KEYWORDS else None
    if isinstance(declared, list) and len(declared) == 2 and "null" in declared:
        other = declared[1 - declared.index("null")]
        return other if isinstance(other, str) and other in KEYWORDS else None
    return None


def _object_problems(schema: Schema, path: tuple[str, ...], depth: int) -> Iterator[Problem]:
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        yield Problem(path, "an object needs `properties`, at least one")
        return
    if schema.get("additionalProperties", False) is not False:
        where = (*path, "additionalProperties")
        yield Problem(where, "must be false: what is not declared has no column")
    required = schema.get("required", [])
    if not isinstance(required, list):
        yield Problem((*path, "required"), "must be a list of property names")
    else:
        for name in required:
            if name not in properties:
                declared = ", ".join(properties)
                message = f"{name!r} is not a property; declared are: {declared}"
                yield Problem((*path, "required"), message)
    for name, inner in properties.items():
        where = (*path, "properties", name)
        if not NAME.fullmatch(name):
            yield Problem(where, "must be letters, digits and _ to be a column's name")
        if isinstance(inner, dict) and "x-echo" in inner and depth > 1:
            yield Problem(where, "x-echo is for properties at the top of the reply")
        if isinstance(inner, dict) and "x-results" in inner:
            if depth > 1 or _declared_type_of_items(inner) != "object":
                yield Problem(where, "x-results is for an array of objects at the top of the reply")
            elif name in (required if isinstance(required, list) else ()):
                yield Problem(where, "x-results is written by no model, so it is not `required`")
        yield from _problems(inner, where, depth + 1)


def _value_problems(schema: Schema, kind: str, path: tuple[str, ...]) -> Iterator[Problem]:
    """Keyword values that contradict the type; what JSON Schema itself knows is checked later."""
    for value in schema["enum"] if isinstance(schema.get("enum"), list) else ():
        fits = isinstance(value, _PYTHON[kind]) and (kind == "boolean") == isinstance(value, bool)
        if not fits and not (value is None and nullable(schema)):
            where = (*path, "enum")
            yield Problem(where, f"{value!r} is not a {kind}; YAML reads yes, no, 1 unless quoted")
    if schema.get("x-grounded", False) is not False:
        if schema["x-grounded"] is not True:
            yield Problem((*path, "x-grounded"), "must be true or false")
        if kind == "array" and _declared_type_of_items(schema) != "string":
            yield Problem((*path, "x-grounded"), "is for a string or an array of strings")
    if not isinstance(schema.get("x-echo", ""), str):
        yield Problem((*path, "x-echo"), "must be the name of an input column")
    if not isinstance(schema.get("x-results", ""), str):
        yield Problem((*path, "x-results"), "must be the name of one of the agent's tools")


def _declared_type_of_items(schema: Schema) -> str | None:
    items = schema.get("items")
    return _declared_type(items.get("type")) if isinstance(items, dict) else None


def flink_type(schema: Schema) -> str:
    """The Flink SQL type of a value; every column is nullable."""
    kind = type_of(schema)
    if kind == "array":
        return f"ARRAY<{flink_type(schema['items'])}>"
    if kind == "object":
        fields = (f"`{name}` {flink_type(s)}" for name, s in schema["properties"].items())
        return f"ROW<{', '.join(fields)}>"
    if kind == "integer":
        low, high = integer_bounds(schema)
        return "INT" if INT[0] <= low and high <= INT[1] else "BIGINT"
    return {"string": "STRING", "number": "DOUBLE", "boolean": "BOOLEAN"}[kind]


def integer_bounds(schema: Schema) -> tuple[float, float]:
    """The least and the greatest value that the schema lets through."""
    values = [v for v in schema.get("enum", ()) if v is not None]
    if values:
        return min(values), max(values)
    low = max(schema.get("minimum", -math.inf), schema.get("exclusiveMinimum", -math.inf) + 1)
    high = min(schema.get("maximum", math.inf), schema.get("exclusiveMaximum", math.inf) - 1)
    return low, high


def asked_form(schema: Schema) -> Schema:
    """The schema of what a model writes: without the results that the run itself fills in."""
    written = {n: s for n, s in schema["properties"].items() if "x-results" not in s}
    if len(written) == len(schema["properties"]):
        return schema
    return {**schema, "properties": written}


def checked_form(schema: Schema) -> dict[str, Any]:
    """The schema that answers are checked with: nothing undeclared, integers that fit BIGINT."""
    form = dict(schema)
    kind = type_of(schema)
    if kind == "object":
        form["additionalProperties"] = False
        form["properties"] = {n: checked_form(s) for n, s in schema["properties"].items()}
    elif kind == "array":
        form["items"] = checked_form(schema["items"])
    elif kind == "integer":
        form["minimum"] = max(schema.get("minimum", BIGINT[0]), BIGINT[0])
        form["maximum"] = min(schema.get("maximum", BIGINT[1]), BIGINT[1])
    return form


def wire_form(schema: Schema, *, optional: bool = False) -> dict[str, Any]:
    """The schema in the strict form of OpenAI's structured outputs.

    All properties are required there, and an optional one is nullable instead; our own keywords and
    those that strict mode refuses are left out, because the answer is checked here anyway.
    Source: OpenAI, Structured Outputs guide, "Supported schemas".
    """
    kind = type_of(schema)
    form = {k: v for k, v in schema.items() if k not in _NOT_ON_THE_WIRE and k[:2] != "x-"}
    if form.get("format", "date") not in _WIRE_FORMATS:
        del form["format"]
    if optional or nullable(schema):
        form["type"] = [kind, "null"]
        if "enum" in form and None not in form["enum"]:
            form["enum"] = [*form["enum"], None]
    if kind == "object":
        required = schema.get("required", ())
        form["additionalProperties"] = False
        form["required"] = list(schema["properties"])
        form["properties"] = {
            name: wire_form(inner, optional=name not in required)
            for name, inner in schema["properties"].items()
        }
    elif kind == "array":
        form["items"] = wire_form(schema["items"])
    return form
