"""`make chaos`: kills, failpoints and planted defects; tables on the screen and in RESULTS.md.

    python -m tests.chaos [--leads 2000] [--kills 40] [--hits 50] [--documents 500]
                          [--orders 200000] [--commands 10000] [--seed 1] [--only run,...]

Exit code 1 where anything is lost or doubled, or a planted defect is not seen.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.chaos import (
    controls,
    failpoints,
    market,
    orchestration,
    research,
    research_controls,
    run,
    store,
)
from tests.chaos.results import HEAD, Results
from tests.conftest import pytest_configure
from tests.sections import replace

PARTS = (
    *("run", "failpoints", "controls"),
    *("index", "research", "research_controls"),
    *("orchestration", "market", "clearing"),
)
FILE = Path(__file__).with_name("RESULTS.md")
KILLS_PER_DEFECT = 2
SIZES = ("leads", "kills", "hits", "documents", "orders", "commands")
# What RESULTS.md is of.
FULL = 2_000, 40, 50, 500, 200_000, 10_000
DOCUMENTS_PER_KILL, ORDERS_PER_KILL, COMMANDS_PER_KILL = 25, 10_000, 500


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--leads", type=int, default=FULL[0])
    parser.add_argument("--kills", type=int, default=FULL[1])
    parser.add_argument("--hits", type=int, default=FULL[2], help="of each failpoint")
    parser.add_argument("--documents", type=int, default=FULL[3], help="of the research team")
    parser.add_argument("--orders", type=int, default=FULL[4], help="of the market")
    parser.add_argument("--commands", type=int, default=FULL[5], help="of an orchestrator")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(PARTS), help="which parts, by comma")
    options = parser.parse_args()
    chosen = options.only.split(",")
    if unknown := set(chosen) - set(PARTS):
        parser.error(f"--only {', '.join(sorted(unknown))}: expected {', '.join(PARTS)}")
    pytest_configure()  # Java, and the environment that `tidemill` is run in
    console, started = Console(highlight=False, soft_wrap=True), time.monotonic()

    def report(line: str) -> None:
        console.print(f"{time.monotonic() - started:6.0f} s  {line}", markup=False)

    def told(results: Results) -> bool:
        for section in results.sections():
            console.print(section, markup=False)
        if tuple(vars(options)[name] for name in SIZES) == FULL:
            replace(FILE, HEAD, results.sections())
        return results.good

    good, seed = True, options.seed
    if "controls" in chosen:
        found = controls.sending(KILLS_PER_DEFECT, seed, report) + controls.running(seed, report)
        good &= told(Results(seed, controls=found))
    if "failpoints" in chosen:
        good &= told(Results(seed, hits=failpoints.every_point(options.hits, seed, report)))
    if "run" in chosen:
        outcome = run.run(options.leads, options.kills, seed, report)
        good &= told(Results(seed, outcome=outcome))
    kills = options.documents // DOCUMENTS_PER_KILL
    if "research_controls" in chosen:
        planted = research_controls.researching(seed, report)
        good &= told(Results(seed, research_controls=planted))
    if "index" in chosen:
        good &= told(Results(seed, stored=store.run(options.documents, kills, seed, report)))
    if "research" in chosen:
        good &= told(Results(seed, briefed=research.run(options.documents, kills, seed, report)))
    if "orchestration" in chosen:
        kills = options.commands // COMMANDS_PER_KILL
        for scheduler in ("default", "adaptive"):
            orchestrated = orchestration.run(options.commands, kills, seed, report, scheduler)
            good &= told(Results(seed, orchestrated={scheduler: orchestrated}))
    for part, disturbed in (("market", market.run), ("clearing", market.run_chain)):
        if part in chosen:
            outcome = disturbed(options.orders, options.orders // ORDERS_PER_KILL, seed, report)
            good &= told(Results(seed, markets={part: outcome}))
    return os.EX_OK if good else 1


if __name__ == "__main__":
    sys.exit(main())
