"""Events of a bundle's sources in, its versions out: `complete_bundle`.

    SELECT * FROM complete_bundle(input => TABLE bundle_events PARTITION BY bundle_id)

The input has `kind` (requested, checked, stored or mined) and `event`, the columns of that kind as
JSON. A thin shell: when a version is fired, and with what, is `udfs.core.bundle`.
"""

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core import events
from udfs.core.bundle import Bundle
from udfs.core.fold import BadEvent, Emitted, KeyState
from udfs.core.types import Type, parse_type
from udfs.keyed_function import Columns, StateFunction, check_call

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

TAKES = {"bundle_id": "STRING", "kind": "STRING", "event": "STRING"}
GIVES = {
    "bundle_id": "STRING",
    "topic": "STRING",
    "guest_name": "STRING",
    "company": "STRING",
    "questions_wanted": "INT",
    "version": "INT",
    "complete": "BOOLEAN",
    "expected": "INT",
    "arrived": "INT",
    "sources": "ARRAY<ROW<`url` STRING, `title` STRING, `kind` STRING>>",
    "missing": "ARRAY<ROW<`url` STRING, `reason` STRING>>",
    "changes": "ARRAY<ROW<`url` STRING, `what` STRING>>",
    "questions": "ARRAY<STRING>",
}


class CompleteBundle(StateFunction):
    """The bundles of one job. Its view has these columns and headers, not those of the input."""

    stage: ClassVar[str] = "bundle"

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "CompleteBundle":
        """Check the call. Raises BadCall."""
        check_call("complete_bundle", arguments, (), columns, TAKES)
        return cls()

    def output_columns(self) -> list[tuple[str, Type]]:
        return [(name, parse_type(declared)) for name, declared in GIVES.items()]

    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        return BundleState(key, pieces)


class BundleState:
    """A `Bundle` as the state of one key."""

    def __init__(self, bundle_id: str, pieces: Mapping[str, dict[str, Any]]) -> None:
        self._id, self._bundle = bundle_id, Bundle(pieces)

    @property
    def due_ms(self) -> int | None:
        return self._bundle.due_ms

    gone = False

    def changed_pieces(self) -> dict[str, dict[str, Any]]:
        return self._bundle.changed_pieces()

    def take(self, row: dict[str, Any], headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        try:
            event = json.loads(row["event"] or "")
        except (ValueError, RecursionError):
            event = None
        if not isinstance(event, dict):
            raise BadEvent("invalid_event", "the event is no JSON object")
        if not row["bundle_id"]:
            raise BadEvent("no_bundle", "the event names no bundle")
        trace, _ = events.trace_context(headers)
        kept = {name: base64.b64encode(value).decode() for name, value in headers.items()}
        return self._emitted(self._bundle.take(row["kind"] or "", event, trace, kept, now_ms))

    def wake(self, now_ms: int) -> list[Emitted]:
        return self._emitted(self._bundle.wake(now_ms))

    def _emitted(self, versions: list[dict[str, Any]]) -> list[Emitted]:
        kept = self._bundle.asked.headers
        headers = {name: base64.b64decode(value) for name, value in kept.items()}
        return [Emitted({"bundle_id": self._id, **v}, headers, v["version"]) for v in versions]
