"""Kafka headers in, CloudEvents ids and W3C trace context out, the same on every replay.

An event's identity must not depend on when or how often it is processed: ids are UUIDv5 of what
the event is made from, so that a reader drops a repeat by `ce_id` alone. Names are those of the
CloudEvents Kafka binding (1.0.2, section 3.2) and of W3C Trace Context (level 1).
"""

import hashlib
import re
import uuid
from collections.abc import Mapping

Headers = dict[str, bytes]

NAMESPACE = uuid.UUID("6c1f6e38-31f5-5a4e-9d57-6b0c8a1f2d11")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ATTEMPT = re.compile(r"[1-9][0-9]{0,8}")
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def _pieces(*parts: str | bytes) -> bytes:
    """Parts as one; no two different lists of parts collide, for lengths are written in."""
    pieces: list[bytes] = []
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        pieces += (len(raw).to_bytes(8, "big"), raw)
    return b"".join(pieces)


def _joined(*parts: str | bytes) -> str:
    """Parts as one name of 64 hexadecimal digits."""
    return hashlib.sha256(_pieces(*parts)).hexdigest()


def _uuid5(name: bytes) -> str:
    """RFC 4122's UUIDv5 under our namespace, as text."""
    digest = bytearray(hashlib.sha1(NAMESPACE.bytes + name, usedforsecurity=False).digest())
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    return str(uuid.UUID(bytes=bytes(digest[:16])))


def event_id(topic: str, key: bytes | None, value: bytes | None) -> str:
    """The id of an event that came without one: UUIDv5 of topic, key and value bytes."""
    return _uuid5(_pieces(topic, key or b"", value or b""))


def child_id(parent_id: str, step: str, index: int | str = 0) -> str:
    """The id of the `index`-th event that `step` (job or step name) derives from `parent_id`;
    an index may be a name, too."""
    return _uuid5(_joined(parent_id, step, str(index)).encode())


def span_id(*parts: str) -> str:
    """A span id (16 hex) that is the same on every replay of the same parts."""
    return _joined("span", *parts)[:16]


def text(headers: Mapping[str, bytes] | None, name: str) -> str | None:
    """A header's value as text, or None where it is missing or not UTF-8."""
    value = (headers or {}).get(name)
    if value is None:
        return None
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        return None


def attempt(headers: Mapping[str, bytes] | None) -> int:
    """How often this event was driven by hand: 1 for the first time; junk counts as 1."""
    value = text(headers, "attempt") or ""
    return int(value) if _ATTEMPT.fullmatch(value) else 1


def trace_context(headers: Mapping[str, bytes] | None) -> tuple[str, str]:
    """(trace id, parent span id) of an event; derived from its id where no traceparent came: an id
    that is a UUID is the trace's id, too."""
    match = _TRACEPARENT.fullmatch(text(headers, "traceparent") or "")
    if match and set(match[1]) != {"0"} and set(match[2]) != {"0"}:
        return match[1], match[2]
    identity = text(headers, "ce_id") or ""
    digits = identity.replace("-", "") if _UUID.fullmatch(identity) else _joined("trace", identity)
    return digits[:32], digits[16:32]


def traceparent(trace: str, span: str) -> bytes:
    """The W3C header for a sampled span."""
    return f"00-{trace}-{span}-01".encode()


def identified(
    headers: Mapping[str, bytes] | None,
    *,
    topic: str,
    key: bytes | None,
    value: bytes | None,
    time: str,
) -> Headers:
    """The headers of an event as it came in, completed with what it lacks.

    `time` is the record's timestamp in RFC 3339; `ce_subject` is left to the producer.
    """
    complete = dict(headers or {})
    if not text(complete, "ce_id"):
        complete["ce_id"] = event_id(topic, key, value).encode()
    complete.setdefault("ce_source", f"kafka:{topic}".encode())
    complete.setdefault("ce_type", topic.encode())
    complete.setdefault("ce_time", time.encode())
    complete.setdefault("attempt", b"1")
    complete["traceparent"] = traceparent(*trace_context(complete))
    return complete


def child_headers(headers: Mapping[str, bytes] | None, step: str, index: int | str = 0) -> Headers:
    """The headers of the `index`-th event that `step` makes of this one: new id, same trace."""
    child = dict(headers or {})
    parent = text(child, "ce_id") or ""
    identity = child_id(parent, step, index)
    trace, _ = trace_context(child)
    child["ce_id"] = identity.encode()
    child["ce_source"] = f"tidemill:{step}".encode()
    child["ce_type"] = step.encode()
    child["traceparent"] = traceparent(trace, span_id("run", parent, step, str(index)))
    return child
