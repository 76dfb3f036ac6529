"""What crosses between the agent loop and the outside: rows and answers in, calls and outcomes out.

Only plain JSON crosses a port, because that is what the journal stores and what its hashes are made
of; so the loop needs no client library and a connector needs nothing of the loop. A connector
reports a call that failed for good by an exception with a `reason` (a reason code) attribute.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

from udfs.core.spans import Span, span_id

Json = dict[str, Any]


REASONS = frozenset(
    "model_timeout model_unavailable rate_limited refusal truncated empty_reply invalid_reply "
    "tool_not_allowed step_limit token_limit time_limit prompt_error oversize".split()
)


def canonical(value: object) -> str:
    """JSON text in which equal values are equal strings, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def digest(value: object) -> str:
    """sha256 (hex) of a JSON value's canonical text."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()


def call_id(
    event_id: str, input_hash: str, agent: str, version: str, attempt: int, step: int | str
) -> str:
    """The identity of one call: the same on every replay, another one for another input.

    `step` is the ordinal of the model call in its run (1, 2, …), or `"2.0"` for the first tool call
    that step 2 asked for.
    """
    return digest([event_id, input_hash, agent, version, attempt, str(step)])


@dataclass(frozen=True)
class RunRequest:
    """One row for an agent. `row` holds the input view's columns as plain JSON, without headers."""

    event_id: str
    attempt: int
    key: str
    row: Json
    memory: list[Json]
    trace_id: str
    parent_span_id: str
    job: str

    @property
    def span_id(self) -> str:
        """The run's span: the one that `events.child_headers(headers, job)` names as parent."""
        return span_id("run", self.event_id, self.job, "0")


@dataclass(frozen=True)
class Failure:
    """Why a run has no reply: a code of `REASONS` and one sentence."""

    reason: str
    message: str


@dataclass(frozen=True)
class RunOutcome:
    """Exactly one of `reply` and `failure`. `remember` is for short-term memory, where there is."""

    reply: Json | None
    failure: Failure | None
    spans: list[Span]
    remember: Json | None


class Stopped(Exception):
    """Ends a run with a failure; never leaves the loop."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.failure = Failure(reason, message)


@dataclass(frozen=True)
class ToolCall:
    """What the model wants called; `arguments` is the JSON text that it wrote."""

    name: str
    arguments: str


@dataclass(frozen=True)
class ModelCall:
    """One request to a chat model. `model` None means the worker's OPENAI_MODEL."""

    messages: list[Json]
    reply_name: str
    reply_schema: Json
    tools: list[Json]
    tool_choice: str = "auto"
    model: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None

    def to_json(self) -> Json:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class ModelAnswer:
    """What a chat model gave back. Token counts are None where the server told none."""

    content: str | None
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    refusal: str | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None

    def to_json(self) -> Json:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "ModelAnswer":
        calls = tuple(ToolCall(c["name"], c["arguments"]) for c in value.get("tool_calls") or ())
        return cls(
            content=value.get("content"),
            tool_calls=calls,
            finish_reason=value.get("finish_reason"),
            refusal=value.get("refusal"),
            model=value.get("model"),
            input_tokens=value.get("input_tokens"),
            output_tokens=value.get("output_tokens"),
        )


@dataclass(frozen=True)
class JournalEntry:
    """One completed call, as the journal keeps it. Times in milliseconds since 1970."""

    call_id: str
    event_id: str
    trace_id: str
    agent: str
    attempt: int
    step: int
    index: int
    kind: str  # "model" | "tool"
    name: str
    args_hash: str
    answer: Json
    usage: Json
    started_at: int
    duration_ms: int

    def to_document(self) -> Json:
        document = {field.name: getattr(self, field.name) for field in fields(self)}
        document["_id"] = document.pop("call_id")
        return document

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "JournalEntry":
        names = [field.name for field in fields(cls) if field.name != "call_id"]
        return cls(call_id=document["_id"], **{name: document[name] for name in names})


class ModelPort(Protocol):
    """A chat model: `ModelCall.to_json()` in, `ModelAnswer.to_json()` out, within `deadline_s`."""

    async def complete(self, call: Json, deadline_s: float) -> Json: ...


class JournalPort(Protocol):
    """The store of completed calls; both wait, for as long as it takes, while it is unreachable."""

    async def get(self, call_id: str) -> Json | None: ...

    async def put(self, document: Json) -> Json:
        """Store an entry unless its id is taken; give back the one that stands."""
        ...
