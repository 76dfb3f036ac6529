"""An agent's tools in, the form of a plan of their calls out; a plan in, those calls out.

`planning: plan` makes a plan of tool calls, has them made, may look at the results and plan again
(`limits.revisions` times), and then writes the reply. A plan has one list of arguments per tool of
the agent and nothing else: what a retrieved text asks for cannot name another tool, for there is no
place to name it in. What belongs to the event (the bundle that is searched) is no argument at all
(`udfs.core.tool.FromEvent`).
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator

from udfs.core import template
from udfs.core.calls import Json, ToolCall
from udfs.core.prompt import RESULT_CHARS, cut, neutral
from udfs.core.reply import ReplyFormat
from udfs.core.reply_schema import Schema, checked_form
from udfs.core.tool import Tool

PLAN = "plan"
CALLS_MOST = 12
_SHOWN_ARGUMENT_CHARS = 300


def plan_format(tools: Mapping[str, Tool]) -> ReplyFormat:
    """What a plan looks like: `{"search": [{"query": …}, …]}`."""
    return ReplyFormat(
        {
            "type": "object",
            "description": "The calls to make now, as lists of arguments by tool.",
            "additionalProperties": False,
            "required": sorted(tools),
            "properties": {
                name: {
                    "type": "array",
                    "maxItems": CALLS_MOST,
                    "description": f"Calls of {name}. {tools[name].description.split('. ')[0]}",
                    "items": tools[name].parameters,
                }
                for name in sorted(tools)
            },
        }
    )


def planned_calls(plan: Json, tools: Mapping[str, Tool], made: set[str]) -> list[ToolCall]:
    """The calls of a plan that were not made before, each once, no more than are allowed.

    What is null for an optional argument is left to the tool's default.
    """
    calls: list[ToolCall] = []
    for name in sorted(tools):
        required = tools[name].parameters["required"]
        for arguments in plan[name]:
            given = {k: v for k, v in arguments.items() if v is not None or k in required}
            text = json.dumps(given, ensure_ascii=False, sort_keys=True)
            if f"{name} {text}" not in made and len(calls) < CALLS_MOST:
                made.add(f"{name} {text}")
                calls.append(ToolCall(name, text))
    return calls


def request_text(tools: Mapping[str, Tool]) -> str:
    """What asks for the first plan."""
    told = "\n".join(f"- {name}: {tools[name].description}" for name in sorted(tools))
    return (
        "Before you do that, plan. These calls can be made for you:\n"
        f"{told}\n"
        "Answer with the calls that you want made, for each tool a list of arguments, at most "
        f"{CALLS_MOST} calls in all. You get their results, and then do what was asked for."
    )


def revision_text() -> str:
    """What asks for another plan, after results."""
    return (
        "Look at what came back. Where something that you need is still missing, plan further "
        "calls, worded differently; where nothing is, answer with empty lists."
    )


def writing_text() -> str:
    """What asks for the reply, after results or none."""
    return "That is all there is. Now do what was asked for first, and answer in its form."


def results_text(results: Sequence[tuple[ToolCall, str]], room: int) -> str:
    """What came back of a plan's calls, each marked as data, in about `room` characters."""
    each = max(200, min(RESULT_CHARS, room // max(1, len(results))))
    blocks = [
        f"{number}. {call.name} {neutral(cut(call.arguments, _SHOWN_ARGUMENT_CHARS))}\n"
        f"{template.data_block(neutral(cut(text, each)))}"
        for number, (call, text) in enumerate(results, 1)
    ]
    return "\n\n".join(["Results of the planned calls:", *blocks])


def result_rows(texts: Iterable[str], items: Schema) -> list[Json]:
    """What a tool's results hold as rows of a schema, each once, in order; what is none is not."""
    check = Draft202012Validator(checked_form(items))
    rows: dict[str, Json] = {}
    for text in texts:
        try:
            value: Any = json.loads(text)
        except (ValueError, RecursionError):
            continue
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                row = {name: one.get(name) for name in items["properties"]}
                present = {name: v for name, v in row.items() if v is not None}
                if check.is_valid(present):
                    rows.setdefault(json.dumps(row, sort_keys=True), row)
    return list(rows.values())
