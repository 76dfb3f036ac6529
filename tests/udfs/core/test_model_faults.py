"""Every way in which a model lets one down, through the real client, to its reason code.

The numbers are those of the torture run's cases.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from connectors.model import OpenAIModel
from deploy.offline_model import OfflineModel
from tests.udfs.core.agent_world import MemoryJournal, agent, request
from udfs.core.agent_loop import RunOutcome, run
from udfs.core.definition import Limits, ModelOptions

SCORE = {
    "type": "object",
    "required": ["lead_id", "score", "note"],
    "properties": {
        "lead_id": {"type": "string", "description": "The lead's id", "x-echo": "lead_id"},
        "score": {"type": "integer", "minimum": 0, "maximum": 100},
        "note": {"type": "string", "description": "A note", "x-grounded": True},
    },
}
ROW = {"lead_id": "lead-17", "name": "Ann Ray", "note": "Ann asked for a demo of the product."}
SAID = '{"lead_id": "lead-17", "score": 70, "note": "Asked for a demo."}'


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[OfflineModel]:
    monkeypatch.setattr("connectors.model._Gate._by_endpoint", {})  # ports come again
    with OfflineModel() as model:
        yield model


async def look_up(name: str) -> str:
    """Look a person up."""
    return f"{name} is a director."


def outcome(
    offline: OfflineModel, faults: list[Any], limits: Limits | None = None, *tools: Any, **more: Any
) -> RunOutcome:
    definition, allowed = agent(
        *tools,
        instructions="Score this lead.\nlead_id: {{ lead_id }}\nname: {{ name }}\nnote: {{ note }}",
        reply=SCORE,
        limits=limits or Limits(call_seconds=3),
        model=ModelOptions(max_tokens=300),
    )
    offline.misbehave(faults)
    journal = more.pop("journal", MemoryJournal())

    async def once() -> RunOutcome:
        model = OpenAIModel(offline.url, "sk-secret-of-the-test", "gpt-4o-mini")
        model.open()
        try:
            return await run(definition, request(row=ROW), model, journal, allowed)
        finally:
            await model.aclose()

    found = asyncio.run(once())
    assert "sk-secret" not in repr(found)
    return found


def said(**changes: Any) -> dict[str, Any]:
    text = SAID
    for name, value in changes.items():
        before = {"lead_id": '"lead-17"', "score": "70", "note": '"Asked for a demo."'}[name]
        text = text.replace(before, value)
    return {"kind": "answer", "text": text}


TRIED_AGAIN = ("model_timeout", "rate_limited", "model_unavailable")  # until the time is over
DEAD: dict[str, tuple[list[Any], str, str]] = {
    "31 timeout": (["hang"], "model_timeout", "gave no answer within 2 s"),
    "32 hang after headers": (["hang_after_headers"], "model_timeout", "gave no answer"),
    "33 Retry-After 90": ([{"kind": "rate_limited", "retry_after": 90}], "rate_limited", "429"),
    "33 Retry-After 1e9": ([{"kind": "rate_limited", "retry_after": 1e9}], "rate_limited", "429"),
    "33 Retry-After garbage": (
        [{"kind": "rate_limited", "retry_after": "garbage"}],
        "rate_limited",
        "429",
    ),
    "34 503 that does not end": (
        [{"kind": "server_error", "status": 503}],
        "model_unavailable",
        "",
    ),
    "35 reset": (["reset"], "model_unavailable", "the connection failed"),
    "36 HTML": (["html"], "model_unavailable", "answered text/html that is not JSON"),
    "39 wrong schema": (["wrong_schema"], "invalid_reply", "$"),
    "39 broken JSON": (["broken_json"], "invalid_reply", "not JSON"),
    "40 truncated": (["truncated"], "truncated", "model.max_tokens is 300"),
    "41 empty": (["empty"], "empty_reply", "the answer is empty"),
    "42 refusal": (["refusal"], "refusal", "I'm sorry"),
    "43 another lead": ([said(lead_id='"lead-18"')], "invalid_reply", "must repeat `lead_id`"),
    "44 score 150": ([said(score="150")], "invalid_reply", "$.score: 150 is greater than"),
    "44 score -1": ([said(score="-1")], "invalid_reply", "$.score: -1 is less than"),
    "44 score high": ([said(score='"high"')], "invalid_reply", "$.score: 'high' is not of type"),
    "45 invented e-mail": (
        [said(note='"Mail x@y.com"')],
        "invalid_reply",
        "x@y.com stands neither",
    ),
    "45 invented URL": ([said(note='"http://y.com/a"')], "invalid_reply", "y.com/a stands neither"),
    "46 repetition": (["repetition"], "truncated", "the answer was cut off"),
    "48 unknown model": (["unknown_model"], "model_unavailable", "HTTP 404: The model"),
    "50 foreign tool": (["unknown_tool"], "tool_not_allowed", "'delete_everything'"),
}


@pytest.mark.parametrize("fault", DEAD)
def test_it_ends_with_its_reason(offline: OfflineModel, fault: str) -> None:
    faults, reason, told = DEAD[fault]
    found = outcome(offline, faults, Limits(call_seconds=2 if reason in TRIED_AGAIN else 20))
    assert found.reply is None
    assert found.failure is not None
    assert (found.failure.reason, told in found.failure.message) == (reason, True)
    assert found.spans[0].status == "error"


HARMLESS: dict[str, list[Any]] = {
    "no fault": [],
    "33 Retry-After 0": [{"kind": "rate_limited", "retry_after": 0, "count": 2}],
    "33 Retry-After 1": [{"kind": "rate_limited", "retry_after": 1, "count": 1}],
    "33 Retry-After date": [{"kind": "rate_limited", "retry_after": "date", "count": 1}],
    "33 Retry-After garbage": [{"kind": "rate_limited", "retry_after": "garbage", "count": 1}],
    "34 500, 502, 503": [
        {"kind": "server_error", "status": status, "count": 1} for status in (500, 502, 503)
    ],
    "35 reset": [{"kind": "reset", "count": 2}],
    "36 HTML": [{"kind": "html", "count": 1}],
    "37 prose": ["prose"],
    "38 fences": ["fences"],
    "39 wrong schema, then right": [{"kind": "wrong_schema", "count": 2}],
    "39 broken JSON, then right": [{"kind": "broken_json", "count": 2}],
    "41 empty, then right": [{"kind": "empty", "count": 1}],
    "45 invented e-mail, then right": [{**said(note='"Mail x@y.com"'), "count": 1}],
    "50 foreign tool, then none": [{"kind": "unknown_tool", "count": 1}],
}


@pytest.mark.parametrize("fault", HARMLESS)
def test_it_does_no_harm(offline: OfflineModel, fault: str) -> None:
    found = outcome(offline, HARMLESS[fault], Limits(call_seconds=20))
    assert found.failure is None
    assert found.reply is not None
    assert found.reply["lead_id"] == "lead-17"
    assert 0 <= found.reply["score"] <= 100


def test_49_another_answer_on_replay_is_not_used(offline: OfflineModel) -> None:
    journal = MemoryJournal()
    first = outcome(offline, ["nonce"], journal=journal)
    second = outcome(offline, [], journal=journal)
    assert first.reply is not None
    assert first.reply == second.reply
    assert len(offline.requests) == 1


def test_50_the_tool_of_another_agent_is_not_called(offline: OfflineModel) -> None:
    faults = [{"kind": "unknown_tool", "text": "send_email"}]
    found = outcome(offline, faults, Limits(call_seconds=20), look_up)
    assert found.failure is not None
    assert found.failure.reason == "tool_not_allowed"
    assert [s.reason for s in found.spans if s.kind == "tool_call"] == ["tool_not_allowed"]


def test_53_a_spent_budget_ends_the_run(offline: OfflineModel) -> None:
    found = outcome(offline, [said(score="150")], Limits(tokens=50))
    assert found.failure is not None
    assert found.failure.reason == "token_limit"
    assert len(offline.requests) == 1
