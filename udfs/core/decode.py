"""A Kafka record's raw bytes in, the declared table's values out, or the reason why not.

What Kafka Connect calls a conversion error becomes a dead letter here: `Rejected` has a reason
code and a sentence, and the caller sends the original bytes along. Nothing is guessed, nothing is
unpickled, and every limit is checked before the work that it bounds.
"""

import datetime as dt
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from udfs.core import events
from udfs.core.types import Type, TypeMismatch, decode

MAX_VALUE_BYTES = 1 << 20
CUT_BYTES = 3 << 20  # of key and value: what the source hands over, and dead letters hold, at most
MAX_KEY_BYTES = 1 << 10
MAX_HEADERS = 100
MAX_HEADER_BYTES = 32 << 10
EARLIEST_MS = int(dt.datetime(2000, 1, 1, tzinfo=dt.UTC).timestamp() * 1000)
LATEST_AHEAD_MS = 24 * 3600 * 1000


class Rejected(ValueError):
    """This record is not what the table declares. `reason` is a code, the text a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        super().__init__(message)


class Record(NamedTuple):
    """One Kafka record as it lies on the topic; times in milliseconds since the epoch."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Mapping[str, bytes | None]


@dataclass(frozen=True)
class Column:
    """A table's column and where its value comes from.

    `source` is `key`, `value`, or the name of a Kafka metadata field: `headers`, `timestamp`,
    `partition`, `offset`, `topic`.
    """

    name: str
    type: Type
    source: str = "value"


def decode_record(record: Record, columns: Sequence[Column], now_ms: int) -> tuple[Any, ...] | None:
    """The table's row, or None for a tombstone (a null value, which deletes and says nothing).

    Raises Rejected.
    """
    if record.value is None:
        return None
    _check_limits(record, now_ms)
    key = _key(record)
    document = _document(record.value)
    when = dt.datetime.fromtimestamp(record.timestamp_ms / 1000, dt.UTC)
    headers = events.identified(
        {name: value or b"" for name, value in record.headers.items()},
        topic=record.topic,
        key=record.key,
        value=record.value,
        time=when.isoformat(timespec="milliseconds"),
    )
    headers["source"] = f"{record.topic}/{record.partition}/{record.offset}".encode()
    sources = {
        "key": key,
        "headers": headers,
        "timestamp": when,
        "partition": record.partition,
        "offset": record.offset,
        "topic": record.topic,
    }
    try:
        return tuple(
            decode(document.get(c.name), c.type, c.name)
            if c.source == "value"
            else sources[c.source]
            for c in columns
        )
    except TypeMismatch as mismatch:
        missing = mismatch.found.startswith("null") and not _has(document, mismatch.path)
        raise Rejected("missing_field" if missing else "wrong_type", str(mismatch)) from None


def _has(document: Mapping[str, Any], path: str) -> bool:
    at: Any = document
    for name in path.split("."):
        if not isinstance(at, dict) or name not in at:
            return False
        at = at[name]
    return True


def _check_limits(record: Record, now_ms: int) -> None:
    if record.value is not None and len(record.value) > MAX_VALUE_BYTES:
        raise Rejected("too_large", f"value has {_size(record.value)}, limit {MAX_VALUE_BYTES}")
    if len(record.headers) > MAX_HEADERS:
        raise Rejected("too_many_headers", f"{len(record.headers)} headers, limit {MAX_HEADERS}")
    size = sum(len(n) + len(v or b"") for n, v in record.headers.items())
    if size > MAX_HEADER_BYTES:
        raise Rejected("too_many_headers", f"headers have {size} bytes, limit {MAX_HEADER_BYTES}")
    for name in ("ce_id", "attempt", "traceparent"):
        value = record.headers.get(name)
        if value is not None and (not value.isascii() or len(value) > 256):
            raise Rejected("bad_header", f"header {name} is not short ASCII text")
    if not EARLIEST_MS <= record.timestamp_ms <= now_ms + LATEST_AHEAD_MS:
        raise Rejected(
            "bad_timestamp",
            f"timestamp {record.timestamp_ms} ms is not between the year 2000 and tomorrow",
        )


def _size(data: bytes) -> str:
    if len(data) < CUT_BYTES:
        return f"{len(data)} bytes"
    return f"{CUT_BYTES} bytes or more (here are the first; the record lies at its place)"


def _key(record: Record) -> str:
    if not record.key:
        raise Rejected("null_key", "the record has no key; expected the table's key column")
    if len(record.key) > MAX_KEY_BYTES:
        raise Rejected("too_large", f"key has {_size(record.key)}, limit {MAX_KEY_BYTES}")
    try:
        return record.key.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected("not_utf8", f"the key is not UTF-8: {error.reason}") from None


def _document(value: bytes) -> dict[str, Any]:
    if not value:
        raise Rejected("empty", "the value is empty; expected a JSON object")
    if value[0] == 0 and len(value) > 5 and value[5:6] not in (b"\x00", b""):
        raise Rejected(
            "unknown_schema", "the value has a schema registry's magic byte; expected JSON"
        )
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected("not_utf8", f"not UTF-8 at byte {error.start}: {error.reason}") from None
    try:
        document = _JSON.decode(text)
        if _SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise Rejected("not_unicode", "a text holds half a character (a lone surrogate)") from None
    except RecursionError:
        raise Rejected("too_deep", "the JSON is nested too deeply") from None
    except Rejected:
        raise
    except ValueError as error:
        raise Rejected("not_json", f"not JSON: {error}"[:300]) from None
    if not isinstance(document, dict):
        raise Rejected("not_json", f"expected a JSON object, found {type(document).__name__}")
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise Rejected("duplicate_key", "the JSON names a key twice in one object")
    return document


def _no_constant(name: str) -> Any:
    raise Rejected("not_finite", f"{name} is not JSON; expected a finite number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise Rejected("not_finite", f"{text[:40]} is beyond what a number can hold")
    return number


# Undeclared fields are judged like declared ones: what a strict parser refuses is no JSON to us.
_JSON = json.JSONDecoder(
    object_pairs_hook=_unique, parse_constant=_no_constant, parse_float=_finite
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
