"""Texts of models in, replies or sentences for a repair try out."""

from typing import Any

import pytest

from udfs.core.grounding import addresses
from udfs.core.reply import InvalidReply, ReplyFormat
from udfs.core.reply_schema import wire_form

SCORE = {
    "type": "object",
    "required": ["score"],
    "properties": {
        "score": {"type": "integer", "minimum": 0, "maximum": 100},
        "next_step": {"type": "string", "enum": ["Nurture", "Disqualify"]},
        "company": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "size": {"type": "number"}},
        },
    },
}
EMPTY: dict[str, Any] = {"next_step": None, "company": None}


def read(text: str, schema: dict[str, Any] = SCORE, row: Any = None, evidence: Any = ()) -> Any:
    return ReplyFormat(schema).read(text, row or {}, evidence)


@pytest.mark.parametrize(
    "text",
    [
        '{"score": 7}',
        '{"score": 7.0, "next_step": null}',
        'Sure! Here is it:\n{"score": 7}\nAnything else?',
        '```json\n{"score": 7}\n```',
        '<think>{"score": 1} or more</think>\n{"score": 7}',
        'As {asked}: {"score": 7}',
        '{"score": 7} and again {"score": 7}',
    ],
)
def test_prose_and_fences_are_forgiven(text: str) -> None:
    reply = read(text)
    assert reply == {"score": 7, **EMPTY}
    assert type(reply["score"]) is int


def test_every_declared_property_is_there() -> None:
    reply = read('{"score": 7, "company": {"size": 3}}')
    assert reply == {"score": 7, "next_step": None, "company": {"name": None, "size": 3.0}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("I cannot say.", "the answer holds no JSON object"),
        ('{"score": 150}', "$.score: 150 is greater than the maximum of 100"),
        ('{"score": -1}', "$.score: -1 is less than the minimum of 0"),
        ('{"score": "high"}', "$.score: 'high' is not of type 'integer'"),
        ('{"score": true}', "$.score: True is not of type 'integer'"),
        ('{"score": 7.5}', "$.score: 7.5 is not of type 'integer'"),
        ('{"score": null}', "$.score: None is not of type 'integer'"),
        ('{"next_step": "Nurture"}', "'score' is a required property"),
        ('{"score": 7, "more": 1}', "Additional properties are not allowed ('more'"),
        ('{"score": 7, "next_step": "Call"}', "$.next_step: 'Call' is not one of"),
        ('{"score": 7, "company": {"name": 1}}', "$.company.name: 1 is not of type 'string'"),
        ('{"score": 7, "score": 8}', "the key 'score' is there twice"),
        ('{"score": NaN}', "NaN is not a JSON number"),
        ('{"score": 1, "company": {"size": 1e999}}', "1e999 is too large a number"),
        ('{"score": ' + "9" * 5_000 + "}", "a number is too long"),
        ('{"score": 7} or {"score": 8}', "more than one JSON object"),
        ('{"score": 7, "company": {"name": "A', "not JSON: Unterminated string"),
        ('{"x": {"score": 7}', "not JSON"),
        ('{"a":' * 10_000, "nested too deeply"),
        ('{"score": 7, "next_step": "\\ud800"}', "half a character"),
    ],
)
def test_what_is_no_reply_is_told_in_a_sentence(text: str, problem: str) -> None:
    with pytest.raises(InvalidReply) as error:
        read(text)
    assert problem in str(error.value)
    assert len(str(error.value)) < 450


def test_a_long_value_does_not_make_a_long_message() -> None:
    with pytest.raises(InvalidReply) as error:
        read('{"score": "' + "x" * 100_000 + '"}')
    assert len(str(error.value)) < 450


def test_many_braces_take_no_time_that_matters() -> None:
    with pytest.raises(InvalidReply):
        read("{" * 500_000)
    with pytest.raises(InvalidReply):
        read('{"a":{"a":' * 20_000 + "!")


def test_an_integer_without_bounds_must_fit_its_column() -> None:
    schema = {"type": "object", "properties": {"count": {"type": "integer"}}}
    assert read(f'{{"count": {2**63 - 1}}}', schema) == {"count": 2**63 - 1}
    with pytest.raises(InvalidReply, match="maximum"):
        read(f'{{"count": {2**63}}}', schema)


