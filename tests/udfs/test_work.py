"""Calls of `work` and `orchestrate` as a script makes them, and what workers make of commands."""

import asyncio
import json
import pickle
from typing import Any

import pytest

from udfs import work
from udfs.core.definition import AgentDefinition
from udfs.core.slot import Entry
from udfs.core.types import parse_type
from udfs.keyed_function import BadCall, KeyedFunction, StateFunction
from udfs.orchestrate import Orchestrate

COLUMNS = [
    ("command_id", parse_type("STRING")),
    ("input", parse_type("STRING")),
    ("headers", parse_type("MAP<STRING, BYTES>")),
]
HERE = "tests.udfs.test_work"


class NoTeam:
    name = "none"

    def agent(self, name: str) -> AgentDefinition:
        raise AssertionError(name)


def half(n: int) -> int:
    """Halve a number."""
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n // 2


async def wait(seconds: float) -> str:
    """Wait a while."""
    await asyncio.sleep(seconds)
    return "waited"


def secret(n: int) -> None:
    pass


def planned(**arguments: Any) -> KeyedFunction | StateFunction:
    return work.plan(arguments, COLUMNS, NoTeam())


def called(function: KeyedFunction, text: str) -> dict[str, Any]:
    async def call() -> dict[str, Any]:
        await function.open()
        result = await function.run(Entry(0, "k", {"input": text}, {}, 0), [])
        assert result.values is not None
        return result.values

    return asyncio.run(call())


def inline(text: str | None) -> tuple[dict[str, Any], dict[str, bytes]]:
    function = pickle.loads(pickle.dumps(planned(function=f"{HERE}.half", inline=True)))
    state = function.new_state("k", {})
    headers = {"ce_id": b"1", "hops": b"2"}
    (emitted,) = state.take({"command_id": "o/a", "input": text}, headers, 0)
    assert state.gone and not state.changed_pieces()
    return emitted.values, emitted.headers


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        ('{"n": 4}', "done", "2"),
        ('{"n": 3}', "failed", "3 is odd"),
        ('{"n": "4"}', "failed", "wrong arguments"),
        ('{"n": 4, "m": 1}', "failed", "wrong arguments"),
        ("{}", "failed", "wrong arguments"),
        ("no JSON", "failed", "not JSON"),
        ("", "failed", "wrong arguments"),
        ('{"n": NaN}', "failed", "not JSON"),
        ("[" * 10_000, "failed", "not JSON"),
    ],
)
def test_a_function_answers_a_command_whatever_it_is_given(
    text: str, status: str, told: str
) -> None:
    function = planned(function=f"{HERE}.half")
    assert isinstance(function, KeyedFunction)
    for values in (called(function, text), inline(text)[0]):
        assert values["status"] == status
        assert values["result"] == (told if status == "done" else None)
        assert status == "done" or told in values["reason"]


def test_an_inline_worker_hands_on_the_columns_and_headers_of_its_command() -> None:
    values, headers = inline('{"n": 4}')
    assert values["command_id"] == "o/a"
    assert headers["hops"] == b"2"


def test_a_function_that_waits_is_not_called_inline() -> None:
    with pytest.raises(BadCall, match="waits for something"):
        planned(function=f"{HERE}.wait", inline=True)


def test_a_function_that_takes_too_long_has_failed() -> None:
    function = planned(function=f"{HERE}.wait", timeout_s=0.05)
    assert isinstance(function, KeyedFunction)
    assert "within 0.05 s" in called(function, '{"seconds": 5}')["reason"]
    assert called(function, '{"seconds": 0}') == {
        "status": "done",
        "result": json.dumps("waited"),
        "reason": None,
    }


def test_what_kills_a_worker_is_a_result_too() -> None:
    function = planned(function=f"{HERE}.half")
    assert isinstance(function, KeyedFunction)
    assert function.instead("process_killed", "in each of 3 tries") == {
        "status": "failed",
        "result": None,
        "reason": "process_killed: in each of 3 tries",
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "no worker, or two"),
        ({"agent": "a", "function": "b.c"}, "no worker, or two"),
        ({"function": 7}, "is 7"),
        ({"function": f"{HERE}.nothing"}, "no function 'nothing'"),
        ({"function": f"{HERE}.secret"}, "no docstring"),
        ({"function": "no.such.module"}, "cannot be imported"),
        ({"function": f"{HERE}.half", "timeout_s": 0}, "timeout_s is 0"),
        ({"function": f"{HERE}.half", "speed": 1}, "no option speed"),
        ({"agent": "a", "inline": True}, "inline is for functions"),
    ],
)
def test_a_call_that_is_none_says_what_is_wrong(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(BadCall, match=words):
        planned(**arguments)


def test_a_function_needs_an_input() -> None:
    with pytest.raises(BadCall, match="input"):
        work.plan({"function": f"{HERE}.half"}, COLUMNS[:1], NoTeam())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"plan": 1}, "plan is 1"),
        ({"plan": ""}, "plan is ''"),
        ({"attempts": 0}, "attempts is 0"),
        ({"fan_out": 10**9}, "fan_out is"),
        ({"hops": True}, "hops is True"),
        ({"timeout_s": "soon"}, "timeout_s is 'soon'"),
        ({"workers": 3}, "no option workers"),
        ({"kinds": 3}, "kinds is 3"),
    ],
)
def test_an_orchestrators_options_are_checked(arguments: dict[str, Any], words: str) -> None:
    columns = [(name, parse_type("STRING")) for name in ("kind", "event")]
    with pytest.raises(BadCall, match=words):
        Orchestrate.plan(arguments, columns, NoTeam())


def test_an_orchestrator_needs_kind_and_event() -> None:
    with pytest.raises(BadCall, match="has kind nowhere"):
        Orchestrate.plan({}, COLUMNS, NoTeam())


def test_an_orchestrators_limits_are_those_of_the_call() -> None:
    columns = [(name, parse_type("STRING")) for name in ("kind", "event")]
    made = Orchestrate.plan(
        {"plan": "p", "attempts": 5, "slots": 4, "kinds": "a, b"}, columns, NoTeam()
    )
    assert made.limits.kinds == ("a", "b")
    assert (made.limits.plan, made.limits.attempts, made.limits.fan_out) == ("p", 5, 1_000)


def test_a_cancellation_is_no_work_and_names_what_it_takes_back() -> None:
    row = {"kind": "cancelled", "command_id": "o/a", "input": '{"n": 4}'}
    function = planned(function=f"{HERE}.half")
    assert isinstance(function, KeyedFunction)
    assert function.withdraws(row) == {"command_id": "o/a"}
    assert function.withdraws({**row, "kind": "command"}) is None
    at_once = planned(function=f"{HERE}.half", inline=True)
    assert isinstance(at_once, StateFunction)
    assert at_once.new_state("k", {}).take(row, {}, 0) == []
