"""Figures and tables in, RESULTS.md out: what was measured, what was to be reached, and whether."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cpu
from tests.sections import replace

RESULTS = Path(__file__).with_name("RESULTS.md")
HEAD = """# What `make bench` measured

Every ratio is against a baseline of the same run, and is the median of the rounds' own ratios. The
order within a round rotates. Every row has a key of its own. One machine runs all: broker, MongoDB,
Flink, its Python workers, the model's stand-in, the load.
"""


@dataclass(frozen=True)
class Figure:
    """One measured value and its bound; a bound of None makes it a fact that is only told."""

    what: str
    value: float
    bound: float | None
    unit: str
    at_least: bool = False

    def row(self) -> list[str]:
        shown = f"{self.value:,.2f} ×" if self.unit == "×" else f"{self.value:,.1f} {self.unit}"
        if self.bound is None:
            return [self.what, shown, "", ""]
        sign = "≥" if self.at_least else "≤"
        met = self.value >= self.bound if self.at_least else self.value <= self.bound
        missed = f"missed by {abs(self.value - self.bound) / self.bound:.0%}"
        return [self.what, shown, f"{sign} {self.bound:g} {self.unit}", "yes" if met else missed]


@dataclass(frozen=True)
class Section:
    """What one measurement found: figures, and where they come from."""

    name: str
    title: str
    figures: Sequence[Figure]
    where: str = ""
    notes: str = ""  # what stands in the way of a figure, and what would move it

    def text(self, rounds: int) -> str:
        now = dt.datetime.now(dt.UTC)
        lines = [
            f"## {self.name}: {self.title}",
            f"{now:%Y-%m-%d %H:%M} UTC, {rounds} rounds, load at the end {cpu.load()}",
            table(["what", "measured", "to reach", "reached"], [f.row() for f in self.figures]),
            self.where,
            self.notes,
        ]
        return "\n\n".join(filter(None, lines)) + "\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def share(used: Mapping[str, float]) -> str:
    """CPU by kind of process, the sum first."""
    parts = ", ".join(f"{kind} {us:,.0f}" for kind, us in used.items())
    return f"**{sum(used.values()):,.0f}**: {parts}"


def write(sections: Sequence[Section], rounds: int) -> None:
    """Replace these sections of RESULTS.md, and keep the others with their dates."""
    replace(RESULTS, HEAD, (section.text(rounds) for section in sections))
