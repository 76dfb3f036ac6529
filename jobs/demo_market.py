"""Nothing in, two thousand agents that trade compute capacity out: `tidemill demo market`.

Half of them need machines for an hour, half have some; nobody knows what it is worth to the others.
Books match them, a clearing job sees to it that everything can be paid, and a model looks after the
strategy of a few. One watches prices, depth, volume and latency.
"""

import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import typer
from rich.console import Console, Group
from rich.table import Table

from connectors.kafka import ensure_topics
from deploy import stack
from jobs import terminal
from jobs.demo_steps import start_stack, submitting
from jobs.submission import Submission
from jobs.team_topics import PARTITIONS
from jobs.topic_watch import Row, TopicWatch, send_rows, watch_until

TEAM = "market"
JOBS = ("match_orders", "accept_orders", "trade", "advise")
# Symbol and what an hour is worth, about.
SYMBOLS = {"cpu-hour": 40, "gpu-hour": 310, "memory-hour": 90, "tpu-hour": 520}
AGENTS, REVIEWED = 2_000, 8
INTERVAL_MS, LOTS, STOCK = 6_000, 5, 400
RUN_S, START_S, RECENT_S = 60.0, 120.0, 10.0
DEPOSITS, TRADERS = "deposits", "traders"
ORDERS, ACCEPTED, REFUSED = "orders", "orders_accepted", "orders_refused"
EXECUTIONS, SNAPSHOTS, CHANGES = "executions", "book_snapshots", "strategy_changes"
Json = dict[str, Any]


@dataclass
class Market:
    """What the topics say of one symbol."""

    trades: int = 0
    volume: int = 0
    last: int | None = None
    recent: list[tuple[int, int]] = field(default_factory=list)  # (when in ms, lots)
    bids: list[Json] = field(default_factory=list)
    asks: list[Json] = field(default_factory=list)


class Markets:
    """All symbols, and how long orders take. Reads each row once."""

    def __init__(self) -> None:
        self.of: dict[str, Market] = defaultdict(Market)
        self.counts: dict[str, int] = defaultdict(int)
        self.first_trade_s: float | None = None
        self.to_book: list[int] = []
        self.to_execution: list[int] = []
        self._waiting: dict[str, dict[str, int]] = {ORDERS: {}, ACCEPTED: {}}
        self._taken = 0

    def take(self, rows: list[Row]) -> None:
        """Take what has come since the last time."""
        for row in sorted(rows[self._taken :], key=lambda one: one.timestamp_ms):
            self.counts[row.topic] += 1
            if row.topic in self._waiting and row.value["command"] == "order":
                self._waiting[row.topic][row.value["order_id"]] = row.timestamp_ms
            elif row.topic == EXECUTIONS:
                self._executed(row)
            elif row.topic == SNAPSHOTS:
                market = self.of[row.key]
                market.bids, market.asks = row.value["bids"], row.value["asks"]
        self._taken = len(rows)

    def _executed(self, row: Row) -> None:
        for topic, times in ((ORDERS, self.to_execution), (ACCEPTED, self.to_book)):
            since = self._waiting[topic].pop(row.value["order_id"] or "", None)
            if since is not None:
                times.append(row.timestamp_ms - since)
        if row.value["kind"] != "traded":
            return
        if self.first_trade_s is None:
            self.first_trade_s = time.monotonic()
        market = self.of[row.key]
        market.trades += 1
        market.volume += row.value["lots"]
        market.last = row.value["price_ticks"]
        market.recent.append((row.timestamp_ms, row.value["lots"]))

    def shown(self) -> Group:
        """Price, depth, volume and latency."""
        table = Table(box=None)
        for title in ("symbol", "last", "bid × lots", "ask × lots", "trades", "lots", "lots/s"):
            table.add_column(title, justify="left" if title == "symbol" else "right")
        now_ms = time.time() * 1000
        for symbol in SYMBOLS:
            market = self.of[symbol]
            market.recent = [r for r in market.recent if now_ms - r[0] < RECENT_S * 1000]
            pace = sum(lots for _, lots in market.recent) / RECENT_S
            last = "" if market.last is None else str(market.last)
            table.add_row(symbol, last, _best(market.bids), _best(market.asks),
                          f"{market.trades:,}", f"{market.volume:,}", f"{pace:.0f}")  # fmt: skip
        return Group(table, self.sums())

    def sums(self) -> str:
        """All in a line."""
        counts = self.counts
        said = (
            f"{counts[ORDERS]:,} orders, {counts[ACCEPTED]:,} accepted, "
            f"{counts[REFUSED]:,} refused, {counts[EXECUTIONS]:,} executions, "
            f"{counts[CHANGES]} strategies changed"
        )
        if self.to_execution:
            said += (
                f"; order to execution p50 {median(self.to_execution[-5_000:]):,.0f} ms, "
                f"{median(self.to_book[-5_000:] or [0]):,.0f} ms of it from acceptance on"
            )
        return said


