"""`orchestrate` and `work` under load: row `orchestration`.

Rate: piles of objectives of a hundred commands each, dispatched, executed by a worker that only
computes, joined. Latency: one objective of ten commands now and then.
"""

import time
from statistics import median, quantiles

from connectors.kafka import end_offsets
from tests.bench import cpu, ground
from tests.bench.figures import Figure, Section, share, table
from tests.bench.orchestra import COMMANDS, TOPICS, Orchestra, orchestra

PILE = 500
LOW_RATE, LOW_S, LOW_COMMANDS = 5.0, 20.0, 10
WIDE = ("python.fn-execution.bundle.time=100", "python.fn-execution.bundle.size=5000")
NOTES = """The rate is with bundles of up to 5,000 rows or 100 ms (`submit -D`), the latency with
those of every job, 500 rows or 10 ms. Each job has one Python worker. A command is a record on two
topics, and a row in Python three times: out of the orchestrator, through the worker, into the
orchestrator. What would move it: frames of several commands."""


def measure(rounds: int) -> list[Section]:
    """Rate and latency of the whole way."""
    return [_rate(rounds)]


def _rate(rounds: int) -> Section:
    rates: list[float] = []
    with orchestra("play", *WIDE) as running:
        used: dict[str, float] = {}
        for number in range(rounds + 1):  # the first warms up
            before = cpu.seconds()
            start = running.ask(PILE, COMMANDS)
            running.wait()
            used = cpu.per_record_us(before, cpu.seconds(), PILE * COMMANDS)
            rate = _joined_rate(running, start)
            ground.say(f"round {number}: {rate:.0f} commands/s")
            if number:
                rates.append(rate)
        running.check(COMMANDS)
    with orchestra("play") as running:
        latencies = [_low(running, number) for number in range(rounds + 1)][1:]
    rows = [["orchestrator, worker, broker", f"{median(rates):,.0f}", share(used)]]
    where = table(["what runs", "commands/s", "µs of CPU a command"], rows)
    figures = [
        Figure("commands dispatched, executed and joined", median(rates), 5_000, "/s", True),
        Figure("objective to answer, low load, p50", median(map(median, latencies)), 60, "ms"),
        Figure("p99", median(quantiles(one, n=100)[98] for one in latencies), None, "ms"),
    ]
    title = "Orchestrator and workers, Kafka to Kafka"
    return Section("orchestration", title, figures, where, NOTES)


def _joined_rate(running: Orchestra, start: dict[tuple[str, int], int]) -> float:
    """Commands a second from the first objective's record to the last answer's."""
    asked = ground.arrivals("objectives", start)
    answered = ground.arrivals("answers", start)
    return len(asked) * COMMANDS * 1000 / (max(answered.values()) - min(asked.values()))


def _low(running: Orchestra, number: int) -> list[float]:
    """An objective of ten commands now and then; ms to each answer."""
    start = end_offsets(ground.servers(), TOPICS)
    total = int(LOW_RATE * LOW_S)
    keys = {f"low{number}-{n}".encode(): n for n in range(total)}
    begun = time.monotonic()
    for key, n in keys.items():
        time.sleep(max(0.0, begun + n / LOW_RATE - time.monotonic()))
        ground.pile("objectives", [(key, running.value(LOW_COMMANDS, n))])
    running.asked.update(keys)
    running.wait()
    found = running.latencies(start)
    ground.say(f"round {number}: p50 {median(found):.0f} ms")
    return found
