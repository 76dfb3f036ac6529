"""`make torture`: every bad input, and what came of it; tables on the screen and in RESULTS.md.

    python -m tests.torture [--records 200000] [--seed 1]
                            [--only cases,flood,controls,research,patterns]

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
from tests.torture import controls, patterns, reach, run, volume
from tests.torture.research import model, shapes
from tests.torture.research import run as research
from tests.torture.results import (
    PATTERNS,
    RESEARCH,
    Results,
    patterns_section,
    research_section,
)
from tests.torture.world import world

OF_SDR = ("cases", "flood", "controls")
PARTS = (*OF_SDR, "research", "patterns")
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
    if set(OF_SDR) & set(chosen):
        console.print(text := results.markdown(), markup=False)
        if set(OF_SDR) <= set(chosen):
            _write(sdr=text)
    bad = results.bad
    if "research" in chosen:
        bad += _research(options.seed, console, report)
    if "patterns" in chosen:
        bad += _patterns(options.seed, console, report)
    for line in bad:
        report(f"NOT AS EXPECTED: {line}")
    return os.EX_OK if not bad else 1


def _research(seed: int, console: Console, report: run.Report) -> list[str]:
    """The research team's cases; returns what is not as expected."""
    started = time.monotonic()
    with world(topics=shapes.TOPICS) as place:
        found = research.run_all(place, report)
    text = research_section(found, model.NOT_REACHABLE, time.monotonic() - started, seed)
    console.print(text, markup=False)
    _write(research=text)
    return [str(one) for one in found if not one.good]


def _patterns(seed: int, console: Console, report: run.Report) -> list[str]:
    """The patterns' cases; returns what is not as expected."""
    started = time.monotonic()
    with world(topics=patterns.TOPICS) as place:
        found = patterns.run_all(place, report)
    console.print(text := patterns_section(found, time.monotonic() - started, seed), markup=False)
    _write(patterns=text)
    return [str(one) for one in found if not one.good]


def _write(**new: str) -> None:
    """Put one part of RESULTS.md in the place of its old one: sdr, research or patterns."""
    parts = dict.fromkeys(("sdr", "research", "patterns"), "")
    if FILE.exists():
        rest, mark, last = FILE.read_text().partition(PATTERNS)
        parts["patterns"] = mark + last
        parts["sdr"], mark, last = rest.partition(RESEARCH)
        parts["research"] = mark + last
    FILE.write_text("\n\n".join(text.strip() for text in (parts | new).values() if text) + "\n")


if __name__ == "__main__":
    sys.exit(main())
