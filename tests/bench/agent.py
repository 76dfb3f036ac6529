"""`run_agent` from Kafka to Kafka, model at 200 ms, 200 in flight: rows `steps`, `tail`, `latency`.

One job runs all the time. Its saturation is measured in rounds against the bare asyncio loop; then
paced load at half of it, with a model that is always fast and with one that is slow at times.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from statistics import median, quantiles
from typing import Any

from connectors.kafka import end_offsets
from deploy import stack
from deploy.java import client_environment
from jobs.cluster import Cluster
from tests.bench import cpu, ground
from tests.bench.figures import Figure, Section, share, table

PARTS = ("kafka", "mongodb", "flink")
MODEL_MS = 200
SLOW_MS = 3000
SLOW_EVERY = 100
STEPS = 4000
STEADY_FROM = 0.2
PACED_S = 12
TOPICS = {"loop": ("loop_questions", "loop_answers"), "run_agent": ("questions", "answers")}
QUESTION = b'{"question": "Which of the two routes is cheaper in winter, and why is that so?"}'
ANSWER = {"summary": "two sentences about what was asked", "score": 7}

STEPS_NOTES = """Both make their calls in one process. Tidemill has others beside it (Flink's Python
worker, the TaskManager), so on two cores it may be ahead of a loop that does all in one; the CPU of
a step says what that costs. The model's stand-in is the bottleneck of neither."""
QUIET_RATE = 50
LATENCY_NOTES = """On the way of a row: a bundle of Python of up to 10 ms, two round trips to the
journal, a 10 ms timer and another bundle, three network buffers of 5 ms: 40 ms where the cores are
not busy. At half of the saturation they are: a row costs 6 ms of CPU there, because bundles and
batches are small, so both cores are at 80 %, and every hand-over between six processes waits for
one. The openai client alone is a fifth of it, PyFlink's bundles a third. What would move it: cores
of their own for broker and MongoDB, or fewer hand-overs than Beam's, which are fifty a bundle."""


class Bench:
    """The running job, the model, and how many questions each topic has had."""

    def __init__(self, model: ground.Model) -> None:
        self.model = model
        self.sent: Counter[str] = Counter()
        self._cluster = Cluster(os.environ["FLINK_REST_URL"])
        job = self._cluster.running("bench.agent")
        assert job
        self.job_id = job.id
        self.checkpoints: dict[int, dict[str, Any]] = {}

    def saturated(self, name: str) -> tuple[float, dict[str, float]]:
        """One pile of questions: steps a second, and CPU of a step by kind of process."""
        questions, answers = TOPICS[name]
        start, first = end_offsets(ground.servers(), [answers]), self.sent[questions]
        self.sent[questions] += STEPS
        keys = (f"q{n}".encode() for n in range(first, first + STEPS))
        before = cpu.seconds(model=self.model.process)
        ground.pile(questions, ((key, QUESTION) for key in keys))
        loop_s = 0.0
        if name == "loop":
            command = [sys.executable, "-m", "tests.bench.baseline.agent_loop"]
            done = subprocess.run([*command, questions, answers, str(STEPS)], check=True,
                                  cwd=ground.ROOT, capture_output=True, text=True)  # fmt: skip
            loop_s = float(done.stdout)
        ground.await_records(answers, first + STEPS)
        used = cpu.per_record_us(before, cpu.seconds(model=self.model.process), STEPS)
        if loop_s:
            used["the loop"] = loop_s / STEPS * 1e6
        self._note_checkpoints()
        return ground.steady_rate(answers, start, STEADY_FROM, is_right), used

    def paced(self, rate: float, slow_every: int) -> list[float]:
        """Milliseconds from question to answer at this rate, model's time and all."""
        places = end_offsets(ground.servers(), ["questions", "answers"])
        first = self.sent["questions"]
        self.model.slow(slow_every)
        total = ground.offered("questions", rate, PACED_S, first, QUESTION)
        self.sent["questions"] += total
        ground.await_records("answers", first + total)
        self._note_checkpoints()
        asked, answered = ground.arrivals("questions", places), ground.arrivals("answers", places)
        return [answered[key] - asked[key] for key in asked]

    def _note_checkpoints(self) -> None:
        for found in self._cluster.get(f"/jobs/{self.job_id}/checkpoints")["history"]:
            if found["status"] == "COMPLETED" and not found["is_savepoint"]:
                self.checkpoints[found["id"]] = found


