"""Flink's type strings in, a type tree out; JSON values in, checked Python values out and back.

The tree is what the guarded source checks a record against, what a keyed function stores its
pending rows by, and what an agent's reply becomes. It knows nothing of PyFlink: `udfs.flink_types`
turns it into the cluster's types.

*Plain* values are what JSON can hold: bytes are base64 text, times are RFC 3339 text, decimals
are text. *Python* values are what PyFlink hands to a function: tuples for rows, `bytes`,
`datetime`, `Decimal`.
"""

import base64
import binascii
import datetime as dt
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

_INTEGERS = {"TINYINT": 8, "SMALLINT": 16, "INT": 32, "INTEGER": 32, "BIGINT": 64}
_TEXTS = {"STRING", "VARCHAR", "CHAR"}
_BYTES = {"BYTES", "VARBINARY", "BINARY"}
_TIMES = {"TIMESTAMP", "TIMESTAMP_LTZ"}
_FLOATS = {"FLOAT", "DOUBLE"}
_FLOAT_LIMIT = 2.0**128 - 2.0**103  # what is nearer to 2^128 than to the largest FLOAT
_OTHERS = {"BOOLEAN", "DECIMAL", "DATE", "TIME"}
_DAY, _CLOCK = r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?"
_MOMENT = rf"{_DAY}T{_CLOCK}(Z|[+-][0-9]{{2}}:[0-9]{{2}})?"
_TIME_FORMS = {
    "DATE": (re.compile(_DAY), "2026-01-31"),
    "TIME": (re.compile(_CLOCK), "13:45:00"),
    "TIMESTAMP": (re.compile(_MOMENT), "2026-01-31T13:45:00"),
    "TIMESTAMP_LTZ": (re.compile(_MOMENT), "2026-01-31T13:45:00Z"),
}
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_TOKEN = re.compile(r"\s*(`(?:[^`]|``)*`|'(?:[^']|'')*'|\w+|[<>(),])")


class TypeMismatch(ValueError):
    """A value is not of its declared type. `path` says where: `lead_data.emails[2]`."""

    def __init__(self, path: str, expected: str, found: str) -> None:
        self.path, self.expected, self.found = path, expected, found
        super().__init__(f"{path or 'value'}: expected {expected}, found {found}")


@dataclass(frozen=True)
class Type:
    """One Flink SQL type. `kind` is its root; `fields` are a ROW's, `items` the others' parts."""

    kind: str
    nullable: bool = True
    items: tuple["Type", ...] = ()
    fields: tuple[tuple[str, "Type"], ...] = ()
    parameters: tuple[int, ...] = ()

    def __str__(self) -> str:
        inner = ""
        if self.kind == "ROW":
            quoted = ((name.replace("`", "``"), t) for name, t in self.fields)
            inner = "<" + ", ".join(f"`{name}` {t}" for name, t in quoted) + ">"
        elif self.items:
            inner = "<" + ", ".join(map(str, self.items)) + ">"
        elif self.parameters:
            inner = "(" + ", ".join(map(str, self.parameters)) + ")"
        return f"{self.kind}{inner}{'' if self.nullable else ' NOT NULL'}"


