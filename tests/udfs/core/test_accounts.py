"""Accounts and books together: nothing is sold that is not there, nothing comes from nowhere."""

import random
from collections import deque
from typing import Any

import pytest

from tests.udfs.core.book_world import check
from udfs.core.accounts import Account
from udfs.core.fold import BadEvent
from udfs.core.order_book import MAX_64, OrderBook, Report, apply

SYMBOLS = ("gpu", "tpu")
CASH, LOTS = 50_000, 200


class World:
    """A few accounts, two books, and executions that come back late, some of them twice."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.accounts = {f"a{n}": Account(f"a{n}") for n in range(6)}
        self.pieces: dict[str, dict[str, Any]] = {name: {} for name in self.accounts}
        self.books = {symbol: OrderBook() for symbol in SYMBOLS}
        self.coming: deque[tuple[str, dict[str, Any]]] = deque()
        for name in self.accounts:
            self.take(name, "deposited", {"cash": CASH})
            for symbol in SYMBOLS:
                self.take(name, "deposited", {"symbol": symbol, "lots": LOTS})

    def take(self, name: str, kind: str, event: dict[str, Any]) -> list[dict[str, Any]]:
        account = self.accounts[name]
        rows = account.take(kind, event)
        for piece, document in account.changed_pieces().items():
            if document is None:
                del self.pieces[name][piece]
            else:
                self.pieces[name][piece] = document
        assert account.cash >= account.reserved_cash >= 0
        assert account.reserved_cash == sum(order.cash for order in account.orders.values())
        for symbol, holding in account.holdings.items():
            goods = sum(o.goods for o in account.orders.values() if o.symbol == symbol)
            assert holding.lots >= holding.reserved == goods >= 0
        return rows

    def order(self, name: str, event: dict[str, Any]) -> None:
        for row in self.take(name, "ordered", event):
            if row["kind"] == "accepted":
                self.match({**row, "account": name})

    def match(self, command: dict[str, Any]) -> None:
        book = self.books[command["symbol"]]
        apply(book, command)
        check(book)
        for one in book.reports:
            report = {"symbol": command["symbol"], **Report(*one)._asdict()}
            if report["kind"] == "rested":
                continue
            self.coming.append((report["account"], report))
            if report["kind"] == "traded":
                maker = {**report, "order_id": report["maker_order_id"]}
                self.coming.append((report["maker_account"], maker))
        book.reports.clear()

    def settle(self, how_many: int) -> None:
        while self.coming and how_many:
            name, event = self.coming.popleft()
            self.take(name, "executed", event)
            if self.rng.random() < 0.2:
                assert self.take(name, "executed", event) == []
            how_many -= 1

    def restart(self, name: str) -> None:
        copies = {piece: dict(document) for piece, document in self.pieces[name].items()}
        self.accounts[name] = Account.restored(name, copies)

    def random_order(self, number: int) -> None:
        rng = self.rng
        name, symbol = rng.choice(list(self.accounts)), rng.choice(SYMBOLS)
        draw, price = rng.random(), 100 + rng.randint(-8, 8)
        event = {"symbol": symbol, "lots": rng.randint(1, 60), "price_ticks": price}
        placed = list(self.accounts[name].orders)
        if placed and draw < 0.35:
            order_id = rng.choice(placed)
            event["symbol"] = self.accounts[name].orders[order_id].symbol
            command = "cancel" if draw < 0.15 else "replace"
            self.order(name, {**event, "command": command, "order_id": order_id})
            return
        if draw > 0.92:
            event["price_ticks"] = None
        event["side"] = rng.choice(("buy", "sell"))
        event["time_in_force"] = rng.choice(("GTC", "GTC", "IOC", "FOK", "DAY"))
        order_id = f"o{number if draw < 0.9 else max(number - 3, 0)}"
        self.order(name, {**event, "command": "order", "order_id": f"{name}{order_id}"})


@pytest.mark.parametrize("seed", range(8))
def test_cash_and_goods_are_conserved_and_reserved_whatever_comes(seed: int) -> None:
    world = World(seed)
    for number in range(1_500):
        world.random_order(number)
        world.settle(world.rng.randint(0, 3))
        if number % 50 == 0:
            world.restart(world.rng.choice(list(world.accounts)))
        if number == 1_000:
            for symbol in SYMBOLS:
                nobody = dict.fromkeys(("order_id", "account"))
                world.match({"command": "end_day", "symbol": symbol, **nobody})
    world.settle(10**9)
    accounts = world.accounts.values()
    assert sum(account.cash for account in accounts) == CASH * len(world.accounts)
    for symbol in SYMBOLS:
        lots = sum(account.holdings[symbol].lots for account in accounts)
        assert lots == LOTS * len(world.accounts)
    for name, account in world.accounts.items():
        resting = {
            order[0]: (order[3], order[4])
            for book in world.books.values()
            for order in book.resting()
            if order[1] == name
        }
        assert resting == {i: (o.price_ticks, o.lots) for i, o in account.orders.items()}


def bid(**values: Any) -> dict[str, Any]:
    order = {"symbol": "gpu", "command": "order", "order_id": "o", "side": "buy"}
    return {**order, "price_ticks": 10, "lots": 5, **values}


def test_a_bid_that_cannot_be_paid_does_not_come_to_the_book() -> None:
    account = Account("a")
    account.take("deposited", {"cash": 99})
    reasons = [
        account.take("ordered", bid(order_id=name, lots=lots))[0]["reason"]
        for name, lots in (("one", 5), ("two", 5), ("three", 4))
    ]
    assert reasons == [None, "insufficient_cash", None]
    assert account.take("ordered", bid(order_id="one")) == []


def test_a_market_bid_gets_what_can_be_paid_as_its_limit() -> None:
    account = Account("a")
    account.take("deposited", {"cash": 99})
    (row,) = account.take("ordered", bid(price_ticks=None))
    assert (row["kind"], row["price_ticks"], row["time_in_force"]) == ("accepted", 19, "IOC")
    assert account.reserved_cash == 95


def executed(kind: str, sequence: int, **values: Any) -> dict[str, Any]:
    return {"symbol": "gpu", "sequence": sequence, "kind": kind, "order_id": "o", **values}


def test_a_replacement_is_reserved_beside_its_order_until_the_book_has_answered() -> None:
    account = Account("a")
    account.take("deposited", {"cash": 125})
    account.take("ordered", bid())
    account.take("ordered", bid(command="replace", price_ticks=15))
    assert account.reserved_cash == 125
    again = account.take("ordered", bid(command="replace", price_ticks=5))
    assert again[0]["reason"] == "replace_pending"
    account.take("executed", executed("refused", 2, detail="bad_price"))
    assert account.reserved_cash == 50


def test_an_order_may_trade_before_the_book_hears_of_its_replacement() -> None:
    account = Account("a")
    account.take("deposited", {"cash": 100})
    account.take("ordered", bid())
    assert account.take("ordered", bid(command="replace", lots=6))[0]["kind"] == "refused"
    assert account.take("ordered", bid(command="replace"))[0]["kind"] == "accepted"
    account.take("executed", executed("traded", 1, price_ticks=10, lots=4))
    account.take("executed", executed("replaced", 2, price_ticks=10, lots=5))
    account.take("executed", executed("traded", 3, price_ticks=10, lots=5))
    assert (account.cash, account.reserved_cash, account.orders) == (10, 0, {})


def test_an_order_that_the_book_does_not_know_reserves_nothing() -> None:
    account = Account("a")
    account.take("deposited", {"cash": 100})
    account.take("ordered", bid())
    account.take("executed", executed("refused", 1, detail="unknown_order"))
    assert (account.reserved_cash, account.orders) == (0, {})


def test_what_is_refused_leaves_nothing_behind() -> None:
    account = Account("a")
    for number in range(50):
        account.take("ordered", bid(order_id=f"o{number}", symbol=f"s{number}"))
    assert (account.holdings, account.known) == ({}, {})


@pytest.mark.parametrize(
    "event",
    [
        executed("traded", 1, price_ticks=None, lots=4),
        executed("traded", 1, price_ticks=10),
        {**executed("rested", 1), "symbol": None},
        {**executed("rested", 1), "sequence": None},
    ],
)
def test_an_execution_that_no_book_wrote_is_a_dead_letter(event: dict[str, Any]) -> None:
    account = Account("a")
    account.take("deposited", {"cash": 100})
    account.take("ordered", bid())
    with pytest.raises(BadEvent):
        account.take("executed", event)
    assert account.reserved_cash == 50


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"lots": MAX_64, "price_ticks": 2}, "notional_overflow"),
        ({"price_ticks": 0.30000000000000004}, "bad_price"),
        ({"lots": True}, "bad_lots"),
        ({"side": "hold"}, "bad_side"),
        ({"symbol": None}, "bad_symbol"),
        ({"command": "fly"}, "bad_command"),
        ({"command": "cancel"}, "unknown_order"),
    ],
)
def test_what_is_no_order_is_refused_here(values: dict[str, Any], reason: str) -> None:
    account = Account("a", cash=MAX_64)
    assert account.take("ordered", bid(**values))[0]["reason"] == reason
    assert account.reserved_cash == 0


@pytest.mark.parametrize("deposit", [{"cash": -1}, {"lots": 5}, {"cash": MAX_64}])
def test_a_deposit_that_is_none_is_a_dead_letter(deposit: dict[str, Any]) -> None:
    account = Account("a", cash=1)
    with pytest.raises(BadEvent):
        account.take("deposited", deposit)
    assert account.cash == 1


def test_a_balance_beyond_64_bits_is_told_as_the_most_that_fits() -> None:
    account = Account("a", cash=MAX_64)
    account.take("deposited", {"symbol": "gpu", "lots": 1})
    account.take("ordered", bid(order_id="s", side="sell", price_ticks=5, lots=1))
    report = {"symbol": "gpu", "sequence": 1, "kind": "traded", "order_id": "s"}
    (row,) = account.take("executed", {**report, "price_ticks": 5, "lots": 1})
    assert account.cash == MAX_64 + 5
    assert row["cash"] == MAX_64
