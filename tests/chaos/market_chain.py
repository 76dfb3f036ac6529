"""Orders of accounts in; what the log of accepted orders should have made of them out."""

import json
import random
import time
from collections import defaultdict
from typing import Any

from connectors.kafka import end_offsets, read_all
from tests.bench.ground import await_records, servers
from tests.bench.market_load import Rows
from udfs.core.order_book import OrderBook, Report, apply
from udfs.market import COMMAND

ACCOUNTS, CASH, LOTS = 100, 10**6, 150  # so that some run short
QUIET_S, PATIENCE_S = 6.0, 180.0
ALL = ("orders_accepted", "orders_refused", "executions", "balances")
Given = list[tuple[bytes, bytes]]


def orders(symbols: int, count: int, seed: int) -> tuple[Given, Given]:
    """(deposits, orders) of accounts that trade around a price, cancel and replace."""
    rng = random.Random(seed)
    names = [f"s{place}" for place in range(symbols)]
    accounts = [f"a{place}" for place in range(ACCOUNTS)]
    deposits: Given = []
    for account in accounts:
        held: list[dict[str, Any]] = [{"cash": CASH}]
        held += [{"symbol": symbol, "lots": LOTS} for symbol in names]
        deposits += [(account.encode(), json.dumps(one).encode()) for one in held]
    made: Given = []
    placed: list[tuple[str, str, str]] = []
    for number in range(count):
        row: dict[str, Any] = {"n": number, "price_ticks": 1_000 + rng.randint(-20, 20)}
        row["lots"] = rng.randint(1, 40)
        draw = rng.random()
        if draw < 0.25 and placed:
            account, row["symbol"], row["order_id"] = rng.choice(placed[-2_000:])
            row["command"] = "cancel" if draw < 0.15 else "replace"
        else:
            account, row["symbol"] = rng.choice(accounts), rng.choice(names)
            row |= {"command": "order", "order_id": f"o{number}"}
            row["side"] = rng.choice(("buy", "sell"))
            row["time_in_force"] = rng.choice(("GTC", "GTC", "GTC", "IOC", "FOK"))
            placed.append((account, row["symbol"], row["order_id"]))
        made.append((account.encode(), json.dumps(row).encode()))
    return deposits, made


def await_balances(count: int) -> None:
    """Return when all deposits have been taken."""
    await_records("balances", count, PATIENCE_S)


def await_quiet() -> None:
    """Return when no topic has grown for a while: all is accepted, matched and settled."""
    deadline, before, since = time.monotonic() + PATIENCE_S, None, time.monotonic()
    while time.monotonic() - since < QUIET_S:
        now = end_offsets(servers(), ALL)
        if now != before:
            before, since = now, time.monotonic()
        if time.monotonic() > deadline:
            raise AssertionError(f"the market does not come to rest: {now}")
        time.sleep(0.5)


def reference() -> Rows:
    """What the books make of the log of accepted orders."""
    books: dict[bytes, OrderBook] = defaultdict(OrderBook)
    for record in read_all(servers(), ["orders_accepted"]):
        row = json.loads(record.value or b"")
        apply(books[record.key or b""], dict.fromkeys(COMMAND) | row)
    return {
        symbol: [dict(zip(Report._fields, r, strict=True)) for r in book.reports]
        for symbol, book in books.items()
    }


def breaches(deposits: Given, count: int) -> list[str]:
    """What of the promises of clearing does not hold."""
    found = []
    accepted: dict[str, int] = defaultdict(int)
    taken = 0
    for record in read_all(servers(), ["orders_accepted"]):
        row = json.loads(record.value or b"")
        taken += 1
        accepted[row["order_id"]] += row["command"] == "order"
    twice = [order_id for order_id, times in accepted.items() if times > 1]
    if twice:
        found.append(f"{len(twice)} orders were accepted twice, {twice[0]} among them")
    refused = len({r.header("ce_id") for r in read_all(servers(), ["orders_refused"])})
    if taken + refused < count:
        found.append(f"of {count} orders {taken} were accepted and {refused} refused")
    cash: dict[bytes, int] = {}
    lots: dict[tuple[bytes, str], int] = {}
    for record in read_all(servers(), ["balances"]):
        row, account = json.loads(record.value or b""), record.key or b""
        cash[account] = row["cash"]
        if row["symbol"]:
            lots[account, row["symbol"]] = row["position_lots"]
        if any(isinstance(value, int) and value < 0 for value in row.values()):
            found.append(f"{account!r} went below zero: {row}")
    given = [json.loads(value) for _, value in deposits]
    for what, there, put in (
        ("cash", sum(cash.values()), sum(one.get("cash", 0) for one in given)),
        ("lots", sum(lots.values()), sum(one.get("lots", 0) for one in given)),
    ):
        if there != put:
            found.append(f"{put} {what} were deposited and {there} are there")
    return found
