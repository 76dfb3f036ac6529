"""A scenario's name in, commands on one symbol out: five markets that a matching engine may meet.

Commands are the arguments of `apply`, the same for every engine and on every run.
"""

import random
from collections.abc import Callable
from typing import Any

from udfs.core.order_book import OrderBook

Command = tuple[Any, ...]
SCENARIOS = ("static_deep", "normal_mix", "slow_swing", "fast_swing", "crash")
MIDDLE = 100_000
DEEP_ORDERS = 100_000
ACCOUNTS = 1_000


def apply(book: OrderBook, command: Command) -> None:
    """Give one command to the book."""
    kind = command[0]
    if kind == "order":
        book.order(*command[1:])
    elif kind == "cancel":
        book.cancel(*command[1:])
    else:
        book.replace(*command[1:])


def commands(
    scenario: str, count: int, seed: int = 1, resting: int = 10_000
) -> tuple[list[Command], list[Command]]:
    """(what makes the book, what is measured)."""
    flow = _Flow(random.Random(f"{scenario}{seed}"))
    if scenario == "static_deep":
        before = [flow.rest(MIDDLE, 5_000) for _ in range(DEEP_ORDERS)]
        return before, [flow.either(MIDDLE, 5_000, aggressive=0.02) for _ in range(count)]
    before = [flow.rest(MIDDLE, 200) for _ in range(resting)]
    middle: Callable[[int], int] = {
        "normal_mix": lambda n: MIDDLE,
        "slow_swing": lambda n: MIDDLE + 500 - abs(n * 4 // 1_000 % 2_000 - 1_000),
        "fast_swing": lambda n: MIDDLE + 500 - abs(n // 10 % 2_000 - 1_000),
        "crash": lambda n: max(MIDDLE - n // 5, 1_000),
    }[scenario]
    aggressive = 0.5 if scenario == "crash" else 0.25
    return before, [flow.either(middle(n), 200, aggressive) for n in range(count)]


class _Flow:
    """Orders of many accounts, and cancels and replaces of the last of them."""

    def __init__(self, rng: random.Random) -> None:
        self.rng, self.number = rng, 0
        self.recent: list[tuple[str, str, int]] = []

    def rest(self, middle: int, width: int) -> Command:
        """An order that does not cross the middle."""
        rng = self.rng
        buy = rng.random() < 0.5
        away = 1 + int(min(rng.expovariate(4 / width), width))
        return self._order(buy, middle - away if buy else middle + away, "GTC")

    def either(self, middle: int, width: int, aggressive: float) -> Command:
        """Mostly new orders; a third are cancels, some replaces."""
        rng = self.rng
        draw = rng.random()
        if draw < 0.33:
            order_id, account, _ = self._pick(gone=True)
            return "cancel", order_id, account
        if draw < 0.38:
            order_id, account, price = self._pick(gone=False)
            return "replace", order_id, account, max(price + rng.randint(-2, 2), 1), 5
        if draw > 1 - aggressive * 0.62:
            buy = rng.random() < 0.5
            force = rng.choices(("GTC", "IOC", "FOK"), (6, 3, 1))[0]
            reach = rng.randint(1, width // 10)
            return self._order(buy, middle + reach if buy else max(middle - reach, 1), force)
        return self.rest(middle, width)

    def _order(self, buy: bool, price: int, force: str) -> Command:
        self.number += 1
        order_id = f"o{self.number}"
        account = f"a{self.rng.randrange(ACCOUNTS)}"
        price = max(price, 1)
        if force == "GTC":
            self.recent.append((order_id, account, price))
        lots = self.rng.randint(1, 20)
        return "order", order_id, account, "buy" if buy else "sell", price, lots, force

    def _pick(self, gone: bool) -> tuple[str, str, int]:
        """One of the last orders; `gone` where it will not be there any more."""
        recent = self.recent
        place = len(recent) - self.rng.randint(1, min(len(recent), 20_000))
        if gone:
            recent[place], recent[-1] = recent[-1], recent[place]
            return recent.pop()
        return recent[place]
