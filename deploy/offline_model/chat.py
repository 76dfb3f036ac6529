"""A chat completion request in; the completion, whole or in chunks, out.

Follows the OpenAI API reference (chat completions): response formats, tools, usage, finish reasons.
The same request always gives the same completion; `created` is 0 for that reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.offline_model import briefing
from deploy.offline_model.answering import Answerer
from deploy.offline_model.conversation import content_text, read
from deploy.offline_model.json_mode import options_of, wanted_schema
from deploy.offline_model.judging import Judge
from deploy.offline_model.letters import Letter
from deploy.offline_model.reading import Reading
from deploy.offline_model.reporting import answer, report
from deploy.offline_model.schema import BadSchemaError, Compiled, compiled
from deploy.offline_model.text import count_tokens, first_tokens
from deploy.offline_model.tools import calls

FINGERPRINT = "tidemill-offline"
CONTEXT_TOKENS = 128_000
TOKENS_PER_MESSAGE = 3
ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


class RequestError(Exception):
    """A request that the API refuses, with what its reply says."""

    def __init__(
        self, message: str, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status

    def as_json(self) -> dict[str, Any]:
        kind = "invalid_request_error"
        return {
            "error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        }


@dataclass
class Completion:
    model: str
    id: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] = field(default_factory=list)
    refusal: str | None = None
    finish_reason: str = "stop"
    prompt_tokens: int = 0
    most_tokens: int | None = None

    @property
    def completion_tokens(self) -> int:
        called = sum(count_tokens(json.dumps(call["function"])) for call in self.tool_calls)
        return count_tokens(self.content or "") + count_tokens(self.refusal or "") + called

    def usage(self) -> dict[str, Any]:
        made = self.completion_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": made,
            "total_tokens": self.prompt_tokens + made,
        }

    def limited(self) -> Completion:
        """The completion cut at the request's `max_tokens`."""
        if (
            self.most_tokens is not None
            and self.content
            and count_tokens(self.content) > self.most_tokens
        ):
            self.content = first_tokens(self.content, self.most_tokens)
            self.finish_reason = "length"
        return self

    def as_json(self) -> dict[str, Any]:
        message: dict[str, Any] = {
            "role": "assistant",
            "content": self.content,
            "refusal": self.refusal,
        }
        if self.tool_calls:
            message["tool_calls"] = self.tool_calls
        choice = {
            "index": 0,
            "message": message,
            "logprobs": None,
            "finish_reason": self.finish_reason,
        }
        return {**self._head("chat.completion"), "choices": [choice], "usage": self.usage()}

    def as_chunks(self, with_usage: bool) -> Iterator[dict[str, Any]]:
        head = self._head("chat.completion.chunk")

        def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
            return {**head, "choices": [choice], **({"usage": None} if with_usage else {})}

        yield chunk({"role": "assistant", "content": "" if self.content is not None else None})
        if self.refusal is not None:
            yield chunk({"refusal": self.refusal})
        for piece in re.findall(r"\s*\S+(?:\s+$)?", self.content or ""):
            yield chunk({"content": piece})
        for number, call in enumerate(self.tool_calls):
            arguments = call["function"]["arguments"]
            yield chunk(
                {
                    "tool_calls": [
                        {"index": number, **call, "function": {**call["function"], "arguments": ""}}
                    ]
                }
            )
            for start in range(0, len(arguments), 24):
                part = {"arguments": arguments[start : start + 24]}
                yield chunk({"tool_calls": [{"index": number, "function": part}]})
        yield chunk({}, self.finish_reason)
        if with_usage:
            yield {**head, "choices": [], "usage": self.usage()}

    def _head(self, kind: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "object": kind,
            "created": 0,
            "model": self.model,
            "system_fingerprint": FINGERPRINT,
        }


def complete(request: Mapping[str, Any]) -> Completion:
    """The completion of a request; RequestError where the API would refuse it."""
    model, messages = _checked(request)
    schema, free_json = _format(request)
    canonical = json.dumps(request, sort_keys=True, default=str)
    mark = hashlib.sha256(canonical.encode()).hexdigest()[:29]
    made = Completion(model, f"chatcmpl-{mark}", most_tokens=_most_tokens(request))
    made.prompt_tokens = _prompt_tokens(request, messages)
    if made.prompt_tokens > CONTEXT_TOKENS:
        raise RequestError(
            f"This model's maximum context length is {CONTEXT_TOKENS} tokens. However, your "
            f"messages "
            f"resulted in {made.prompt_tokens} tokens. Please reduce the length of the messages.",
            "messages",
            "context_length_exceeded",
        )
    tools = request.get("tools") or []
    briefed = briefing.reply(messages, schema.root) if schema else None
    if schema and briefed is not None and schema.valid(briefed):
        made.content = json.dumps(briefed, ensure_ascii=False)
        return made.limited()
    reading = read(messages, schema.labels if schema else _labels_in(messages))
    try:
        due = calls(
            reading,
            tools,
            request.get("tool_choice") or "auto",
            request.get("parallel_tool_calls") is not False,
        )
    except BadSchemaError as error:
        raise RequestError(
            f"Invalid schema for function: {error}", "tools", "invalid_function_parameters"
        ) from error
    if due:
        made.tool_calls = [call.as_json(number) for number, call in enumerate(due)]
        made.finish_reason = "tool_calls"
        return made
    if schema is not None or free_json:
        schema = schema or compiled(wanted_schema(reading))
        made.content = json.dumps(Answerer(reading, schema).answer(), ensure_ascii=False)
    else:
        made.content = plain(reading)
    made.content = _stopped(made.content, request.get("stop"))
    return made.limited()


