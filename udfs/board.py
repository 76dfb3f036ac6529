"""Updates of a blackboard in, the entries that stand there out: `keep_board`. And entries that
somebody subscribed to in, what they say together out: `read_board`.

    SELECT * FROM keep_board(input => TABLE proposed_updates PARTITION BY board_id)
    SELECT * FROM read_board(input => TABLE subscribed_entries PARTITION BY board_id, most => 200)

Thin shells over `udfs.core.board` and `udfs.core.board_view`. The source of an update is a column
that the script takes from the record's headers, never from what an agent wrote.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core import events
from udfs.core.board import Board, Refusal, Update
from udfs.core.board_view import BoardView, Entry
from udfs.core.fold import Emitted, KeyState
from udfs.core.types import Type, parse_type
from udfs.keyed_function import BadCall, Columns, StateFunction, check_call

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

MOST = 200
MOST_OF_ALL = 2_000
SAID = {
    "subject": "STRING",
    "predicate": "STRING",
    "value": "STRING",
    "confidence": "DOUBLE",
}
PROPOSED = {
    "board_id": "STRING",
    "source": "STRING",
    **SAID,
    "said_at": "TIMESTAMP_LTZ(3)",
    "valid_until": "TIMESTAMP_LTZ(3)",
    "expected_version": "INT",
    "supersedes": "STRING",
    "evidence": "ARRAY<STRING>",
}
ENTRY = {
    "board_id": "STRING",
    "entry_id": "STRING",
    "source": "STRING",
    **SAID,
    "version": "INT",
    "said_at": "TIMESTAMP_LTZ(3)",
    "valid_until": "TIMESTAMP_LTZ(3)",
    "supersedes": "STRING",
    "evidence": "ARRAY<STRING>",
}
KEPT = {**ENTRY, "status": "STRING", "reason": "STRING", "message": "STRING"}
SUBSCRIBED: dict[str, str] = {
    **{name: kind for name, kind in ENTRY.items() if name != "supersedes"},
    "weight": "DOUBLE",
    "wakes": "BOOLEAN",
}
STANDING = (
    "ARRAY<ROW<`subject` STRING, `predicate` STRING, `value` STRING, `confidence` DOUBLE, "
    "`source` STRING, `entry_id` STRING, `version` INT, `prevails` BOOLEAN, `grounded` BOOLEAN>>"
)
READ = {
    "board_id": "STRING",
    **SAID,
    "source": "STRING",
    "disputed": "BOOLEAN",
    "woken_by": "STRING",
    "said_at": "TIMESTAMP_LTZ(3)",
    "entries": STANDING,
    "entry_ids": "ARRAY<STRING>",
    "left_out": "INT",
}


class KeepBoard(StateFunction):
    """The boards of one job: each update becomes an entry, or is refused with a reason."""

    stage: ClassVar[str] = "board"

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "KeepBoard":
        """Check the call. Raises BadCall."""
        check_call("keep_board", arguments, (), columns, PROPOSED)
        return cls()

    def output_columns(self) -> list[tuple[str, Type]]:
        return [(name, parse_type(declared)) for name, declared in KEPT.items()]

    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        return KeptBoard(key, pieces)


class ReadBoard(StateFunction):
    """The boards of one subscriber: each entry that wakes it gives all that stands then.

    A repeat is known by the entry's version.
    """

    stage: ClassVar[str] = "board"
    dedupes: ClassVar[bool] = False

    def __init__(self, most: int = MOST) -> None:
        self.most = most

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "ReadBoard":
        """Check the call. Raises BadCall."""
        check_call("read_board", arguments, ("most",), columns, SUBSCRIBED)
        most = arguments.get("most", MOST)
        if not isinstance(most, int) or not 0 <= most <= MOST_OF_ALL:
            raise BadCall("most", f"most is {most!r}", f"0 to {MOST_OF_ALL} entries")
        return cls(most)

    def output_columns(self) -> list[tuple[str, Type]]:
        return [(name, parse_type(declared)) for name, declared in READ.items()]

    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        return SubscribedBoard(key, pieces, self.most)


class KeptBoard:
    """A `Board` as the state of one key."""

    due_ms = None
    gone = False

    def __init__(self, board_id: str, pieces: Mapping[str, dict[str, Any]]) -> None:
        self._id, self._board = board_id, Board(pieces)

    def changed_pieces(self) -> dict[str, dict[str, Any]]:
        return self._board.changed_pieces()

    def wake(self, now_ms: int) -> list[Emitted]:
        return []

    def take(self, row: dict[str, Any], headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        said = _said(row)
        update = Update(
            **said,
            entry_id=events.text(headers, "ce_id") or "",
            valid_until=row["valid_until"],
            expected_version=row["expected_version"],
            supersedes=row["supersedes"],
            evidence=tuple(text for text in row["evidence"] or () if text),
        )
        try:
            entries = self._board.take(update)
        except Refusal as refusal:
            told = {"status": "refused", "reason": refusal.reason, "message": refusal.message}
            refused = {**row, "entry_id": update.entry_id, "version": None}
            return [self._emitted({**refused, **told}, headers, 0)]
        last = len(entries) - 1
        return [
            self._emitted({**one, "status": "accepted"}, headers, last - index)
            for index, one in enumerate(entries)
        ]

    def _emitted(self, row: dict[str, Any], headers: Mapping[str, bytes], index: int) -> Emitted:
        values = {name: row.get(name) for name in KEPT}
        return Emitted({**values, "board_id": self._id}, dict(headers), index)


class SubscribedBoard:
    """A `BoardView` as the state of one key."""

    due_ms = None
    gone = False

    def __init__(self, board_id: str, pieces: Mapping[str, dict[str, Any]], most: int) -> None:
        self._id, self._view, self._most = board_id, BoardView(pieces), most

    def changed_pieces(self) -> dict[str, dict[str, Any]]:
        return self._view.changed_pieces()

    def wake(self, now_ms: int) -> list[Emitted]:
        return []

    def take(self, row: dict[str, Any], headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        weight = row["weight"]
        entry = Entry(
            **_said(row),
            entry_id=row["entry_id"] or "",
            version=row["version"] or 0,
            weight=weight if weight is not None and math.isfinite(weight) else 0.0,
            valid_until=row["valid_until"],
            evidence=tuple(text for text in row["evidence"] or () if text),
        )
        if not self._view.take(entry) or not row["wakes"]:
            return []
        standing, left_out = self._view.standing(entry.said_at, self._most)
        values = {
            "board_id": self._id,
            "subject": entry.subject,
            "predicate": entry.predicate,
            **self._view.prevailing(entry.fact, entry.said_at),
            "woken_by": entry.entry_id,
            "said_at": entry.said_at,
            "entries": standing,
            "entry_ids": [one["entry_id"] for one in standing],
            "left_out": left_out,
        }
        return [Emitted(values, dict(headers), 0)]


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """Who says what, and when: what updates and entries have in common."""
    if row["said_at"] is None:
        raise ValueError("the record has no time; `said_at` is that of its topic, or of its entry")
    return {
        "source": row["source"] or "",
        "subject": row["subject"] or "",
        "predicate": row["predicate"] or "",
        "value": row["value"],
        "confidence": row["confidence"] if row["confidence"] is not None else math.nan,
        "said_at": row["said_at"],
    }
