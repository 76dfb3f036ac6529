"""Fault rules in; for each request the misbehaviour that is due, and altered completions, out.

For tests: a rule says what goes wrong (`kind`), for which requests (`match`, a regular expression
on the messages' text; `share`, spread evenly), and how often (`count`). The first rule that is due
wins.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from email.utils import formatdate
from typing import Any

from deploy.offline_model.chat import Completion
from deploy.offline_model.text import count_tokens, first_tokens, tokens

KINDS = {
    "rate_limited": "429 with `retry_after`: seconds, 'date', 'garbage' or any text",
    "server_error": "an error of the given `status`, 500 by default",
    "unknown_model": "404, model_not_found; with `endpoint` models, for its name as `match`",
    "slow": "the right answer after `delay_s`",
    "hang": "accepts the request and never answers",
    "hang_after_headers": "sends headers and part of the body, then nothing",
    "reset": "resets the connection in the middle of the body",
    "html": "200 with an HTML page",
    "broken_body": "200 whose body is cut JSON",
    "broken_json": "content that is cut JSON",
    "prose": "prose around the content",
    "fences": "Markdown fences around the content",
    "wrong_schema": "valid JSON of another shape",
    "answer": "`text` as the content",
    "refusal": "a refusal instead of content",
    "truncated": "half of the content, finish_reason length",
    "empty": "no content",
    "repetition": "one sentence again and again up to the token limit",
    "unknown_tool": "a call of a tool that was not offered, named `text`",
    "tool_call": "`times` calls at once of the tool `text` with `arguments`, whatever was asked",
    "nonce": "another answer each time",
}
ENDPOINTS = ("chat", "embeddings", "models", "any")
REPEATED_TOKENS = 4_000
_BEFORE_ANSWER = frozenset(
    {
        "rate_limited",
        "server_error",
        "unknown_model",
        "hang",
        "hang_after_headers",
        "reset",
        "html",
        "broken_body",
    }
)


@dataclass(frozen=True)
class Fault:
    kind: str
    match: str = ""
    share: float = 1.0
    count: int | None = None
    delay_s: float = 0.0
    status: int = 500
    retry_after: int | float | str | None = None
    endpoint: str = "chat"
    text: str = ""
    arguments: str = "{}"
    times: int = 1

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(
                f"fault kind {self.kind!r} is unknown; expected one of {', '.join(KINDS)}"
            )
        if self.endpoint not in ENDPOINTS:
            raise ValueError(
                f"fault endpoint {self.endpoint!r}; expected one of {', '.join(ENDPOINTS)}"
            )
        if not 0 < self.share <= 1:
            raise ValueError(f"fault share {self.share!r}; expected a number above 0 and up to 1")
        try:
            re.compile(self.match)
        except re.error as error:
            raise ValueError(
                f"fault match {self.match!r} is no regular expression: {error}"
            ) from error

    @property
    def replaces_response(self) -> bool:
        return self.kind in _BEFORE_ANSWER

    def retry_after_header(self) -> str | None:
        """The header's text: "date" is two seconds from now, "garbage" is no time at all."""
        if self.retry_after is None:
            return None
        if self.retry_after == "date":
            return formatdate(time.time() + 2, usegmt=True)
        return "soon, perhaps" if self.retry_after == "garbage" else str(self.retry_after)


def fault(told: Fault | Mapping[str, Any] | str) -> Fault:
    """A rule from JSON, or from a kind alone; ValueError says what is wrong with it."""
    if isinstance(told, Fault):
        return told
    if isinstance(told, str):
        return Fault(told)
    known = {one.name for one in fields(Fault)}
    if unknown := set(told) - known:
        raise ValueError(f"fault has unknown keys {sorted(unknown)}; expected {sorted(known)}")
    if "kind" not in told:
        raise ValueError(f"fault {dict(told)!r} names no kind; expected one of {', '.join(KINDS)}")
    return Fault(**told)


