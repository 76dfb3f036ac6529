"""Runs again, their spans, their memory, and many at once."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.udfs.core.agent_world import (
    GOOD,
    MemoryJournal,
    ModelTrouble,
    ScriptedModel,
    agent,
    asked_for,
    look_up,
    outcome,
    reason,
    request,
    said,
)
from udfs.core.agent_loop import call_id, complete_rows
from udfs.core.definition import Limits, ShortTermMemory
from udfs.core.events import child_headers, trace_context


def test_a_replay_calls_nothing_and_is_the_same_run() -> None:
    made: list[str] = []

    async def note(name: str) -> str:
        """Note."""
        made.append(name)
        return f"noted {len(made)}"

    journal = MemoryJournal()
    script = [asked_for(("note", {"name": "a"})), said({"score": 150}), said({"score": 7})]
    first = outcome(agent(note), ScriptedModel(*script), journal)
    silent = ScriptedModel(RuntimeError("not to be called"))
    second = outcome(agent(note), silent, journal)
    assert silent.calls == []
    assert made == ["a"]
    assert first.reply == second.reply == GOOD
    assert [s.span_id for s in first.spans] == [s.span_id for s in second.spans]
    assert [s.attributes.get("journal") for s in first.spans[1:]] == ["miss"] * 4
    assert [s.attributes.get("journal") for s in second.spans[1:]] == ["hit"] * 4
    assert [s.started_at for s in first.spans[1:]] == [s.started_at for s in second.spans[1:]]


def test_a_crash_after_the_second_call_pays_only_the_third() -> None:
    journal = MemoryJournal()
    broken = ScriptedModel(said("no"), said("no"), ModelTrouble("model_timeout"))
    assert reason(outcome(agent(), broken, journal)) == "model_timeout"
    model = ScriptedModel(said({"score": 7}))
    assert outcome(agent(), model, journal).reply == GOOD
    assert len(model.calls) == 1


def test_a_replay_with_other_arguments_keeps_the_first_answer_and_says_so() -> None:
    journal = MemoryJournal()
    outcome(agent(), ScriptedModel(said({"score": 7})), journal)
    memory = [{"at_ms": 1, "input": {}, "reply": {}}]
    model = ScriptedModel(said({"score": 8}))
    found = outcome(agent(), model, journal, memory=memory)
    assert found.reply == GOOD
    assert model.calls == []
    assert found.spans[1].attributes["journal"] == "differs"


def test_the_answer_that_stands_is_the_one_that_is_used() -> None:
    class RacedJournal(MemoryJournal):
        async def put(self, document: Any) -> Any:
            other = {**document, "answer": said({"score": 8})}
            return await super().put(other)

    found = outcome(agent(), ScriptedModel(said({"score": 7})), RacedJournal())
    assert found.reply == {"score": 8, "mail": None}


@pytest.mark.parametrize(
    "changes",
    [{"attempt": 2}, {"event_id": "e-2"}, {"row": {"name": "Bob", "email": "ann@acme.com"}}],
)
def test_another_attempt_event_or_row_is_another_call(changes: dict[str, Any]) -> None:
    journal = MemoryJournal()
    outcome(agent(), ScriptedModel(said({"score": 7})), journal)
    model = ScriptedModel(said({"score": 8}))
    assert outcome(agent(), model, journal, **changes).reply == {"score": 8, "mail": None}


def test_call_ids_of_different_parts_differ() -> None:
    ids = {
        call_id(*parts)
        for parts in [
            ("e", "h", "a", "v", 1, 1),
            ("e", "h", "a", "v", 1, "1.0"),
            ("e", "h", "a", "v", 1, 11),
            ("e", "h", "a", "v", 11, 1),
            ("e", "h", "av", "", 1, 1),
            ("eh", "", "a", "v", 1, 1),
        ]
    }
    assert len(ids) == 6


def test_an_entry_too_large_for_the_journal_is_oversize() -> None:
    class SmallJournal(MemoryJournal):
        async def put(self, document: Any) -> Any:
            raise ModelTrouble("oversize")

    assert reason(outcome(agent(), ScriptedModel(said("x")), SmallJournal())) == "oversize"


# Spans and memory


def test_spans_form_one_tree_that_the_next_event_continues() -> None:
    model = ScriptedModel(asked_for(("look_up", {"name": "b"})), said({"score": 7}))
    found = outcome(agent(look_up), model)
    one, *rest = found.spans
    assert (one.kind, one.parent_span_id) == ("run", "b7ad6b7169203331")
    assert [s.kind for s in rest] == ["model_call", "tool_call", "model_call"]
    assert {s.parent_span_id for s in rest} == {one.span_id}
    assert len({s.span_id for s in found.spans}) == 4
    assert {(s.job, s.agent, s.event_id, s.event_key) for s in found.spans} == {
        ("sdr.scoring", "scorer", "e-1", "l-1")
    }
    headers = child_headers({"ce_id": b"e-1"}, "sdr.scoring")
    assert trace_context(headers)[1] == one.span_id
    assert one.attributes["gen_ai.usage.input_tokens"] == "20"
    assert rest[0].attributes["gen_ai.request.model"] == "gpt-test"
    assert rest[1].attributes["tool.name"] == "look_up"
    for span in found.spans:
        row = json.loads(span.to_json())
        assert all(isinstance(value, str) for value in row["attributes"].values())


@pytest.mark.parametrize("trace_content", [True, False])
def test_prompts_and_answers_are_in_spans_only_where_wanted(trace_content: bool) -> None:
    model = ScriptedModel(asked_for(("look_up", {"name": "secret"})), said({"score": 7}))
    found = outcome(agent(look_up), model, trace_content=trace_content)
    text = "".join(span.to_json() for span in found.spans)
    assert ("Score Ann" in text) is trace_content
    assert ("secret" in text) is trace_content


def test_what_is_remembered_does_not_change_on_a_replay() -> None:
    journal = MemoryJournal()
    kept = agent(memory=ShortTermMemory(5, 60))
    first = outcome(kept, ScriptedModel(said({"score": 7})), journal, now_s=lambda: 1_000.0)
    again = outcome(kept, ScriptedModel(said({"score": 8})), journal, now_s=lambda: 9_000.0)
    assert first.remember == again.remember
    assert first.remember and first.remember["reply"] == GOOD
    assert 1_000_000 <= first.remember["at_ms"] < 1_100_000


# Many rows


def rows(count: int) -> list[Any]:
    return [request(f"e-{n}", row={"name": f"n{n}", "email": ""}) for n in range(count)]


def complete(limits: Limits, answer: Callable[[Any], Awaitable[Any]], wanted: list[Any]) -> Any:
    class Model:
        async def complete(self, call: Any, deadline_s: float) -> Any:
            return await answer(call)

    definition, _ = agent(limits=limits)
    return asyncio.run(complete_rows(definition, wanted, Model(), MemoryJournal()))


def test_rows_run_together_up_to_the_concurrency_limit_and_keep_their_order() -> None:
    running = most = 0

    async def answer(call: Any) -> Any:
        nonlocal running, most
        running += 1
        most = max(most, running)
        name = call["messages"][-1]["content"].removeprefix("Score n")
        await asyncio.sleep(0.01 if int(name) % 2 else 0)
        running -= 1
        if int(name) == 5:
            raise ModelTrouble("rate_limited")
        return said({"score": int(name)})

    found = complete(Limits(concurrency=8), answer, rows(30))
    scores = [o.reply["score"] if o.reply else o.failure.reason for o in found]
    assert scores == [n if n != 5 else "rate_limited" for n in range(30)]
    assert most == 8


def test_a_defect_at_one_row_is_that_rows_failure_and_no_other_rows() -> None:
    """A header with an attempt of 200 digits, which BSON cannot hold, stopped the job for ever."""

    class Journal(MemoryJournal):
        async def put(self, document: Any) -> Any:
            if document["event_id"] == "e-1":
                raise OverflowError("MongoDB can only handle up to 8-byte ints")
            return await super().put(document)

    class Model:
        async def complete(self, call: Any, deadline_s: float) -> Any:
            return said({"score": 7})

    definition, _ = agent()
    found = asyncio.run(complete_rows(definition, rows(3), Model(), Journal()))
    assert [o.failure.reason if o.failure else o.reply["score"] for o in found] == [
        7,
        "internal_error",
        7,
    ]


def test_the_same_row_twice_in_a_batch_is_one_call() -> None:
    calls = 0

    async def answer(call: Any) -> Any:
        nonlocal calls
        calls += 1
        await asyncio.sleep(0.01)
        return said({"score": 7})

    found = complete(Limits(), answer, [*rows(2), *rows(2)])
    assert len(found) == 4
    assert calls == 2
