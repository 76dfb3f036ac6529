"""An agent that remembers: what one run wrote back stands in the prompt of a later one like it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.mongodb import close_shared
from deploy.offline_model import OfflineModel
from udfs.agent import RunAgent
from udfs.core.definition import load_definition
from udfs.core.slot import Entry
from udfs.keyed_function import Result

AGENT = """\
agent: support
persona: {role: Support engineer, goal: Help.}
instructions: |
  Answer this request. {{ {"request": request} | data }}
reply:
  type: object
  additionalProperties: false
  required: [answer]
  properties:
    answer: {type: string, minLength: 1, description: What the request is about.}
memory:
  long_term: {recall: 2}
"""
KETTLE = "My kettle is broken, and I want the money back for it."
TRAIN = "Is there a window seat left on the night train?"
AGAIN = "The kettle that I bought is broken, may I have my money back?"


@pytest.fixture
def database(database: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("TIDEMILL_TRACE_CONTENT", "true")
    with OfflineModel() as model:
        monkeypatch.setenv("OPENAI_BASE_URL", model.url)
        yield database


def ran(*events: tuple[str, str, str]) -> list[Result]:
    """Runs of (id, key, request), one after the other."""

    async def main() -> list[Result]:
        function = RunAgent(load_definition(AGENT, "support.yaml"))
        function.job = function.step = "test"
        await function.open()
        try:
            return [
                await function.run(
                    Entry(n, key, {"request": request}, {"ce_id": name.encode()}, 0), []
                )
                for n, (name, key, request) in enumerate(events)
            ]
        finally:
            await function.close()
            await close_shared()

    return asyncio.run(main())


def prompt(result: Result) -> str:
    return json.dumps([span.attributes.get("gen_ai.input.messages") for span in result.spans])


def test_a_later_run_of_the_key_remembers_what_is_like_it(database: Any) -> None:
    first, _, other, again = ran(
        ("1", "ann", KETTLE), ("2", "ann", TRAIN), ("3", "bob", AGAIN), ("4", "ann", AGAIN)
    )
    assert first.values and "What you remember" not in prompt(first)
    assert "What you remember" not in prompt(other)
    assert KETTLE in prompt(again) and TRAIN not in prompt(again)
    assert database["memories"].count_documents({}) == 4


def test_a_run_that_is_made_again_has_the_same_prompt_and_leaves_one_memory(database: Any) -> None:
    first, again = ran(("1", "ann", KETTLE), ("1", "ann", KETTLE))
    assert prompt(first) == prompt(again) and again.counts["journal_hits"] == 1
    assert database["memories"].count_documents({}) == 1