ECHO = {"type": "object", "properties": {"id": {"type": "string", "x-echo": "lead_id"}}}
MAIL = {
    "type": "object",
    "properties": {
        "body": {"type": "string", "x-grounded": True},
        "links": {"type": "array", "items": {"type": "string"}, "x-grounded": True},
        "parts": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"text": {"type": "string", "x-grounded": True}},
            },
        },
        "free": {"type": "string"},
    },
}


def test_an_answer_for_another_row_is_caught() -> None:
    assert read('{"id": "l-1"}', ECHO, {"lead_id": "l-1"}) == {"id": "l-1"}
    for text in ('{"id": "l-2"}', "{}"):
        with pytest.raises(InvalidReply, match=r"\$.id: must repeat `lead_id` of the input"):
            read(text, ECHO, {"lead_id": "l-1"})


@pytest.mark.parametrize(
    "body",
    [
        "Write to Ann@Acme.com.",
        "See https://www.acme.com/, or acme.com!",
        "(http://acme.com/pricing?x=1)",
        "Node.js and e.g. this are no addresses; nor is 3.5.",
    ],
)
def test_addresses_that_stand_in_the_input_are_accepted(body: str) -> None:
    evidence = ["ann@acme.com", "Our site is https://acme.com and http://acme.com/pricing?x=1"]
    assert read(f'{{"body": "{body}"}}', MAIL, evidence=evidence)["body"] == body


@pytest.mark.parametrize(
    ("reply", "invented"),
    [
        ('{"body": "mail bob@acme.com"}', "$.body: bob@acme.com"),
        ('{"body": "see https://acme.com/login"}', "$.body: acme.com/login"),
        ('{"body": "see acme.com.evil.io"}', "$.body: acme.com.evil.io"),
        ('{"body": "see ftp://acme.com:21/x"}', "$.body: acme.com:21/x"),
        ('{"links": ["acme.com", "acme.org"]}', "$.links: acme.org"),
        ('{"parts": [{"text": ""}, {"text": "a@b.co"}]}', "$.parts[1].text: a@b.co"),
    ],
)
def test_an_invented_address_is_told(reply: str, invented: str) -> None:
    with pytest.raises(InvalidReply) as error:
        read(reply, MAIL, evidence=["ann@acme.com https://acme.com"])
    assert str(error.value).startswith(invented)


@pytest.mark.parametrize(
    "hidden",
    [
        "éann@evil.com",
        "a" * 100 + "@evil.com",
        "éhttps://evil.zone/a",
        "acme.com-evil.xyz",
        "a.b.c.d.e.f.g.h.i.j.evil.com",
        "acme.com@evil.com",
        "//evil.com",
        "ftp.évil.com",
    ],
)
def test_no_spelling_hides_an_invented_address(hidden: str) -> None:
    with pytest.raises(InvalidReply):
        read(f'{{"body": "see {hidden} now"}}', MAIL, evidence=["ann@acme.com https://acme.com"])


@pytest.mark.parametrize("piece", ["a", "a.", "a-", "a@", "://", "word and ", "ann@acme.com "])
def test_a_megabyte_is_searched_in_linear_time(piece: str) -> None:
    assert len(addresses([piece * (1_000_000 // len(piece))])) <= 2


def test_what_is_not_declared_grounded_is_free() -> None:
    assert read('{"free": "https://elsewhere.com"}', MAIL)["free"] == "https://elsewhere.com"


def test_addresses_have_one_spelling() -> None:
    assert addresses(["<HTTPS://WWW.Acme.com/>, acme.com. Ann <Ann@acme.com>"]) == {
        "acme.com",
        "ann@acme.com",
    }


def test_the_wire_form_is_strict() -> None:
    assert wire_form({**SCORE, "title": "x"}) == {
        "type": "object",
        "additionalProperties": False,
        "required": ["score", "next_step", "company"],
        "properties": {
            "score": {"type": "integer", "minimum": 0, "maximum": 100},
            "next_step": {"type": ["string", "null"], "enum": ["Nurture", "Disqualify", None]},
            "company": {
                "type": ["object", "null"],
                "additionalProperties": False,
                "required": ["name", "size"],
                "properties": {
                    "name": {"type": ["string", "null"]},
                    "size": {"type": ["number", "null"]},
                },
            },
        },
    }
    assert wire_form(MAIL)["properties"]["body"] == {"type": ["string", "null"]}
