"""Commands in, their results out: `work`, a worker that is an agent or a Python function.

    SELECT * FROM work(input => TABLE commands PARTITION BY worker_key, agent => 'analyst')
    SELECT * FROM work(input => TABLE commands PARTITION BY worker_key, function => 'mine.look_up')

The workers are the operator's parallel subtasks: the same key is the same worker's, in order. What
cannot be done is a result, too, `failed` with its reason, because who gave the command waits for
it and will give it again or do without. A function gets the JSON object in the column `input`
as its arguments, checked against its type hints. With `inline => TRUE` it is called where Flink
calls the operator: for functions that compute, and do not wait. A row whose column `kind` is
`cancelled` takes back the commands of its `command_id` that still wait behind others of their key.
"""

import inspect
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.agent import RunAgent
from udfs.core.commands import DONE, FAILED, REASON_CHARACTERS, RESULT_BYTES, too_large
from udfs.core.definition import DefinitionError
from udfs.core.fold import Emitted, KeyState
from udfs.core.slot import Entry
from udfs.core.tool import THREADS, Tool, ToolError, as_json, resolve_tool
from udfs.core.types import Type, parse_type
from udfs.keyed_function import BadCall, Columns, KeyedFunction, Result, StateFunction, check_call

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

OPTIONS = ("agent", "function", "inline", "timeout_s")
TIMEOUT_S = 60
CONCURRENCY = 256
GIVES = {"status": "STRING", "result": "STRING", "reason": "STRING"}


def plan(
    arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
) -> KeyedFunction | StateFunction:
    """Check the call. Raises BadCall, and what reading an agent's definition raises."""
    check_call("work", arguments, OPTIONS)
    agent, function = arguments.get("agent"), arguments.get("function")
    if (agent is None) == (function is None):
        raise BadCall("function", "work is told no worker, or two", "agent => … or function => …")
    if agent is not None:
        wrong = sorted(set(arguments) & {"inline", "timeout_s"})
        if wrong:
            raise BadCall(wrong[0], f"{wrong[0]} is for functions", "limits in the agent's file")
        given = {name: value for name, value in arguments.items() if name in ("agent", "slots")}
        return AgentWorker.plan(given, columns, team)
    if not isinstance(function, str):
        raise BadCall("function", f"function is {function!r}", "a dotted path: 'module.function'")
    timeout_s = arguments.get("timeout_s", TIMEOUT_S)
    if isinstance(timeout_s, bool) or not isinstance(timeout_s, int | float) or timeout_s <= 0:
        raise BadCall("timeout_s", f"timeout_s is {timeout_s!r}", "seconds, above 0")
    check_call("work", arguments, OPTIONS, columns, {"input": "STRING"})
    try:
        tool = resolve_tool(function)
    except DefinitionError as error:
        raise BadCall("function", "; ".join(error.problems)) from None
    if tool.bound:
        raise BadCall("function", f"{function} takes {tool.bound[0]} from an agent's row")
    waits = inspect.iscoroutinefunction(tool.function)
    if arguments.get("inline") and waits:
        raise BadCall("inline", f"{function} waits for something", "a function that only computes")
    if arguments.get("inline"):
        return InlineWorker(function, columns)
    return FunctionWorker(function, float(timeout_s), CONCURRENCY if waits else THREADS)


def result_columns() -> list[tuple[str, Type]]:
    return [(name, parse_type(declared)) for name, declared in GIVES.items()]


def done(result: str) -> dict[str, Any]:
    if too_large(result):
        return failed(f"oversize: the result has more than {RESULT_BYTES:,} bytes")
    return {"status": DONE, "result": _writable(result), "reason": None}


def failed(reason: str) -> dict[str, Any]:
    return {"status": FAILED, "result": None, "reason": _writable(reason)[:REASON_CHARACTERS]}


def _writable(text: str) -> str:
    """The text without halves of surrogate pairs, which no UTF-8 holds."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def cancelled(row: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Which commands an event takes back: those of its id, where its `kind` is `cancelled`."""
    return {"command_id": row.get("command_id")} if row.get("kind") == "cancelled" else None


class AgentWorker(RunAgent):
    """An agent whose replies are results, and whose failures are, too."""

    def output_columns(self) -> list[tuple[str, Type]]:
        return result_columns()

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        result = await super().run(entry, memory)
        if result.values is not None:
            result.values = done(json.dumps(result.values, ensure_ascii=False))
        return result

    def withdraws(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return cancelled(row)

    def instead(self, reason: str, message: str) -> dict[str, Any]:
        return failed(f"{reason}: {message}")


class FunctionWorker(KeyedFunction):
    """A function, called in a process of its own. One that waits holds up its own key only."""

    stage: ClassVar[str] = "worker"

    def __init__(self, path: str, timeout_s: float, concurrency: int) -> None:
        self.path, self.timeout_s, self.concurrency = path, timeout_s, concurrency

    def output_columns(self) -> list[tuple[str, Type]]:
        return result_columns()

    async def open(self) -> None:
        self._tool = resolve_tool(self.path)

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        try:
            arguments = self._tool.arguments(entry.row.get("input") or "{}")
            answer = await self._tool.returned(arguments, self.timeout_s)
        except ToolError as error:
            return Result(failed(str(error)))
        return Result(done(_json(answer)))

    def withdraws(self, row: Mapping[str, Any]) -> Mapping[str, Any] | None:
        return cancelled(row)

    def instead(self, reason: str, message: str) -> dict[str, Any]:
        return failed(f"{reason}: {message}")


class InlineWorker(StateFunction):
    """A function that computes, called by the operator itself: no process, no state."""

    stage: ClassVar[str] = "worker"
    dedupes: ClassVar[bool] = False  # who gave a command takes its first result

    def __init__(self, path: str, columns: Columns) -> None:
        self.path, self.columns = path, [c for c in columns if c[0] != "headers"]
        self._tool: Tool | None = None

    def output_columns(self) -> list[tuple[str, Type]]:
        return [*self.columns, *result_columns()]

    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        self._tool = self._tool or resolve_tool(self.path)
        return _Call(self._tool)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_tool": None}


class _Call:
    """The state that a call leaves behind: none."""

    due_ms = None
    gone = True

    def __init__(self, tool: Tool) -> None:
        self._tool = tool

    def take(self, row: dict[str, Any], headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        if cancelled(row) is not None:
            return []
        try:
            arguments = self._tool.arguments(row.get("input") or "{}")
            outcome = done(_json(self._tool.function(**arguments)))
        except ToolError as error:
            outcome = failed(str(error))
        except Exception as error:  # a function raises anything, and only its own command fails
            outcome = failed(f"{type(error).__name__}: {error}")
        return [Emitted({**row, **outcome}, dict(headers), 0)]

    def wake(self, now_ms: int) -> list[Emitted]:
        return []

    def changed_pieces(self) -> dict[str, Any]:
        return {}


def _json(value: Any) -> str:
    """What a function returned, as JSON; a text that is a JSON object or array stays as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        return value
    return as_json(value)
