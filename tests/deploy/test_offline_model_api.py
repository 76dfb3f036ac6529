"""The real OpenAI client in; what the OpenAI API promises out, from the offline model."""

from __future__ import annotations

import asyncio
import json
import math
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from deploy.offline_model import OfflineModel

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["score", "reason"],
    "properties": {
        "score": {"type": "integer", "minimum": 0, "maximum": 100},
        "reason": {"type": "string"},
    },
}
FORMAT: Any = {
    "type": "json_schema",
    "json_schema": {"name": "r", "strict": True, "schema": SCHEMA},
}
LEAD = '{"company_name": "Kestrel", "email": "ada@kestrel.example", "website": "https://kestrel.example"}'
MESSAGES: Any = [
    {"role": "system", "content": "You score leads."},
    {"role": "user", "content": f"Lead: {LEAD}"},
]


def tool(name: str, properties: dict[str, Any], description: str = "") -> Any:
    parameters = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    told = {"name": name, "description": description or name, "parameters": parameters}
    return {"type": "function", "function": told}


TOOLS = [
    tool("look_up_account", {"company_name": {"type": "string"}}),
    tool("fetch_page", {"url": {"type": "string", "description": "full address of the page"}}),
    tool("find_ticket", {"ticket_id": {"type": "string"}}),
    tool("send_email", {"to": {"type": "string"}, "body": {"type": "string"}}),
]


@pytest.fixture(scope="module")
def model() -> Iterator[OfflineModel]:
    with OfflineModel() as running:
        yield running


@pytest.fixture
def client(model: OfflineModel) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=model.url, api_key="any", max_retries=0, timeout=20) as opened:
        yield opened


def test_a_completion_names_the_model_asked_for_and_what_answered(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert made.model == "gpt-4o-mini"
    assert made.system_fingerprint == "tidemill-offline"
    assert made.choices[0].finish_reason == "stop"
    assert made.choices[0].message.content
    assert made.usage is not None
    assert made.usage.prompt_tokens > 10
    assert made.usage.completion_tokens > 0
    assert made.usage.total_tokens == made.usage.prompt_tokens + made.usage.completion_tokens


def test_the_same_request_has_the_same_answer_to_the_last_byte(client: openai.OpenAI) -> None:
    made = [
        client.chat.completions.create(model="m", messages=MESSAGES, response_format=FORMAT)
        for _ in range(3)
    ]
    assert made[0].model_dump() == made[1].model_dump() == made[2].model_dump()


def test_a_schema_is_obeyed(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="m", messages=MESSAGES, response_format=FORMAT)
    answer = json.loads(made.choices[0].message.content or "")
    assert set(answer) == {"score", "reason"}
    assert isinstance(answer["score"], int)


def test_streamed_pieces_add_up_to_the_whole_answer(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="m", messages=MESSAGES, response_format=FORMAT)
    pieces = list(
        client.chat.completions.create(
            model="m",
            messages=MESSAGES,
            response_format=FORMAT,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces if piece.choices)
    assert text == whole.choices[0].message.content
    assert pieces[-1].usage == whole.usage
    assert [piece.choices[0].finish_reason for piece in pieces if piece.choices][-1] == "stop"


def test_max_tokens_cuts_the_answer_and_says_so(client: openai.OpenAI) -> None:
    for limit in ({"max_tokens": 5}, {"max_completion_tokens": 5}):
        made = client.chat.completions.create(model="m", messages=MESSAGES, **limit)  # type: ignore[call-overload]
        assert made.choices[0].finish_reason == "length"
        assert made.usage.completion_tokens <= 5


def called(made: Any) -> dict[str, dict[str, Any]]:
    calls = made.choices[0].message.tool_calls or []
    return {call.function.name: json.loads(call.function.arguments) for call in calls}


def test_tools_are_called_together_with_arguments_from_the_data(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS)
    assert made.choices[0].finish_reason == "tool_calls"
    assert called(made) == {
        "look_up_account": {"company_name": "Kestrel"},
        "fetch_page": {"url": "https://kestrel.example"},
    }


def test_one_tool_at_a_time_where_parallel_calls_are_off(client: openai.OpenAI) -> None:
    made = client.chat.completions.create(
        model="m", messages=MESSAGES, tools=TOOLS, parallel_tool_calls=False
    )
    assert list(called(made)) == ["look_up_account"]


def test_tool_calls_are_streamed(client: openai.OpenAI) -> None:
    pieces = client.chat.completions.create(model="m", messages=MESSAGES, tools=TOOLS, stream=True)
    arguments: dict[int, str] = {}
    for piece in pieces:
        for call in piece.choices[0].delta.tool_calls or []:
            function = call.function
            assert function is not None
            arguments[call.index] = arguments.get(call.index, "") + (function.arguments or "")
    assert json.loads(arguments[1]) == {"url": "https://kestrel.example"}


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        ("none", set()),
        ("required", {"look_up_account", "fetch_page"}),
        ({"type": "function", "function": {"name": "find_ticket"}}, {"find_ticket"}),
    ],
)
def test_tool_choice_is_obeyed(client: openai.OpenAI, choice: Any, names: set[str]) -> None:
    made = client.chat.completions.create(
        model="m", messages=MESSAGES, tools=TOOLS, tool_choice=choice
    )
    assert set(called(made)) == names


