"""A person's CSV or JSONL file in, events ready to send out; or every problem with its line.

    read_events(path, columns, key="lead_id") -> (events, problems)   events are [] with problems
    read_unchecked(path, key="lead_id") -> events                     every line as it stands

`columns` are the topic's, as (name, Flink type); the key column is not part of an event's value.
A record without a key gets the UUIDv5 of its content, so that a file sent twice is one file.

CSV: comma, semicolon, tab or bar, with a header. A column is named by its path, `lead_data.email`,
or by its last name where only one column has it, in any case and spelling: `E-Mail`. Columns that
the topic does not have are left out. JSONL: one object a line, as it stands on the topic plus the
key; or flat, where the names are clear.
"""

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.errors import TidemillError
from udfs.core import events
from udfs.core.decode import MAX_KEY_BYTES, MAX_VALUE_BYTES
from udfs.core.types import Type, TypeMismatch, decode, parse_type

DELIMITERS = ",;\t|"
_MAGIC = {b"PK\x03\x04": "an Excel workbook or ZIP file", b"\x1f\x8b": "a gzip file"}


@dataclass(frozen=True)
class Event:
    """One record to send: `value` is UTF-8 JSON."""

    line: int
    key: str
    value: bytes


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line of the file."""

    line: int
    what: str
    expected: str | None = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.what}" + (
            f"; expected {self.expected}" if self.expected else ""
        )


class _Wrong(ValueError):
    """A record that cannot be sent."""

    def __init__(self, what: str, expected: str | None = None) -> None:
        super().__init__(what)
        self.what, self.expected = what, expected


class _Shape:
    """The topic's columns: the paths that can be filled, and the names that people give them."""

    def __init__(self, columns: Sequence[tuple[str, str]], key: str) -> None:
        self.key = key
        self.types = {name: parse_type(text) for name, text in columns if name != key}
        self.leaves = dict(_leaves(self.types))
        self._paths = {_plain(path): path for path in (key, *self.leaves)}
        for path in self.leaves:
            last = _plain(path.split(".")[-1])
            known = last in self._paths and self._paths[last] != path
            self._paths[last] = "" if known else path  # two columns have it: it names neither

    def path(self, name: str) -> str | None:
        """The column that a name in a file means."""
        return self._paths.get(_plain(name)) or None

    def likely(self, name: str) -> str | None:
        """The column that a name may have been meant for."""
        close = difflib.get_close_matches(_plain(name), list(self._paths), 1, cutoff=0.8)
        return (self._paths[close[0]] or None) if close else None

    def required(self) -> list[str]:
        """The paths that every record must fill."""
        return [path for path, leaf in self.leaves.items() if not leaf.nullable]


def _leaves(types: Mapping[str, Type], prefix: str = "") -> Iterator[tuple[str, Type]]:
    for name, declared in types.items():
        if declared.kind == "ROW":
            yield from _leaves(dict(declared.fields), f"{prefix}{name}.")
        else:
            yield prefix + name, declared


def _plain(name: str) -> str:
    return "".join(c for c in name.casefold() if c.isalnum() or c == ".")


def read_events(
    path: Path, columns: Sequence[tuple[str, str]], key: str = "lead_id"
) -> tuple[list[Event], list[Problem]]:
    """The file's events, or its problems: never both, so that nothing is half sent.

    Raises TidemillError where it is no file that can be read.
    """
    shape = _Shape(columns, key)
    found: list[Event] = []
    problems: list[Problem] = []
    try:
        text = _text(path)
        records = _json_lines(text, shape) if _is_json(path, text) else _csv_rows(text, shape)
        for line, record in records:
            try:
                if isinstance(record, _Wrong):
                    raise record
                found.append(_event(line, record, shape))
            except _Wrong as wrong:
                problems.append(Problem(line, wrong.what, wrong.expected))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(Problem(line, "this is not UTF-8", "a file saved as UTF-8"))
    problems += _same_key(found)
    if not found and not problems:
        problems = [Problem(1, "the file holds no records", "one record a line")]
    return ([], sorted(problems, key=lambda p: p.line)) if problems else (found, [])


