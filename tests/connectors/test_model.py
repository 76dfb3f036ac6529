"""The real OpenAI client against the offline model's server, well and misbehaving."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from connectors.model import ModelFailure, OpenAIModel
from connectors.model_errors import redacted, retry_after_s
from connectors.model_wire import Dialect, answer_of, request_body
from deploy.offline_model import OfflineModel

KEY = "sk-very-secret-key-0123456789"
CALL: dict[str, Any] = {
    "messages": [{"role": "user", "content": "Score the lead Ann of Acme, who asked for a demo."}],
    "reply_name": "scorer",
    "reply_schema": {
        "type": "object",
        "additionalProperties": False,
        "required": ["score"],
        "properties": {"score": {"type": "integer", "minimum": 0, "maximum": 100}},
    },
    "tools": [],
    "tool_choice": "auto",
    "model": None,
    "temperature": 0,
    "max_tokens": 200,
}


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> Iterator[OfflineModel]:
    monkeypatch.setattr("connectors.model._Gate._by_endpoint", {})  # ports come again
    with OfflineModel() as model:
        yield model


def using(url: str | None, work: Callable[[OpenAIModel], Awaitable[Any]], **options: Any) -> Any:
    async def used() -> Any:
        model = OpenAIModel(url, KEY, "gpt-4o-mini", **options)
        model.open()
        try:
            return await work(model)
        finally:
            await model.aclose()

    return asyncio.run(used())


def complete(offline: OfflineModel, deadline_s: float = 10, **options: Any) -> Any:
    return using(offline.url, lambda model: model.complete(CALL, deadline_s), **options)


def failure(offline: OfflineModel, deadline_s: float = 2, **options: Any) -> ModelFailure:
    with pytest.raises(ModelFailure) as error:
        complete(offline, deadline_s, **options)
    assert KEY not in str(error.value)
    return error.value


def test_an_answer_comes_as_plain_json(offline: OfflineModel) -> None:
    answer = complete(offline)
    assert answer["content"].startswith('{"score":')
    assert (answer["finish_reason"], answer["model"]) == ("stop", "gpt-4o-mini")
    assert answer["input_tokens"] > 0 < answer["output_tokens"]
    assert (answer["tool_calls"], answer["refusal"]) == ([], None)


def test_tool_calls_come_as_name_and_text(offline: OfflineModel) -> None:
    offline.misbehave([{"kind": "unknown_tool", "text": "send_money"}])
    assert complete(offline)["tool_calls"] == [{"name": "send_money", "arguments": "{}"}]


@pytest.mark.parametrize("kind", ["server_error", "reset", "html", "broken_body"])
def test_what_passes_is_tried_again(offline: OfflineModel, kind: str) -> None:
    offline.misbehave([{"kind": kind, "count": 2}])
    assert complete(offline)["content"]
    assert len(offline.requests) == 3


@pytest.mark.parametrize(
    ("fault", "reason", "told"),
    [
        ({"kind": "hang"}, "model_timeout", "gave no answer within 2 s"),
        ({"kind": "hang_after_headers"}, "model_timeout", "gave no answer within 2 s"),
        ({"kind": "slow", "delay_s": 9}, "model_timeout", "gave no answer within 2 s"),
        ({"kind": "server_error", "status": 503}, "model_unavailable", "HTTP 503"),
        ({"kind": "html"}, "model_unavailable", "answered text/html that is not JSON"),
        ({"kind": "broken_body"}, "model_unavailable", "application/json that is not JSON"),
        ({"kind": "reset"}, "model_unavailable", "the connection failed"),
        ({"kind": "rate_limited"}, "rate_limited", "HTTP 429: Rate limit reached."),
        ({"kind": "unknown_model"}, "model_unavailable", "HTTP 404: The model `gpt-4o-mini`"),
        (
            {"kind": "server_error", "status": 401, "text": f"Bad key {KEY}"},
            "model_unavailable",
            "",
        ),
        ({"kind": "server_error", "status": 307}, "model_unavailable", "it redirects"),
    ],
)
def test_what_does_not_pass_has_its_reason(
    offline: OfflineModel, fault: dict[str, Any], reason: str, told: str
) -> None:
    offline.misbehave([fault])
    found = failure(offline)
    assert found.reason == reason
    assert told in str(found)


def test_what_is_refused_is_not_tried_again(offline: OfflineModel) -> None:
    offline.misbehave(["unknown_model"])
    failure(offline)
    assert len(offline.requests) == 1


def test_nobody_answers(offline: OfflineModel) -> None:
    with pytest.raises(ModelFailure, match="the connection failed") as error:
        using("http://user:hunter2@127.0.0.1:9/v1", lambda model: model.complete(CALL, 1))
    assert error.value.reason == "model_unavailable"
    assert "hunter2" not in str(error.value)


def test_an_endless_answer_is_cut(offline: OfflineModel) -> None:
    found = failure(offline, response_bytes_max=100)
    assert found.reason == "oversize"
    assert "larger than 100 bytes" in str(found)


# Retry-After


FAR = "Fri, 31 Dec 9999 23:59:59 GMT"


def seconds_between_tries(offline: OfflineModel) -> float:
    first, second = offline.requests
    return float(second["at"] - first["finished_at"])


@pytest.mark.parametrize("wish", [1, "1.0", "date"])
def test_retry_after_is_obeyed(offline: OfflineModel, wish: Any) -> None:
    offline.misbehave([{"kind": "rate_limited", "retry_after": wish, "count": 1}])
    asked_at = time.time()
    assert complete(offline)["content"]
    if wish == "date":  # two seconds from the answer, cut to whole seconds
        assert offline.requests[1]["at"] >= int(asked_at) + 2
    else:
        assert seconds_between_tries(offline) >= 1


@pytest.mark.parametrize("wish", ["garbage", "", "nan", "-5", 0, None, "1e9", FAR])
def test_a_retry_after_that_says_nothing_means_back_off(offline: OfflineModel, wish: Any) -> None:
    offline.misbehave([{"kind": "rate_limited", "retry_after": wish, "count": 2}])
    assert complete(offline)["content"]
    assert len(offline.requests) == 3


@pytest.mark.parametrize("wish", [90, "7200"])
def test_a_retry_after_beyond_all_patience_ends_the_call_at_once(
    offline: OfflineModel, wish: Any
) -> None:
    offline.misbehave([{"kind": "rate_limited", "retry_after": wish, "count": 1}])
    assert failure(offline, deadline_s=20).reason == "rate_limited"
    assert len(offline.requests) == 1


def test_the_wait_that_a_server_asked_for_counts_against_no_deadline(offline: OfflineModel) -> None:
    offline.misbehave([{"kind": "rate_limited", "retry_after": 4, "count": 1}])
    answer = complete(offline, deadline_s=3)
    assert answer["content"] and answer["waited_ms"] >= 4000
    assert seconds_between_tries(offline) >= 4


def test_patience_with_a_server_that_is_always_busy_ends(
    offline: OfflineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.model.PATIENCE_S", 2.5)
    offline.misbehave([{"kind": "rate_limited", "retry_after": 1}])
    assert failure(offline, deadline_s=20).reason == "rate_limited"
    assert len(offline.requests) == 3


def test_other_calls_to_the_endpoint_wait_too(offline: OfflineModel) -> None:
    offline.misbehave([{"kind": "rate_limited", "retry_after": 3, "count": 1}])

    async def crowd(model: OpenAIModel) -> None:
        first = asyncio.create_task(model.complete(CALL, 10))
        while model._gate.opens_at < time.monotonic():  # until it has heard that it shall wait
            await asyncio.sleep(0.005)
        other = OpenAIModel(offline.url, KEY, "gpt-4o-mini")
        try:
            await asyncio.gather(first, *(other.complete(CALL, 2.9) for _ in range(11)))
        finally:
            await other.aclose()

    using(offline.url, crowd)
    limited, *rest = offline.requests
    assert len(rest) == 12
    assert all(one["at"] >= limited["finished_at"] + 3 for one in rest)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after-ms": "1500", "retry-after": "3"}, 1.5),
        ({"retry-after": "86400"}, 86_400.0),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": FAR}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "-1"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 32 Foo 2026 99:00:00"}, None),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers) == expected


# Dialects


def test_a_server_without_json_schema_gets_a_weaker_form_once_learned(
    offline: OfflineModel,
) -> None:
    refusal = {"kind": "server_error", "status": 400, "count": 2}
    told = "This response_format type is unavailable now"
    offline.misbehave([{**refusal, "text": told}])

    async def twice(model: OpenAIModel) -> list[Any]:
        return [await model.complete(CALL, 10), await model.complete(CALL, 10)]

    first, second = using(offline.url, twice)
    assert first == second
    assert len(offline.requests) == 4  # json_schema, json_object, none; then none at once


def test_a_hundred_refusals_at_once_are_one_step_of_the_ladder(offline: OfflineModel) -> None:
    refusal = {"kind": "server_error", "status": 400, "count": 20, "text": "no json_schema here"}
    offline.misbehave([refusal])
    calls = 20

    async def crowd(model: OpenAIModel) -> OpenAIModel:
        await asyncio.gather(*(model.complete(CALL, 10) for _ in range(calls)))
        return model

    model = using(offline.url, crowd)
    assert model._dialects["gpt-4o-mini"].reply_form == "json_object"
    assert len(offline.requests) == 2 * calls


def test_other_refusals_are_learned_from_too() -> None:
    plain = Dialect()
    length = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    assert plain.other(400, length) == Dialect(length_name="max_completion_tokens")
    fixed = "Unsupported value: 'temperature' does not support 0 with this model."
    assert plain.other(400, fixed) == Dialect(temperature=False)
    assert plain.other(400, "Your prompt is too long") is None
    assert plain.other(500, "response_format") is None
    assert Dialect(reply_form="none").other(400, "response_format") is None


def test_a_request_is_written_in_the_dialect() -> None:
    strict = request_body(CALL, "m", Dialect())
    assert strict["response_format"]["json_schema"]["strict"] is True
    assert (strict["max_tokens"], strict["temperature"]) == (200, 0)
    assert "tools" not in strict
    weak = request_body(CALL, "m", Dialect("json_object", "max_completion_tokens", False))
    assert weak["response_format"] == {"type": "json_object"}
    assert weak["max_completion_tokens"] == 200
    assert "max_tokens" not in weak
    assert "temperature" not in weak
    assert '"score"' in weak["messages"][0]["content"]
    assert "response_format" not in request_body(CALL, "m", Dialect("none"))
    tools = request_body({**CALL, "tools": [{}], "tool_choice": "none"}, "m", Dialect())
    assert (tools["tools"], tools["tool_choice"]) == ([{}], "none")


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {"choices": []},
        {"choices": [{"message": None}]},
        {"choices": [{"message": {"content": 7}}]},
        {"choices": [{"message": {"tool_calls": [{"function": {}}]}}]},
        {"error": {"message": "upstream gone"}},
    ],
)
def test_json_that_is_no_answer_may_pass(body: Any) -> None:
    with pytest.raises(Exception, match="answered JSON that is no answer"):
        answer_of(body)


def test_answers_of_other_servers_are_understood() -> None:
    message = {
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "tool_calls": [{"function": {"name": "f", "arguments": {"x": 1}}}],
    }
    answer = answer_of({"choices": [{"message": message}]})
    assert answer["content"] == "ab"
    assert answer["tool_calls"] == [{"name": "f", "arguments": '{"x": 1}'}]
    assert answer["input_tokens"] is None


# Connections


def test_connections_are_kept_and_cancelled_calls_do_not_spoil_them(
    offline: OfflineModel,
) -> None:
    offline.misbehave([{"kind": "hang", "count": 5}])

    async def cancelled(model: OpenAIModel) -> None:
        hanging = [asyncio.create_task(model.complete(CALL, 30)) for _ in range(5)]
        while len(offline.requests) < 5:
            await asyncio.sleep(0.01)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert all(task.cancelled() for task in hanging)
        answers = await asyncio.gather(*(model.complete(CALL, 10) for _ in range(20)))
        assert len(answers) == 20

    using(offline.url, cancelled)


def test_one_model_serves_several_event_loops(offline: OfflineModel) -> None:
    model = OpenAIModel(offline.url, KEY, "gpt-4o-mini")

    async def once() -> Any:
        try:
            return await model.complete(CALL, 10)
        finally:
            await model.aclose()

    assert asyncio.run(once()) == asyncio.run(once())


def test_secrets_are_taken_out_of_messages() -> None:
    text = f"key {KEY}, sk-abc***xyz, Bearer tok.en, http://me:pass@host/"
    told = redacted(text, KEY)
    for secret in (KEY, "sk-abc", "tok.en", "me:pass"):
        assert secret not in told
