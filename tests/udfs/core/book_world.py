"""Seeds in, commands of every kind out; books in, what must be true of them.

    python -m tests.udfs.core.book_world [--commands 1000000] [--seed 1]

gives both books so many commands, and ends at the first that they do not agree on.
"""

import argparse
import random
from collections.abc import Iterator
from typing import Any

from tests.udfs.core.naive_book import NaiveBook
from udfs.core.order_book import MAX_64, OrderBook

Command = tuple[Any, ...]
ODD_NUMBERS = (0, -1, 1, 2**62, MAX_64, MAX_64 + 1, 3.0, True, None, "7")


def apply(book: Any, command: Command) -> None:
    """Give one command to a book of either kind."""
    getattr(book, command[0])(*command[1:])


def random_commands(seed: int, count: int, accounts: int = 12) -> Iterator[Command]:
    """A market around a price that wanders; cancels, replaces, ends of days, repeats, junk."""
    rng = random.Random(seed)
    middle, placed = 1_000, [("o0", "a0")]
    for number in range(count):
        middle = max(20, middle + rng.randint(-1, 1))
        order_id, account = rng.choice(placed[-60:])
        draw = rng.random()
        if draw < 0.24:
            stranger = rng.random() < 0.1
            yield "cancel", order_id, "a0" if stranger else account
        elif draw < 0.31:
            price = middle + rng.randint(-8, 8)
            yield "replace", order_id, account, price, rng.randint(1, 12)
        elif draw < 0.312:
            yield ("end_day",)
        elif draw < 0.33:
            odd = [rng.choice(ODD_NUMBERS) for _ in range(2)]
            yield "order", f"j{number}", account, rng.choice(("buy", "sell", "x")), *odd, "GTC"
        elif draw < 0.34:
            someone = f"a{rng.randrange(accounts)}"
            yield "order", order_id, someone, "buy", middle, 1, "GTC"  # an id that was there
        else:
            placed.append((f"o{number}", f"a{rng.randrange(accounts)}"))
            force = rng.choices(("GTC", "DAY", "IOC", "FOK"), (6, 2, 1, 1))[0]
            price = None if rng.random() < 0.05 else middle + rng.randint(-10, 10)
            side = rng.choice(("buy", "sell"))
            yield "order", *placed[-1], side, price, rng.randint(1, 20), force


def check(book: OrderBook) -> None:
    """What holds after every command."""
    orders = list(book.resting())
    assert all(order[4] > 0 for order in orders)
    assert len({(order[1], order[0]) for order in orders}) == len(orders)
    bids = [order[3] for order in orders if order[2] == "buy"]
    asks = [order[3] for order in orders if order[2] == "sell"]
    assert bids == sorted(bids, reverse=True) and asks == sorted(asks)
    assert not bids or not asks or bids[0] < asks[0]


class Ledger:
    """Follows reports alone: whose lots are where. Raises where one comes from nowhere."""

    def __init__(self) -> None:
        self.open: dict[tuple[str, str], int] = {}
        self.sequence = 0

    def take(self, command: Command, reports: list[tuple[Any, ...]]) -> None:
        wanted = command[5] if command[0] == "order" else None
        for sequence, kind, name, account, _, _, lots, remaining, _, its, maker, left in reports:
            self.sequence += 1
            order_id, maker = (account, name), (maker, its)
            assert sequence == self.sequence
            if kind == "traded":
                assert lots > 0 and remaining >= 0 and left >= 0
                self.open[maker] -= lots
                assert self.open[maker] == left
                if not left:
                    del self.open[maker]
                wanted = self.open.pop(order_id, wanted) - lots
                assert wanted == remaining
            elif kind == "rested":
                assert lots == remaining == self.open.pop(order_id, wanted)
                self.open[order_id] = lots
            elif kind == "replaced":
                assert order_id in self.open
                self.open[order_id] = lots
            elif kind == "cancelled":
                assert lots == self.open.pop(order_id, wanted)
        if command[0] == "replace" and reports and reports[-1][1] == "traded":
            if reports[-1][7] == 0:
                self.open.pop((command[2], command[1]), None)


def compare(seed: int, count: int, remembered: int = 50) -> int:
    """Give both books the same: each report the same, each hundredth hash; how many reports."""
    book, naive, ledger = OrderBook(remembered), NaiveBook(remembered), Ledger()
    for number, command in enumerate(random_commands(seed, count)):
        apply(book, command)
        apply(naive, command)
        assert book.reports == naive.reports, (number, command)
        ledger.take(command, book.reports)
        if number % 100 == 0:
            check(book)
            assert book.digest() == naive.digest(), (number, command)
        book.reports.clear()
        naive.reports.clear()
    assert ledger.open == {(o[1], o[0]): o[4] for o in book.resting()}
    return ledger.sequence


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--commands", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    reports = compare(given.seed, given.commands)
    print(f"{given.commands:,} commands, {reports:,} reports: both books agree")


if __name__ == "__main__":
    main()
