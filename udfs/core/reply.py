"""The text of a model's answer in, the validated reply or one sentence about what is wrong out.

Models wrap JSON in prose and fences; that is forgiven. Two different answers in one text, duplicate
keys, NaN, lone surrogates and whatever the schema refuses are not: the sentence goes back to the
model as the message of a repair try.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError, best_match

from udfs.core import grounding
from udfs.core.reply_schema import (
    Schema,
    asked_form,
    checked_form,
    nullable,
    type_of,
    wire_form,
)

MESSAGE_CHARS = 300
_STARTS_MAX = 64
_OBJECTS_MAX = 8
_THOUGHT = re.compile(r"\A\s*<think>.*?</think>", re.DOTALL)


class InvalidReply(ValueError):
    """The answer is not the reply that was asked for; the message says why, for the model."""


class ReplyFormat:
    """What a valid reply is; built once per definition and process."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema = asked_form(schema)
        self.wire = wire_form(schema)
        self._validator = Draft202012Validator(checked_form(schema), format_checker=FormatChecker())

    def read(self, text: str, row: Mapping[str, Any], evidence: Iterable[str]) -> dict[str, Any]:
        """The reply in `text`, every declared property in it. Raises `InvalidReply`.

        `row` is the input, for `x-echo`; `evidence` are the texts in which what is `x-grounded`
        must stand.
        """
        found = _objects(text)
        if not found:
            raise InvalidReply("the answer holds no JSON object")
        valid: list[dict[str, Any]] = []
        problem = None
        for value in found:
            value = _pruned(value, self.schema)
            error = self._first_error(value)
            if error is None and value not in valid:
                valid.append(value)
            elif error is not None:
                problem = error
        if not valid:
            assert problem is not None
            raise InvalidReply(_sentence(problem))
        if len(valid) > 1:
            raise InvalidReply("the answer holds more than one JSON object that fits the schema")
        reply: dict[str, Any] = _completed(valid[0], self.schema)
        self._check_echo(reply, row)
        self._check_grounded(reply, evidence)
        return reply

    def _first_error(self, value: object) -> ValidationError | None:
        try:
            error: ValidationError | None = best_match(self._validator.iter_errors(value))
            return error
        except OverflowError:  # multipleOf of a number that no float holds
            raise InvalidReply("the answer holds a number that is too large") from None

    def _check_echo(self, reply: Mapping[str, Any], row: Mapping[str, Any]) -> None:
        for name, schema in self.schema["properties"].items():
            if "x-echo" in schema and reply[name] != row.get(schema["x-echo"]):
                raise InvalidReply(f"$.{name}: must repeat `{schema['x-echo']}` of the input")

    def _check_grounded(self, reply: Mapping[str, Any], evidence: Iterable[str]) -> None:
        texts = list(grounding.grounded_texts(reply, self.schema))
        if not texts:
            return
        known = grounding.addresses(evidence)
        for path, text in texts:
            invented = sorted(grounding.addresses([text]) - known)
            if invented:
                shown = _short(", ".join(invented), 120)
                raise InvalidReply(f"{path}: {shown} stands neither in the input nor in a result")


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects in a text: the whole, or those that stand in prose or fences."""
    text = _THOUGHT.sub("", text).strip()
    problem: str | None = None
    found: list[dict[str, Any]] = []
    at, starts = text.find("{"), 0
    while at >= 0 and starts < _STARTS_MAX and len(found) < _OBJECTS_MAX:
        starts += 1
        try:
            value, at = _DECODER.raw_decode(text, at)
            found.append(value)
        except _Refused as error:
            raise InvalidReply(str(error)) from None
        except json.JSONDecodeError as error:
            problem = problem or f"not JSON: {error.msg} at character {error.pos}"
            if error.pos >= len(text) or error.msg.startswith("Unterminated"):
                break  # cut off: an object inside it is not the answer
            at += 1
        except (ValueError, RecursionError):  # a number of 5,000 digits; ten thousand brackets
            raise InvalidReply("the JSON is nested too deeply or a number is too long") from None
        at = text.find("{", at)
    if not found and problem:
        raise InvalidReply(problem)
    return found


class _Refused(Exception):
    """JSON that Python reads and that is not JSON, or says two things at once."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"the key {_short(twice, 60)!r} is there twice")
    for name, inner in pairs:
        _refuse_surrogates(name)
        for text in inner if isinstance(inner, list) else (inner,):
            _refuse_surrogates(text)
    return value


def _refuse_surrogates(text: object) -> None:
    if isinstance(text, str) and not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _Refused("a text holds half a character (a lone surrogate)") from None


def _constant(name: str) -> Any:
    raise _Refused(f"{name} is not a JSON number")


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise _Refused(f"{_short(text, 30)} is too large a number")
    return value


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)


def _pruned(value: Any, schema: Schema) -> Any:
    """The value without the nulls of optional properties: strict mode writes what is absent so."""
    kind = type_of(schema)
    if kind == "object" and isinstance(value, dict):
        properties, required = schema["properties"], schema.get("required", ())
        return {
            name: _pruned(inner, properties[name]) if name in properties else inner
            for name, inner in value.items()
            if inner is not None
            or name in required
            or name not in properties
            or nullable(properties[name])
        }
    if kind == "array" and isinstance(value, list):
        return [_pruned(inner, schema["items"]) for inner in value]
    return value


def _completed(value: Any, schema: Schema) -> Any:
    """The value with None for what is absent, and 85.0 as 85 where an integer is declared."""
    if value is None:
        return None
    kind = type_of(schema)
    if kind == "object":
        return {n: _completed(value.get(n), s) for n, s in schema["properties"].items()}
    if kind == "array":
        return [_completed(inner, schema["items"]) for inner in value]
    if kind == "integer":
        return int(value)
    return float(value) if kind == "number" else value


def _sentence(error: ValidationError) -> str:
    return f"{_short(error.json_path, 100)}: {_short(error.message, MESSAGE_CHARS)}"


def _short(text: str, chars: int) -> str:
    """The text, cut in its middle where it is longer than `chars`."""
    half = (chars - 1) // 2
    return text if len(text) <= chars else f"{text[:half]}…{text[-half:]}"
