"""The order book as one would explain it: one list, searched from end to end for every step.

The reference that `udfs.core.order_book` is compared with. Slow, and without any structure that
could be wrong: an order's place in the list is its age.
"""

import hashlib
from typing import Any

MAX = 2**63 - 1


class NaiveBook:
    """Takes the commands of OrderBook, makes its reports."""

    def __init__(self, remembered: int = 20_000) -> None:
        self.open: list[dict[str, Any]] = []
        self.reports: list[tuple[Any, ...]] = []
        self.sequence = 0
        self.ids: list[str] = []
        self.remembered = remembered

    def order(self, order_id, account, side, price_ticks, lots, time_in_force="GTC"):
        order = {
            "order_id": order_id, "account": account, "side": side, "price": price_ticks,
            "lots": lots, "force": time_in_force,
        }  # fmt: skip
        problem = self._problem(order)
        if problem:
            self._say("refused", order, lots, 0, problem)
        elif not self._known(order_id, account):
            self.ids.append((order_id, account))
            self._fill(order)

    def cancel(self, order_id, account):
        for order in self.open:
            if order["order_id"] == order_id and order["account"] == account:
                self.open.remove(order)
                self._say("cancelled", order, order["lots"], 0, "requested")
                return
        self._unknown(order_id, account)

    def replace(self, order_id, account, price_ticks, lots):
        for place, order in enumerate(self.open):
            if order["order_id"] == order_id and order["account"] == account:
                new = {**order, "price": price_ticks, "lots": lots}
                problem = "bad_price" if price_ticks is None else self._problem(new)
                if problem:
                    self._say("refused", new, lots, 0, problem)
                    return
                self._say("replaced", new, lots, lots, None)
                if price_ticks == order["price"] and lots <= order["lots"]:
                    self.open[place] = new
                else:
                    self.open.remove(order)
                    self._fill(new)
                return
        self._unknown(order_id, account)

    def end_day(self):
        for order in list(self.open):
            if order["force"] == "DAY":
                self.open.remove(order)
                self._say("cancelled", order, order["lots"], 0, "end_of_day")

    def refuse(self, order_id, account, reason):
        self._unknown(order_id, account, reason)

    def _unknown(self, order_id, account, reason=None):
        nothing = {"order_id": order_id, "account": account, "side": None, "price": None}
        self._say("refused", nothing, None, 0, reason or "unknown_order")

    def _known(self, order_id, account):
        """Of the ids that were taken, those of the running and the last full generation."""
        full = max((len(self.ids) - 1) // self.remembered, 0) if self.ids else 0
        since = max(full - 1, 0) * self.remembered
        taken = [(order["order_id"], order["account"]) for order in self.open]
        return (order_id, account) in [*taken, *self.ids[since:]]

    def _problem(self, order):
        lots, price = order["lots"], order["price"]
        if type(lots) is not int or lots <= 0 or lots > MAX:
            return "bad_lots"
        if price is not None and (type(price) is not int or price <= 0 or price > MAX):
            return "bad_price"
        if price is not None and price * lots > MAX:
            return "notional_overflow"
        if order["side"] not in ("buy", "sell"):
            return "bad_side"
        if order["force"] not in ("GTC", "DAY", "IOC", "FOK"):
            return "bad_time_in_force"
        if not 0 < len(order["order_id"] or "") <= 200:
            return "bad_order_id"
        return None if 0 < len(order["account"] or "") <= 200 else "bad_account"

    def _makers(self, order):
        """What the order would trade with, in turn."""
        price, buys = order["price"], order["side"] == "buy"
        found = [m for m in self.open if (m["side"] == "buy") != buys]
        if price is not None:
            found = [m for m in found if (m["price"] <= price if buys else m["price"] >= price)]
        return sorted(found, key=lambda m: m["price"] if buys else -m["price"])

    def _fill(self, order):
        if order["force"] == "FOK":
            there = 0
            for maker in self._makers(order):
                if maker["account"] == order["account"]:
                    break
                there += maker["lots"]
            if there < order["lots"]:
                self._say("cancelled", order, order["lots"], 0, "not_fillable")
                return
        for maker in self._makers(order):
            if not order["lots"]:
                return
            if maker["account"] == order["account"]:
                self._say("cancelled", order, order["lots"], 0, "self_trade")
                return
            traded = min(order["lots"], maker["lots"])
            order["lots"] -= traded
            maker["lots"] -= traded
            if not maker["lots"]:
                self.open.remove(maker)
            self._say("traded", {**order, "price": maker["price"]}, traded, order["lots"], None,
                      maker["order_id"], maker["account"], maker["lots"])  # fmt: skip
        if not order["lots"]:
            return
        if order["price"] is None or order["force"] == "IOC":
            self._say("cancelled", order, order["lots"], 0, "unfilled")
            return
        self.open.append(order)
        self._say("rested", order, order["lots"], order["lots"], order["force"])

    def _say(self, kind, order, lots, remaining, detail, *maker):
        self.sequence += 1
        who = order["order_id"], order["account"], order["side"], order["price"]
        maker = maker or (None, None, None)
        self.reports.append((self.sequence, kind, *who, lots, remaining, detail, *maker))

    def digest(self):
        parts = [str(self.sequence).encode()]
        for side, sign in (("buy", -1), ("sell", 1)):
            one = [order for order in self.open if order["side"] == side]
            for order in sorted(one, key=lambda o: sign * o["price"]):
                for field in order.values():
                    text = str(field).encode()
                    parts.append(str(len(text)).encode() + b":" + text)
        return hashlib.sha256(b"\n".join(parts)).hexdigest()[:16]
