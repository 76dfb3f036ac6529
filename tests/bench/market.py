"""Order books: alone in five markets, and from Kafka to Kafka against a plain loop with that book.

Rows `book`, `market` and `market-latency`. Both jobs of the market team run all the time. In each
round each pipeline gets the same commands on symbols that it has not seen, one order a record or
50, and what it writes must be what the book writes, report by report.
"""

import gc
import json
import os
import subprocess
import sys
import time
from statistics import median, quantiles

from confluent_kafka import Producer

from connectors.kafka import KafkaRecord, end_offsets, read_all
from deploy import stack
from deploy.java import client_environment
from jobs.cluster import Cluster
from tests.bench import cpu, ground
from tests.bench.book_scenarios import SCENARIOS, apply, commands
from tests.bench.figures import Figure, Section, share, table
from tests.bench.market_load import FRAME, Pile, Rows, executions, pile, records
from udfs.core.order_book import OrderBook

ALONE = 300_000
STEADY_FROM = 0.3
PACED_S, TICK_S, LOW_RATE = 10.0, 0.002, 2_000.0
# Pipeline → topics, and whether a record is a frame.
FLOWS = {
    "loop": ("orders_loop", "executions_loop", False),
    "match_orders": ("orders_accepted", "executions", False),
    "loop, frames": ("frames_loop", "execution_frames_loop", True),
    "match_frames": ("order_frames", "execution_frames", True),
}
NOTES = """The loop has no checks, no headers, no state that outlives it, and starts when its pile
is written; the jobs begin while it is being written. A record that a job writes carries seven
headers. One slot, one thread of matching; broker, producer and both cores are shared."""


def measure(rounds: int) -> list[Section]:
    """The books alone, then Kafka to Kafka, then latency at half of that."""
    alone = _alone(rounds)
    with stack.private(("kafka", "flink"), client_environment()):
        ground.create_topics(*(topic for flow in FLOWS.values() for topic in flow[:2]))
        ground.submit("market/match_orders")
        ground.submit("market/match_frames")
        return [alone, *_kafka(rounds)]


def _alone(rounds: int) -> Section:
    """Commands a second of CPU, in Python, without the collector, which finds nothing here."""
    found: dict[str, list[float]] = {name: [] for name in SCENARIOS}
    for number in range(rounds):
        for name in ground.rotated(list(SCENARIOS), number):
            found[name].append(_one_market(name, number))
            ground.say(f"round {number} {name}: {found[name][-1]:,.0f}/s")
    rates = {name: median(rates) for name, rates in found.items()}
    worst = min(rates.values())
    figure = Figure(
        "order book alone, the worst of five markets, Python",
        worst / 1e3,
        500,
        "k/s",
        at_least=True,
    )
    rows = [[name, f"{rate:,.0f}"] for name, rate in rates.items()]
    return Section("book", "An order book, alone", [figure], table(["market", "commands/s"], rows))


def _one_market(name: str, seed: int) -> float:
    book = OrderBook()
    before, measured = commands(name, ALONE, seed)
    for command in before:
        apply(book, command)
    calls = [(getattr(book, command[0]), command[1:]) for command in measured]
    gc.collect()
    gc.disable()
    begun = time.process_time()
    for place in range(0, ALONE, 100):
        for call, arguments in calls[place : place + 100]:
            call(*arguments)
        book.reports.clear()
    took_s = time.process_time() - begun
    gc.enable()
    return ALONE / took_s


def _kafka(rounds: int) -> list[Section]:
    rates: dict[str, list[float]] = {name: [] for name in FLOWS}
    cpus: dict[str, dict[str, float]] = {}
    for number in range(-1, rounds):  # the first warms up
        of, expected = pile(number + 1)
        for name in ground.rotated(list(FLOWS), number):
            rate, used = _one(name, of, expected)
            ground.say(f"round {number} {name}: {rate:,.0f} orders/s")
            if number >= 0:
                rates[name].append(rate)
                cpus[name] = used
    half = median(rates["match_orders"]) / 2
    return [_throughput(rates, cpus), _latency(half, rounds)]


def _one(name: str, of: Pile, expected: Rows) -> tuple[float, dict[str, float]]:
    """One pile through one pipeline: commands a second, and CPU of a command."""
    source, target, frames = FLOWS[name]
    start = end_offsets(ground.servers(), [target])
    reports = sum(map(len, expected.values()))
    given = records(of, frames)
    wanted = len(given) if frames else reports
    before = cpu.seconds()
    ground.pile(source, given)
    loop_s = 0.0
    if name.startswith("loop"):
        before = cpu.seconds()
        command = [sys.executable, "-m", "tests.bench.baseline.match_loop"]
        done = subprocess.run([*command, source, target, str(len(given))], check=True,
                              cwd=ground.ROOT, capture_output=True, text=True)  # fmt: skip
        loop_s = float(done.stdout)
    ground.await_records(target, sum(start.values()) + wanted)
    used = cpu.per_record_us(before, cpu.seconds(), len(of))
    if loop_s:
        used["the loop"] = loop_s / len(of) * 1e6
    written = list(read_all(ground.servers(), [target], start))
    _check(name, written, expected)
    times = sorted(record.timestamp_ms for record in written)
    steady = times[int(len(times) * STEADY_FROM) :]
    share_of_all = len(steady) / len(times)
    return len(of) * share_of_all * 1000 / max(steady[-1] - steady[0], 1), used


