"""What happens to trading agents in, their orders out: `trade`.

    SELECT * FROM trade(input => TABLE trader_events PARTITION BY account)

Thousands of agents are keys of one job. A thin shell: what an agent does is `udfs.core.traders`.
"""

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core.fold import Emitted, KeyState
from udfs.core.traders import Trader, check_event
from udfs.keyed_function import Columns, StateFunction, check_call
from udfs.market import EVENT, columns_of, event_of

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

GIVES = {
    "account": "STRING",
    "kind": "STRING",
    "symbol": "STRING",
    "command": "STRING",
    "order_id": "STRING",
    "side": "STRING",
    "price_ticks": "BIGINT",
    "lots": "BIGINT",
    "time_in_force": "STRING",
    "limit_ticks": "BIGINT",
    "margin_percent": "INT",
    "orders_placed": "INT",
    "orders_filled": "INT",
    "lots_traded": "BIGINT",
    "surplus_ticks": "BIGINT",
}


class Trade(StateFunction):
    """The agents of one job. Its view has these columns and headers, not those of the input."""

    stage: ClassVar[str] = "trader"

    @classmethod
    def plan(cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions") -> "Trade":
        """Check the call. Raises BadCall."""
        check_call("trade", arguments, (), columns, EVENT)
        return cls()

    def output_columns(self) -> Columns:
        return columns_of(GIVES)

    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        return TraderState(key, pieces)


class TraderState:
    """A `Trader` as the state of one key; its rows descend from the event that it joined by."""

    def __init__(self, account: str, pieces: Mapping[str, dict[str, Any]]) -> None:
        self._trader = Trader.restored(account, pieces.get("trader"))
        self._headers = dict(pieces.get("headers", {}))
        self._changed: set[str] = set()

    @property
    def due_ms(self) -> int | None:
        return self._trader.due_ms

    @property
    def gone(self) -> bool:
        """Whether it is an account that no agent of ours looks after."""
        return not self._trader.symbol

    def changed_pieces(self) -> Mapping[str, dict[str, Any] | None]:
        whole = {"trader": self._trader.piece(), "headers": self._headers}
        pieces = {name: whole[name] for name in self._changed}
        self._changed = set()
        return pieces

    def take(self, row: dict[str, Any], headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        kind, event = row["kind"] or "", event_of(row)
        check_event(kind, event)
        rows = self._trader.take(kind, event, now_ms)
        if kind == "joined":
            self._headers = {n: base64.b64encode(v).decode() for n, v in headers.items()}
            self._changed.add("headers")
        if self._trader.symbol:
            self._changed.add("trader")
        return self._emitted(rows)

    def wake(self, now_ms: int) -> list[Emitted]:
        self._changed.add("trader")
        return self._emitted(self._trader.wake(now_ms))

    def _emitted(self, rows: list[tuple[int, dict[str, Any]]]) -> list[Emitted]:
        headers = {name: base64.b64decode(value) for name, value in self._headers.items()}
        account = {**dict.fromkeys(GIVES), "account": self._trader.account}
        return [Emitted({**account, **values}, dict(headers), number) for number, values in rows]
