"""The text of an agent's YAML file in, a checked `AgentDefinition` or all its problems out.

Loaded on the client only (pydantic, YAML). The YAML is read node by node, so that every problem has
its line, and so that what YAML allows and no agent needs is refused: aliases (their bombs),
duplicate keys, tags, more than one document.
"""

import math
import re
from pathlib import PurePath
from typing import Annotated, Any, Literal

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from udfs.core import reply_schema, template
from udfs.core.definition import (
    AgentDefinition,
    DefinitionError,
    Limits,
    LongTermMemory,
    ModelOptions,
    Persona,
    ShortTermMemory,
)

SIZE_MAX = 256 * 1024
DEPTH_MAX = 40
NODES_MAX = 20_000

Path = tuple[str | int, ...]
Text = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=20_000)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Tool = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class PersonaPart(_Part):
    role: Text
    goal: Text


class ModelPart(_Part):
    name: Text | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int = Field(default=ModelOptions.max_tokens, ge=1, le=1_000_000)


class ShortTermPart(_Part):
    events: int = Field(ge=1, le=100)
    max_age_s: float = Field(gt=0)


class LongTermPart(_Part):
    recall: int = Field(default=LongTermMemory.recall, ge=1, le=50)
    of: Literal["key", "agent"] = "key"
    write: Name = LongTermMemory.write
    score_least: float = Field(default=LongTermMemory.score_least, ge=-1, le=1)


class MemoryPart(_Part):
    short_term: ShortTermPart | None = None
    long_term: LongTermPart | None = None


class LimitsPart(_Part):
    steps: int = Field(default=Limits.steps, ge=1, le=100)
    revisions: int = Field(default=Limits.revisions, ge=0, le=20)
    tokens: int = Field(default=Limits.tokens, ge=1)
    seconds: float = Field(default=Limits.seconds, gt=0, le=3_600)
    call_seconds: float = Field(default=Limits.call_seconds, gt=0, le=3_600)
    tool_seconds: float = Field(default=Limits.tool_seconds, gt=0, le=3_600)
    prompt_chars: int = Field(default=Limits.prompt_chars, ge=1_000, le=10_000_000)
    concurrency: int = Field(default=Limits.concurrency, ge=1, le=10_000)
    queued: int = Field(default=Limits.queued, ge=1, le=1_000_000)


class AgentPart(_Part):
    agent: Name
    persona: PersonaPart
    instructions: Annotated[str, StringConstraints(min_length=1, max_length=64_000)]
    reply: dict[str, Any]
    model: ModelPart = ModelPart()
    tools: list[Tool] = Field(default=[], max_length=64)
    planning: Literal["direct", "react", "plan"] | None = None
    memory: MemoryPart | None = None
    limits: LimitsPart = LimitsPart()


_PARTS: dict[Path, type[_Part]] = {
    (): AgentPart,
    ("persona",): PersonaPart,
    ("model",): ModelPart,
    ("memory",): MemoryPart,
    ("memory", "short_term"): ShortTermPart,
    ("memory", "long_term"): LongTermPart,
    ("limits",): LimitsPart,
}


def load(text: str, path: str) -> AgentDefinition:
    """The definition in `text`; `path` is only named in errors. Raises `DefinitionError`."""
    value, lines = _read_yaml(text, path)
    try:
        part = AgentPart.model_validate(value)
    except ValidationError as error:
        raise DefinitionError(*(_sentence(e, path, lines) for e in error.errors()[:10])) from None
    found = [*_reply_problems(part.reply), *_other_problems(part, path)]
    if found:
        raise DefinitionError(*(_located(path, lines, where, what) for where, what in found[:10]))
    short, long = (part.memory.short_term, part.memory.long_term) if part.memory else (None, None)
    return AgentDefinition(
        agent=part.agent,
        persona=Persona(**part.persona.model_dump()),
        instructions=part.instructions,
        reply=part.reply,
        model=ModelOptions(**part.model.model_dump()),
        tools=tuple(part.tools),
        planning=part.planning or ("react" if part.tools else "direct"),
        memory=ShortTermMemory(**short.model_dump()) if short else None,
        limits=Limits(**part.limits.model_dump()),
        long_term=LongTermMemory(**long.model_dump()) if long else None,
    )


def _reply_problems(reply: dict[str, Any]) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = [
        (("reply", *problem.path), problem.message) for problem in reply_schema.problems(reply)
    ]
    if not found:
        try:
            Draft202012Validator.check_schema(reply)
        except SchemaError as error:
            found.append((("reply", *map(str, error.path)), error.message))
    return found


