"""A typed Python function in, a tool that a model can call out: schema, argument check, call.

The schema is read from the signature, the texts from the docstring (Google, NumPy or reST style).
A parameter is a str, int, float, bool, Literal, list or dict of these, or one of them `| None`.
One that is `FromEvent` is no argument: it gets the column of its name from the row that the agent
works on, so that no model, and no text that a model has read, can choose it.
"""

import asyncio
import importlib
import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, get_args, get_origin

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from udfs.core.calls import Json
from udfs.core.definition import AgentDefinition, DefinitionError

THREADS = 32
_FROM_EVENT = "the row's column of this name"
FromEvent = Annotated[str, _FROM_EVENT]
_SIMPLE = {str: "string", int: "integer", float: "number", bool: "boolean"}


class ToolError(Exception):
    """A tool call that cannot be answered; the message is given back to the model."""


@dataclass(frozen=True)
class Tool:
    """A function that an agent may call. `parameters` is the JSON Schema of its arguments, `bound`
    are the columns of the row that it gets besides."""

    name: str
    description: str
    parameters: Json
    function: Callable[..., Any]
    bound: tuple[str, ...] = ()

    @classmethod
    def of(cls, function: Callable[..., Any], name: str | None = None) -> "Tool":
        """The tool that a function is. Raises `DefinitionError` where it says too little."""
        from docstring_parser import parse

        name = name or function.__name__
        docstring = parse(inspect.getdoc(function) or "")
        if not docstring.short_description:
            raise DefinitionError(f"tool {name} has no docstring: the model needs one to choose it")
        told = {param.arg_name: param.description for param in docstring.params}
        texts = (docstring.short_description, docstring.long_description)
        return cls(
            name=name,
            description="\n\n".join(text for text in texts if text),
            parameters=_parameters(function, name, told),
            function=function,
            bound=tuple(n for n, hint in _hints(function, name).items() if _is_bound(hint)),
        )

    def spec(self) -> Json:
        """The tool as chat completion requests name it."""
        return {
            "type": "function",
            "function": {
                "name": self.name,
                "description": self.description,
                "parameters": self.parameters,
            },
        }

    @cached_property
    def _validator(self) -> Draft202012Validator:
        return Draft202012Validator(self.parameters)

    def arguments(self, text: str) -> Json:
        """The checked arguments in the JSON text that a model wrote. Raises `ToolError`."""
        try:
            value = json.loads(text or "{}", parse_constant=_no_constant)
        except (ValueError, RecursionError):
            raise ToolError("the arguments are not JSON; write one JSON object") from None
        validator = self._validator
        error = None if validator.is_valid(value) else best_match(validator.iter_errors(value))
        if error is not None:
            raise ToolError(f"wrong arguments: {error.json_path}: {error.message[:300]}")
        return typing.cast(Json, value)

    async def call(
        self, arguments: Mapping[str, Any], timeout_s: float, row: Mapping[str, Any] | None = None
    ) -> str:
        """What `returned` gives, as text for a model."""
        result = await self.returned(arguments, timeout_s, row)
        return result if isinstance(result, str) else as_json(result)

    async def returned(
        self, arguments: Mapping[str, Any], timeout_s: float, row: Mapping[str, Any] | None = None
    ) -> Any:
        """The result. Raises `ToolError` for whatever goes wrong in the function.

        A blocking function that does not end in time is left to its thread.
        """
        arguments = {**arguments, **{name: (row or {}).get(name) for name in self.bound}}
        try:
            async with asyncio.timeout(timeout_s):
                if inspect.iscoroutinefunction(self.function):
                    return await self.function(**arguments)
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(_threads(), lambda: self.function(**arguments))
        except TimeoutError:
            raise ToolError(f"{self.name} did not answer within {timeout_s:g} s") from None
        except Exception as error:
            told = str(error)[:500] or "no message"
            raise ToolError(f"{self.name} failed: {type(error).__name__}: {told}") from error


