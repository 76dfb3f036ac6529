"""Commands on one symbol in, execution reports out: a limit order book with price-time priority.

Prices are whole ticks, quantities whole lots, and both, and their product, stay within 64 bits.
There is no clock: time is the order of commands, a trading day ends by a command. So the same
commands make the same reports, with the same numbers, wherever and how often they are applied.

This is the specification of `match_orders`; `udfs/java/Match.java` is what Flink runs, and a test
holds the two against each other. It is written for speed, too: reports are plain tuples with the
fields of `Report`, and an order is a list.
"""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple

MAX_64 = 2**63 - 1
REMEMBERED = 20_000  # order ids of a generation; the last two generations are known
NAME_CHARACTERS = 200  # of an order id or an account: a report names two of each
BUY, SELL = "buy", "sell"
TIMES_IN_FORCE = ("GTC", "DAY", "IOC", "FOK")

# order_id, account, side, price_ticks, lots, time_in_force; lots are 0 where it was cancelled.
Order = list[Any]


class Report(NamedTuple):
    """One thing that happened. `sequence` counts a symbol's reports without a gap.

    `rested`: `lots` now wait at `price_ticks`. `traded`: `lots` changed hands at the maker's price;
    `remaining` is what the order still wants, `maker_remaining` what rests of the maker's.
    `replaced`: the order now wants `lots` at `price_ticks`. `cancelled` and `refused`: `detail`
    says why; a cancelled order had `lots` left.
    """

    sequence: int
    kind: str
    order_id: str | None
    account: str | None
    side: str | None
    price_ticks: int | None
    lots: int | None
    remaining: int | None
    detail: str | None
    maker_order_id: str | None
    maker_account: str | None
    maker_remaining: int | None