def test_a_tool_that_acts_is_called_where_the_instructions_ask_for_it(
    client: openai.OpenAI,
) -> None:
    asked: Any = [
        {"role": "system", "content": "Confirm each order with send_email."},
        {"role": "user", "content": 'Order: {"to": "ada@kestrel.example", "body": "Shipped."}'},
    ]
    made = client.chat.completions.create(model="m", messages=asked, tools=TOOLS)
    assert called(made)["send_email"] == {"to": "ada@kestrel.example", "body": "Shipped."}


def test_the_tool_loop_ends_and_uses_what_the_tools_said(client: openai.OpenAI) -> None:
    messages = list(MESSAGES)
    results = {
        "look_up_account": '{"stage": "customer", "ticket_id": "T-7"}',
        "fetch_page": '{"error": "HTTP 404"}',
        "find_ticket": '{"title": "The printer is broken"}',
    }
    seen: list[str] = []
    for _ in range(6):
        made = client.chat.completions.create(
            model="m", messages=messages, tools=TOOLS, response_format=FORMAT
        )
        message = made.choices[0].message
        if not message.tool_calls:
            break
        messages.append(message.model_dump(exclude_none=True))
        for call in message.tool_calls:
            name = call.function.name  # type: ignore[union-attr]
            seen.append(name)
            messages.append({"role": "tool", "tool_call_id": call.id, "content": results[name]})
    assert seen == ["look_up_account", "fetch_page", "find_ticket"]
    assert set(json.loads(made.choices[0].message.content or "")) == {"score", "reason"}


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        ({"messages": []}, "at least one message"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages\\[0\\].role"),
        ({"messages": MESSAGES, "max_tokens": 0}, "max_tokens"),
        ({"messages": MESSAGES, "response_format": {"type": "xml"}}, "response_format"),
        (
            {
                "messages": MESSAGES,
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "r", "schema": {"type": "nothing"}},
                },
            },
            "Invalid schema for response_format 'r'",
        ),
        ({"messages": [{"role": "user", "content": "word " * 140_000}]}, "maximum context length"),
    ],
)
def test_a_bad_request_is_refused_in_a_sentence(
    client: openai.OpenAI, request_: Any, words: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=words):
        client.chat.completions.create(model="m", **request_)


def embedded(client: openai.OpenAI, *texts: str, **more: Any) -> list[list[float]]:
    made = client.embeddings.create(model="e", input=list(texts), **more)
    return [one.embedding for one in made.data]


def cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def test_embeddings_are_unit_vectors_that_know_likeness(client: openai.OpenAI) -> None:
    same, near, far = embedded(
        client,
        "The invoice is wrong",
        "Our invoices are wrong again",
        "Kafka broker crashed at night",
    )
    assert len(same) == 384
    assert math.isclose(cosine(same, same), 1.0, abs_tol=1e-5)
    assert cosine(same, near) > 0.5 > cosine(same, far)
    assert embedded(client, "The invoice is wrong") == [same]


def test_embeddings_come_in_any_length_and_as_numbers_too(client: openai.OpenAI) -> None:
    packed = embedded(client, "A broker", dimensions=64)[0]
    plain = embedded(client, "A broker", dimensions=64, encoding_format="float")[0]
    assert len(packed) == 64
    assert packed == pytest.approx(plain, abs=1e-6)
    assert len(embedded(client, "a", "b", "c")) == 3


def test_empty_input_is_no_embedding(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError, match="'input'"):
        embedded(client, "")


def test_models_are_listed_and_health_is_told(client: openai.OpenAI, model: OfflineModel) -> None:
    assert "tidemill-offline" in [one.id for one in client.models.list()]
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    health = model.url.removesuffix("/v1") + "/health"
    with urllib.request.urlopen(health) as answer:
        assert json.load(answer)["status"] == "ok"


def test_what_is_no_json_is_refused(model: OfflineModel) -> None:
    asked = urllib.request.Request(
        f"{model.url}/chat/completions", data=b"{not json", method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(asked)
    assert refused.value.code == 400
    assert "could not parse" in json.load(refused.value)["error"]["message"]
    refused.value.close()


def test_many_requests_are_held_at_once() -> None:
    async def ask_all(url: str, count: int) -> None:
        async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
            await asyncio.gather(
                *(
                    client.chat.completions.create(model="m", messages=MESSAGES)
                    for _ in range(count)
                )
            )

    with OfflineModel(latency_ms=2_500) as slow:
        asyncio.run(ask_all(slow.url, 200))
        assert slow.most_in_flight > 50
        assert len(slow.requests) == 200