def read_unchecked(path: Path, key: str = "lead_id") -> list[Event]:
    """Every line as it stands, for trying what jobs do with bad input. The key where it has one."""
    lines = enumerate(_bytes(path).split(b"\n"), 1)
    return [
        Event(n, _key_within(raw, key), raw)
        for n, raw in ((n, s.rstrip()) for n, s in lines)
        if raw
    ]


def _key_within(raw: bytes, key: str) -> str:
    try:
        record = json.loads(raw)
        return str(record[key])
    except (ValueError, TypeError, KeyError, RecursionError):
        return events.event_id("", None, raw)


# --- the file


def _bytes(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TidemillError(
            f"cannot read {path}: {error.strerror}", "give a CSV or JSONL file"
        ) from None
    for magic, what in _MAGIC.items():
        if raw.startswith(magic):
            raise TidemillError(f"{path} is {what}", "save it as CSV (UTF-8) and send that")
    return raw


def _text(path: Path) -> str:
    raw = _bytes(path)
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):  # what Excel calls Unicode text
        return raw.decode("utf-16")
    return raw.decode("utf-8-sig")


def _is_json(path: Path, text: str) -> bool:
    if path.suffix.lower() in (".jsonl", ".ndjson", ".json"):
        return True
    return path.suffix.lower() not in (".csv", ".tsv") and text.lstrip()[:1] in ("{", "[")


# --- JSON lines

Records = Iterator[tuple[int, "dict[str, Any] | _Wrong"]]


def _json_lines(text: str, shape: _Shape) -> Records:
    """(line, record as nested values); a line that is no record is handed on as its problem."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                yield number, _nested(_json_object(line), shape)
            except _Wrong as wrong:
                yield number, wrong


def _json_object(line: str) -> dict[str, Any]:
    expected = "one JSON object a line"
    try:
        record = json.loads(line, object_pairs_hook=_unique, parse_constant=_no_constant)
    except RecursionError:
        raise _Wrong("the JSON is nested too deeply", expected) from None
    except json.JSONDecodeError as error:
        raise _Wrong(f"not JSON: {error.msg} at character {error.colno}", expected) from None
    except ValueError as error:
        raise error if isinstance(error, _Wrong) else _Wrong(str(error), expected) from None
    if not isinstance(record, dict):
        raise _Wrong(f"a JSON {type(record).__name__}", expected)
    return record


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise _Wrong("the JSON names a key twice in one object", "each name once")
    return record


def _no_constant(name: str) -> Any:
    raise _Wrong(f"{name} is no JSON number", "a finite number")


def _nested(record: dict[str, Any], shape: _Shape) -> dict[str, Any]:
    """The record with flat names moved to where the topic has them, unless that is given too."""
    whole: dict[str, Any] = {}
    for name, value in record.items():
        path = shape.path(name)
        if path and path.split(".")[0] not in record:
            _put(whole, path, value)
        else:
            whole[name] = value
    return whole


def _put(record: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        record = record.setdefault(parent, {})
    record[last] = value


# --- CSV


def _csv_rows(text: str, shape: _Shape) -> Records:
    """(line, record as nested values); a row that is no record is handed on as its problem."""
    delimiter = max(DELIMITERS, key=lambda d: _known_columns(text, d, shape))
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    while True:
        line = rows.line_num + 1
        try:
            row = next(rows, None)
        except csv.Error as error:
            yield line, _Wrong(f"not CSV: {error}", "quotes that are closed, and doubled inside")
            return
        if row is None:
            return
        if not any(cell.strip() for cell in row):
            continue
        if header is None:
            header = row
            wrong = _header_problem(header, shape)
            if wrong:
                yield line, wrong
                return
        else:
            try:
                yield line, _record(row, header, shape)
            except _Wrong as wrong:
                yield line, wrong


def _known_columns(text: str, delimiter: str, shape: _Shape) -> int:
    try:
        rows = csv.reader(io.StringIO(text[: 1 << 16], newline=""), delimiter=delimiter)
        header = next((row for row in rows if any(row)), [])
    except csv.Error:
        return 0
    return sum(shape.path(name) is not None for name in header)


def _header_problem(header: list[str], shape: _Shape) -> _Wrong | None:
    paths = [shape.path(name) for name in header]
    known = ", ".join((shape.key, *shape.leaves))
    for name, path in zip(header, paths, strict=True):
        if path and paths.count(path) > 1:
            return _Wrong(f"two columns of the header mean {path}", "each column once")
        likely = None if path else shape.likely(name)
        if likely and likely not in paths:
            return _Wrong(f"the header has a column {name!r}", f"{likely}, if that is meant")
    missing = [path for path in shape.required() if path not in paths]
    if missing:
        what = f"the header has no column {' and no '.join(missing)}"
        return _Wrong(what, f"a first line that names columns of: {known}")
    if not any(paths):
        return _Wrong("the header names no column of the topic", f"columns of: {known}")
    return None


def _record(row: list[str], header: list[str], shape: _Shape) -> dict[str, Any]:
    if len(row) != len(header):
        raise _Wrong(
            f"{len(row)} cells where the header has {len(header)}",
            'as many; a value with the delimiter or a line break stands in "quotes"',
        )
    record: dict[str, Any] = {}
    for name, cell in zip(header, row, strict=True):
        path = shape.path(name)
        if path == shape.key and cell.strip():
            record[path] = cell.strip()
        elif path and path != shape.key:
            _put(record, path, _cell(cell.strip(), shape.leaves[path], path))
    return record


def _cell(text: str, declared: Type, path: str) -> Any:
    """A cell as the JSON value of its column's type; an empty one is null."""
    if not text:
        return None
    if declared.kind in (
        "STRING",
        "BYTES",
        "DECIMAL",
        "DATE",
        "TIME",
        "TIMESTAMP",
        "TIMESTAMP_LTZ",
    ):
        return text
    lowered = text.lower()
    if declared.kind == "BOOLEAN":
        return {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
            lowered, text
        )
    try:
        return json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise _Wrong(f"{path}: found {text[:40]!r}", str(declared)) from None