class OrderBook:
    """The book of one symbol. Each command appends its reports to `reports`, whoever reads them
    takes them out."""

    __slots__ = ("_asks", "_bids", "_known", "_orders", "_remembered", "reports", "sequence")

    def __init__(self, remembered: int = REMEMBERED) -> None:
        self.sequence = 0
        self.reports: list[tuple[Any, ...]] = []
        self._orders: dict[tuple[str, str], Order] = {}
        self._bids, self._asks = _Side(), _Side()
        self._known: list[set[tuple[str, str]]] = [set(), set()]
        self._remembered = remembered

    def order(
        self,
        order_id: str,
        account: str,
        side: str,
        price_ticks: int | None,
        lots: int,
        time_in_force: str = "GTC",
    ) -> None:
        """A new order; without a price it is a market order. An id that is known of its account
        changes nothing."""
        refusal = refusal_of(order_id, account, side, price_ticks, lots, time_in_force)
        if refusal:
            self._say("refused", order_id, account, side, price_ticks, lots, 0, refusal)
            return
        place = account, order_id
        recent, older = self._known
        if place in recent or place in older or place in self._orders:
            return
        if len(recent) >= self._remembered:
            self._known = [set(), recent]
            recent = self._known[0]
        recent.add(place)
        self._match(order_id, account, side, price_ticks, lots, time_in_force)

    def cancel(self, order_id: str, account: str, reason: str = "requested") -> None:
        """Take what is left of an order out of the book."""
        order = self._orders.get((account, order_id))
        if order is None:
            self.refuse(order_id, account, "unknown_order")
            return
        _, _, side, price, lots, _ = order
        del self._orders[account, order_id]
        order[4] = 0
        (self._bids if side == "buy" else self._asks).note_cancelled()
        self.sequence = sequence = self.sequence + 1
        self.reports.append(
            (sequence, "cancelled", order_id, account, side, price, lots, 0, reason,
             None, None, None)
        )  # fmt: skip

    def replace(self, order_id: str, account: str, price_ticks: int, lots: int) -> None:
        """Want `lots` at this price from now on. Fewer at the same price keep their place."""
        order = self._orders.get((account, order_id))
        if order is None:
            self.refuse(order_id, account, "unknown_order")
            return
        _, _, side, price, old_lots, force = order
        refusal = "bad_price" if price_ticks is None else None
        refusal = refusal or refusal_of(order_id, account, side, price_ticks, lots, force)
        if refusal:
            self._say("refused", order_id, account, side, price_ticks, lots, 0, refusal)
            return
        self._say("replaced", order_id, account, side, price_ticks, lots, lots, None)
        if price_ticks == price and lots <= old_lots:
            order[4] = lots
        else:
            del self._orders[account, order_id]
            order[4] = 0
            (self._bids if side == "buy" else self._asks).note_cancelled()
            self._match(order_id, account, side, price_ticks, lots, force)

    def end_day(self) -> None:
        """Cancel what was good for the day, in the order in which it came to the book."""
        for order in [o for o in self._orders.values() if o[5] == "DAY"]:
            self.cancel(order[0], order[1], "end_of_day")

    def refuse(self, order_id: str | None, account: str | None, reason: str) -> None:
        """Report a command that is none."""
        self._say("refused", order_id, account, None, None, None, 0, reason)

    def _match(
        self, order_id: str, account: str, side: str, price: int | None, lots: int, force: str
    ) -> None:
        if side == "buy":
            own, opposite = self._bids, self._asks
            limit = MAX_64 if price is None else price
        else:
            own, opposite = self._asks, self._bids
            limit = MAX_64 if price is None else -price
        if force == "FOK" and not opposite.can_fill(account, limit, lots):
            self._say("cancelled", order_id, account, side, price, lots, 0, "not_fillable")
            return
        heap = opposite.heap
        if heap and heap[0] <= limit:
            lots, own_first = self._trade(order_id, account, side, lots, opposite, limit)
            if own_first:
                self._say("cancelled", order_id, account, side, price, lots, 0, "self_trade")
                return
            if not lots:
                return
        if price is None or force == "IOC":
            self._say("cancelled", order_id, account, side, price, lots, 0, "unfilled")
            return
        self._orders[account, order_id] = order = [order_id, account, side, price, lots, force]
        level = own.levels.get(-limit)
        if level is None:
            own.levels[-limit] = deque((order,))
            heappush(own.heap, -limit)
        else:
            level.append(order)
        own.size += 1
        self.sequence = sequence = self.sequence + 1
        self.reports.append(
            (sequence, "rested", order_id, account, side, price, lots, lots, force,
             None, None, None)
        )  # fmt: skip

    def _trade(
        self, order_id: str, account: str, side: str, lots: int, opposite: "_Side", limit: int
    ) -> tuple[int, bool]:
        """Trade an order against the other side: how many lots it still wants, and whether an
        order of its own account is what it would trade with next."""
        heap, levels = opposite.heap, opposite.levels
        orders, say, sequence = self._orders, self.reports.append, self.sequence
        own_first = False
        while lots and heap and heap[0] <= limit and not own_first:
            level = levels[heap[0]]
            while level:
                maker = level[0]
                maker_id, maker_account, _, price, maker_lots, _ = maker
                if not maker_lots:
                    level.popleft()
                    opposite.drop_cancelled()
                    continue
                if maker_account == account:
                    own_first = True
                    break
                sequence += 1
                if lots < maker_lots:
                    maker[4] = maker_lots = maker_lots - lots
                    say(
                        (sequence, "traded", order_id, account, side, price, lots, 0, None,
                         maker_id, maker_account, maker_lots)
                    )  # fmt: skip
                    lots = 0
                    break
                lots -= maker_lots
                level.popleft()
                opposite.size -= 1
                del orders[maker_account, maker_id]
                say(
                    (sequence, "traded", order_id, account, side, price, maker_lots, lots, None,
                     maker_id, maker_account, 0)
                )  # fmt: skip
                if not lots:
                    break
            if not level:
                del levels[heappop(heap)]
        self.sequence = sequence
        return lots, own_first

    def _say(self, *fields: Any) -> None:
        self.sequence += 1
        self.reports.append((self.sequence, *fields, None, None, None))

    def resting(self) -> Iterator[Order]:
        """All orders in the book: bids, then asks, the best price first, the oldest first."""
        for side in (self._bids, self._asks):
            for key in sorted(side.levels):
                yield from (order for order in side.levels[key] if order[4])

    def depth(self, levels: int) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """(price_ticks, lots, orders) of the best bids and of the best asks; lots end at 2^63-1."""
        return self._bids.depth(levels), self._asks.depth(levels)

    def digest(self) -> str:
        """A hash of all that will matter to the next command but for ids that were known."""
        lines = [str(self.sequence).encode()]
        for order in self.resting():
            for field in order:
                text = str(field).encode()
                lines.append(b"%d:%s" % (len(text), text))
        return hashlib.sha256(b"\n".join(lines)).hexdigest()[:16]