def as_json(result: Any) -> str:
    """What a function returned, as JSON."""
    return json.dumps(result, ensure_ascii=False, default=str)


def resolve_tools(
    definition: AgentDefinition, importer: Callable[[str], Any] = importlib.import_module
) -> dict[str, Tool]:
    """The agent's allow-list, by name. Raises `DefinitionError` with all that is not there."""
    tools: dict[str, Tool] = {}
    found: list[str] = []
    for path in definition.tools:
        try:
            tool = resolve_tool(path, importer)
            tools[tool.name] = tool
        except DefinitionError as error:
            found.extend(f"agent {definition.agent}: tool {path}: {p}" for p in error.problems)
    if found:
        raise DefinitionError(*found)
    return tools


def resolve_tool(path: str, importer: Callable[[str], Any] = importlib.import_module) -> Tool:
    """The function at a dotted path as a tool. Raises `DefinitionError`."""
    module_name, _, name = path.rpartition(".")
    try:
        module = importer(module_name)
    except Exception as error:  # an import runs anything
        raise DefinitionError(
            f"module {module_name} cannot be imported ({type(error).__name__}: {error}); "
            "is its package installed where the job is submitted and on the workers?"
        ) from error
    function = getattr(module, name, None)
    if not inspect.isroutine(function):
        public = [n for n, v in vars(module).items() if inspect.isfunction(v) and n[0] != "_"]
        known = ", ".join(sorted(public)) or "none"
        raise DefinitionError(f"module {module_name} has no function {name!r}; it has: {known}")
    return Tool.of(function, name)


def _parameters(function: Callable[..., Any], name: str, told: Mapping[str, str | None]) -> Json:
    hints = _hints(function, name)
    properties: Json = {}
    required = []
    for parameter in inspect.signature(function).parameters.values():
        if _is_bound(hints.get(parameter.name)):
            continue
        where = f"tool {name}: parameter {parameter.name}"
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise DefinitionError(f"{where}: * and ** cannot be described to a model")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise DefinitionError(f"{where}: positional-only cannot be called by name")
        if parameter.name not in hints:
            raise DefinitionError(f"{where} has no type hint")
        schema = _schema(hints[parameter.name], where)
        if told.get(parameter.name):
            schema["description"] = told[parameter.name]
        properties[parameter.name] = schema
        if parameter.default is parameter.empty:
            required.append(parameter.name)
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


def _hints(function: Callable[..., Any], name: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except NameError as error:
        raise DefinitionError(f"tool {name}: its type hints do not resolve: {error}") from None


def _is_bound(hint: Any) -> bool:
    return get_origin(hint) is Annotated and _FROM_EVENT in get_args(hint)


def _schema(hint: Any, where: str) -> Json:
    """The JSON Schema of one type hint."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    origin, parts = get_origin(hint), get_args(hint)
    if hint in _SIMPLE:
        return {"type": _SIMPLE[hint]}
    if origin is Literal and {type(value) for value in parts} <= set(_SIMPLE):
        names = sorted({_SIMPLE[type(value)] for value in parts})
        return {"type": names[0] if len(names) == 1 else names, "enum": list(parts)}
    if origin in (typing.Union, types.UnionType) and type(None) in parts and len(parts) == 2:
        inner = _schema(next(part for part in parts if part is not type(None)), where)
        kinds = inner["type"] if isinstance(inner["type"], list) else [inner["type"]]
        inner["type"] = [*kinds, "null"]
        if "enum" in inner:
            inner["enum"].append(None)
        return inner
    if origin is list and parts:
        return {"type": "array", "items": _schema(parts[0], where)}
    if origin is dict and len(parts) == 2 and parts[0] is str:
        return {"type": "object", "additionalProperties": _schema(parts[1], where)}
    raise DefinitionError(
        f"{where}: {hint} has no JSON form; use str, int, float, bool, Literal, list[…], "
        "dict[str, …] or one of them | None"
    )


def _no_constant(name: str) -> Any:
    raise ValueError(name)


@lru_cache(1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="tool")
