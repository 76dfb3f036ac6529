"""A scripted model and a journal in memory: what the agent loop's ports look like from a test."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from udfs.core.agent_loop import RunOutcome, RunRequest, run
from udfs.core.calls import REASONS, Json
from udfs.core.definition import AgentDefinition, Limits, Persona
from udfs.core.tool import Tool

REPLY = {
    "type": "object",
    "required": ["score"],
    "properties": {
        "score": {"type": "integer", "minimum": 0, "maximum": 100},
        "mail": {"type": "string", "x-grounded": True},
    },
}
GOOD = {"score": 7, "mail": None}


class ModelTrouble(Exception):
    """What a connector raises when a call failed for good."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"trouble: {reason}")
        self.reason = reason


class ScriptedModel:
    """Gives its answers one after the other, the last one again and again; keeps what it got."""

    def __init__(self, *answers: Json | Exception) -> None:
        self._answers = list(answers)
        self.calls: list[Json] = []
        self.deadlines_s: list[float] = []

    async def complete(self, call: Json, deadline_s: float) -> Json:
        self.calls.append(call)
        self.deadlines_s.append(deadline_s)
        answer = self._answers[min(len(self.calls), len(self._answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def told(self) -> str:
        """The last message of the last call."""
        return str(self.calls[-1]["messages"][-1]["content"])


class MemoryJournal:
    """Entries as JSON text, so that what is not JSON does not pass."""

    def __init__(self) -> None:
        self.entries: dict[str, str] = {}

    async def get(self, call_id: str) -> Json | None:
        stored = self.entries.get(call_id)
        return json.loads(stored) if stored else None

    async def put(self, document: Json) -> Json:
        return json.loads(self.entries.setdefault(document["_id"], json.dumps(document)))


def said(content: str | Json | None, tokens: int = 10, **more: Any) -> Json:
    """An answer of the model."""
    text = json.dumps(content) if isinstance(content, dict) else content
    base = {"content": text, "refusal": None, "tool_calls": [], "finish_reason": "stop"}
    counted = {"model": "gpt-test", "input_tokens": tokens, "output_tokens": tokens}
    return {**base, **counted, **more}


def asked_for(*calls: tuple[str, Json | str], **more: Any) -> Json:
    """An answer that wants tools: (name, arguments) of each."""
    wanted = [
        {"name": name, "arguments": a if isinstance(a, str) else json.dumps(a)} for name, a in calls
    ]
    return said(None, tool_calls=wanted, finish_reason="tool_calls", **more)


def agent(*tools: Callable[..., Any], limits: Limits | None = None, **changes: Any) -> Any:
    """A definition that scores leads, and its tools."""
    values: dict[str, Any] = {
        "agent": "scorer",
        "persona": Persona("a scorer", "Score"),
        "instructions": "Score {{ name }}",
        "reply": REPLY,
        "limits": limits or Limits(),
        "tools": tuple(f"own.{tool.__name__}" for tool in tools),
        "planning": "react" if tools else "direct",
    }
    definition = AgentDefinition(**{**values, **changes})
    return definition, {tool.__name__: Tool.of(tool) for tool in tools}


def request(event_id: str = "e-1", **changes: Any) -> RunRequest:
    values: dict[str, Any] = {
        "event_id": event_id,
        "attempt": 1,
        "key": "l-1",
        "row": {"name": "Ann", "email": "ann@acme.com"},
        "memory": [],
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "parent_span_id": "b7ad6b7169203331",
        "job": "sdr.scoring",
    }
    return RunRequest(**{**values, **changes})


async def look_up(name: str) -> dict[str, str]:
    """Look a person up."""
    return {"name": name, "mail": f"{name}@found.com"}


async def play(
    the_agent: Any, model: ScriptedModel, journal: MemoryJournal | None = None, **changes: Any
) -> RunOutcome:
    definition, tools = the_agent
    options = {k: changes.pop(k) for k in ("trace_content", "now_s") if k in changes}
    asked = request(**changes)
    return await run(definition, asked, model, journal or MemoryJournal(), tools, **options)


def outcome(the_agent: Any, model: ScriptedModel, *journal: Any, **changes: Any) -> RunOutcome:
    return asyncio.run(play(the_agent, model, *journal, **changes))


def reason(found: RunOutcome) -> str:
    assert found.failure is not None
    assert found.reply is None
    assert found.failure.reason in REASONS
    assert found.spans[0].reason == found.failure.reason
    return found.failure.reason
