"""Trading agents: they quote within their limits, and learn from what they trade."""

import pytest

from udfs.core.fold import BadEvent
from udfs.core.traders import Trader

JOINED = {
    "symbol": "gpu",
    "side": "buy",
    "limit_ticks": 200,
    "lots": 5,
    "interval_ms": 1_000,
    "margin_percent": 20,
    "reviewed": True,
}


def joined(**values: object) -> Trader:
    trader = Trader("t")
    ((_, row),) = trader.take("joined", {**JOINED, **values}, 0)
    assert row["command"] == "order"
    return trader


def fill(trader: Trader, price: int) -> None:
    event = {"kind": "traded", "order_id": trader.order_id, "price_ticks": price}
    trader.take("executed", {**event, "lots": trader.open_lots, "remaining": 0}, 0)


def test_a_buyer_stays_below_its_limit_and_a_seller_above() -> None:
    buyer, seller = joined(), joined(side="sell")
    assert (buyer.price_ticks, seller.price_ticks) == (160, 240)
    for now_ms in range(1_000, 60_000, 1_000):
        buyer.wake(now_ms)
        seller.wake(now_ms)
    assert (buyer.price_ticks, seller.price_ticks) == (200, 200)


def test_an_order_that_is_filled_makes_the_next_one_ask_for_more() -> None:
    trader = joined()
    fill(trader, 150)
    ((_, row),) = trader.wake(2_000)
    assert (row["command"], row["order_id"], row["price_ticks"]) == ("order", "t-2", 158)
    assert trader.surplus_ticks == 50 * trader.traded_lots


def test_an_order_that_waits_is_replaced_by_a_better_one() -> None:
    trader = joined()
    ((_, row),) = trader.wake(2_000)
    assert (row["command"], row["order_id"], row["price_ticks"]) == ("replace", "t-1", 162)


def test_an_order_that_nobody_speaks_of_is_asked_for_and_made_anew() -> None:
    trader = joined(margin_percent=0)
    said = [row for moment in range(1, 11) for _, row in trader.wake(moment * 1_000)]
    assert [row["command"] for row in said] == ["replace"]
    refused = {"order_id": trader.order_id, "command": "replace"}
    trader.take("refused", {**refused, "reason": "replace_pending"}, 0)
    assert trader.open_lots
    trader.take("refused", {**refused, "reason": "unknown_order"}, 0)
    ((_, row),) = trader.wake(99_000)
    assert (row["command"], row["order_id"]) == ("order", "t-2")


def test_a_reviewed_agent_tells_its_result_and_takes_advice() -> None:
    trader = joined()
    rows = []
    for number in range(1, 10):
        fill(trader, 150)
        rows += trader.wake(number * 2_000)
    assert [row["kind"] for _, row in rows[-2:]] == ["order", "result"]
    assert rows[-1][1]["orders_filled"] == 9
    assert len({number for number, _ in rows}) == len(rows)
    trader.take("advised", {"margin_percent": 3}, 0)
    fill(trader, 150)
    assert trader.wake(99_000)[0][1]["price_ticks"] == 200 * 96 // 100


def test_a_restored_agent_goes_on_as_it_would_have() -> None:
    one = joined()
    fill(one, 150)
    other = Trader.restored("t", one.piece())
    assert one.wake(5_000) == other.wake(5_000)


@pytest.mark.parametrize(
    "values", [{"side": "hold"}, {"lots": 0}, {"margin_percent": 91}, {"limit_ticks": 2**62}]
)
def test_an_agent_that_cannot_trade_does_not_join(values: dict[str, object]) -> None:
    with pytest.raises(BadEvent):
        joined(**values)
