"""`make chaos`: kills, failpoints and planted defects; tables on the screen and in RESULTS.md.

    python -m tests.chaos [--leads 2000] [--kills 40] [--hits 50] [--seed 1] [--only run,...]

Exit code 1 where anything is lost or doubled, or a planted defect is not seen.
"""

import argparse
import os
import sys
import time
from pathlib import Path

from rich.console import Console

from tests.chaos import controls, failpoints, run
from tests.chaos.results import Results
from tests.conftest import pytest_configure

PARTS = ("run", "failpoints", "controls")
FILE = Path(__file__).with_name("RESULTS.md")
KILLS_PER_DEFECT = 2


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--leads", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--hits", type=int, default=50, help="of each failpoint")
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

    results = Results(options.seed)
    if "controls" in chosen:
        results.controls += controls.sending(KILLS_PER_DEFECT, options.seed, report)
        results.controls += controls.running(options.seed, report)
    if "failpoints" in chosen:
        results.hits = failpoints.every_point(options.hits, options.seed, report)
    if "run" in chosen:
        results.outcome = run.run(options.leads, options.kills, options.seed, report)
    text = results.markdown()
    console.print(text, markup=False)
    if set(chosen) == set(PARTS):
        FILE.write_text(text)
    return os.EX_OK if results.good else 1


if __name__ == "__main__":
    sys.exit(main())
