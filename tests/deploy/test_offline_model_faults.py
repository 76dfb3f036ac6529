"""Faults told to the offline model in; what the real OpenAI client sees of each out."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import openai
import pytest

from deploy.offline_model import OfflineModel
from deploy.offline_model.faults import KINDS, Faults, fault

SCHEMA = {
    "type": "object",
    "required": ["score", "reason"],
    "properties": {"score": {"type": "integer"}, "reason": {"type": "string"}},
}
FORMAT: Any = {"type": "json_schema", "json_schema": {"name": "r", "schema": SCHEMA}}
MESSAGES: Any = [{"role": "user", "content": "Ticket:\nThe site is down for all users."}]


@pytest.fixture(scope="module")
def running() -> Iterator[OfflineModel]:
    with OfflineModel() as model:
        yield model


@pytest.fixture
def model(running: OfflineModel) -> OfflineModel:
    running.reset()
    return running


def ask(model: OfflineModel, timeout_s: float = 10.0, **more: Any) -> Any:
    request = {"model": "m", "messages": MESSAGES, "response_format": FORMAT, **more}
    with openai.OpenAI(
        base_url=model.url, api_key="any", max_retries=0, timeout=timeout_s
    ) as client:
        return client.chat.completions.create(**request)


def content(made: Any) -> str:
    return str(made.choices[0].message.content)


@pytest.mark.parametrize("told", ["0", "30", 1e9, "garbage", None])
def test_rate_limited_with_any_retry_after(model: OfflineModel, told: Any) -> None:
    model.misbehave([{"kind": "rate_limited", "retry_after": told}])
    with pytest.raises(openai.RateLimitError) as raised:
        ask(model)
    header = raised.value.response.headers.get("retry-after")
    assert header == {"garbage": "soon, perhaps", 1e9: "1000000000.0"}.get(told, told)


def test_rate_limited_until_a_date(model: OfflineModel) -> None:
    model.misbehave([{"kind": "rate_limited", "retry_after": "date"}])
    with pytest.raises(openai.RateLimitError) as raised:
        ask(model)
    assert parsedate_to_datetime(raised.value.response.headers["retry-after"])


@pytest.mark.parametrize("status", [500, 502, 503])
def test_server_errors(model: OfflineModel, status: int) -> None:
    model.misbehave([{"kind": "server_error", "status": status, "text": "overloaded"}])
    with pytest.raises(openai.InternalServerError, match="overloaded") as raised:
        ask(model)
    assert raised.value.status_code == status


def test_unknown_model(model: OfflineModel) -> None:
    model.misbehave(["unknown_model"])
    with pytest.raises(openai.NotFoundError, match="`m` does not exist"):
        ask(model)


@pytest.mark.parametrize("kind", ["hang", "hang_after_headers"])
def test_hanging(model: OfflineModel, kind: str) -> None:
    model.misbehave([kind])
    with pytest.raises(openai.APITimeoutError):
        ask(model, timeout_s=0.5)


def test_reset_in_the_middle_of_the_body(model: OfflineModel) -> None:
    model.misbehave(["reset"])
    with pytest.raises(openai.APIConnectionError) as raised:
        ask(model)
    assert not isinstance(raised.value, openai.APITimeoutError)


def test_a_slow_answer_is_right_but_late(model: OfflineModel) -> None:
    model.misbehave([{"kind": "slow", "delay_s": 1.0}])
    with pytest.raises(openai.APITimeoutError):
        ask(model, timeout_s=0.3)
    assert set(json.loads(content(ask(model, timeout_s=20)))) == {"score", "reason"}


def test_html_instead_of_json(model: OfflineModel) -> None:
    model.misbehave(["html"])
    assert str(ask(model)).startswith("<!doctype html>")


def test_a_body_of_broken_json(model: OfflineModel) -> None:
    model.misbehave(["broken_body"])
    with pytest.raises((json.JSONDecodeError, openai.APIResponseValidationError)):
        ask(model)


def test_content_of_broken_json(model: OfflineModel) -> None:
    model.misbehave(["broken_json"])
    with pytest.raises(json.JSONDecodeError):
        json.loads(content(ask(model)))


def test_prose_around_the_json(model: OfflineModel) -> None:
    model.misbehave(["prose"])
    text = content(ask(model))
    assert text.startswith("Sure!")
    assert json.loads(text[text.index("{") : text.rindex("}") + 1])["reason"]


def test_fences_around_the_json(model: OfflineModel) -> None:
    model.misbehave(["fences"])
    text = content(ask(model))
    assert text.startswith("```json\n{")
    assert text.endswith("}\n```")


def test_json_of_another_shape(model: OfflineModel) -> None:
    model.misbehave(["wrong_schema"])
    assert "score" not in json.loads(content(ask(model)))


def test_an_answer_word_for_word(model: OfflineModel) -> None:
    model.misbehave([{"kind": "answer", "text": '{"score": 150}'}])
    assert content(ask(model)) == '{"score": 150}'


def test_refusal(model: OfflineModel) -> None:
    model.misbehave(["refusal"])
    message = ask(model).choices[0].message
    assert message.content is None
    assert message.refusal


def test_truncation(model: OfflineModel) -> None:
    whole = content(ask(model))
    model.misbehave(["truncated"])
    made = ask(model)
    assert made.choices[0].finish_reason == "length"
    assert whole.startswith(content(made))
    assert len(content(made)) < len(whole)


def test_empty_content(model: OfflineModel) -> None:
    model.misbehave(["empty"])
    assert content(ask(model)) == ""


def test_endless_repetition_stops_at_the_limit(model: OfflineModel) -> None:
    model.misbehave(["repetition"])
    made = ask(model, max_tokens=300)
    assert made.choices[0].finish_reason == "length"
    assert made.usage.completion_tokens == 300
    assert len(set(content(made).split(". "))) < 4


def test_a_call_of_a_tool_that_was_not_offered(model: OfflineModel) -> None:
    model.misbehave([{"kind": "unknown_tool", "text": "drop_table"}])
    made = ask(model)
    assert made.choices[0].finish_reason == "tool_calls"
    assert made.choices[0].message.tool_calls[0].function.name == "drop_table"


def test_calls_of_a_tool_as_many_as_are_wanted(model: OfflineModel) -> None:
    model.misbehave([{"kind": "tool_call", "text": "fetch", "arguments": '{"n": 1}', "times": 3}])
    calls = ask(model).choices[0].message.tool_calls
    assert [(c.function.name, c.function.arguments) for c in calls] == [("fetch", '{"n": 1}')] * 3
    assert len({call.id for call in calls}) == 3


def test_a_model_that_the_server_does_not_have(model: OfflineModel) -> None:
    model.misbehave([{"kind": "unknown_model", "endpoint": "models", "match": "^gpt-99$"}])
    with openai.OpenAI(base_url=model.url, api_key="any", max_retries=0) as client:
        assert client.models.retrieve("gpt-4o").id == "gpt-4o"
        with pytest.raises(openai.NotFoundError, match="gpt-99"):
            client.models.retrieve("gpt-99")


def test_another_answer_on_replay(model: OfflineModel) -> None:
    model.misbehave(["nonce"])
    texts = {content(ask(model)) for _ in range(3)}
    assert len(texts) == 3
    assert all(set(json.loads(text)) == {"score", "reason"} for text in texts)


def streamed(model: OfflineModel) -> list[Any]:
    """The deltas of a streamed answer."""
    request: Any = {"model": "m", "messages": MESSAGES, "response_format": FORMAT, "stream": True}
    with openai.OpenAI(base_url=model.url, api_key="any", max_retries=0, timeout=1.0) as client:
        return [chunk.choices[0].delta for chunk in client.chat.completions.create(**request)]


@pytest.mark.parametrize("kind", ["reset", "hang_after_headers"])
def test_streams_break_off_too(model: OfflineModel, kind: str) -> None:
    model.misbehave([kind])
    with pytest.raises(openai.APIConnectionError):
        streamed(model)


def test_streams_carry_altered_answers_too(model: OfflineModel) -> None:
    model.misbehave([{"kind": "refusal", "count": 1}, "broken_json"])
    assert any(delta.refusal for delta in streamed(model))
    with pytest.raises(json.JSONDecodeError):
        json.loads("".join(delta.content or "" for delta in streamed(model)))


def test_every_kind_is_tried_in_this_file() -> None:
    text = open(__file__, encoding="utf-8").read()  # noqa: PTH123, SIM115
    assert [kind for kind in KINDS if f'"{kind}"' not in text] == []


# -- which requests a rule strikes ---------------------------------------------------------------


def test_a_rule_strikes_as_often_as_it_says() -> None:
    faults = Faults()
    faults.add(
        [fault({"kind": "empty", "count": 2}), fault({"kind": "prose", "match": "lead-7\\b"})]
    )
    struck = [faults.due("chat", text) for text in ["lead-7", "a", "b", "lead-7", "lead-77"]]
    assert [rule.kind if rule else None for rule in struck] == [
        "empty",
        "empty",
        None,
        "prose",
        None,
    ]


def test_a_share_is_spread_evenly() -> None:
    faults = Faults()
    faults.add([fault({"kind": "slow", "share": 0.01})])
    struck = [number for number in range(1, 1_001) if faults.due("chat", str(number))]
    assert struck == list(range(100, 1_001, 100))


def test_a_rule_is_for_one_endpoint(model: OfflineModel) -> None:
    model.misbehave([{"kind": "server_error", "endpoint": "embeddings"}])
    ask(model)
    with (
        openai.OpenAI(base_url=model.url, api_key="any", max_retries=0) as client,
        pytest.raises(openai.InternalServerError),
    ):
        client.embeddings.create(model="e", input="a")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        ({"kind": "nope"}, "expected one of rate_limited"),
        ({"kind": "slow", "delay": 3}, "unknown keys \\['delay'\\]"),
        ({"match": "x"}, "names no kind"),
        ({"kind": "slow", "share": 2}, "share 2"),
        ({"kind": "slow", "match": "("}, "no regular expression"),
        ({"kind": "slow", "endpoint": "images"}, "endpoint 'images'"),
    ],
)
def test_a_wrong_rule_is_refused_in_a_sentence(told: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fault(told)


# -- control over HTTP ---------------------------------------------------------------------------


def http(model: OfflineModel, method: str, path: str, body: Any = None) -> Any:
    url = model.url.removesuffix("/v1") + path
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method=method)) as answer:
        return json.load(answer)


def test_control_over_http_adds_rules_lists_requests_and_forgets(model: OfflineModel) -> None:
    assert (
        http(model, "POST", "/control", {"faults": [{"kind": "empty", "count": 1}]})["faults"] == 1
    )
    assert content(ask(model)) == ""
    ask(model)
    log = http(model, "GET", "/control/requests")
    assert log["count"] == 2
    assert [one["fault"] for one in log["requests"]] == ["empty", None]
    first, second = log["requests"]
    assert first["messages_sha256"] == second["messages_sha256"]
    assert first["status"] == 200
    assert first["at"] <= first["finished_at"] <= second["at"]
    assert http(model, "GET", "/control/requests?since=1")["requests"] == [second]
    http(model, "DELETE", "/control")
    assert http(model, "GET", "/control/requests")["count"] == 0


def test_a_wrong_rule_over_http_is_refused(model: OfflineModel) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        http(model, "POST", "/control", {"faults": [{"kind": "nope"}]})
    assert refused.value.code == 400
    assert "expected one of" in json.load(refused.value)["error"]["message"]
    refused.value.close()