def _other_problems(part: AgentPart, path: str) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    stem = PurePath(path).stem
    if part.agent != stem:
        found.append((("agent",), f"is {part.agent!r}, but the file's name says {stem!r}"))
    try:
        template.compiled(part.instructions)
    except template.TemplateError as error:
        # A block scalar's text begins on the line after its key.
        found.append((("instructions", error.line or 0), f"the template is not right: {error}"))
    if part.tools and part.planning == "direct":
        expected = "tools need `planning: react` or `plan`; direct makes one model call"
        found.append((("planning",), expected))
    if part.planning == "plan" and not part.tools:
        found.append((("planning",), "there is nothing to plan without `tools`"))
    if part.memory and not part.memory.short_term and not part.memory.long_term:
        found.append((("memory",), "has neither short_term nor long_term"))
    if part.memory and part.memory.long_term:
        write = part.memory.long_term.write
        chosen = part.reply.get("properties", {}).get(write)
        boolean = isinstance(chosen, dict) and chosen.get("type") == "boolean"
        if write not in ("always", "never") and not boolean:
            expected = "expected always, never or a boolean property of the reply"
            found.append((("memory", "long_term", "write"), f"is {write!r}; {expected}"))
    names = [tool.rpartition(".")[2] for tool in part.tools]
    for name, schema in part.reply.get("properties", {}).items():
        tool = schema.get("x-results") if isinstance(schema, dict) else None
        if tool is not None and tool not in names:
            where = ("reply", "properties", name, "x-results")
            found.append((where, f"is {tool!r}, which is none of the agent's tools"))
    for index, name in enumerate(names):
        if name in names[:index]:
            found.append((("tools", index), f"a second tool is named {name!r}; names must differ"))
    return found


def _sentence(error: Any, path: str, lines: dict[Path, int]) -> str:
    where: Path = error["loc"]
    if error["type"] == "extra_forbidden":
        part = _PARTS.get(where[:-1])
        allowed = ", ".join(part.model_fields) if part else "none"
        return _located(path, lines, where, f"unknown key; allowed here: {allowed}")
    if error["type"] == "missing":
        return _located(path, lines, where, "is missing")
    given = repr(error["input"])
    given = given if len(given) <= 60 else given[:60] + "…"
    if error["type"] in ("model_type", "dict_type"):
        message = "should be a mapping of keys to values"
    elif where[0] == "tools" and error["type"] == "string_pattern_mismatch":
        message = "should be a dotted path, such as udfs.tools.crm.look_up_account"
    else:
        message = error["msg"].removeprefix("Input ").replace("String should", "should")
    return _located(path, lines, where, f"{message}; it is {given}")


def _located(path: str, lines: dict[Path, int], where: Path, what: str) -> str:
    """`file:line: key.key: what`, with the line of the nearest key that the file has."""
    inside, known = 0, where
    if where and where[0] == "instructions" and len(where) == 2:
        inside, known = int(where[1]), where[:1]
        where = known
    while known not in lines:
        known = known[:-1]
    dotted = re.sub(r"\.(\d+)(?=\.|$)", r"[\1]", ".".join(map(str, where)))
    return f"{path}:{lines[known] + inside}: {dotted + ': ' if dotted else ''}{what}"


def _read_yaml(text: str, path: str) -> tuple[Any, dict[Path, int]]:
    """Plain JSON values of one YAML document, and the line of every key in it."""
    if len(text.encode("utf-8", "replace")) > SIZE_MAX:
        raise DefinitionError(f"{path}: is larger than {SIZE_MAX // 1024} KiB")
    try:
        _refuse_bombs(text, path)
        loader = yaml.SafeLoader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                raise DefinitionError(f"{path}:1: is empty; expected agent, persona, …")
            lines: dict[Path, int] = {(): 1}
            return _value(loader, node, (), lines, path), lines
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise DefinitionError(f"{path}:{line}: is not YAML: {error.problem}") from None
    except yaml.YAMLError as error:
        raise DefinitionError(f"{path}: is not YAML: {str(error).splitlines()[0]}") from None


def _refuse_bombs(text: str, path: str) -> None:
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=yaml.SafeLoader)):
        line = event.start_mark.line + 1 if event.start_mark else 1
        if isinstance(event, yaml.AliasEvent):
            raise DefinitionError(f"{path}:{line}: YAML aliases (*{event.anchor}) are not allowed")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > DEPTH_MAX or count > NODES_MAX:
            raise DefinitionError(f"{path}:{line}: is nested too deeply or has too many values")


def _value(
    loader: yaml.SafeLoader, node: yaml.Node, where: Path, lines: dict[Path, int], path: str
) -> Any:
    here = f"{path}:{node.start_mark.line + 1}"
    if isinstance(node, yaml.MappingNode) and node.tag == "tag:yaml.org,2002:map":
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            key = loader.construct_object(key_node) if key_node.id == "scalar" else None
            if not isinstance(key, str):
                raise DefinitionError(f"{path}:{line}: a key must be text: {key_node.value!r}")
            if key in mapping:
                raise DefinitionError(f"{path}:{line}: the key {key!r} is there twice")
            lines[(*where, key)] = line
            mapping[key] = _value(loader, value_node, (*where, key), lines, path)
        return mapping
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        items = []
        for index, item in enumerate(node.value):
            lines[(*where, index)] = item.start_mark.line + 1
            items.append(_value(loader, item, (*where, index), lines, path))
        return items
    if not isinstance(node, yaml.ScalarNode):
        raise DefinitionError(f"{here}: the YAML tag {node.tag} is not allowed")
    value = loader.construct_object(node)
    if not isinstance(value, (str, int, float, bool, type(None))):
        raise DefinitionError(f"{here}: {node.value!r} is not a JSON value; put it in quotes")
    if isinstance(value, float) and not math.isfinite(value):
        raise DefinitionError(f"{here}: {node.value} is not a finite number")
    return value
