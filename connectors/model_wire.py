"""A call in, the body of a chat completion request out; a response's body in, an answer out.

Servers that speak the API differ in what they take. A `Dialect` is what one of them takes for one
model; it is learned from its refusals (HTTP 400 and 422), once per process.
"""

import json
from dataclasses import dataclass, replace
from typing import Any

from connectors.model_errors import Retryable

Json = dict[str, Any]

_WEAKER = {"json_schema": "json_object", "json_object": "none"}


@dataclass(frozen=True)
class Dialect:
    """How a reply's form, its length and the temperature are asked for."""

    reply_form: str = "json_schema"  # | "json_object" | "none"
    length_name: str = "max_tokens"  # | "max_completion_tokens"
    temperature: bool = True

    def other(self, status: int, refusal: str) -> "Dialect | None":
        """The dialect to try after a refusal; None where it is about something else."""
        if status not in (400, 422):
            return None
        refusal = refusal.lower()
        if "max_completion_tokens" in refusal and self.length_name == "max_tokens":
            return replace(self, length_name="max_completion_tokens")
        if "temperature" in refusal and self.temperature:
            return replace(self, temperature=False)
        names_form = any(n in refusal for n in ("response_format", "json_schema", "json_object"))
        if names_form and self.reply_form in _WEAKER:
            return replace(self, reply_form=_WEAKER[self.reply_form])
        return None


def request_body(call: Json, model: str, dialect: Dialect) -> Json:
    """The request in the server's dialect; its schema goes into a message where it takes none."""
    body: Json = {"model": model, "messages": call["messages"]}
    if call.get("max_tokens") is not None:
        body[dialect.length_name] = call["max_tokens"]
    if call.get("temperature") is not None and dialect.temperature:
        body["temperature"] = call["temperature"]
    if call.get("tools"):
        body["tools"] = call["tools"]
        if call.get("tool_choice", "auto") != "auto":
            body["tool_choice"] = call["tool_choice"]
    schema = call.get("reply_schema")
    if not schema:
        return body
    if dialect.reply_form == "json_schema":
        form = {"name": call["reply_name"], "strict": True, "schema": schema}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
        return body
    if dialect.reply_form == "json_object":
        body["response_format"] = {"type": "json_object"}
    told = f"The answer must be one JSON object that fits this JSON Schema: {json.dumps(schema)}"
    body["messages"] = [{"role": "system", "content": told}, *call["messages"]]
    return body


def answer_of(body: Any) -> Json:
    """The answer in a response. Raises `Retryable` where it holds none."""
    try:
        choice = body["choices"][0]
        message = choice["message"]
        usage = body.get("usage") or {}
        return {
            "content": _text(message.get("content")),
            "refusal": _text(message.get("refusal")),
            "tool_calls": [_tool_call(call) for call in message.get("tool_calls") or ()],
            "finish_reason": _text(choice.get("finish_reason")),
            "model": _text(body.get("model")),
            "input_tokens": _count(usage.get("prompt_tokens")),
            "output_tokens": _count(usage.get("completion_tokens")),
        }
    except (KeyError, IndexError, TypeError, AttributeError):
        error = body.get("error") if isinstance(body, dict) else None
        told = json.dumps(error)[:200] if error else "no choices"
        raise Retryable("model_unavailable", f"answered JSON that is no answer: {told}") from None


def _text(value: Any) -> str | None:
    """A text; some servers send a list of parts."""
    if isinstance(value, list):
        return "".join(str(part.get("text") or "") for part in value)
    if value is not None and not isinstance(value, str):
        raise TypeError(type(value).__name__)
    return value


def _tool_call(call: Json) -> Json:
    arguments = call["function"].get("arguments")
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {"name": str(call["function"]["name"]), "arguments": text}


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