class Faults:
    """The rules in force, and how often each was met and has struck."""

    def __init__(self) -> None:
        self._rules: list[Fault] = []
        self._met: list[int] = []
        self._struck: list[int] = []
        self.nonce = 0

    def add(self, rules: list[Fault]) -> None:
        self._rules += rules
        self._met += [0] * len(rules)
        self._struck += [0] * len(rules)

    def clear(self) -> None:
        self._rules, self._met, self._struck = [], [], []

    def due(self, endpoint: str, text: str) -> Fault | None:
        """The rule that strikes this request, if any."""
        for number, rule in enumerate(self._rules):
            if rule.endpoint not in (endpoint, "any"):
                continue
            if rule.count is not None and self._struck[number] >= rule.count:
                continue
            if rule.match and re.search(rule.match, text) is None:
                continue
            self._met[number] += 1
            met = self._met[number]
            if int(met * rule.share + 1e-9) > int((met - 1) * rule.share + 1e-9):
                self._struck[number] += 1
                return rule
        return None


def altered(made: Completion, rule: Fault, nonce: int) -> Completion:
    """The completion with the rule's misbehaviour in it."""
    content = made.content or ""
    plain = replace(made, tool_calls=[], finish_reason="stop")
    if rule.kind == "broken_json":
        return replace(plain, content=content[: max(len(content) * 2 // 3, 1)].rstrip("}]") + ' "')
    if rule.kind == "prose":
        return replace(
            plain,
            content=(
                f"Sure! Here is what you asked for:\n\n{content}\n\nLet me know if you need more."
            ),
        )
    if rule.kind == "fences":
        return replace(plain, content=f"```json\n{content}\n```")
    if rule.kind == "wrong_schema":
        return replace(plain, content=_of_another_shape(content))
    if rule.kind == "answer":
        return replace(plain, content=rule.text).limited()
    if rule.kind == "refusal":
        return replace(
            plain, content=None, refusal=rule.text or "I'm sorry, but I can't help with that."
        )
    if rule.kind == "truncated":
        half = first_tokens(content, max(count_tokens(content) // 2, 1))
        return replace(plain, content=half, finish_reason="length")
    if rule.kind == "empty":
        return replace(plain, content="")
    if rule.kind == "repetition":
        return _repeating(plain)
    if rule.kind == "unknown_tool":
        return _calling(made, rule.text or "delete_everything")
    if rule.kind == "tool_call":
        return _calling(made, rule.text, rule.arguments, rule.times)
    if rule.kind == "nonce":
        return replace(made, content=_varied(content, nonce), id=f"{made.id}-{nonce}")
    return made


def _of_another_shape(content: str) -> str:
    try:
        value = json.loads(content)
    except ValueError:
        value = {}
    if not isinstance(value, dict):
        return json.dumps({"unexpected": value})
    first = next(iter(value), None)
    kept = {key: one for key, one in value.items() if key != first}
    wrong = {key: str(one) if isinstance(one, (int, float)) else 0 for key, one in kept.items()}
    return json.dumps({"unexpected": True, **wrong})


def _repeating(made: Completion) -> Completion:
    line = "We would be happy to help you with that. "
    most = made.most_tokens or REPEATED_TOKENS
    times = most // len(tokens(line)) + 1
    return replace(made, content=first_tokens(line * times, most), finish_reason="length")


def _calling(made: Completion, name: str, arguments: str = "{}", times: int = 1) -> Completion:
    function = {"name": name, "arguments": arguments}
    calls = [
        {"id": f"call_{made.id[-20:]}{number:04}", "type": "function", "function": function}
        for number in range(times)
    ]
    return replace(made, content=None, tool_calls=calls, finish_reason="tool_calls")


def _varied(content: str, nonce: int) -> str:
    """The content with a mark in its longest text, still of the same shape."""
    try:
        value = json.loads(content)
    except ValueError:
        return f"{content} ({nonce})"
    if not isinstance(value, dict):
        return f"{content} ({nonce})"
    texts = {key: one for key, one in value.items() if isinstance(one, str)}
    if not texts:
        numbers = {key: one for key, one in value.items() if isinstance(one, int) and one > 0}
        return json.dumps({**value, **{key: one - 1 for key, one in numbers.items() if nonce % 2}})
    longest = max(texts, key=lambda key: len(texts[key]))
    return json.dumps({**value, longest: f"{texts[longest]} ({nonce})"}, ensure_ascii=False)
