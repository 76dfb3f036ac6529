"""Deposits, orders and executions of one account in, accepted and refused orders, balances out.

What stands between traders and the book (`udfs.core.order_book`): an order goes on to the book only
if the account can pay for all of it, so a trade can always be settled. Money is whole ticks, goods
are whole lots. An order reserves what it may cost; what the book says of it settles it. Executions
of a symbol come in the order of their numbers, so one that is not above the last is a repeat.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from udfs.core.fold import BadEvent
from udfs.core.order_book import BUY, MAX_64, refusal_of

Json = dict[str, Any]

MAX_OPEN = 1_000
REMEMBERED = 1_000  # order ids of a generation; the last two are known


@dataclass
class Open:
    """An order that the book has, or will have. `wanted` is a replacement on its way there."""

    symbol: str
    side: str
    price_ticks: int | None
    lots: int
    wanted: tuple[int, int] | None = None

    @property
    def cash(self) -> int:
        """What it may cost. A replacement comes on top: until the book has it, all of the order may
        trade, and then all that was wanted instead."""
        if self.side != BUY:
            return 0
        wanted_price, wanted_lots = self.wanted or (0, 0)
        return (self.price_ticks or 0) * self.lots + wanted_price * wanted_lots

    @property
    def goods(self) -> int:
        """What it may deliver, the replacement too."""
        if self.side == BUY:
            return 0
        return self.lots + (self.wanted[1] if self.wanted else 0)


@dataclass
class Holding:
    """What an account has of a symbol, and the last execution there that it knows of."""

    lots: int = 0
    reserved: int = 0
    sequence: int = 0


@dataclass
class Account:
    """One account. Its methods return rows: `kind` is accepted, refused or balance."""

    account: str
    cash: int = 0
    reserved_cash: int = 0
    orders: dict[str, Open] = field(default_factory=dict)
    holdings: dict[str, Holding] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)  # order ids, with their generation
    generation: int = 0
    _recent: int = 0  # ids of this generation
    _changed: set[str] = field(default_factory=set)

    @classmethod
    def restored(cls, account: str, pieces: Mapping[str, Json]) -> "Account":
        """The account of the pieces that `changed_pieces` said."""
        found = cls(account, **pieces.get("account", {}))
        for name, piece in pieces.items():
            kind, _, rest = name.partition("/")
            if kind == "o":
                wanted = piece.pop("wanted")
                found.orders[rest] = Open(**piece, wanted=tuple(wanted) if wanted else None)
            elif kind == "h":
                found.holdings[rest] = Holding(**piece)
            elif kind == "k":
                found.known[rest] = piece["generation"]
                found._recent += piece["generation"] == found.generation
        return found

    def changed_pieces(self) -> dict[str, Json | None]:
        """What differs from the last time, by piece; None for what is gone."""
        pieces: dict[str, Json | None] = {}
        for name in self._changed:
            kind, _, rest = name.partition("/")
            found: Open | Holding | None = None
            if kind == "o":
                found = self.orders.get(rest)
            elif kind == "h":
                found = self.holdings[rest]
            elif kind == "k":
                known = self.known.get(rest)
                pieces[name] = None if known is None else {"generation": known}
                continue
            pieces[name] = asdict(found) if found else None
        if self._changed:
            pieces["account"] = {
                "cash": self.cash,
                "reserved_cash": self.reserved_cash,
                "generation": self.generation,
            }
        self._changed = set()
        return pieces

    def take(self, kind: str, event: Json) -> list[Json]:
        """Take an event. Raises BadEvent."""
        if kind == "deposited":
            return self._deposit(event)
        if kind == "ordered":
            return self._order(event)
        if kind == "executed":
            return self._settle(event)
        expected = "deposited, ordered or executed"
        raise BadEvent("unknown_kind", f"there is no kind {kind!r}, expected {expected}")

    def _deposit(self, event: Json) -> list[Json]:
        cash, lots, symbol = event.get("cash") or 0, event.get("lots") or 0, event.get("symbol")
        if min(cash, lots) < 0 or (lots and not symbol):
            raise BadEvent("bad_deposit", "a deposit adds cash, or lots of a symbol")
        holding = self._holding(symbol) if symbol else Holding()
        if max(self.cash + cash, holding.lots + lots) > MAX_64:
            raise BadEvent("bad_deposit", "the account would hold more than 2^63-1")
        self.cash += cash
        holding.lots += lots
        self._changed.add("account")
        return [self._balance(symbol)]

    def _order(self, event: Json) -> list[Json]:
        command, order_id = event.get("command"), event.get("order_id")
        order = {
            name: event.get(name)
            for name in ("symbol", "command", "order_id", "side", "price_ticks", "lots")
        }
        order["time_in_force"] = event.get("time_in_force") or "GTC"
        if command == "order":
            if order_id in self.known or order_id in self.orders:
                return []
            reason = self._new(order)
        elif command in ("cancel", "replace"):
            found = self.orders.get(str(order_id))
            reason = "unknown_order"
            if found and found.symbol == order["symbol"]:
                reason = self._replace(str(order_id), found, order) if command == "replace" else ""
        else:
            reason = "bad_command"
        return [{"kind": "refused" if reason else "accepted", **order, "reason": reason or None}]

    def _new(self, order: Json) -> str:
        """Reserve what a new order may cost; or why not. A market bid gets the price that can be
        paid for all of it as its limit."""
        lots, price = order["lots"], order["price_ticks"]
        force = order["time_in_force"]
        reason = refusal_of(order["order_id"], self.account, order["side"], price, lots, force)
        if reason or not order["symbol"]:
            return reason or "bad_symbol"
        if len(self.orders) >= MAX_OPEN:
            return "too_many_open_orders"
        if price is None and order["side"] == BUY:
            free = min(self.cash - self.reserved_cash, MAX_64)
            price = order["price_ticks"] = free // lots
            order["time_in_force"] = "FOK" if force == "FOK" else "IOC"
            if not price:
                return "insufficient_cash"
        reason = self._reserve(order["order_id"], Open(order["symbol"], order["side"], price, lots))
        if not reason:
            self._remember(order["order_id"])
        return reason

    def _replace(self, order_id: str, found: Open, order: Json) -> str:
        price, lots = order["price_ticks"], order["lots"]
        order["side"] = found.side
        if found.wanted:
            return "replace_pending"
        if price is None:
            return "bad_price"
        reason = refusal_of(order_id, self.account, found.side, price, lots, "GTC")
        wanted = Open(found.symbol, found.side, found.price_ticks, found.lots, (price, lots))
        return reason or self._reserve(order_id, wanted)

    def _reserve(self, order_id: str, order: Open | None) -> str:
        """Let an order stand for what it was before; or why that cannot be paid."""
        before = self.orders.get(order_id)
        symbol = (order or before or Open("", "", 0, 0)).symbol
        holding = self.holdings.get(symbol) or Holding()
        cash = self.reserved_cash + (order.cash if order else 0) - (before.cash if before else 0)
        goods = holding.reserved + (order.goods if order else 0) - (before.goods if before else 0)
        if cash > self.cash and cash > self.reserved_cash:
            return "insufficient_cash"
        if goods > holding.lots and goods > holding.reserved:
            return "insufficient_lots"
        self.reserved_cash, holding.reserved = cash, goods
        self.holdings[symbol] = holding
        self._changed |= {f"o/{order_id}", f"h/{symbol}"}
        if order:
            self.orders[order_id] = order
        else:
            self.orders.pop(order_id, None)
        return ""

    def _remember(self, order_id: str) -> None:
        if self._recent >= REMEMBERED:
            for old in [i for i, g in self.known.items() if g < self.generation]:
                del self.known[old]
                self._changed.add(f"k/{old}")
            self.generation += 1
            self._recent = 0
        self._recent += 1
        self.known[order_id] = self.generation
        self._changed.add(f"k/{order_id}")

    def _settle(self, event: Json) -> list[Json]:
        """What the book said of an order of this account; `side` is the account's own."""
        symbol, kind, order_id = event.get("symbol"), event.get("kind"), str(event.get("order_id"))
        numbers = [event.get("sequence")]
        if kind in ("traded", "replaced"):
            numbers += [event.get("price_ticks"), event.get("lots")]
        if not symbol or not all(isinstance(number, int) for number in numbers):
            raise BadEvent("invalid_event", "no book of ours writes such an execution")
        holding = self._holding(symbol)
        if event["sequence"] <= holding.sequence:
            return []
        holding.sequence = event["sequence"]
        order = self.orders.get(order_id)
        if not order:
            return []
        if kind == "traded":
            return self._trade(order_id, order, event)
        if kind == "replaced":
            price, lots = event["price_ticks"], event["lots"]
            self._reserve(order_id, Open(symbol, order.side, price, lots))
        elif kind == "cancelled":
            self._reserve(order_id, None)
        elif kind == "refused":
            # The book does not have it, and said nothing that ended it: it never took it.
            unknown = event.get("detail") == "unknown_order" or not order.wanted
            before = Open(symbol, order.side, order.price_ticks, order.lots)
            self._reserve(order_id, None if unknown else before)
        return []

    def _trade(self, order_id: str, order: Open, event: Json) -> list[Json]:
        lots, cost = event["lots"], event["price_ticks"] * event["lots"]
        left = order.lots - lots
        rest = Open(order.symbol, order.side, order.price_ticks, left, order.wanted)
        holding = self._holding(order.symbol)
        self._reserve(order_id, rest if left else None)
        self.cash += -cost if order.side == BUY else cost
        holding.lots += lots if order.side == BUY else -lots
        assert self.cash >= 0 and holding.lots >= 0, "settled what was not reserved"
        return [self._balance(order.symbol)]

    def _holding(self, symbol: str) -> Holding:
        self._changed.add(f"h/{symbol}")
        return self.holdings.setdefault(symbol, Holding())

    def _balance(self, symbol: str | None) -> Json:
        holding = self.holdings[symbol] if symbol else Holding()
        numbers = {
            "cash": self.cash,
            "reserved_cash": self.reserved_cash,
            "position": holding.lots,
            "reserved_lots": holding.reserved,
        }
        told = {name: min(number, MAX_64) for name, number in numbers.items()}
        return {"kind": "balance", "symbol": symbol, **told}
