"""A regular expression in; a short text that matches it, or None, out.

Best effort, for schemas with `pattern` whose value the data does not hold. Look-around and
back-references are not followed.
"""

from __future__ import annotations

import re
from functools import lru_cache
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_CLASSES = {
    "CATEGORY_DIGIT": "0", "CATEGORY_WORD": "a", "CATEGORY_SPACE": " ",
    "CATEGORY_NOT_DIGIT": "a", "CATEGORY_NOT_WORD": "-", "CATEGORY_NOT_SPACE": "a",
}  # fmt: skip
_TRIED = "aA0 -_.:/@#1bBxX,;+!"
MAX_REPEAT = 1_000


@lru_cache(maxsize=1_024)
def matching(pattern: str, least: int = 0) -> str | None:
    """The shortest simple text of at least `least` characters in which the pattern is found."""
    for more in (0, 1, least):
        try:
            text = _written(parser.parse(pattern), min(more, MAX_REPEAT))
            if len(text) >= least and re.search(pattern, text):
                return text
            padded = text + "a" * (least - len(text))
            if len(padded) >= least and re.search(pattern, padded):
                return padded
        except (re.error, KeyError, RecursionError, TypeError, ValueError, OverflowError):
            return None
    return None


@lru_cache(maxsize=1_024)
def compiled_pattern(pattern: str) -> re.Pattern[str] | None:
    try:
        return re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return None


def _written(parsed: Any, more: int) -> str:
    return "".join(_one(code, argument, more) for code, argument in parsed)


def _one(code: Any, argument: Any, more: int) -> str:
    if code is codes.LITERAL:
        return chr(argument)
    if code is codes.NOT_LITERAL:
        return "a" if argument != ord("a") else "b"
    if code is codes.ANY:
        return "a"
    if code is codes.IN:
        return _from_class(argument)
    if code in (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT):
        low, high, inner = argument
        times = min(max(low, min(more, high)), MAX_REPEAT)
        return _written(inner, 0) * times
    if code is codes.SUBPATTERN:
        return _written(argument[-1], more)
    if code is codes.BRANCH:
        return _written(argument[1][0], more)
    if code is codes.ATOMIC_GROUP:
        return _written(argument, more)
    if code in (codes.AT, codes.ASSERT, codes.ASSERT_NOT):
        return ""
    raise KeyError(code)


def _from_class(members: Any) -> str:
    if members[0][0] is codes.NEGATE:
        refused = members[1:]
        return next(char for char in _TRIED if not any(_holds(one, char) for one in refused))
    code, argument = members[0]
    if code is codes.RANGE:
        return chr(argument[0])
    if code is codes.CATEGORY:
        return _CLASSES[str(argument)]
    return chr(argument)


def _holds(member: Any, char: str) -> bool:
    code, argument = member
    if code is codes.LITERAL:
        return ord(char) == int(argument)
    if code is codes.RANGE:
        return bool(argument[0] <= ord(char) <= argument[1])
    return {
        "CATEGORY_DIGIT": char.isdigit(),
        "CATEGORY_WORD": char.isalnum() or char == "_",
        "CATEGORY_SPACE": char.isspace(),
    }.get(str(argument), False)
