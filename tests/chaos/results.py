"""What the parts found in, the tables of RESULTS.md out."""

import os
import platform
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.chaos.controls import Control
from tests.chaos.failpoints import Hit
from tests.chaos.run import SMTP_CONNECTIONS, Outcome


@dataclass
class Results:
    """Of one call of `make chaos`; a part that was left out is empty."""

    seed: int
    controls: list[Control] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    outcome: Outcome | None = None

    @property
    def good(self) -> bool:
        clean = self.outcome is None or not self.outcome.breaches
        return (
            clean
            and all(control.caught for control in self.controls)
            and not any(hit.wrong for hit in self.hits)
        )

    def markdown(self) -> str:
        day = time.strftime("%Y-%m-%d", time.gmtime())
        machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
        lines = ["# Kills, failpoints and planted defects", ""]
        lines += [f"Measured on {day} by `make chaos`, seed {self.seed}, on {machine}.", ""]
        if self.outcome:
            lines += _run(self.outcome)
        if self.hits:
            lines += ["## Killed on the way of a mail", ""]
            lines += _table(
                ("point", "kills", "mails wanted", "mailed", "doubled", "lost", "parked"),
                (
                    (
                        h.point,
                        h.kills,
                        h.effects,
                        h.mailed,
                        h.doubled,
                        h.lost + h.unlisted,
                        h.parked,
                    )
                    for h in self.hits
                ),
            )
        if self.controls:
            lines += ["## Defects planted, to see that they are seen", ""]
            lines += _table(
                ("defect", "seen", "faults that the harness found"),
                ((c.name or "none", _seen(c), _counts(c.faults)) for c in self.controls),
            )
        return "\n".join(lines)


def _run(outcome: Outcome) -> list[str]:
    verdict, blows = outcome.verdict, outcome.blows
    how = Counter((blow.victim, blow.how) for blow in blows)
    victims = dict.fromkeys(blow.victim for blow in blows)
    lines = [f"## {outcome.leads} leads, {len(blows)} kills, {outcome.seconds:.0f} s", ""]
    lines += _table(
        ("what", "found", "allowed"),
        (
            ("mails sent twice", len(verdict.doubled), 0),
            ("leads lost", len(verdict.unfinished), 0),
            ("mails that nobody lists", len(verdict.unlisted), 0),
            ("events that a replay made differently", len(verdict.differing), 0),
            ("leads that took two ways", len(verdict.forked), 0),
            ("mails parked for a human", verdict.parked, len(blows) * SMTP_CONNECTIONS),
            (
                f"model calls paid again (of {verdict.paid})",
                verdict.paid_again,
                len(blows) * outcome.most_calls,
            ),
        ),
    )
    agrees = "agrees: BALANCED" if outcome.balanced else "does NOT agree"
    lines += [f"Where the leads ended: {_counts(verdict.fates)}. `tidemill status` {agrees}.", ""]
    lines += _table(
        ("victim", "kill -9", "stopped 20 s", "in flight, leads", "in flight, model calls"),
        (
            (
                victim,
                how[victim, "kill"],
                how[victim, "stop"],
                _range(b.leads_in_flight for b in blows if b.victim == victim),
                _range(b.calls_in_flight for b in blows if b.victim == victim),
            )
            for victim in victims
        ),
    )
    return lines


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(map(str, row)) + " |" for row in rows), ""]


def _range(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    return f"{found[0]}–{found[-1]}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()) or "none"


def _seen(control: Control) -> str:
    if not control.name:
        return "clean" if control.caught else "NOT CLEAN"
    return "yes" if control.caught else "NO"
