"""JSON in, one field by a Python function, JSON out, Kafka to Kafka: rows `enrich` and `guard`.

Each job runs all the time on topics of its own. In each round each gets a pile of orders, one job
after the other, in an order that rotates; its rate is that of the last 70 % of the pile.
"""

import json
import subprocess
import sys
from statistics import median

from connectors.kafka import end_offsets
from deploy import stack
from deploy.java import client_environment
from tests.bench import cpu, ground
from tests.bench.figures import Figure, Section, share, table
from tests.bench.functions import grade_of

LOOP = "loop"
JOBS = ("guarded_enrich", "guarded_relay", "plain_enrich", "plain_relay")
ROLES = {
    LOOP: "plain confluent-kafka loop, one process",
    "guarded_enrich": "**Tidemill: guarded source, Python function**",
    "guarded_relay": "guarded source, no function",
    "plain_enrich": "Flink's own JSON source, Python function",
    "plain_relay": "Flink's own JSON source, no function (no Python at all)",
}
ORDERS = {LOOP: 300_000, "plain_relay": 400_000}
ORDERS_OF_A_JOB = 200_000
WARM_UP = -2  # rounds in which Java compiles
STEADY_FROM = 0.3
NOTES = """Bundles of up to 5,000 orders or 100 ms for all four jobs (`tidemill submit -D`).
Every guarded order leaves with seven headers (id, trace, source …) of some 300 bytes, which neither
the loop nor Flink's own source makes: hashing, writing and sending them is half of what the guard
costs. The rest is strictness: every byte, key and type is checked. What would move it: fewer
headers."""
ENVIRONMENT = {"TIDEMILL_SQL": str(ground.SQL), "BENCH_JOB": "none"}


def measure(rounds: int) -> list[Section]:
    """Rates a second and CPU of every pipeline; each round's ratios, and their medians."""
    rates: dict[str, list[float]] = {name: [] for name in ROLES}
    cpus: dict[str, dict[str, float]] = {}
    with stack.private(("kafka", "flink"), {**client_environment(), **ENVIRONMENT}):
        ground.create_topics(*(f"{side}_{n}" for n in ROLES for side in ("orders", "enriched")))
        command = [sys.executable, "-m", "tests.bench.enrich_jobs", *JOBS]
        subprocess.run(command, check=True, cwd=ground.ROOT, stdout=subprocess.DEVNULL)
        for number in range(WARM_UP, rounds):
            for name in ground.rotated(list(ROLES), number):
                rate, used = _one(name)
                ground.say(f"round {number} {name}: {rate:.0f}/s")
                if number >= 0:
                    rates[name].append(rate)
                    cpus[name] = used
    return _sections(rates, cpus)


def _one(name: str) -> tuple[float, dict[str, float]]:
    """One pile through one pipeline: orders a second, and CPU per order."""
    source, target = f"orders_{name}", f"enriched_{name}"
    start = end_offsets(ground.servers(), [target])
    total = ORDERS.get(name, ORDERS_OF_A_JOB)
    first = sum(start.values())
    before = cpu.seconds()
    ground.pile(source, ((f"o{n}".encode(), _order(n)) for n in range(first, first + total)))
    loop_s = 0.0
    if name == LOOP:
        before = cpu.seconds()
        command = [sys.executable, "-m", "tests.bench.baseline.enrich_loop"]
        done = subprocess.run([*command, source, target, str(total)], check=True,
                              cwd=ground.ROOT, capture_output=True, text=True)  # fmt: skip
        loop_s = float(done.stdout)
    ground.await_records(target, first + total)
    used = cpu.per_record_us(before, cpu.seconds(), total)
    if loop_s:
        used["the loop"] = loop_s / total * 1e6
    return ground.steady_rate(target, start, STEADY_FROM, _check(name)), used


def _order(number: int) -> bytes:
    items = [{"sku": f"sku-{number % 977}", "pieces": number % 7 + 1}, {"sku": "bag", "pieces": 1}]
    order = {"customer": f"customer {number % 5003}", "country": ("IE", "US")[number % 2]}
    return json.dumps({**order, "amount": number % 1300 + 0.5, "items": items}).encode()


def _check(name: str) -> "ground.Check":
    def check(value: bytes) -> bool:
        order = json.loads(value)
        expected = "none" if "relay" in name else grade_of(order["amount"], order["country"])
        return order["grade"] == expected and len(order["items"]) == 2

    return check


def _sections(rates: dict[str, list[float]], cpus: dict[str, dict[str, float]]) -> list[Section]:
    def ratio(one: str, other: str) -> float:
        return median(a / b for a, b in zip(rates[one], rates[other], strict=True))

    rows = [
        [ROLES[n], f"{median(rates[n]):,.0f}", f"{ratio(n, LOOP):.2f}", share(cpus[n])]
        for n in ROLES
    ]
    where = table(["pipeline", "orders/s", "× the loop", "µs of CPU an order, last round"], rows)
    enrich = Figure(
        "enrich, Kafka to Kafka, share of the plain loop's rate", ratio("guarded_enrich", LOOP),
        0.3, "×", at_least=True,
    )  # fmt: skip
    guard = Figure(
        "guarded source, enrich: time against the unguarded one",
        ratio("plain_enrich", "guarded_enrich"), 1.3, "×",
    )  # fmt: skip
    bare = Figure(
        "guarded source, no function: time against the unguarded one (no Python in it)",
        ratio("plain_relay", "guarded_relay"), None, "×",
    )  # fmt: skip
    return [
        Section("enrich", "One field by a Python function", [enrich, guard, bare], where, NOTES)
    ]
