"""`make torture`: every bad input, and what came of it; tables on the screen and in RESULTS.md.

    python -m tests.torture [--records 200000] [--seed 1] [--only cases,flood,controls]

Exit code 1 where anything came out otherwise than expected, or a planted defect is not seen.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.conftest import pytest_configure
from tests.torture import controls, reach, run, volume
from tests.torture.results import Results
from tests.torture.world import world

PARTS = ("cases", "flood", "controls")
FILE = Path(__file__).with_name("RESULTS.md")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--records", type=int, default=200_000, help="of the flood")
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
    if "cases" in chosen:
        results.reached = reach.reached()
        with world() as place:
            results.found = run.run_all(place, report)
    with tempfile.TemporaryDirectory() as folder, volume.ground():
        if "flood" in chosen:
            results.flood = volume.flood("flood", options.records, options.seed, Path(folder))
            report(f"{options.records} records: {results.flood.breaches or 'all as expected'}")
        if "controls" in chosen:
            results.controls = controls.fetching(report)
            results.controls += controls.guarding(options.seed, report)
    results.seconds = time.monotonic() - started
    text = results.markdown()
    console.print(text, markup=False)
    if set(chosen) == set(PARTS):
        FILE.write_text(text)
    for line in results.bad:
        report(f"NOT AS EXPECTED: {line}")
    return os.EX_OK if not results.bad else 1


if __name__ == "__main__":
    sys.exit(main())