# --- one record


def _event(line: int, record: dict[str, Any], shape: _Shape) -> Event:
    value = {name: inner for name, inner in record.items() if name != shape.key}
    for name, declared in shape.types.items():
        try:
            decode(value.get(name), declared, name)
        except TypeMismatch as wrong:
            raise _Wrong(f"{wrong.path}: found {wrong.found}", wrong.expected) from None
        except RecursionError:
            raise _Wrong(f"{name} is nested too deeply", str(declared)) from None
    try:
        text = json.dumps(value, ensure_ascii=False, sort_keys=True).encode("utf-8")
    except UnicodeEncodeError:
        raise _Wrong("half a character (a lone surrogate)", "whole characters") from None
    if len(text) > MAX_VALUE_BYTES:
        raise _Wrong(f"the record has {len(text)} bytes", f"at most {MAX_VALUE_BYTES}")
    return Event(line, _key(record.get(shape.key), text, shape), text)


def _key(given: Any, value: bytes, shape: _Shape) -> str:
    if given is None:
        return events.event_id("", None, value)
    if not isinstance(given, str) or not given.strip():
        raise _Wrong(f"{shape.key}: found {str(given)[:40]!r}", "text, or nothing")
    if len(given.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES or not given.isprintable():
        raise _Wrong(f"{shape.key} is no key", f"printable text of {MAX_KEY_BYTES} bytes at most")
    return given


def _same_key(found: list[Event]) -> list[Problem]:
    """Keys that stand for two different records."""
    first: dict[str, Event] = {}
    problems = []
    for event in found:
        other = first.setdefault(event.key, event)
        if other.value != event.value:
            what = f"key {event.key} is also that of line {other.line}, which says something else"
            problems.append(Problem(event.line, what, "a key of its own for each record"))
    return problems