def _checked(request: Mapping[str, Any]) -> tuple[str, list[Mapping[str, Any]]]:
    model = request.get("model")
    if not isinstance(model, str) or not model:
        raise RequestError("you must provide a model parameter")
    messages = request.get("messages")
    if not isinstance(messages, list) or not messages:
        raise RequestError(
            "Invalid 'messages': expected an array with at least one message.", "messages"
        )
    for number, message in enumerate(messages):
        if not isinstance(message, dict) or message.get("role") not in ROLES:
            raise RequestError(
                f"Invalid value for 'messages[{number}].role': expected one of "
                f"{', '.join(sorted(ROLES))}.",
                f"messages[{number}].role",
            )
    return model, messages


def _format(request: Mapping[str, Any]) -> tuple[Compiled | None, bool]:
    wanted = request.get("response_format") or {}
    kind = wanted.get("type", "text") if isinstance(wanted, Mapping) else None
    if kind == "json_schema":
        named = wanted.get("json_schema") or {}
        if not isinstance(named.get("schema"), dict):
            raise RequestError(
                "Missing required parameter: 'response_format.json_schema.schema'.",
                "response_format",
            )
        try:
            return compiled(named["schema"]), False
        except BadSchemaError as error:
            text = f"Invalid schema for response_format '{named.get('name')}': {error}"
            raise RequestError(text, "response_format", "invalid_json_schema") from error
    if kind not in ("text", "json_object"):
        raise RequestError(
            f"Invalid value for 'response_format.type': {kind!r}; expected text, json_object "
            f"or json_schema.",
            "response_format.type",
        )
    return None, kind == "json_object"


def _most_tokens(request: Mapping[str, Any]) -> int | None:
    for name in ("max_completion_tokens", "max_tokens"):
        most = request.get(name)
        if most is not None:
            if not isinstance(most, int) or isinstance(most, bool) or most < 1:
                raise RequestError(f"Invalid '{name}': expected an integer of at least 1.", name)
            return most
    return None


def _prompt_tokens(request: Mapping[str, Any], messages: Sequence[Mapping[str, Any]]) -> int:
    total = 0
    for message in messages:
        total += TOKENS_PER_MESSAGE + count_tokens(content_text(message.get("content")))
        for call in message.get("tool_calls") or []:
            total += count_tokens(json.dumps(call.get("function", {})))
    if request.get("tools"):
        total += count_tokens(json.dumps(request["tools"]))
    return total


def _labels_in(messages: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Choices that the instructions give in words, for requests without a schema."""
    for message in messages:
        if message.get("role") in ("system", "developer", "user"):
            if options := options_of(content_text(message.get("content"))[:20_000]):
                return frozenset(one.lower() for one in options)
    return frozenset()


_ASKS_LETTER = re.compile(
    r"\b(?:write|draft|compose)\b.{0,40}\b(?:e-?mail|letter|message|reply)\b", re.I
)
_ASKS_REPORT = re.compile(r"\b(?:report|research|analy[sz]e|brief|overview)\b", re.I)
_ASKS_SUMMARY = re.compile(r"\b(?:summar|describe|tl;dr)", re.I)


def plain(reading: Reading) -> str:
    """An answer in prose, for requests without a schema."""
    asked = " ".join(reading.instructions[-12:])[:2_000]
    if options := options_of(reading.instruction_text[:20_000]):
        return Judge(reading).choose(options, "answer", asked).label
    if _ASKS_LETTER.search(asked):
        letter = Letter(reading, asked)
        return f"Subject: {letter.subject()}\n\n{letter.body()}"
    if reading.question:
        return answer(reading, reading.question)
    if _ASKS_SUMMARY.search(asked):
        return report(reading, asked, long=False)
    if _ASKS_REPORT.search(asked):
        return report(reading, asked)
    if not reading.facts and all(len(one.text.split()) < 3 for one in reading.passages):
        return "I answer from the text that I am given, and this request holds none."
    return answer(reading, asked) if asked else report(reading, "", long=False)


def _stopped(text: str, stop: Any) -> str:
    marks = [stop] if isinstance(stop, str) else stop if isinstance(stop, list) else []
    for mark in marks:
        if isinstance(mark, str) and mark and mark in text:
            text = text[: text.index(mark)]
    return text
