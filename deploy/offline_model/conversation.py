"""The messages of a request in; the reading of them out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.offline_model.message import MessageReader
from deploy.offline_model.persona import persona
from deploy.offline_model.reading import Reading

MAX_PASSAGES = 1_500
MAX_LINES = 400
MAX_LINE_CHARS = 4_000
_COMPLAINT = re.compile(
    r"schema|valid|json|required propert|is not of type|is not one of|does not match"
    r"|try again|truncat"
    r"|additional propert|parse",
    re.I,
)
_WRAPPED = re.compile(r"^\s*<([A-Za-z][\w-]{0,40})>\s*\n(.*)\n\s*</\1>\s*$", re.S)
_ERROR = re.compile(r"^\s*(?:tool )?(?:error|failed|failure|exception|timeout|timed out)\b", re.I)


def read(messages: Sequence[Mapping[str, Any]], labels: frozenset[str] = frozenset()) -> Reading:
    """What the messages say; `labels` are the schema's enum values, lower case, never data keys."""
    found = Reading()
    calls: dict[str, str] = {}
    complaint = _complaint_at(messages)
    tools_spoke = any(message.get("role") == "tool" for message in messages)
    for number, message in enumerate(messages):
        role, text = message.get("role"), content_text(message.get("content"))
        if role == "assistant":
            for call in message.get("tool_calls") or []:
                calls[str(call.get("id"))] = name = str(call.get("function", {}).get("name"))
                found.called.add(name)
        elif role == "tool":
            _read_tool(found, calls.get(str(message.get("tool_call_id")), "tool"), text)
        elif number not in complaint and text:
            MessageReader(found, str(role), labels, tools_spoke).read(text)
    _adopt_background(found)
    _bound(found)
    found.persona = persona("\n".join([*found.instructions, *found.background]))
    return found


def _bound(found: Reading) -> None:
    """Keeps the work that follows in proportion: the first and last of what is too much."""
    if len(found.passages) > MAX_PASSAGES:
        found.passages[MAX_PASSAGES - 300 : -300] = []
    for lines in (found.instructions, found.background):
        if len(lines) > MAX_LINES:
            lines[MAX_LINES - 100 : -100] = []
        lines[:] = [line[:MAX_LINE_CHARS] for line in lines]


def content_text(content: Any) -> str:
    """A message's content as text, whether a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def _complaint_at(messages: Sequence[Mapping[str, Any]]) -> set[int]:
    """Numbers of the user messages that only complain about the answer before them."""
    return {
        number
        for number in range(1, len(messages))
        if messages[number].get("role") == "user"
        and messages[number - 1].get("role") == "assistant"
        and not messages[number - 1].get("tool_calls")
        and _COMPLAINT.search(content_text(messages[number].get("content"))[:4_000])
    }


def _read_tool(found: Reading, name: str, text: str) -> None:
    """A tool's result: JSON or text, with or without a tag around it."""
    if wrapped := _WRAPPED.match(text):
        text = wrapped.group(2)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = text.strip()
    if isinstance(value, dict) and value.get("error"):
        found.failures.append(f"{name}: {str(value['error'])[:300]}")
    elif isinstance(value, str) and (_ERROR.match(value) or not value):
        found.failures.append(f"{name}: {value[:300] or 'nothing found'}")
    elif value in (None, [], {}) or (isinstance(value, dict) and value.get("found") is False):
        found.failures.append(f"{name}: nothing found")
    elif isinstance(value, (dict, list)):
        found.take(value, (), name)
    else:
        reader = MessageReader(found, "tool", frozenset(), True, source=name)
        reader.section = "data"
        reader.read(str(value))


def _adopt_background(found: Reading) -> None:
    """Where all stands in the system message, its own lines are the data."""
    if found.facts or found.passages:
        return
    for template in found.templates:
        found.take(template, (), "user")
    for key, value in found.system_pairs:
        found.take_text(value, (key,), "user")
    for one in found.background:
        found.take_sentence(one, "", "user")
    found.background.clear()
