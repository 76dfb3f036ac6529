"""Any schema in; an answer that obeys it, the same each time, out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from deploy.offline_model.chat import RequestError, complete

DATA = (
    '{"name": "Ada Holm", "email": "ada@kestrel.example", "company": "Kestrel Parcel",'
    ' "employees": 420, "website": "https://kestrel.example",'
    ' "message": "We open a hub in May and must automate picking. The budget is approved."}'
)
NAMES = st.sampled_from(
    """score summary reason email company title tags risk_level is_urgent body subject count items
    next_step name website created_on amount priority questions id emails quote a b c""".split()
)
TEXTS = st.sampled_from(
    [
        "",
        "A short summary.",
        "How grave it is, 1 = low",
        "The lead's e-mail",
        "Three points",
        "x" * 300,
    ]
)


def annotated(schemas: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda s, d: {**s, "description": d} if d else s, schemas, TEXTS)


@st.composite
def strings(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    kind = draw(st.integers(0, 5))
    if kind == 1:
        schema["maxLength"] = most = draw(st.integers(0, 60))
        schema["minLength"] = draw(st.integers(0, most))
    elif kind == 2:
        schema["pattern"] = draw(
            st.sampled_from(
                ["^[A-Z]{2}-\\d{4}$", "^(yes|no)$", "\\d+", "^[^@ ]+@[^@ ]+$", "^.{3,9}$", "^$"]
            )
        )
    elif kind == 3:
        schema["format"] = draw(st.sampled_from(["email", "uri", "date", "uuid", "date-time"]))
    elif kind == 4:
        schema["minLength"] = draw(st.integers(0, 400))
    return schema


@st.composite
def numbers(draw: st.DrawFn) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": draw(st.sampled_from(["integer", "number"]))}
    low = draw(st.integers(-50, 50))
    high = low + draw(st.integers(1, 200))
    kind = draw(st.integers(0, 4))
    if kind == 1:
        schema |= {"minimum": low, "maximum": high}
    elif kind == 2:
        schema |= {"exclusiveMinimum": low, "exclusiveMaximum": high + 1}
    elif kind == 3:
        schema |= {"minimum": low, "multipleOf": draw(st.sampled_from([1, 2, 5]))}
    elif kind == 4:
        schema["minimum"] = low
    return schema


ENUMS = st.sampled_from(
    [
        {"type": "string", "enum": ["low", "medium", "high"]},
        {"enum": ["Engage", "Drop"]},
        {"enum": [1, 2, 3]},
        {"enum": [None, "a"]},
        {"enum": [True, False]},
        {"const": "v1"},
        {"const": 7},
        {"type": ["string", "null"], "enum": ["x", None]},
        {"type": "string", "enum": ["only"]},
    ]
)
LEAVES = annotated(
    st.one_of(
        strings(),
        numbers(),
        ENUMS,
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": ["integer", "null"]}, {}]),
    )
)


def objects(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        properties = draw(st.dictionaries(NAMES, inner, min_size=1, max_size=4))
        required = draw(st.lists(st.sampled_from(sorted(properties)), unique=True))
        schema = {"type": "object", "properties": properties, "required": required}
        return {**schema, "additionalProperties": False} if draw(st.booleans()) else schema

    return build()


def arrays(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    @st.composite
    def build(draw: st.DrawFn) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": "array", "items": draw(inner)}
        if draw(st.booleans()):
            schema["minItems"] = draw(st.integers(0, 4))
        if draw(st.booleans()):
            schema["maxItems"] = schema.get("minItems", 0) + draw(st.integers(0, 4))
        return schema

    return build()


def unions(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    return st.builds(lambda one, other: {"anyOf": [one, other]}, inner, inner)


SCHEMAS = objects(
    st.recursive(
        LEAVES, lambda inner: st.one_of(objects(inner), arrays(inner), unions(inner)), max_leaves=6
    )
)


def ask(schema: dict[str, Any], text: str = DATA) -> Any:
    named = {"name": "reply", "schema": schema}
    made = complete(
        {
            "model": "any",
            "messages": [
                {
                    "role": "system",
                    "content": "You are an analyst at Stratus. Stratus makes robots.",
                },
                {"role": "user", "content": f"Judge this.\n\nLead: {text}"},
            ],
            "response_format": {"type": "json_schema", "json_schema": named},
        }
    )
    assert made.content is not None
    return json.loads(made.content)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS)
def test_every_schema_is_obeyed_and_answered_the_same_twice(schema: dict[str, Any]) -> None:
    answer = ask(schema)
    Draft202012Validator(schema).validate(answer)
    assert ask(schema) == answer


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=300))
def test_any_text_is_answered(text: str) -> None:
    schema = {
        "type": "object",
        "properties": {
            "score": {"type": "integer", "minimum": 0, "maximum": 100},
            "label": {"enum": ["a", "b"]},
            "body": {"type": "string"},
            "points": {"type": "array", "items": {"type": "string"}, "minItems": 1},
        },
        "required": ["score", "label", "body", "points"],
    }
    Draft202012Validator(schema).validate(ask(schema, text))


def test_references_and_merged_parts_are_followed() -> None:
    schema = {
        "$defs": {
            "person": {
                "type": "object",
                "required": ["name", "email"],
                "properties": {
                    "name": {"type": "string"},
                    "email": {"type": "string", "format": "email"},
                },
            }
        },
        "type": "object",
        "required": ["contact"],
        "properties": {
            "contact": {
                "allOf": [
                    {"$ref": "#/$defs/person"},
                    {"required": ["title"], "properties": {"title": {"type": "string"}}},
                ]
            }
        },
    }
    contact = ask(schema)["contact"]
    assert contact["name"] == "Ada Holm"
    assert contact["email"] == "ada@kestrel.example"
    assert "title" in contact


def test_a_schema_that_contains_itself_ends() -> None:
    schema = {
        "type": "object",
        "required": ["label", "children"],
        "properties": {
            "label": {"type": "string"},
            "children": {"type": "array", "items": {"$ref": "#"}},
        },
    }
    Draft202012Validator(schema).validate(ask(schema))


def test_a_list_without_repeats_has_none() -> None:
    schema = {
        "type": "object",
        "required": ["tags"],
        "properties": {
            "tags": {
                "type": "array",
                "items": {"type": "string"},
                "uniqueItems": True,
                "minItems": 7,
            }
        },
    }
    tags = ask(schema)["tags"]
    assert len(tags) == len(set(tags)) >= 7


@pytest.mark.parametrize(
    ("name", "format_", "expected"),
    [
        ("email", "email", "ada@kestrel.example"),
        ("website", "uri", "https://kestrel.example"),
        ("founded", "date", ""),
        ("ticket", "uuid", ""),
    ],
)
def test_formats_are_copied_from_the_data_and_never_invented(
    name: str, format_: str, expected: str
) -> None:
    part = {"type": "string", "format": format_}
    schema = {"type": "object", "required": [name], "properties": {name: part}}
    assert ask(schema)[name] == expected


def test_what_the_data_does_not_hold_is_null_where_null_is_allowed() -> None:
    schema = {
        "type": "object",
        "required": ["vat_number"],
        "properties": {"vat_number": {"type": ["string", "null"]}},
    }
    assert ask(schema) == {"vat_number": None}


def test_what_is_no_schema_is_refused_in_a_sentence() -> None:
    with pytest.raises(RequestError, match="Invalid schema for response_format 'reply'"):
        ask({"type": "object", "properties": {"a": {"type": "strin"}}})


def test_a_json_object_has_the_keys_that_the_prompt_names() -> None:
    made = complete(
        {
            "model": "any",
            "messages": [
                {
                    "role": "user",
                    "content": "Return a JSON object with the keys score (integer, 0-100), urgent "
                    f"(boolean) and reason.\n\nTicket:\n{DATA}",
                }
            ],
            "response_format": {"type": "json_object"},
        }
    )
    answer = json.loads(made.content or "")
    assert set(answer) == {"score", "urgent", "reason"}
    assert 0 <= answer["score"] <= 100
    assert isinstance(answer["urgent"], bool)
