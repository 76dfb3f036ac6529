"""A dead letter and the calls that the journal kept in, the agent's run as it went out: what the
model was given, what it gave back, and why that was not taken.

The journal keeps answers, no prompts. So the run is done once more, here, by the agent's own loop:
model and tools answer from the journal and from nowhere else, nothing is called and nothing is
written. Beside each answer stands the hash of the call that it answers; where it is the hash of
what the loop asks now, the prompt shown is the prompt that was sent, and where not, that is told.
"""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from connectors.journal import MongoJournal
from connectors.mongodb import MongoError
from jobs.desk import DeadLetter
from jobs.errors import TidemillError
from jobs.script import Script, functions_called
from jobs.sql_dir import sql_dir
from jobs.team import Team
from udfs.core import agent_loop, events
from udfs.core.calls import JournalEntry, Json, ModelAnswer, RunRequest, call_id, digest
from udfs.core.definition import AgentDefinition, DefinitionError
from udfs.core.tool import ToolError, resolve_tools

_NEVER_RAN = frozenset({"id_conflict"})


@dataclass(frozen=True)
class Step:
    """One call of the model: what was sent that was not sent before, and the answer, if one is
    kept. `same` is None where there is nothing to compare with."""

    sent: Sequence[Json]
    answer: ModelAnswer | None
    same: bool | None = None


@dataclass
class Replay:
    """A run, and what to know of how it is shown. Why its last answer was not taken, or that none
    came, is the dead letter's message."""

    agent: str
    steps: list[Step] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def replay(
    letter: DeadLetter, payload: bytes | None, headers: events.Headers, script: Script | None
) -> Replay | None:
    """The run behind a dead letter, or None where none of its job's agents had a part in it."""
    ran = letter.says["stage"] in ("agent", "script") and letter.says["reason"] not in _NEVER_RAN
    if script is None or not ran:
        return None
    named = agents(script)
    try:
        calls, note = asyncio.run(_calls(letter)), ""
    except MongoError as error:
        calls, note = [], f"What the model answered is not known: {error}."
    said = [call.agent for call in calls]
    agent = next((name for name in named if name in said), named[0] if len(named) == 1 else None)
    if agent is None:
        return None
    found = Replay(agent, notes=[note] if note else [])
    own = [call for call in calls if call.agent == agent]
    try:
        definition = Team(sql_dir(), script.team).agent(agent)
        row = _row(payload)
        _play(found, definition, letter, headers, row, own)
    except (TidemillError, DefinitionError, ValueError, RecursionError) as error:
        found.notes.append(f"The prompt cannot be shown: {error}.")
        found.steps = [Step((), ModelAnswer.from_json(c.answer)) for c in own if c.kind == "model"]
    return found


def agents(script: Script) -> list[str]:
    """The agents that a script calls, by run_agent or AI_COMPLETE."""
    statements = [step.statement for step in script.steps]
    statements += [insert.statement for insert in script.inserts]
    found = [str(c.arguments["agent"]) for c in script.keyed_calls if "agent" in c.arguments]
    for statement in statements:
        called = [c for c in functions_called(statement) if c.name.upper() == "AI_COMPLETE"]
        found += [call.literal for call in called if call.literal]
    return list(dict.fromkeys(found))


async def _calls(letter: DeadLetter) -> list[JournalEntry]:
    journal = MongoJournal.from_settings()
    try:
        entries = [JournalEntry.from_document(d) for d in await journal.calls_of(letter.event_id)]
    finally:
        await journal.aclose()
    return [entry for entry in entries if entry.attempt == letter.attempt]


def _row(payload: bytes | None) -> Json:
    row = json.loads(payload or b"")
    if not isinstance(row, dict):
        raise ValueError("what the dead letter kept is no JSON object")
    return row


def _play(
    found: Replay,
    definition: AgentDefinition,
    letter: DeadLetter,
    headers: events.Headers,
    row: Json,
    calls: Sequence[JournalEntry],
) -> None:
    """Fill in the steps by running the agent on what is kept."""
    trace, parent = events.trace_context(headers)
    request = RunRequest(
        letter.event_id, letter.attempt, letter.key, row, [], trace, parent, letter.says["job"]
    )
    kept = _Kept(definition, request, calls, letter.says["message"])
    tools = {name: replace(t, function=_nothing) for name, t in resolve_tools(definition).items()}
    outcome = asyncio.run(agent_loop.run(definition, request, kept, kept, tools))
    found.steps = kept.steps
    unread = [c for c in calls if c.kind == "model" and c.step > len(kept.steps)]
    found.steps += [Step((), ModelAnswer.from_json(c.answer)) for c in unread]
    if any(step.same is False for step in found.steps):
        found.notes.append(_differs(definition))
        if not outcome.failure:
            found.notes.append("As things are now, the last of these answers would be accepted.")
    elif not calls:
        found.notes.append("The model gave no answer that is kept; this is what it is asked now.")


def _differs(definition: AgentDefinition) -> str:
    if definition.memory:
        return (
            "The model was given more than this: what the agent remembered of earlier events is "
            "in the job's state only. Or the agent has changed since."
        )
    return (
        f"The agent {definition.agent} has changed since: the prompt is the one that it would "
        "give now, the answers are those that came then."
    )


class _NotKept(Exception):
    """The call that failed, or was not made, so that no journal has its answer."""

    reason = "model_unavailable"


class _Kept:
    """Model and journal of a run that is over. The ids of calls are those that the definition
    makes now, so that answers are found although it has changed."""

    def __init__(
        self,
        definition: AgentDefinition,
        request: RunRequest,
        calls: Sequence[JournalEntry],
        message: str,
    ) -> None:
        def named(call: JournalEntry) -> str:
            step = str(call.step) if call.kind == "model" else f"{call.step}.{call.index}"
            event_id, attempt, row = request.event_id, request.attempt, digest(request.row)
            return call_id(event_id, row, definition.agent, definition.version, attempt, step)

        exact = [call for call in calls if call.call_id == named(call)]
        ordered = sorted(exact or calls, key=lambda c: c.started_at)  # of two, the later
        self.steps: list[Step] = []
        self._message, self._sent = message, 0
        self._model = {c.step: c for c in ordered if c.kind == "model"}
        self._tools = {named(c): c.to_document() for c in ordered if c.kind == "tool"}

    async def complete(self, call: Json, deadline_s: float) -> Json:
        """The answer that is kept of this step; what it is an answer to is noted."""
        sent = call["messages"][self._sent :]
        self._sent = len(call["messages"])
        kept = self._model.get(len(self.steps) + 1)
        if kept is None:
            self.steps.append(Step(sent, None))
            raise _NotKept(self._message)
        same = kept.args_hash == digest(call)
        self.steps.append(Step(sent, ModelAnswer.from_json(kept.answer), same))
        return kept.answer

    async def get(self, call_id: str) -> Json | None:
        return self._tools.get(call_id)

    async def put(self, document: Json) -> Json:
        """The entry with the time that its call took then, for limits count it."""
        kept = self._model.get(document["step"]) if document["kind"] == "model" else None
        return {**document, "duration_ms": kept.duration_ms if kept else 0}


def _nothing(**_: Any) -> str:
    raise ToolError("its result is not kept")