class _Parser:
    def __init__(self, text: str) -> None:
        self.text, self.tokens, self.at = text, _TOKEN.findall(text), 0

    def peek(self) -> str:
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if not token or (expected and token.upper() != expected):
            raise ValueError(f"type {self.text!r}: expected {expected or 'more'}, found {token!r}")
        self.at += 1
        return token

    def accept(self, *words: str) -> bool:
        if tuple(t.upper() for t in self.tokens[self.at : self.at + len(words)]) == words:
            self.at += len(words)
            return True
        return False

    def type(self) -> Type:
        kind = self.take().upper()
        items: tuple[Type, ...] = ()
        fields: tuple[tuple[str, Type], ...] = ()
        parameters: tuple[int, ...] = ()
        if kind in ("ARRAY", "MULTISET", "MAP"):
            self.take("<")
            first = self.type()
            items = (first, self._second()) if kind == "MAP" else (first,)
            self.take(">")
        elif kind == "ROW":
            fields = self._fields()
        elif self.accept("("):
            parameters = self._parameters()
        if kind == "DOUBLE":
            self.accept("PRECISION")
        kind = self._time_zone(kind)
        nullable = not self.accept("NOT", "NULL")
        self.accept("NULL")
        root = _root(kind, self.text)
        if root in ("STRING", "BYTES"):
            parameters = ()
        return Type(root, nullable, items, fields, parameters)

    def _second(self) -> Type:
        self.take(",")
        return self.type()

    def _fields(self) -> tuple[tuple[str, Type], ...]:
        close = ">" if self.accept("<") else ")"
        if close == ")":
            self.take("(")
        fields = []
        while not self.accept(close):
            name = self.take()
            if name.startswith("`"):
                name = name[1:-1].replace("``", "`")
            fields.append((name, self.type()))
            if self.peek().startswith("'"):
                self.take()
            if self.peek() != close:
                self.take(",")
        return tuple(fields)

    def _parameters(self) -> tuple[int, ...]:
        numbers = []
        while not self.accept(")"):
            token = self.take()
            if not token.isdigit():
                raise ValueError(f"type {self.text!r}: expected a number, found {token}")
            numbers.append(int(token))
            self.accept(",")
        return tuple(numbers)

    def _time_zone(self, kind: str) -> str:
        if self.accept("WITH", "LOCAL", "TIME", "ZONE"):
            return "TIMESTAMP_LTZ"
        self.accept("WITHOUT", "TIME", "ZONE")
        return kind


def _root(kind: str, text: str) -> str:
    if kind in _TEXTS:
        return "STRING"
    if kind in _BYTES:
        return "BYTES"
    if kind == "INTEGER":
        return "INT"
    known = _TIMES | _FLOATS | _OTHERS | set(_INTEGERS) | {"ARRAY", "MAP", "ROW"}
    if kind not in known:
        raise ValueError(f"type {text!r}: {kind} is not a type that a Python function can take")
    return kind


def parse_type(text: str) -> Type:
    """The tree of a type string such as ``ROW<`name` STRING NOT NULL, `tags` ARRAY<STRING>>``.

    Raises ValueError where it is no type, or one that cannot cross into Python.
    """
    parser = _Parser(text)
    parsed = parser.type()
    if parser.at != len(parser.tokens):
        raise ValueError(f"type {text!r}: {parser.peek()!r} was not expected")
    return parsed


def _found(value: Any) -> str:
    if value is None:
        return "null"
    name = {dict: "an object", list: "an array", str: "text", bool: "a boolean"}.get(type(value))
    return name or f"the number {str(value)[:40]}"


def decode(value: Any, declared: Type, path: str = "") -> Any:
    """A JSON value as the Python value of its declared type.

    Strict on purpose: text is not a number, 1.5 is not an INT, a missing field of a NOT NULL type
    is an error. A missing nullable field is None, an unknown field is ignored.
    Raises TypeMismatch, which names the path.
    """
    if value is None:
        if not declared.nullable:
            raise TypeMismatch(path, f"{_expected(declared)} (NOT NULL)", "null or nothing")
        return None
    return _DECODERS[declared.kind](value, declared, path)


def _expected(declared: Type) -> str:
    return {"ROW": "an object", "ARRAY": "an array", "MAP": "an object"}.get(
        declared.kind, declared.kind
    )


def _decode_text(value: Any, declared: Type, path: str) -> str:
    if not isinstance(value, str):
        raise TypeMismatch(path, "STRING", _found(value))
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise TypeMismatch(path, "STRING", "a lone surrogate") from None
    return value


def _decode_integer(value: Any, declared: Type, path: str) -> int:
    if type(value) is float and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    bits = _INTEGERS[declared.kind]
    if type(value) is not int:
        raise TypeMismatch(path, declared.kind, _found(value))
    if not -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        raise TypeMismatch(path, f"{declared.kind} ({bits} bits)", _found(value))
    return value


def _decode_float(value: Any, declared: Type, path: str) -> float:
    if type(value) not in (int, float):
        raise TypeMismatch(path, declared.kind, _found(value))
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or (declared.kind == "FLOAT" and abs(number) >= _FLOAT_LIMIT):
        raise TypeMismatch(path, f"a finite {declared.kind}", _found(value))
    return number