def _check(name: str, written: list[KafkaRecord], expected: Rows) -> None:
    found = executions(written)
    for symbol, reports in expected.items():
        if found.get(symbol) != reports:
            raise RuntimeError(f"{name} wrote other executions of {symbol!r} than the book")


def _throughput(rates: dict[str, list[float]], cpus: dict[str, dict[str, float]]) -> Section:
    def ratio(one: str, other: str) -> float:
        return median(a / b for a, b in zip(rates[one], rates[other], strict=True))

    figures = [
        Figure("match_orders, share of the plain loop's rate, one order a record",
               ratio("match_orders", "loop"), 0.5, "×", at_least=True),
        Figure("match_orders, one order a record", median(rates["match_orders"]) / 1e3, 100, "k/s",
               at_least=True),
        Figure(f"match_orders, {FRAME} orders a record", median(rates["match_frames"]) / 1e3, 250,
               "k/s", at_least=True),
        Figure("match_orders, share of the plain loop's rate, frames",
               ratio("match_frames", "loop, frames"), None, "×"),
    ]  # fmt: skip
    rows = [[n, f"{median(rates[n]):,.0f}", share(cpus[n])] for n in FLOWS]
    where = table(["pipeline", "orders/s", "µs of CPU an order, last round"], rows)
    return Section("market", "Kafka to a book to Kafka", figures, where, NOTES)


def _latency(rate: float, rounds: int) -> Section:
    centiles = {
        paced: [quantiles(_paced(paced, first + number), n=100) for number in range(rounds)]
        for paced, first in ((rate, 1_000), (LOW_RATE, 2_000))
    }
    cluster = Cluster(os.environ["FLINK_REST_URL"])
    job = cluster.running("market.match_orders")
    assert job
    history = cluster.get(f"/jobs/{job.id}/checkpoints")["history"]
    took = [c["end_to_end_duration"] for c in history if c["status"] == "COMPLETED"]
    figures = [
        Figure(f"order to execution at {rate:,.0f} orders/s, p50",
               median(c[49] for c in centiles[rate]), None, "ms"),
        Figure("… p99", median(c[98] for c in centiles[rate]), 20, "ms"),
        Figure(f"at {LOW_RATE:,.0f} orders/s, p50",
               median(c[49] for c in centiles[LOW_RATE]), None, "ms"),
        Figure("… p99", median(c[98] for c in centiles[LOW_RATE]), None, "ms"),
        Figure("checkpoint of the books, the longest of the last", float(max(took)), None, "ms"),
        Figure("checkpoint of the books, the median", float(median(took)), None, "ms"),
    ]  # fmt: skip
    return Section("market-latency", "Latency of a market at half load", figures)


def _paced(rate: float, number: int) -> list[int]:
    """Milliseconds by the broker's clock from an order to the first report of it."""
    places = end_offsets(ground.servers(), ["orders_accepted", "executions"])
    of, _ = pile(number)
    orders = [(s, c) for s, c in of if c["command"] == "order"][: int(rate * PACED_S)]
    producer = Producer({"bootstrap.servers": ground.servers(), "linger.ms": 1})
    sent, begun = 0, time.monotonic()
    while sent < len(orders):
        due = min(int((time.monotonic() - begun) * rate) + 1, len(orders))
        for symbol, command in orders[sent:due]:
            producer.produce("orders_accepted", json.dumps(command).encode(), symbol)
        producer.poll(0)
        sent = due
        time.sleep(TICK_S)
    producer.flush(30)
    time.sleep(2)
    asked: dict[tuple[bytes, str], int] = {}
    answered: dict[tuple[bytes, str], int] = {}
    for record in read_all(ground.servers(), ["orders_accepted", "executions"], places):
        place = record.key or b"", json.loads(record.value or b"")["order_id"]
        kept = asked if record.topic == "orders_accepted" else answered
        kept.setdefault(place, record.timestamp_ms)
    missing = len(asked.keys() - answered.keys())
    if missing:
        raise RuntimeError(f"{missing} of {len(asked)} orders have no execution")
    return [answered[place] - asked[place] for place in asked]
