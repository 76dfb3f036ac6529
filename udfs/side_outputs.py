"""Dead letters and trace spans in, rows of the side outputs out: a fold has no traces.

The job's runner sends them to the topics `<team>_dead_letters` and `<team>_agent_traces`.
"""

import datetime as dt
from collections.abc import Mapping

from pyflink.common import Row
from pyflink.datastream import OutputTag

from udfs.core.dead_letter import dead_letter_headers
from udfs.core.spans import Span
from udfs.core.types import Type, row_type
from udfs.flink_types import HEADERS, type_information

_TEXT, _LONG, _BYTES = Type("STRING"), Type("BIGINT"), Type("BYTES")

DEAD_LETTER_ROW = row_type([("event_key", _BYTES), ("payload", _BYTES), ("headers", HEADERS)])
TRACE_ROW = row_type(
    [
        *((name, _TEXT) for name in ("trace_id", "span_id", "parent_span_id", "name", "kind")),
        *((name, _TEXT) for name in ("job", "agent", "event_id", "event_key")),
        ("started_at", _LONG),
        ("duration_ms", _LONG),
        ("status", _TEXT),
        ("reason", _TEXT),
        ("attributes", Type("MAP", items=(_TEXT, _TEXT))),
    ]
)


def dead_letters_tag() -> OutputTag:
    """The side output of records that end here. Built when called: it needs the gateway."""
    return OutputTag("dead_letters", type_information(DEAD_LETTER_ROW))


def traces_tag() -> OutputTag:
    """The side output of spans."""
    return OutputTag("agent_traces", type_information(TRACE_ROW))


def dead_letter(
    key: bytes | None,
    payload: bytes | None,
    headers: Mapping[str, bytes] | None,
    *,
    reason: str,
    message: str,
    stage: str,
    job: str,
) -> Row:
    """One row of `dead_letters`: original bytes, and headers that say why."""
    complete = dead_letter_headers(
        headers, reason=reason, message=message, stage=stage, job=job, at=dt.datetime.now(dt.UTC)
    )
    return Row(key or b"", payload or b"", complete)


def trace(span: Span) -> Row:
    """One row of `agent_traces`."""
    return Row(*(getattr(span, name) for name, _ in TRACE_ROW.fields))