def _decode_boolean(value: Any, declared: Type, path: str) -> bool:
    if type(value) is not bool:
        raise TypeMismatch(path, "BOOLEAN", _found(value))
    return value


def _decode_decimal(value: Any, declared: Type, path: str) -> Decimal:
    if type(value) not in (int, float, str) or not _DECIMAL.fullmatch(str(value)[:100]):
        raise TypeMismatch(path, str(declared), _found(value))
    precision, scale = (*declared.parameters, 10, 0)[:2] if declared.parameters else (10, 0)
    try:
        number = Decimal(str(value))
        rounded = number.quantize(Decimal(1).scaleb(-scale))
    except InvalidOperation:
        raise TypeMismatch(path, str(declared), _found(value)) from None
    if rounded != number or len(rounded.as_tuple().digits) > precision:
        raise TypeMismatch(path, str(declared), _found(value))
    return rounded


def _decode_bytes(value: Any, declared: Type, path: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise TypeMismatch(path, "BYTES (base64 text)", _found(value)) from None


def _decode_time(value: Any, declared: Type, path: str) -> Any:
    form, example = _TIME_FORMS[declared.kind]
    if isinstance(value, str) and form.fullmatch(value):
        try:
            return _parse_time(value, declared.kind)
        except (ValueError, OverflowError):  # the latter: a zone beyond the first or last year
            pass
    raise TypeMismatch(path, f"{declared.kind} (text such as {example})", _found(value))


def _parse_time(value: str, kind: str) -> Any:
    if kind == "DATE":
        return dt.date.fromisoformat(value)
    if kind == "TIME":
        return dt.time.fromisoformat(value)
    moment = dt.datetime.fromisoformat(value)
    if kind == "TIMESTAMP":
        return moment.replace(tzinfo=None)
    return moment.astimezone(dt.UTC) if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


def _decode_array(value: Any, declared: Type, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeMismatch(path, "an array", _found(value))
    return [decode(v, declared.items[0], f"{path}[{i}]") for i, v in enumerate(value)]


def _decode_map(value: Any, declared: Type, path: str) -> dict[Any, Any]:
    if not isinstance(value, dict) or declared.items[0].kind != "STRING":
        raise TypeMismatch(path, "an object", _found(value))
    return {
        _decode_text(k, declared.items[0], path): decode(v, declared.items[1], f"{path}.{k}")
        for k, v in value.items()
    }


def _decode_row(value: Any, declared: Type, path: str) -> tuple[Any, ...]:
    if not isinstance(value, dict):
        raise TypeMismatch(path, "an object", _found(value))
    prefix = f"{path}." if path else ""
    return tuple(decode(value.get(n), t, prefix + n) for n, t in declared.fields)


_DECODERS = {
    "STRING": _decode_text,
    "BOOLEAN": _decode_boolean,
    "DECIMAL": _decode_decimal,
    "BYTES": _decode_bytes,
    "ARRAY": _decode_array,
    "MAP": _decode_map,
    "ROW": _decode_row,
    **dict.fromkeys(_INTEGERS, _decode_integer),
    **dict.fromkeys(_FLOATS, _decode_float),
    **dict.fromkeys(_TIMES | {"DATE", "TIME"}, _decode_time),
}


def plain(value: Any, declared: Type) -> Any:
    """A Python value as the JSON value that `decode` reads back to it. Rows become objects."""
    if value is None:
        return None
    kind = declared.kind
    if kind == "ROW":
        return {n: plain(v, t) for (n, t), v in zip(declared.fields, value, strict=True)}
    if kind == "ARRAY":
        return [plain(v, declared.items[0]) for v in value]
    if kind == "MAP":
        pairs = value.items() if isinstance(value, Mapping) else value
        return {str(k): plain(v, declared.items[1]) for k, v in pairs}
    if kind == "BYTES":
        return base64.b64encode(bytes(value)).decode()
    if kind == "DECIMAL":
        return str(value)
    if kind in _TIMES or kind in ("DATE", "TIME"):
        return value.isoformat()
    return value


def row_type(columns: Sequence[tuple[str, Type]]) -> Type:
    """The ROW of some columns."""
    return Type("ROW", False, fields=tuple(columns))
