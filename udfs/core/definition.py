"""An agent's YAML file in, one `AgentDefinition` out: persona, reply schema, tools, limits.

Checked once, on the client; the definition then travels in the job graph as JSON, so that a worker
neither reads files nor loads what only the check needs.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from udfs.core import reply_schema, template
from udfs.core.calls import digest
from udfs.core.reply import ReplyFormat


class DefinitionError(ValueError):
    """An agent's file, or a tool that it names, is not right: one sentence for each problem."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Persona:
    """Who the agent is, in the words of the prompt."""

    role: str
    goal: str


@dataclass(frozen=True)
class ModelOptions:
    """What is asked of the model. `name` None means the worker's OPENAI_MODEL."""

    name: str | None = None
    temperature: float | None = None
    max_tokens: int = 4096


@dataclass(frozen=True)
class ShortTermMemory:
    """How many events of a key are remembered, and for how long."""

    events: int
    max_age_s: float


@dataclass(frozen=True)
class LongTermMemory:
    """How many events are recalled by their likeness to the present one, `of` the same key or of
    all keys of the agent, and when a run is remembered: `always`, `never`, or where a boolean of
    the reply is true, which is then named."""

    recall: int = 4
    of: str = "key"  # "key" | "agent"
    write: str = "always"
    score_least: float = 0.3

    def writes(self, reply: Mapping[str, Any]) -> bool:
        """Whether a run with this reply is remembered."""
        return self.write == "always" or (self.write != "never" and reply.get(self.write) is True)


@dataclass(frozen=True)
class Limits:
    """Where a run ends, whatever the model wants. `concurrency` and `queued` are the operator's."""

    steps: int = 6
    revisions: int = 1
    tokens: int = 20_000
    seconds: float = 60
    call_seconds: float = 20
    tool_seconds: float = 10
    prompt_chars: int = 60_000
    concurrency: int = 64
    queued: int = 1_000


@dataclass(frozen=True)
class AgentDefinition:
    """One agent, checked. `reply` is the JSON Schema of its answer, an object."""

    agent: str
    persona: Persona
    instructions: str
    reply: Mapping[str, Any]
    model: ModelOptions = field(default_factory=ModelOptions)
    tools: tuple[str, ...] = ()
    planning: str = "direct"  # "direct" | "react" | "plan"
    memory: ShortTermMemory | None = None
    limits: Limits = field(default_factory=Limits)
    long_term: LongTermMemory | None = None

    @cached_property
    def version(self) -> str:
        """16 hex digits that change when an answer could: the limits are not part of it.

        So raising a limit pays for no call again that the journal holds.
        """
        content = asdict(self)
        del content["limits"]
        if self.long_term is None:  # what is not used is no part of it
            del content["long_term"]
        return digest(content)[:16]

    @cached_property
    def variables(self) -> frozenset[str]:
        """The columns that the input view must have: the template's, and those of `x-echo`."""
        echoed = {
            schema["x-echo"] for schema in self.reply["properties"].values() if "x-echo" in schema
        }
        return (template.variables(self.instructions) - {"memory"}) | echoed

    @cached_property
    def reply_format(self) -> ReplyFormat:
        """What checks an answer, and the schema as the model gets it."""
        return ReplyFormat(self.reply)

    @property
    def remembers(self) -> bool:
        """Whether a run leaves something to remember."""
        return self.memory is not None or self.long_term is not None

    @cached_property
    def result_columns(self) -> list[tuple[str, str, Mapping[str, Any]]]:
        """(property, tool, schema of a row) of what no model writes: the results of a tool."""
        return [
            (name, schema["x-results"], schema["items"])
            for name, schema in self.reply["properties"].items()
            if "x-results" in schema
        ]

    @cached_property
    def uses_memory(self) -> bool:
        """Whether the instructions place `memory` themselves."""
        return "memory" in template.variables(self.instructions)

    def reply_columns(self) -> list[tuple[str, str]]:
        """The reply's properties as (name, Flink SQL type), in the order of the file."""
        return [
            (name, reply_schema.flink_type(schema))
            for name, schema in self.reply["properties"].items()
        ]

    def to_json(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "AgentDefinition":
        value = json.loads(text)
        memory, long_term = value["memory"], value.get("long_term")
        return cls(
            agent=value["agent"],
            persona=Persona(**value["persona"]),
            instructions=value["instructions"],
            reply=value["reply"],
            model=ModelOptions(**value["model"]),
            tools=tuple(value["tools"]),
            planning=value["planning"],
            memory=memory and ShortTermMemory(**memory),
            limits=Limits(**value["limits"]),
            long_term=long_term and LongTermMemory(**long_term),
        )

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return AgentDefinition.from_json, (self.to_json(),)


def load_definition(text: str, path: str) -> AgentDefinition:
    """The definition in a file's text. Raises `DefinitionError`, with `path` and line."""
    from udfs.core.definition_file import load

    return load(text, path)
