"""Orders in, trades out: the keyed functions of a market.

    SELECT * FROM accept_orders(input => TABLE account_events PARTITION BY account)
    SELECT * FROM match_orders(input => TABLE commands PARTITION BY symbol, depth => 10)

Thin shells: who can pay for what is `udfs.core.accounts`, what trades with what is
`udfs.core.order_book`, which runs as `udfs/java/Match.java`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from udfs import java_operators
from udfs.core import events
from udfs.core.accounts import Account
from udfs.core.fold import BadEvent, Emitted, KeyState
from udfs.core.order_book import REMEMBERED
from udfs.core.types import Type, parse_type
from udfs.keyed_function import (
    BadCall,
    Columns,
    JavaFunction,
    StateFunction,
    check_call,
    check_input,
)

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

COMMAND = {
    "command": "STRING",
    "order_id": "STRING",
    "account": "STRING",
    "side": "STRING",
    "price_ticks": "BIGINT",
    "lots": "BIGINT",
    "time_in_force": "STRING",
}
REPORT = {
    "sequence": "BIGINT",
    "kind": "STRING",
    "order_id": "STRING",
    "account": "STRING",
    "side": "STRING",
    "price_ticks": "BIGINT",
    "lots": "BIGINT",
    "remaining": "BIGINT",
    "detail": "STRING",
    "maker_order_id": "STRING",
    "maker_account": "STRING",
    "maker_remaining": "BIGINT",
}
LEVELS = "ARRAY<ROW<`price_ticks` BIGINT, `lots` BIGINT, `orders` INT>>"
HEADERS = ("headers", parse_type("MAP<STRING, BYTES>"))
EVENT = {"account": "STRING", "kind": "STRING", "event": "STRING"}
_NUMBERS = (
    "cash", "lots", "sequence", "price_ticks", "remaining",
    "limit_ticks", "interval_ms", "margin_percent",
)  # fmt: skip
_WORDS = ("symbol", "kind", "command", "order_id", "side", "time_in_force", "reason", "detail")
EVENT_TYPES = {**dict.fromkeys(_NUMBERS, int), **dict.fromkeys(_WORDS, str)}
_NAMED = {int: "whole number", str: "text"}


def fields(declared: Mapping[str, str]) -> str:
    """A ROW's fields as SQL."""
    return ", ".join(f"`{name}` {kind}" for name, kind in declared.items())


def columns_of(declared: Mapping[str, str]) -> list[tuple[str, Type]]:
    return [(name, parse_type(kind)) for name, kind in declared.items()]


class MatchOrders(JavaFunction):
    """The books of one job. Rows of `orders`, an array of commands, are answered array by array."""

    java: ClassVar[str] = java_operators.MATCH

    def __init__(self, options: Mapping[str, int], frames: bool) -> None:
        self.depth = options.get("depth", 10)
        self.snapshots = options.get("snapshots", 1_000)
        self.remembered = options.get("remembered", REMEMBERED)
        self.frames = frames

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "MatchOrders":
        """Check the call. Raises BadCall."""
        known = {"depth": 1, "snapshots": 0, "remembered": 1}
        for name, value in arguments.items():
            if name not in known:
                raise BadCall(name, f"match_orders has no option {name}", ", ".join(known))
            if type(value) is not int or value < known[name]:
                expected = f"a whole number of at least {known[name]}"
                raise BadCall(name, f"{name} of match_orders is {value}", expected)
        frames = "orders" in dict(columns)
        takes = {"orders": f"ARRAY<ROW<{fields(COMMAND)}>>"} if frames else COMMAND
        check_input("match_orders", columns, takes)
        return cls(arguments, frames)

    def view_columns(self, columns: Columns) -> Columns:
        symbol = ("symbol", parse_type("STRING"))
        if self.frames:
            return [symbol, ("reports", parse_type(f"ARRAY<ROW<{fields(REPORT)}>>")), HEADERS]
        levels = [("bids", parse_type(LEVELS)), ("asks", parse_type(LEVELS))]
        return [symbol, *columns_of(REPORT), *levels, HEADERS]

    def references(self, columns: Columns, step: str) -> Sequence[Any]:
        places = {name: number for number, (name, _) in enumerate(columns, 1)}
        at = [places.get(name, -1) for name in (*COMMAND, "headers", "orders")]
        if not self.frames:
            at[-1] = -1
        options = self.depth, self.snapshots, self.remembered
        return [",".join(map(str, at)), *options, step, events.NAMESPACE.hex]


class AcceptOrders(StateFunction):
    """The accounts of one job. Its view has these columns and headers, not those of the input."""

    stage: ClassVar[str] = "account"

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "AcceptOrders":
        """Check the call. Raises BadCall."""
        check_call("accept_orders", arguments, (), columns, EVENT)
        return cls()

    def output_columns(self) -> Columns:
        return columns_of(
            {"symbol": "STRING", "kind": "STRING", **COMMAND, "reason": "STRING"}
            | dict.fromkeys(("cash", "reserved_cash", "position", "reserved_lots"), "BIGINT")
        )

    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        return AccountState(key, pieces)


class AccountState:
    """An `Account` as the state of one key. Time changes nothing, and it is never forgotten."""

    due_ms: int | None = None
    gone: bool = False

    def __init__(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> None:
        self._account = Account.restored(key, pieces)
        self._empty = dict.fromkeys(name for name, _ in AcceptOrders().output_columns())

    def changed_pieces(self) -> Mapping[str, dict[str, Any] | None]:
        return self._account.changed_pieces()

    def take(self, row: dict[str, Any], headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        rows = self._account.take(row["kind"] or "", event_of(row))
        account = {"account": self._account.account}
        return [
            Emitted({**self._empty, **account, **values}, dict(headers), index)
            for index, values in enumerate(rows)
        ]

    def wake(self, now_ms: int) -> list[Emitted]:
        return []


def event_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The `event` of a row, its numbers whole numbers, its words words. Raises BadEvent."""
    try:
        event = json.loads(row["event"] or "")
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise BadEvent("invalid_event", "the event is no JSON object")
    for name, value in event.items():
        expected = EVENT_TYPES.get(name)
        if expected and value is not None and type(value) is not expected:
            what = f"{name} is {json.dumps(value)[:80]}, expected a {_NAMED[expected]}"
            raise BadEvent("invalid_event", what)
    return event
