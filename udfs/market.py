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
from udfs.keyed_function import BadCall, Columns, JavaFunction, StateFunction

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


def fields(declared: Mapping[str, str]) -> str:
    """A ROW's fields as SQL."""
    return ", ".join(f"`{name}` {kind}" for name, kind in declared.items())


def columns_of(declared: Mapping[str, str]) -> list[tuple[str, Type]]:
    return [(name, parse_type(kind)) for name, kind in declared.items()]


def check_input(function: str, given: Columns, expected: Mapping[str, str]) -> None:
    """Raises BadCall where the input lacks a column, or it has another type."""
    found = {name: str(declared) for name, declared in given}
    for name, declared in expected.items():
        if found.get(name, "").replace(" NOT NULL", "") != declared:
            what = f"the input of {function} has {name} {found.get(name) or 'nowhere'}"
            raise BadCall("input", what, f"{name} {declared}")


def check_options(function: str, given: Mapping[str, Any], known: Mapping[str, int]) -> None:
    """Raises BadCall for an option that is unknown, or no whole number of at least so much."""
    for name, value in given.items():
        if name not in known:
            what = f"{function} has no option {name}"
            raise BadCall(name, what, "one of " + ", ".join(known) if known else None)
        if type(value) is not int or value < known[name]:
            what = f"{name} of {function} is {value}"
            raise BadCall(name, what, f"a whole number of at least {known[name]}")


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
        check_options("match_orders", arguments, known)
        frames = "orders" in dict(columns)
        expected = {"orders": f"ARRAY<ROW<{fields(COMMAND)}>>"} if frames else COMMAND
        check_input("match_orders", columns, expected)
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
        check_options("accept_orders", arguments, {"slots": 1})
        check_input("accept_orders", columns, EVENT)
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
    """The `event` of a row. Raises BadEvent."""
    try:
        event = json.loads(row["event"] or "")
    except (ValueError, RecursionError):
        event = None
    if not isinstance(event, dict):
        raise BadEvent("invalid_event", "the event is no JSON object")
    return event
