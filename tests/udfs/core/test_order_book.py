"""The order book against the naive one, and against what a market must keep to."""

import time
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.udfs.core.book_world import Ledger, apply, check, compare
from tests.udfs.core.naive_book import NaiveBook
from udfs.core.order_book import MAX_64, OrderBook, Report

ids, accounts = st.sampled_from([f"o{n}" for n in range(24)]), st.sampled_from("abcd")
sides = st.sampled_from(["buy", "sell"])
prices, lots = st.integers(95, 105), st.integers(1, 9)
forces = st.sampled_from(["GTC", "DAY", "IOC", "FOK"])


class Books(RuleBasedStateMachine):
    """Both books, given the same."""

    def __init__(self) -> None:
        super().__init__()
        self.book, self.naive, self.ledger = OrderBook(10), NaiveBook(10), Ledger()

    def both(self, *command: Any) -> None:
        apply(self.book, command)
        apply(self.naive, command)
        assert self.book.reports == self.naive.reports
        self.ledger.take(command, self.book.reports)
        self.book.reports.clear()
        self.naive.reports.clear()

    @rule(o=ids, a=accounts, s=sides, p=prices | st.none(), n=lots, f=forces)
    def order(self, o: str, a: str, s: str, p: int | None, n: int, f: str) -> None:
        self.both("order", o, a, s, p, n, f)

    @rule(o=ids, a=accounts)
    def cancel(self, o: str, a: str) -> None:
        self.both("cancel", o, a)

    @rule(o=ids, a=accounts, p=prices, n=lots)
    def replace(self, o: str, a: str, p: int, n: int) -> None:
        self.both("replace", o, a, p, n)

    @rule()
    def end_day(self) -> None:
        self.both("end_day")

    @rule(s=st.sampled_from(["buy", "sell", "", None]), p=st.integers(-1, 2**64), n=st.integers())
    def junk(self, s: Any, p: int, n: int) -> None:
        self.both("order", "junk", "a", s, p, n, "GTC")

    @invariant()
    def sound(self) -> None:
        check(self.book)
        assert self.book.digest() == self.naive.digest()


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=25, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize("seed", range(3))
def test_random_commands_make_the_same_trades_and_the_same_book(seed: int) -> None:
    assert compare(seed, 2_000) > 1_000


def kinds(book: OrderBook) -> list[tuple[str, Any]]:
    """Kind and detail of the reports, which are taken out."""
    found = [(Report(*r).kind, Report(*r).detail) for r in book.reports]
    book.reports.clear()
    return found


def test_the_oldest_order_of_the_best_price_trades_first_at_its_own_price() -> None:
    book = OrderBook()
    book.order("late", "b", "sell", 11, 5)
    book.order("first", "c", "sell", 10, 5)
    book.order("second", "d", "sell", 10, 5)
    book.reports.clear()
    book.order("bid", "a", "buy", 12, 8)
    found = [(r[9], r[5], r[6], r[7]) for r in book.reports]
    assert found == [("first", 10, 5, 3), ("second", 10, 3, 0)]


def test_fewer_lots_keep_the_place_and_another_price_loses_it() -> None:
    book = OrderBook()
    for name in ("one", "two"):
        book.order(name, name, "sell", 10, 5)
    book.replace("one", "one", 10, 4)
    book.order("bid", "a", "buy", 10, 1)
    assert book.reports[-1][9] == "one"
    book.replace("one", "one", 10, 5)
    book.order("bid2", "a", "buy", 10, 1)
    assert book.reports[-1][9] == "two"


def test_an_order_does_not_trade_with_its_own_account() -> None:
    book = OrderBook()
    book.order("s1", "b", "sell", 10, 2)
    book.order("s2", "a", "sell", 10, 2)
    kinds(book)
    book.order("b1", "a", "buy", 10, 5)
    assert kinds(book) == [("traded", None), ("cancelled", "self_trade")]
    book.order("b2", "a", "buy", 10, 2, "FOK")
    assert kinds(book) == [("cancelled", "not_fillable")]


@pytest.mark.parametrize(
    ("price", "lots", "reason"),
    [
        (0, 1, "bad_price"),
        (-5, 1, "bad_price"),
        (0.1 + 0.2, 1, "bad_price"),
        (1, 0, "bad_lots"),
        (1, 1.5, "bad_lots"),
        (2**63, 1, "bad_price"),
        (1, 2**63, "bad_lots"),
        (2**32, 2**31, "notional_overflow"),
    ],
)
def test_no_order_of_such_numbers(price: Any, lots: Any, reason: str) -> None:
    book = OrderBook()
    book.order("o", "a", "buy", price, lots)
    assert kinds(book) == [("refused", reason)]
    assert not list(book.resting())


def test_numbers_at_the_limits_of_64_bits_trade() -> None:
    book = OrderBook()
    book.order("dear", "a", "sell", MAX_64, 1)
    book.order("many", "b", "sell", 1, MAX_64)
    book.order("many2", "c", "sell", 1, MAX_64)
    assert book.depth(5)[1] == [(1, MAX_64, 2), (MAX_64, 1, 1)]
    book.order("all", "d", "buy", 1, MAX_64, "FOK")
    book.order("all2", "d", "buy", 1, MAX_64, "FOK")
    book.order("rest", "d", "buy", None, 2)
    assert book.reports[-2][3:8] == ("d", "buy", MAX_64, 1, 1)
    assert Report(*book.reports[-1]).detail == "unfilled"


def test_an_order_id_again_changes_nothing_and_a_cancel_of_what_is_gone_is_refused() -> None:
    book = OrderBook()
    for _ in range(3):
        book.order("o", "a", "buy", 10, 1)
    assert kinds(book) == [("rested", "GTC")]
    book.cancel("o", "someone else")
    book.cancel("o", "a")
    book.order("o", "a", "buy", 10, 1)
    book.cancel("o", "a")
    assert [detail for _, detail in kinds(book)] == ["unknown_order", "requested", "unknown_order"]


def test_an_id_is_its_accounts_own() -> None:
    book = OrderBook()
    book.order("1", "a", "sell", 10, 2)
    book.order("1", "b", "buy", 9, 3)
    book.cancel("1", "c")
    assert kinds(book) == [("rested", "GTC"), ("rested", "GTC"), ("refused", "unknown_order")]
    book.cancel("1", "a")
    assert [order[1] for order in book.resting()] == ["b"]


def test_names_have_an_end() -> None:
    book = OrderBook()
    book.order("o" * 201, "a", "sell", 10, 1)
    book.order("o", "a" * 201, "sell", 10, 1)
    assert kinds(book) == [("refused", "bad_order_id"), ("refused", "bad_account")]


def test_a_million_resting_orders_and_a_flood_through_them() -> None:
    book = OrderBook()
    for number in range(1_000_000):
        book.order(f"o{number}", "a", "sell", 1_000 + number % 500, 1)
    book.reports.clear()
    started = time.process_time()
    book.order("flood", "b", "buy", None, 999_999)
    assert len(book.reports) == 999_999
    assert list(book.resting())[0][0] == "o999999"
    assert time.process_time() - started < 60  # not a rate: a step that searches takes hours
