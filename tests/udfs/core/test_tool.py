"""Typed functions in, tools with schemas, argument checks and timeouts out."""

import asyncio
import time
import types
from collections.abc import Callable
from typing import Any, Literal

import pytest

from udfs.core.definition import AgentDefinition, DefinitionError, Persona
from udfs.core.tool import Tool, ToolError, resolve_tools


async def look_up(
    domain: str,
    kind: Literal["big", "small"] = "big",
    limits: list[int] | None = None,
    weights: dict[str, float] | None = None,
    exact: bool = False,
) -> dict[str, Any]:
    """Look a company up.

    Knows a thousand companies.

    Args:
        domain: The company's domain, such as acme.com.
        kind: Its size.
    """
    return {"domain": domain, "kind": kind, "limits": limits}


def test_the_schema_comes_from_signature_and_docstring() -> None:
    tool = Tool.of(look_up)
    assert tool.description == "Look a company up.\n\nKnows a thousand companies."
    assert tool.spec()["function"]["name"] == "look_up"
    assert tool.parameters == {
        "type": "object",
        "additionalProperties": False,
        "required": ["domain"],
        "properties": {
            "domain": {"type": "string", "description": "The company's domain, such as acme.com."},
            "kind": {"type": "string", "enum": ["big", "small"], "description": "Its size."},
            "limits": {"type": ["array", "null"], "items": {"type": "integer"}},
            "weights": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
            "exact": {"type": "boolean"},
        },
    }


def no_hint(domain) -> str:  # type: ignore[no-untyped-def]
    """Look up."""
    return str(domain)


def no_docstring(domain: str) -> str:
    return domain


def bytes_wanted(domain: bytes) -> str:
    """Look up."""
    return domain.decode()


def stars(*domains: str) -> str:
    """Look up."""
    return str(domains)


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (no_hint, "parameter domain has no type hint"),
        (no_docstring, "has no docstring"),
        (bytes_wanted, "<class 'bytes'> has no JSON form"),
        (stars, r"\* and \*\* cannot be described"),
    ],
)
def test_a_function_that_says_too_little_is_refused(
    function: Callable[..., Any], problem: str
) -> None:
    with pytest.raises(DefinitionError, match=problem):
        Tool.of(function)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "is not of type 'object'"),
        ("{}", "'domain' is a required property"),
        ('{"domain": 1}', r"\$.domain: 1 is not of type 'string'"),
        ('{"domain": "a", "kind": "huge"}', "is not one of"),
        ('{"domain": "a", "where": "b"}', "'where' was unexpected"),
        ('{"domain": NaN}', "not JSON"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(text: str, problem: str) -> None:
    with pytest.raises(ToolError, match=problem):
        Tool.of(look_up).arguments(text)


def call(function: Callable[..., Any], timeout_s: float = 5, **arguments: Any) -> str:
    return asyncio.run(Tool.of(function).call(arguments, timeout_s))


def test_async_and_blocking_functions_are_called_alike() -> None:
    def shout(word: str) -> str:
        """Shout."""
        return word.upper()

    assert call(shout, word="hi") == "HI"
    assert call(look_up, domain="ä.com") == '{"domain": "ä.com", "kind": "big", "limits": null}'


def test_what_goes_wrong_in_a_function_is_told() -> None:
    async def fail(word: str) -> str:
        """Fail."""
        raise KeyError(word)

    with pytest.raises(ToolError, match="fail failed: KeyError: 'x'"):
        call(fail, word="x")


def test_a_tool_that_hangs_is_given_up() -> None:
    async def hang(seconds: float) -> str:
        """Hang."""
        await asyncio.sleep(seconds)
        return ""

    def block(seconds: float) -> str:
        """Block."""
        time.sleep(seconds)
        return ""

    with pytest.raises(ToolError, match="hang did not answer within 0.05 s"):
        call(hang, 0.05, seconds=30)
    with pytest.raises(ToolError, match="block did not answer within 0.05 s"):
        call(block, 0.05, seconds=0.3)


def an_agent(*tools: str) -> AgentDefinition:
    reply = {"type": "object", "properties": {"text": {"type": "string"}}}
    return AgentDefinition("tester", Persona("a", "b"), "Go", reply, tools=tools)


def test_the_allow_list_is_resolved_by_name() -> None:
    module = types.SimpleNamespace(look_up=look_up, alias=look_up)
    tools = resolve_tools(an_agent("own.look_up", "own.alias"), lambda name: module)
    assert set(tools) == {"look_up", "alias"}
    assert tools["alias"].name == "alias"


def test_all_that_does_not_resolve_is_told() -> None:
    with pytest.raises(DefinitionError) as error:
        resolve_tools(an_agent("nowhere.at.all", "json.dump_s", "json.decoder"))
    first, second, third = error.value.problems
    assert first.startswith("agent tester: tool nowhere.at.all: module nowhere.at cannot be impor")
    assert "module json has no function 'dump_s'; it has: " in second
    assert "dumps" in second
    assert "has no function 'decoder'" in third
