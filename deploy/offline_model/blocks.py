"""A message's text in; its blocks out: JSON values, "key: value" lines, headings, tags and prose.

Prompts mix instructions with the data they are about. Splitting them comes before understanding
them, and is bounded: a long text costs time in proportion to its length, whatever it holds.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

MAX_JSON_TRIES = 60
MAX_LITERAL_CHARS = 20_000
_DECODER = json.JSONDecoder(strict=False)
_JSON_START = re.compile(r"[{\[](?=\s*[{\[\"'\]}\d-]|\s*(?:true|false|null)\b)")
_PAIR = re.compile(r"^\s*(?:[-*•]\s+)?\**([A-Za-z][\w /&'()-]{0,48}?)\**\s?[:=]\**(?:\s+(.*))?$")
_HEADING = re.compile(r"^\s*(?:#{1,6}\s+(.+?)#*|\*\*([^*]+)\*\*:?)\s*$")
_OPENING_TAG = re.compile(r"^\s*<([A-Za-z][\w-]{0,40})(?:\s[^<>]{0,80})?>\s*$")
_CLOSING_TAG = re.compile(r"^\s*</[A-Za-z][\w-]{0,40}>\s*$")
_ONE_LINE_TAG = re.compile(r"^\s*<([A-Za-z][\w-]{0,40})[^<>]{0,80}>(.*?)(</\1>)\s*$")
_FENCE = re.compile(r'^\s*(?:```[\w-]*|"""|-{3,}|={3,}|<{3,}|>{3,})\s*$')

Kind = Literal["json", "pair", "heading", "open", "close", "prose", "gap"]


@dataclass(frozen=True)
class Block:
    """A piece of a message.

    `key` is a pair's key, a heading's words, a tag's name or a JSON value's label; `text` is a
    pair's value, a line of prose or the line before a JSON value.
    """

    kind: Kind
    text: str = ""
    key: str = ""
    value: Any = None


def blocks(text: str) -> Iterator[Block]:
    """The blocks of a text in order."""
    at = 0
    for start, end, value in _json_spans(text):
        before = text[at:start]
        head, _, label = before.rpartition("\n")
        label_words = label.strip().strip(":=`*#- ")
        if 0 < len(label_words) <= 60 and label.strip()[-1:] in ":=":
            yield from _lines(head)
        else:
            yield from _lines(before)
            label_words = ""
        line_before = before.rstrip(" \n`*").rpartition("\n")[2].strip()
        yield Block("json", text=line_before, key=label_words, value=value)
        at = end
    yield from _lines(text[at:])


def _json_spans(text: str) -> Iterator[tuple[int, int, Any]]:
    at = 0
    for _ in range(MAX_JSON_TRIES):
        match = _JSON_START.search(text, at)
        if match is None:
            return
        start = match.start()
        parsed = _parsed_at(text, start)
        if parsed is None:
            at = start + 1
            continue
        value, end = parsed
        if _is_data(value):
            yield start, end, value
        at = end


def _parsed_at(text: str, start: int) -> tuple[Any, int] | None:
    try:
        return _DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        return _literal_at(text, start)


def _literal_at(text: str, start: int) -> tuple[Any, int] | None:
    """A Python literal such as {'name': 'Ann', 'vip': None}, as str() of a dict writes it."""
    depth = 0
    for end in range(start, min(len(text), start + MAX_LITERAL_CHARS)):
        if text[end] in "{[":
            depth += 1
        elif text[end] in "}]":
            depth -= 1
            if depth == 0:
                if "'" not in text[start:end]:
                    return None
                try:
                    return ast.literal_eval(text[start : end + 1]), end + 1
                except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                    return None
    return None


def _is_data(value: Any) -> bool:
    """JSON that carries data: an object, or a list of objects or texts; not "[1]" in prose."""
    if isinstance(value, dict):
        return bool(value)
    return isinstance(value, list) and any(isinstance(one, (dict, str)) for one in value)


def _lines(text: str) -> Iterator[Block]:
    for line in text.splitlines():
        if not line.strip() or _FENCE.match(line):
            yield Block("gap")
        elif _CLOSING_TAG.match(line):
            yield Block("close")
        elif opening := _OPENING_TAG.match(line):
            yield Block("open", key=opening.group(1))
        elif tag := _ONE_LINE_TAG.match(line):
            yield Block("pair", key=tag.group(1), text=tag.group(2).strip())
        elif heading := _HEADING.match(line):
            yield Block("heading", key=next(g for g in heading.groups() if g).strip(" :"))
        else:
            yield _line(line)


def _line(line: str) -> Block:
    pair = _PAIR.match(line)
    if pair is None or len(pair.group(1).split()) > 6:
        return Block("prose", text=line)
    key, value = pair.group(1).strip(), (pair.group(2) or "").strip()
    if not value:
        bullet = line.lstrip()[:1] in "-*•" and not line.lstrip().startswith("**")
        return Block("pair", key=key, text="") if bullet else Block("heading", key=key)
    return Block("pair", key=key, text=value)
