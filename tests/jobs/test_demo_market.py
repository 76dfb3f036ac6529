"""What the market demo shows is what the topics say."""

import io
from typing import Any

from rich.console import Console

from jobs.demo_market import Markets
from jobs.topic_watch import Row

SYMBOL = "gpu-hour"


def row(topic: str, key: str, at_ms: int, **value: Any) -> Row:
    return Row(topic, key, value, at_ms)


def traded(order_id: str, at_ms: int, lots: int, price: int) -> Row:
    values = {"order_id": order_id, "kind": "traded", "lots": lots, "price_ticks": price}
    return row("executions", SYMBOL, at_ms, **values)


def test_prices_volume_and_latency_are_those_of_the_executions() -> None:
    markets = Markets()
    order = {"command": "order", "order_id": "o1"}
    rows = [
        row("orders", "a", 1_000, **order),
        row("orders_accepted", SYMBOL, 1_400, **order),
        traded("o1", 1_410, 3, 300),
        traded("o1", 1_411, 2, 301),
        row("orders_refused", "b", 1_500, order_id="o2", reason="insufficient_cash"),
    ]
    markets.take(rows)
    level = {"price_ticks": 299, "lots": 40, "orders": 9}
    rows.append(row("book_snapshots", SYMBOL, 1_600, bids=[level], asks=[]))
    markets.take(rows)
    found = markets.of[SYMBOL]
    assert (found.trades, found.volume, found.last) == (2, 5, 301)
    assert (markets.to_execution, markets.to_book) == ([410], [10])
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(markets.shown())
    told = console.export_text()
    assert "299 × 40" in told and "1 refused" in told and "p50 410 ms" in told
