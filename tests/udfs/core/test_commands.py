"""What workers and objectives bring: whatever it is, what comes of it can be written."""

import json
from typing import Any

import pytest

from tests.udfs.core.orchestration_world import World, objective, result, run, steps

Json = dict[str, Any]


@pytest.mark.parametrize(
    "told",
    [
        {"attempt": 10**30},
        {"attempt": -1},
        {"attempt": "2"},
        {"result": '{"half": "\\ud800"}'},
        {"result": "[" * 5_000 + "]" * 5_000},
        {"missing": [{"step": 10**20, "reason": ["x"] * 10_000}, 7, {}] * 2_000},
        {"result": float("inf")},
    ],
)
def test_whatever_a_worker_says_can_be_written(told: Json) -> None:
    world = World()
    command = world.hear(objective(commands=steps("a"), attempt=told.get("attempt", 1)))[0]
    world.hear(result(command, **told))
    (answer,) = world.answers
    text = json.dumps(answer, ensure_ascii=False).encode()
    assert len(text) < 1_000_000
    assert 0 < answer["attempt"] < 2**31
    assert all(type(part) is str for m in answer["missing"] for part in m.values())


def test_an_input_too_large_to_be_copied_to_every_worker_is_refused() -> None:
    world = World()
    world.hear(objective(commands=["a"] * 3, input={"text": "x" * 300_000}))
    assert world.rows("command") == []
    assert world.answers[0]["reason"].startswith("oversize")


@pytest.mark.parametrize(
    ("told", "found"),
    [("1600", 1600), ("true", True), ('"a"', "a"), ("a", "a"), ("", ""), (None, None), (7, 7)],
)
def test_a_result_is_the_json_that_its_text_says(told: Any, found: Any) -> None:
    world = World()
    run(world, [objective(commands=["a"])], lambda row: result(row, result=told))
    assert json.loads(world.answers[0]["result"]) == {"a": found}
