"""Arrow batches of JSON inputs in, typed replies out: `AI_COMPLETE('agent', input, headers)`.

The simple form for SQL authors: one journaled call, no tools, no memory. All rows of a batch are
in flight at once, each with its own deadline, and the batch is done when its slowest row is; what
may be slow, loops or remembers is `run_agent`. A row that fails has nulls and `error`.
"""

import json
from typing import Any

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from udfs.agent import model_and_journal, reply_columns, request
from udfs.core.agent_loop import complete_rows
from udfs.core.definition import AgentDefinition
from udfs.core.types import decode, row_type
from udfs.flink_types import data_type, to_flink
from udfs.loop import LoopThread


class AiComplete(ScalarFunction):
    """(agent, input, the event's headers as JSON) → `{"reply": …}` or `{"reason": …, …}`."""

    def __init__(self, definition: AgentDefinition, job: str) -> None:
        self.definition, self.job = definition, job

    def is_deterministic(self) -> bool:
        return False

    def open(self, function_context: FunctionContext) -> None:
        self._loop = LoopThread()
        self._model, self._journal = self._loop.call(self._clients())
        self._is_open = True

    async def _clients(self) -> tuple[Any, Any]:
        return model_and_journal()

    def close(self) -> None:
        if getattr(self, "_is_open", False):  # PyFlink may close twice, or what did not open
            self._is_open = False
            self._loop.call(self._journal.aclose())
            self._loop.call(self._model.aclose())
            self._loop.close()

    def eval(self, agents: Any, inputs: Any, events: Any) -> Any:
        import pandas

        answers: list[str | None] = [None] * len(inputs)
        requests, places = [], []
        for at, (text, event) in enumerate(zip(inputs, events, strict=True)):
            row = _object(text)
            if row is None:
                answers[at] = _failed("prompt_error", "the input of AI_COMPLETE is no JSON object")
                continue
            headers = {name: value.encode() for name, value in (_object(event) or {}).items()}
            requests.append(request(headers, "", row, (), self.job))
            places.append(at)
        outcomes = self._loop.call(
            complete_rows(self.definition, requests, self._model, self._journal)
        )
        for at, outcome in zip(places, outcomes, strict=True):
            failure = outcome.failure
            answers[at] = (
                _failed(failure.reason, failure.message)
                if failure
                else json.dumps({"reply": outcome.reply})
            )
        return pandas.Series(answers)


def _object(text: str | None) -> dict[str, Any] | None:
    try:
        value = json.loads(text or "")
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _failed(reason: str, message: str) -> str:
    return json.dumps({"reason": reason, "message": message})


def ai_complete(definition: AgentDefinition, job: str) -> Any:
    """The function that asks. Not deterministic, or the planner would call it per column."""
    return udf(
        AiComplete(definition, job),
        result_type=DataTypes.STRING(),
        func_type="pandas",
        deterministic=False,
    )


def ai_reply(definition: AgentDefinition) -> Any:
    """The function that gives the answer its type: the reply's columns, then `error`."""
    columns = row_type(reply_columns(definition))
    convert = to_flink(columns)
    nothing = [None] * len(columns.fields)

    def typed(answer: str) -> Row:
        document = json.loads(answer)
        if "reply" in document:
            return Row(*convert(decode(document["reply"], columns)), None)
        return Row(*nothing, Row(document["reason"], document["message"]))

    error = DataTypes.ROW(
        [
            DataTypes.FIELD("reason", DataTypes.STRING()),
            DataTypes.FIELD("message", DataTypes.STRING()),
        ]
    )
    fields = [DataTypes.FIELD(name, data_type(declared)) for name, declared in columns.fields]
    result = DataTypes.ROW([*fields, DataTypes.FIELD("error", error)])
    return udf(typed, result_type=result, deterministic=False)
