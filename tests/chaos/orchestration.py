"""Commands, kills and rescales in; whether each objective was answered once, and whole, out.

What counts is outside of Flink: the topics of objectives, commands, results and answers.
"""

import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.orchestra import BACKOFF, COMMANDS, Orchestra, kill_worker, orchestra

Report = Callable[[str], None]
SCALES = 3  # a job that restarts after a kill takes no savepoint


@dataclass
class Outcome:
    """One run. `records` counts each topic's, and the commands that differ."""

    commands: int
    kills: Counter[str]
    rescales_s: list[float]
    restarts: int
    records: Counter[str]
    seconds: float


def run(
    commands: int, kills: int, seed: int, report: Report, scheduler: str = "default"
) -> Outcome:
    """Raises AssertionError where an objective has no answer, two that differ, or a wrong one."""
    begun = time.monotonic()
    with orchestra("play_slowly", *BACKOFF, scheduler=scheduler) as running:
        _refused(running)
        struck, took = _disturbed(running, commands, kills, random.Random(seed), report)
        running.wait(600)
        records = running.check(COMMANDS)
        restarts = running.restarts()
    return Outcome(commands, struck, took, restarts, records, time.monotonic() - begun)


def _refused(running: Orchestra) -> None:
    """More workers than there are task slots are refused before anything is stopped."""
    try:
        running.scale(100)
    except AssertionError as refusal:
        assert "task slots are wanted" in str(refusal), refusal
    else:
        raise AssertionError("100 subtasks were not refused")


def _disturbed(
    running: Orchestra, commands: int, kills: int, rng: random.Random, report: Report
) -> tuple[Counter[str], list[float]]:
    """Ask for so many commands, kill a worker in most parts of them, rescale in two."""
    took: list[float] = []
    struck: Counter[str] = Counter()
    each, rest = divmod(commands // COMMANDS, kills + 2)
    for number in range(kills + 2):
        running.ask(each + (number < rest), COMMANDS)
        if number in (kills // 3, 2 * kills // 3 + 1):
            took.append(running.scale(2 if not took else 1, SCALES))
            report(f"rescaled in {took[-1]:.1f} s")
        else:
            time.sleep(rng.uniform(0.2, 2.0))
            victim = kill_worker(rng)
            struck[victim] += 1
            report(f"killed a {victim}")
            running.wait_until_running()
    return struck, took
