"""Rows of a keyed view in, the agent's typed replies out: `run_agent`.

    SELECT * FROM run_agent(input => TABLE leads PARTITION BY lead_id, agent => 'lead_ingestion')

A thin shell: what a run is, is `udfs.core.agent_loop`; how it survives, `udfs.keyed`.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core import agent_loop, events
from udfs.core.agent_loop import RunOutcome, RunRequest
from udfs.core.definition import AgentDefinition
from udfs.core.slot import Entry, MemoryPolicy
from udfs.core.tool import resolve_tools
from udfs.core.types import Type, parse_type
from udfs.keyed_function import BadCall, Columns, KeyedFunction, Result, check_call

if TYPE_CHECKING:
    from connectors.journal import MongoJournal
    from connectors.model import OpenAIModel
    from udfs.keyed_functions import Definitions

COUNTERS = ("model_calls", "journal_hits", "tool_calls", "input_tokens", "output_tokens")


def reply_columns(definition: AgentDefinition) -> list[tuple[str, Type]]:
    """The agent's reply as typed columns."""
    return [(name, parse_type(declared)) for name, declared in definition.reply_columns()]


def request(
    headers: Mapping[str, bytes], key: str, row: dict[str, Any], memory: Sequence[Any], job: str
) -> RunRequest:
    """An event as a run of an agent; its identity and trace come from the headers."""
    trace, parent = events.trace_context(headers)
    return RunRequest(
        event_id=events.text(headers, "ce_id") or "",
        attempt=events.attempt(headers),
        key=key,
        row=row,
        memory=list(memory),
        trace_id=trace,
        parent_span_id=parent,
        job=job,
    )


def model_and_journal() -> tuple["OpenAIModel", "MongoJournal"]:
    """Clients of the running event loop, by the environment's settings. `aclose()` both."""
    from connectors.journal import MongoJournal
    from connectors.model import OpenAIModel

    model = OpenAIModel.from_settings()
    model.open()
    return model, MongoJournal.from_settings()


class RunAgent(KeyedFunction):
    """One agent's runs."""

    counters: ClassVar[Sequence[str]] = COUNTERS

    def __init__(self, definition: AgentDefinition, times: Sequence[str] = ()) -> None:
        self.definition, self.times = definition, frozenset(times)
        self.concurrency = definition.limits.concurrency
        self.queued = definition.limits.queued
        if definition.memory:
            age_ms = int(definition.memory.max_age_s * 1000)
            self.memory_policy = MemoryPolicy(definition.memory.events, age_ms)

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "RunAgent":
        """Check the call. Raises BadCall, and what reading the definition raises."""
        check_call("run_agent", arguments, ("agent",))
        name = arguments.get("agent")
        if not isinstance(name, str):
            raise BadCall("function", "run_agent is not told which agent", "agent => 'name'")
        definition = team.agent(name)
        bound = {column for tool in resolve_tools(definition).values() for column in tool.bound}
        times = [column for column, declared in columns if declared.kind == "TIMESTAMP_LTZ"]
        shown = {column for column, _ in columns} - {"headers", *times}
        missing = sorted(definition.variables - shown)
        if missing:
            what = f"the instructions of agent {name} use {missing[0]}, which the input lacks"
            raise BadCall("input", what, f"columns {', '.join(sorted(definition.variables))}")
        if lacking := sorted(bound - shown):
            what = f"a tool of agent {name} takes {lacking[0]} from the row, which the input lacks"
            raise BadCall("input", what, f"columns {', '.join(sorted(bound))}")
        return cls(definition, times)

    def output_columns(self) -> list[tuple[str, Type]]:
        return reply_columns(self.definition)

    async def open(self) -> None:
        from connectors.settings import settings

        self._tools = resolve_tools(self.definition)
        self._model, self._journal = model_and_journal()
        self._trace_content = settings().trace_content
        self._long_term = None
        if self.definition.long_term:
            from udfs.long_term import LongTerm

            self._long_term = LongTerm(self.definition.agent, self.definition.long_term)

    async def close(self) -> None:
        await self._journal.aclose()
        await self._model.aclose()

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        row = {name: value for name, value in entry.row.items() if name not in self.times}
        event_id = events.text(entry.headers, "ce_id") or ""
        if self._long_term:
            memory = [*await self._long_term.recall(event_id, entry.key, row), *memory]
        outcome = await agent_loop.run(
            self.definition,
            request(entry.headers, entry.key, row, memory, self.step),
            self._model,
            self._journal,
            self._tools,
            trace_content=self._trace_content,
        )
        if self._long_term:
            await self._long_term.write_back(event_id, entry.key, row, outcome)
        counts = _counts(outcome)
        if outcome.failure:
            reason, message = outcome.failure.reason, outcome.failure.message
            return Result(reason=reason, message=message, spans=outcome.spans, counts=counts)
        return Result(outcome.reply, spans=outcome.spans, remember=outcome.remember, counts=counts)


def _counts(outcome: RunOutcome) -> dict[str, int]:
    counts = dict.fromkeys(COUNTERS, 0)
    for span in outcome.spans:
        hit = span.attributes.get("journal") in ("hit", "differs")
        counts["journal_hits"] += hit
        counts["model_calls"] += span.kind == "model_call" and not hit
        counts["tool_calls"] += span.kind == "tool_call" and not hit
        if span.kind == "model_call" and not hit:
            for name in ("input_tokens", "output_tokens"):
                counts[name] += int(span.attributes.get(f"gen_ai.usage.{name}") or 0)
    return counts
