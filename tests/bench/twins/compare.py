"""The same work by direct calls and on the log in, both figures and their chart out: `twins`.

Knowing: N agents tell one another one thing each. Connections are those that are open (at the
broker: all that the team's job and its writer hold), messages what agents write.
Doing: 5,000 commands of 20 ms, 256 at a time, of one orchestrator; then its workers are killed, all
of it is killed, and a worker is added.
"""

import os
import random
import signal
import time
from collections.abc import Callable
from statistics import median

import psutil

from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from deploy.record import StackRecord
from tests.bench import board, cpu, ground
from tests.bench.chart import Bars, draw
from tests.bench.figures import Figure, Section, table
from tests.bench.orchestra import BACKOFF, Orchestra, kill_worker, orchestra
from tests.bench.twins import mesh, pool

AGENTS = (10, 100, 1_000)
OBJECTIVES, COMMANDS = 50, 100
WORKERS, WORK_MS = 4, 20.0
SETTLED_S = 8.0
LIMIT_S = 240.0
TITLE = "N agents that share what they know"
NOTES = """Direct calls are the quicker form in every row: no log, no checkpoint, and a
broken connection is noticed at once. What grows is their number: a connection for each pair that
talks, a message for each that must know. On the log an agent writes once, whoever reads, and the
keeper once more. (Each *job* that reads still gets every record, in batches, from the broker;
agents that are keys of one job get it once between them. Agents that are processes of their own
would hold a connection each.)

A killed worker costs the direct form its commands in flight and that worker's share of the rate; on
the log it comes back by itself, here before the others had done its share. The orchestrator's death
costs the direct form all that was done, and its outside effects twice; on the log the join goes on
where it was. A worker joins as a process there, by a rescale here."""
ROWS = ("undisturbed", "a worker dies", "all dies", "a worker joins")


def measure(rounds: int) -> list[Section]:
    """Both forms of both, and the chart."""
    logged = _known_on_the_log(rounds)
    direct = {count: [mesh.measure(count) for _ in range(rounds)] for count in AGENTS}
    done = {"direct": [_direct() for _ in range(rounds)], "log": []}
    for number in range(rounds):
        with orchestra("play_slowly", *BACKOFF) as running:
            done["log"].append(_on_the_log(running, random.Random(number)))
            ground.say(f"round {number}: {done['log'][-1]}")
    ours = [median(column) for column in zip(*done["log"], strict=True)]
    theirs = [median(column) for column in zip(*done["direct"], strict=True)]
    figures = []
    for name, here, there in zip(ROWS, ours, theirs, strict=True):
        figures += [
            Figure(f"{OBJECTIVES * COMMANDS:,} commands, {name}: on the log", here, None, "s"),
            Figure("direct calls", there, None, "s"),
        ]
    seconds = list(zip(ROWS, theirs, ours, strict=True))
    counts = {
        of: [
            (f"{n:,} agents", float(getattr(direct[n][0], of)), _median(logged[n], of))
            for n in AGENTS
        ]
        for of in ("connections", "messages")
    }
    panels = [Bars(of, rows) for of, rows in counts.items()]
    panels.append(Bars("5,000 commands of 20 ms: seconds until all is done", seconds, seconds=True))
    draw(TITLE, panels)
    where = _table(logged, direct)
    return [Section("twins", "On the log and by direct calls", figures, where, NOTES)]


def _median(found: list[board.Logged], of: str) -> float:
    return float(median(getattr(one, of) for one in found))


def _known_on_the_log(rounds: int) -> dict[int, list[board.Logged]]:
    with stack.private(("kafka", "flink"), client_environment()):
        board.prepare()
        ground.submit("blackboard/keep_board")
        board.on_the_log(10)  # the first one warms up
        return {count: [board.on_the_log(count) for _ in range(rounds)] for count in AGENTS}


def _direct() -> tuple[float, ...]:
    work = OBJECTIVES * COMMANDS, WORKERS, WORK_MS
    return (
        pool.undisturbed(*work).seconds,
        pool.worker_dies(*work).seconds,
        pool.orchestrator_dies(*work),
        pool.worker_joins(10 * OBJECTIVES * COMMANDS, WORKERS, WORK_MS)[1],
    )


def _on_the_log(running: Orchestra, rng: random.Random) -> tuple[float, ...]:
    """As `_direct`: undisturbed, a worker killed halfway, all Python killed halfway, one joined."""
    _pile(running, lambda: None)  # warms up
    times = [_pile(running, lambda: None)]
    for kill in (lambda: kill_worker(rng, ("run process",)), _kill_all):
        times.append(_pile(running, kill))
        running.wait_until_running()
        time.sleep(SETTLED_S)  # the restart's back-off is at its start again
    joined: list[float] = []
    _pile(running, lambda: joined.append(running.scale(2)))
    running.check(COMMANDS)
    return (*times, *joined)


def _pile(running: Orchestra, halfway: Callable[[], object]) -> float:
    """Seconds until a pile of objectives is answered; `halfway` is called when half of it is."""
    before = set(running.asked)
    begun = time.time()
    start = running.ask(OBJECTIVES, COMMANDS)
    asked = set(running.asked) - before
    _answered(start, asked, OBJECTIVES // 2)
    halfway()
    return max(_answered(start, asked, OBJECTIVES)) / 1000 - begun


def _answered(start: dict[ground.Place, int], asked: set[bytes], count: int) -> list[int]:
    """When the first answers to so many of these were there; a repeat of an older one is none."""
    deadline = time.monotonic() + LIMIT_S
    while True:
        answers = ground.arrivals("answers", start)
        found = [at_ms for key, at_ms in answers.items() if key in asked]
        if len(found) >= count:
            return found
        if time.monotonic() > deadline:
            raise RuntimeError(f"{len(found)} of {count} objectives answered after {LIMIT_S:.0f} s")
        time.sleep(0.1)


def _kill_all() -> None:
    """kill -9 of every Python process of both jobs, the orchestrator's too."""
    found: list[psutil.Process] = []
    for name, record in StackRecord.load(settings().home).processes.items():
        if name.startswith("flink-taskmanager"):
            family = [p for p in record.family() if p.name().startswith("python")]
            found += [p for p in family if cpu.kind(p, is_leader=False) == "Beam worker"]
    for process in found:
        os.kill(process.pid, signal.SIGKILL)
    psutil.wait_procs(found, timeout=10)


def _table(logged: dict[int, list[board.Logged]], direct: dict[int, list[mesh.Cost]]) -> str:
    head = ["agents", "direct: connections", "messages", "s", "log: connections", "messages", "s"]
    rows = []
    for n in AGENTS:
        times = [cost.seconds for cost in direct[n] if cost.seconds is not None]
        rows.append(
            [
                f"{n:,}",
                f"{direct[n][0].connections:,}",
                f"{direct[n][0].messages:,}",
                f"{median(times):.2f}" if times else "counted, not opened",
                f"{_median(logged[n], 'connections'):.0f}",
                f"{_median(logged[n], 'messages'):,.0f}",
                f"{_median(logged[n], 'seconds'):.2f}",
            ]
        )
    return table(head, rows)