def measure(rounds: int) -> list[Section]:
    """Steps a second against the loop; latency at half load, without and with a slow tail."""
    delays = ("--delay", str(MODEL_MS / 1000), "--slow-delay", str(SLOW_MS / 1000))
    with ground.model(*delays) as model:
        environment = {"OPENAI_BASE_URL": model.url, "OPENAI_API_KEY": "bench", "BENCH_JOB": "none"}
        environment = {**client_environment(), **environment, "TIDEMILL_SQL": str(ground.SQL)}
        with stack.private(PARTS, environment):
            ground.create_topics(*(topic for pair in TOPICS.values() for topic in pair))
            ground.submit("bench/agent")
            return _measured(Bench(model), rounds)


def _measured(bench: Bench, rounds: int) -> list[Section]:
    rates: dict[str, list[float]] = {name: [] for name in TOPICS}
    cpus: dict[str, dict[str, float]] = {}
    for number in range(rounds + 1):  # the first warms up
        for name in ground.rotated(list(TOPICS), number):
            rate, used = bench.saturated(name)
            ground.say(f"round {number} {name}: {rate:.0f}/s")
            if number:
                rates[name].append(rate)
                cpus[name] = used
    half = median(rates["run_agent"]) / 2
    found: dict[int, list[list[float]]] = {0: [], SLOW_EVERY: []}
    for number in range(rounds):
        for slow_every in ground.rotated(list(found), number):
            latencies = bench.paced(half, slow_every)
            found[slow_every].append(latencies)
            ground.say(f"round {number} 1 of {slow_every} slow: p50 {median(latencies):.0f} ms")
    quiet = [bench.paced(QUIET_RATE, 0) for _ in range(rounds)]
    checkpoints = [c["end_to_end_duration"] for c in bench.checkpoints.values()]
    return [_steps(rates, cpus), *_latency(half, found, quiet, checkpoints)]


def is_right(value: bytes) -> bool:

    return json.loads(value) == ANSWER


def _steps(rates: dict[str, list[float]], cpus: dict[str, dict[str, float]]) -> Section:
    ratio = median(a / b for a, b in zip(rates["run_agent"], rates["loop"], strict=True))
    what = {"loop": "bare asyncio loop", "run_agent": "**Tidemill: run_agent**"}
    rows = [[what[n], f"{median(rates[n]):,.0f}", share(cpus[n])] for n in TOPICS]
    where = table(["200 in flight, one process of calls", "steps/s", "µs of CPU a step"], rows)
    figure = Figure("agent steps, share of the loop's rate", ratio, 0.8, "×", at_least=True)
    return Section("steps", "Agent steps a second, model at 200 ms", [figure], where, STEPS_NOTES)


def _latency(
    half: float,
    found: dict[int, list[list[float]]],
    quiet: list[list[float]],
    checkpoints: list[float],
) -> list[Section]:
    uniform, tail = found[0], found[SLOW_EVERY]
    ratio = median(median(t) / median(u) for t, u in zip(tail, uniform, strict=True))

    def added(rounds: list[list[float]], percentile: int) -> float:
        return median(quantiles(one, n=100)[percentile - 1] - MODEL_MS for one in rounds)

    at = f"{half:.0f} rows a second, half of the saturation"
    tail_figures = [
        Figure(f"p50 with 1 % at {SLOW_MS / 1000:g} s against none, {at}", ratio, 1.5, "×"),
        Figure(
            "checkpoint under load, the longest (at saturation and half)", max(checkpoints),
            1000, "ms",
        ),
        Figure("checkpoint under load, the median", median(checkpoints), None, "ms"),
    ]  # fmt: skip
    latency = [
        Figure(f"p50 over the model's time, {at}", added(uniform, 50), 60, "ms"),
        Figure("p90", added(uniform, 90), None, "ms"),
        Figure("p99", added(uniform, 99), 250, "ms"),
        Figure(
            f"p50 over the model's time, {QUIET_RATE} rows a second", added(quiet, 50), None, "ms"
        ),
        Figure(f"p99, {QUIET_RATE} rows a second", added(quiet, 99), None, "ms"),
    ]
    return [
        Section("tail", "A model that is slow at times", tail_figures),
        Section("latency", "Added latency, Kafka to Kafka", latency, notes=LATENCY_NOTES),
    ]
