"""What came of the cases in, the tables of RESULTS.md out."""

import os
import platform
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from tests.chaos.variants import Control
from tests.sections import table
from tests.torture import patterns
from tests.torture.case import LETTERS, TOPICS
from tests.torture.injection import NOT_REACHABLE
from tests.torture.killers import P10
from tests.torture.oracle import shown
from tests.torture.reach import Reached
from tests.torture.research import shapes
from tests.torture.run import Found
from tests.torture.volume import Flood

FAMILIES = (
    ("Records", range(1, 31)),
    ("Model", range(31, 54)),
    ("Injection", range(54, 66)),
    ("Web", range(66, 83)),
    ("E-mail", range(83, 93)),
    ("Process killers", range(P10, P10 + 1)),
)
ODD = 2_000  # no number of the list: odd sources
RESEARCH, PATTERNS = "## Research team", "## Patterns"


@dataclass
class Results:
    """Of one call of `make torture`; a part that was left out is empty."""

    seed: int
    found: list[Found] = field(default_factory=list)
    reached: list[Reached] = field(default_factory=list)
    flood: Flood | None = None
    controls: list[Control] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def bad(self) -> list[str]:
        """What is not as expected, a line each."""
        lines = [str(one) for one in self.found if not one.good]
        lines += [f"{one.number} {one.name}: {one.words}" for one in self.reached if not one.good]
        lines += [str(control) for control in self.controls if not control.caught]
        if self.flood and self.flood.breaches:
            lines.append(f"the flood: {self.flood.breaches}")
        return lines

    def markdown(self) -> str:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        cases = [one for one in self.found if one.case.number]
        inputs = sum(len(one.case.inputs) for one in self.found)
        good = sum(one.good for one in cases) + sum(one.good for one in self.reached)
        lines = ["# Bad input, and what came of it", ""]
        lines += [
            f"Measured on {day} by `make torture`, seed {self.seed}, on {machine}, in "
            f"{self.seconds:.0f} s: {good} of {len(cases) + len(self.reached)} cases ({inputs} "
            "records on the topics of the five jobs) as expected. What is not stands in bold.",
            "",
            "Expected is one of: "
            + ", ".join(f"{letter} {word}" for letter, word in LETTERS.items())
            + ". Restarts are those of all jobs while the case was tried.",
            "",
        ]
        for title, numbers in FAMILIES:
            rows = [*_rows(one for one in cases if one.case.number in numbers)]
            rows += [_reached(one) for one in self.reached if one.number in numbers]
            rows += [
                (number, name, "", "", f"not reachable: {why}", "")
                for number, name, why in NOT_REACHABLE
                if number in numbers
            ]
            if rows:
                rows.sort(key=lambda row: row[0] if isinstance(row[0], int) else P10)
                lines += [f"## {title}", ""]
                lines += table(HEAD_OF_CASES, rows)
        return "\n".join([*lines, *self._flood(), *self._controls()])

    def _flood(self) -> list[str]:
        flood = self.flood
        if flood is None:
            return []
        total = flood.good + flood.odd + flood.bad
        return [
            f"## {total} records at once",
            "",
            *table(
                ("what", "records"),
                (
                    ("good, and odd but good", flood.good + flood.odd),
                    ("… that came through", len(flood.through)),
                    (f"bad, with the odd of {flood.kinds} kinds", flood.bad),
                    ("… in dead letters, with the very bytes and the right reason", _dead(flood)),
                    ("where none belong", flood.wrong["records where none belong"]),
                    ("restarts of the job", flood.restarts),
                ),
            ),
            f"In {flood.seconds:.1f} s.",
            "",
        ]

    def _controls(self) -> list[str]:
        if not self.controls:
            return []
        rows = (
            (c.name or "none", c.seen, ", ".join(f"{n} {w}" for w, n in c.faults.items()) or "0")
            for c in self.controls
        )
        title = ["## Defects planted, to see that they are seen", ""]
        return title + table(("defect", "seen", "faults that the harness found"), rows)


Cells = tuple[object, ...]
HEAD_OF_CASES = ("case", "what", "tried on", "expected", "found", "restarts")


def research_section(
    found: Sequence[Found], missing: Iterable[tuple[int, str, str]], seconds: float, seed: int
) -> str:
    """What came of the research team's cases, as a section of the file."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    inputs = sum(len(one.case.inputs) for one in found)
    rows = _rows(found, once=True)
    rows += [(n, name, "", "", f"not tried: {why}", "") for n, name, why in missing]
    rows.sort(key=lambda row: int(str(row[0]).strip("*–") or ODD))
    lines = [
        f"{RESEARCH}: bundles of bad sources, requests and replies",
        "",
        f"Measured on {day} by `make torture`, seed {seed}, in {seconds:.0f} s: "
        f"{sum(one.good for one in found)} of {len(found)} cases ({inputs} records) as expected. "
        "A record is followed to its last end: what a visit came to, chunks stored, questions "
        "mined, the bundle's version (of how many sources), the brief. Several jobs read a topic; "
        "where all say the same, it stands here once.",
        "",
    ]
    return "\n".join([*lines, *table(HEAD_OF_CASES, rows)])


def patterns_section(found: Sequence[Found], seconds: float, seed: int) -> str:
    """What came of records that are none on the patterns' topics, as a section of the file."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    topics = len({one.case.inputs[0].topic for one in found})
    lines = [
        f"{PATTERNS}: records that are none, on {topics} topics",
        "",
        f"Measured on {day} by `make torture`, seed {seed}, in {seconds:.0f} s: "
        f"{sum(one.good for one in found)} of {len(found)} cases as expected. What goes on makes "
        "no dead letter, and the job reads all that stands behind it.",
        "",
    ]
    return "\n".join([*lines, *table(HEAD_OF_CASES, _rows(found))])


def _rows(found: Iterable[Found], once: bool = False) -> list[Cells]:
    """One line for the same case wherever the same came of it; `once` tells what all say once."""
    groups: dict[tuple[object, ...], list[Found]] = {}
    for one in found:
        case = one.case
        what = (case.number, case.name, case.expected, case.note, one.good)
        words = one.words[:1] if once and len({*one.words}) == 1 else one.words
        groups.setdefault((*what, _same(words), one.restarts), []).append(replace(one, words=words))
    rows = []
    for (number, name, letter, note, good, _, restarts), same in groups.items():
        words = " or ".join(dict.fromkeys(shown(one.words) for one in same))
        expected = LETTERS[str(letter)] + (f" ({note})" if note else "")
        cells = (_number(number), name, _where(same), expected, words, restarts)
        rows.append(cells if good else tuple(f"**{cell}**" for cell in cells))
    return rows


def _same(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted("result" if word == "sent" else word for word in words))


def _where(same: Sequence[Found]) -> str:
    places = list(dict.fromkeys(one.case.where for one in same))
    for topics, count in ((TOPICS, "five"), (shapes.TOPICS, "six"), (patterns.TOPICS, "eight")):
        if set(places) == set(topics):
            return f"all {count} topics"
    return ", ".join(places)


def _number(number: object) -> object:
    return "–" if number in (P10, ODD) else number


def _reached(one: Reached) -> Cells:
    where = "the fetcher itself"
    cells = (one.number, one.name, where, LETTERS[one.expected], one.words, 0)
    return cells if one.good else tuple(f"**{cell}**" for cell in cells)


def _dead(flood: Flood) -> int:
    wrong = ("dead letters with other bytes", "dead letters for another reason")
    return len(flood.dead) - sum(flood.wrong[name] for name in wrong)