def _best(levels: list[Json]) -> str:
    return f"{levels[0]['price_ticks']} × {levels[0]['lots']}" if levels else ""


def demo_market(
    agents: int = typer.Option(AGENTS, min=2, help="How many agents trade."),
    seconds: float = typer.Option(RUN_S, min=1, help="How long to watch from the first trade on."),
) -> None:
    """Let agents buy and sell compute capacity, and watch prices, depth, volume and latency."""
    console = terminal.console()
    with submitting(TEAM, JOBS) as submission:
        run(console, submission, agents, seconds)


def run(console: Console, submission: Submission, agents: int, seconds: float) -> None:
    """The steps, one after the other."""
    start_stack(console)
    console.print("2. Books, clearing, agents and their strategist: four jobs", style="bold")
    submission.start(stack.environment())
    watch = TopicWatch([ORDERS, ACCEPTED, REFUSED, EXECUTIONS, SNAPSHOTS, CHANGES])
    markets = Markets()
    watch.prepare()
    ensure_topics(watch.servers, dict.fromkeys((DEPOSITS, TRADERS), PARTITIONS))
    watch.from_here()
    joined = open_accounts(agents, f"{time.time():.0f}"[-5:])
    console.print(f"traders: {joined} agents joined, with cash or capacity", markup=False)
    console.print("3. They trade", style="bold")

    def ended() -> bool:
        markets.take(watch.rows)
        since = markets.first_trade_s
        return since is not None and time.monotonic() - since > seconds

    watch_until(console, watch, submission, markets.shown, ended, START_S + seconds)
    if markets.first_trade_s is None:
        console.print("Nothing was traded: see `tidemill dead-letters market`.", markup=False)
        raise typer.Exit(1)
    console.print(
        "They trade on: `tidemill stop market` ends it, `tidemill demo market` goes on from "
        "there. A record on `traders` lets another agent join.",
        markup=False,
    )


def open_accounts(agents: int, run_id: str) -> int:
    """Give each agent what it trades with, then let it join."""
    rng = random.Random(run_id)
    deposits, joining = [], []
    for number in range(agents):
        account = f"agent-{run_id}-{number}"
        symbol, worth = list(SYMBOLS.items())[number // 2 % len(SYMBOLS)]
        buys = number % 2 == 0
        limit = max(int(worth * rng.gauss(1.15 if buys else 0.85, 0.12)), 2)
        deposits.append(
            {"account": account, "cash": 2 * worth * STOCK}
            if buys
            else {"account": account, "symbol": symbol, "lots": STOCK}
        )
        joining.append(
            {
                "account": account,
                "symbol": symbol,
                "side": "buy" if buys else "sell",
                "limit_ticks": limit,
                "lots": LOTS,
                "interval_ms": INTERVAL_MS,
                "margin_percent": rng.randint(5, 40),
                "reviewed": number < REVIEWED,
            }
        )
    send_rows(DEPOSITS, "account", deposits)
    return send_rows(TRADERS, "account", joining)
