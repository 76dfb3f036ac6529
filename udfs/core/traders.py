"""What happens to one trading agent and its clock in, its orders out.

A buyer knows what a lot is worth to it, a seller what one costs, its `limit_ticks`; each quotes
that limit less, or plus, a margin. The margin grows with every order that is filled and shrinks
while one waits, so that prices find each other although nobody knows anybody's limit (after Cliff's
ZIP traders, 1997). A reviewed agent says how it has done, and takes the margin that it is advised.
"""

import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from udfs.core.fold import BadEvent

Json = dict[str, Any]

RESULT_AFTER = 10  # orders
SILENT_MOST = 10  # moments without a word of an order, before it is asked for
MOST_MARGIN = 90
MOST, MOST_INTERVAL_MS = 2**31, 2**53


@dataclass
class Trader:
    """One agent. Its methods return rows, each with the number that makes its id."""

    account: str
    symbol: str = ""
    side: str = ""
    limit_ticks: int = 0
    lots: int = 0
    interval_ms: int = 0
    margin_percent: int = 0
    reviewed: bool = False
    number: int = 0  # of the last order
    said: int = 0  # rows, ever
    open_lots: int = 0  # of the last order, what is still wanted
    price_ticks: int = 0
    silent: int = 0  # moments since anything was heard or said of it
    due_ms: int | None = None
    placed: int = 0  # since the last result, as the three that follow
    filled: int = 0
    traded_lots: int = 0
    surplus_ticks: int = 0

    @classmethod
    def restored(cls, account: str, piece: Json | None) -> "Trader":
        return cls(account, **(piece or {}))

    def piece(self) -> Json:
        piece = asdict(self)
        del piece["account"]
        return piece

    @property
    def order_id(self) -> str:
        return f"{self.account}-{self.number}"

    def take(self, kind: str, event: Json, now_ms: int) -> list[tuple[int, Json]]:
        """Take an event. Raises BadEvent."""
        if kind == "joined":
            return self._join(event, now_ms)
        if not self.symbol:
            return []  # an account that no agent of ours looks after
        if kind == "executed":
            self._executed(event)
        elif kind == "refused":
            gone = event.get("command") == "order" or event.get("reason") == "unknown_order"
            if event.get("order_id") == self.order_id and gone:
                self.open_lots = 0  # a replacement that is refused leaves the order as it was
        elif kind == "advised":
            self.margin_percent = min(max(int(event.get("margin_percent") or 0), 0), MOST_MARGIN)
        else:
            expected = "joined, executed, refused or advised"
            raise BadEvent("unknown_kind", f"there is no kind {kind!r}, expected {expected}")
        return []

    def wake(self, now_ms: int) -> list[tuple[int, Json]]:
        """Its moment has come: quote, and say now and then how it went."""
        self.due_ms = now_ms + self.interval_ms
        if self.open_lots:
            self.margin_percent = max(self.margin_percent - 1, 0)
            self.silent += 1
            moves = self._price() != self.price_ticks or self.silent >= SILENT_MOST
            rows = self._say("replace") if moves else []
        else:
            rows = self._place()
        if self.reviewed and self.placed >= RESULT_AFTER:
            rows += self._result()
        return rows

    def _join(self, event: Json, now_ms: int) -> list[tuple[int, Json]]:
        wrong = event["side"] not in ("buy", "sell")
        numbers = [event[name] for name in ("limit_ticks", "lots")]
        wrong |= not 1 <= min(numbers) <= max(numbers) < MOST
        wrong |= not 1 <= event["interval_ms"] < MOST_INTERVAL_MS
        if wrong or not 0 <= event["margin_percent"] <= MOST_MARGIN:
            expected = (
                "side buy or sell, limit_ticks and lots of 1 to 2^31 - 1, interval_ms of 1 on"
            )
            raise BadEvent("bad_trader", f"expected {expected}, margin_percent of 0 to 90")
        first = not self.symbol
        for name in ("symbol", "side", "limit_ticks", "lots", "interval_ms", "margin_percent"):
            setattr(self, name, event[name])
        self.reviewed = bool(event.get("reviewed"))
        self.due_ms = now_ms + self._noise("join", self.interval_ms)
        return self._place() if first else []

    def _executed(self, event: Json) -> None:
        if event["order_id"] != self.order_id:
            return
        self.silent = 0
        if event["kind"] == "cancelled":
            self.open_lots = 0
            return
        if event.get("price_ticks") is None:
            raise BadEvent("invalid_event", "a trade without price_ticks")
        lots, gain = event["lots"], self.limit_ticks - event["price_ticks"]
        self.traded_lots += lots
        self.surplus_ticks += (gain if self.side == "buy" else -gain) * lots
        self.open_lots = event.get("remaining") or 0
        if not self.open_lots:
            self.filled += 1
            self.margin_percent = min(self.margin_percent + 1, MOST_MARGIN)

    def _place(self) -> list[tuple[int, Json]]:
        self.number += 1
        self.placed += 1
        self.open_lots = 1 + self._noise("lots", self.lots)
        return self._say("order")

    def _price(self) -> int:
        margin = -self.margin_percent if self.side == "buy" else self.margin_percent
        return max(self.limit_ticks * (100 + margin) // 100, 1)

    def _noise(self, what: str, below: int) -> int:
        """A number that looks random and is the same on every replay."""
        return zlib.crc32(f"{self.order_id} {what}".encode()) % below

    def _say(self, command: str) -> list[tuple[int, Json]]:
        self.price_ticks, self.silent = self._price(), 0
        row = {
            "kind": "order",
            "symbol": self.symbol,
            "command": command,
            "order_id": self.order_id,
            "side": self.side,
            "price_ticks": self.price_ticks,
            "lots": self.open_lots,
            "time_in_force": "GTC",
        }
        return self._numbered(row)

    def _result(self) -> list[tuple[int, Json]]:
        row = {
            "kind": "result",
            "symbol": self.symbol,
            "side": self.side,
            "limit_ticks": self.limit_ticks,
            "margin_percent": self.margin_percent,
            "orders_placed": self.placed,
            "orders_filled": self.filled,
            "lots_traded": self.traded_lots,
            "surplus_ticks": self.surplus_ticks,
        }
        self.placed = self.filled = self.traded_lots = self.surplus_ticks = 0
        return self._numbered(row)

    def _numbered(self, row: Json) -> list[tuple[int, Json]]:
        self.said += 1
        return [(self.said, row)]


def check_event(kind: str, event: Mapping[str, Any]) -> None:
    """Raises BadEvent where a kind's event lacks what it must have."""
    needed = {
        "joined": ("symbol", "side", "limit_ticks", "lots", "interval_ms", "margin_percent"),
        "executed": ("kind", "order_id", "lots"),
    }.get(kind, ())
    missing = [name for name in needed if event.get(name) is None]
    if missing:
        raise BadEvent("invalid_event", f"a {kind} event without {', '.join(missing)}")