class _Side:
    """One side's levels. Keys are ticks, bids' negative, so that on both sides the least is best.

    A level is a queue, the oldest order first. Orders that were cancelled stay in it, without lots,
    until they come to its front or are most of all. `heap` has each key of `levels` once.
    """

    __slots__ = ("cancelled", "heap", "levels", "size")

    def __init__(self) -> None:
        self.heap: list[int] = []
        self.levels: dict[int, deque[Order]] = {}
        self.size = self.cancelled = 0

    def drop_cancelled(self) -> None:
        """A cancelled order has left its level."""
        self.size -= 1
        self.cancelled -= 1

    def note_cancelled(self) -> None:
        """An order has lost its lots."""
        self.cancelled += 1
        if self.cancelled > 1_000 and 2 * self.cancelled > self.size:
            levels = {k: deque(o for o in level if o[4]) for k, level in self.levels.items()}
            self.levels = {key: level for key, level in levels.items() if level}
            self.heap = list(self.levels)
            heapify(self.heap)
            self.size, self.cancelled = sum(map(len, self.levels.values())), 0

    def can_fill(self, account: str, limit: int, lots: int) -> bool:
        """Whether so many lots are there up to the limit, before an order of the same account."""
        for key in self._in_order():
            if key > limit:
                return False
            for order in self.levels[key]:
                if order[4] and order[1] == account:
                    return False
                lots -= order[4]
                if lots <= 0:
                    return True
        return False

    def depth(self, levels: int) -> list[tuple[int, int, int]]:
        found: list[tuple[int, int, int]] = []
        for key in self._in_order():
            if len(found) == levels:
                break
            level = [order[4] for order in self.levels[key] if order[4]]
            if level:
                found.append((abs(key), min(sum(level), MAX_64), len(level)))
        return found

    def _in_order(self) -> Iterator[int]:
        """The heap's keys, the least first, without changing it."""
        heap = self.heap
        following = [(heap[0], 0)] if heap else []
        while following:
            key, place = heappop(following)
            yield key
            for child in (2 * place + 1, 2 * place + 2):
                if child < len(heap):
                    heappush(following, (heap[child], child))


def refusal_of(
    order_id: Any, account: Any, side: Any, price: Any, lots: Any, force: Any
) -> str | None:
    """Why this is no order. A price of None is no price."""
    if type(lots) is not int or not 0 < lots <= MAX_64:
        return "bad_lots"
    if price is not None:
        if type(price) is not int or not 0 < price <= MAX_64:
            return "bad_price"
        if price * lots > MAX_64:
            return "notional_overflow"
    if side != BUY and side != SELL:
        return "bad_side"
    if force not in TIMES_IN_FORCE:
        return "bad_time_in_force"
    if not order_id or len(order_id) > NAME_CHARACTERS:
        return "bad_order_id"
    return None if account and len(account) <= NAME_CHARACTERS else "bad_account"


def apply(book: OrderBook, row: Mapping[str, Any]) -> None:
    """Give a row of commands to a book: `command`, and the columns that this one needs."""
    command, order_id, account = row["command"], row["order_id"], row["account"]
    if command == "order":
        price, force = row["price_ticks"], row["time_in_force"]
        force = "GTC" if force is None else force
        book.order(order_id, account, row["side"], price, row["lots"], force)
    elif command == "cancel":
        book.cancel(order_id, account)
    elif command == "replace":
        book.replace(order_id, account, row["price_ticks"], row["lots"])
    elif command == "end_day":
        book.end_day()
    else:
        book.refuse(order_id, account, "bad_command")
