"""What the parts found in, the tables of RESULTS.md out."""

import datetime as dt
import os
import platform
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.bench.orchestra import COMMANDS
from tests.chaos import market, orchestration
from tests.chaos.failpoints import Hit
from tests.chaos.research import Outcome as Briefed
from tests.chaos.run import SMTP_CONNECTIONS, Outcome
from tests.chaos.store import Outcome as Stored
from tests.chaos.variants import Control
from tests.sections import table

HEAD = """# Kills, failpoints and planted defects

Measured by `make chaos`. Judged is what mailboxes, topics, MongoDB and the model's log hold.
"""
MACHINE = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"


@dataclass
class Results:
    """Of one call of `make chaos`; a part that was left out is empty."""

    seed: int
    controls: list[Control] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    outcome: Outcome | None = None
    stored: Stored | None = None
    briefed: Briefed | None = None
    research_controls: list[Control] = field(default_factory=list)
    orchestrated: dict[str, orchestration.Outcome] = field(default_factory=dict)
    markets: dict[str, market.Outcome] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        clean = self.outcome is None or not self.outcome.breaches
        research = (self.stored, self.briefed)
        return (
            clean
            and not any(one.wrong for one in research if one is not None)
            and all(control.caught for control in (*self.controls, *self.research_controls))
            and not any(hit.wrong for hit in self.hits)
            and not any(outcome.judged.breaches for outcome in self.markets.values())
        )

    def sections(self) -> list[str]:
        """Of each part that was run, its section of RESULTS.md."""
        when = f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC, seed {self.seed}, {MACHINE}."
        parts = [_run(self.outcome, when)] if self.outcome else []
        if self.hits:
            parts.append(
                ["## failpoints: killed on the way of a mail", "", when, "", *_hits(self.hits)]
            )
        if self.controls:
            title = "## controls: defects planted, to see that they are seen"
            parts.append([title, "", when, "", *_defects(self.controls)])
        if self.stored:
            parts.append(_stored(self.stored, when))
        if self.briefed:
            parts.append(_briefed(self.briefed, when))
        if self.research_controls:
            title = "## research controls: defects planted in the research team's way"
            parts.append([title, "", when, "", *_defects(self.research_controls)])
        parts += [_orchestrated(name, found, when) for name, found in self.orchestrated.items()]
        parts += [_market(part, outcome, when) for part, outcome in self.markets.items()]
        return ["\n".join(lines) for lines in parts]


def _hits(hits: Sequence[Hit]) -> list[str]:
    head = ("point", "kills", "mails wanted", "mailed", "doubled", "lost", "parked")
    return table(
        head,
        (
            (h.point, h.kills, h.effects, h.mailed, h.doubled, h.lost + h.unlisted, h.parked)
            for h in hits
        ),
    )


def _defects(controls: Sequence[Control]) -> list[str]:
    return table(
        ("defect", "seen", "faults that the harness found"),
        ((c.name or "none", c.seen, _counts(c.faults)) for c in controls),
    )


def _run(outcome: Outcome, when: str) -> list[str]:
    verdict, blows = outcome.verdict, outcome.blows
    how = Counter((blow.victim, blow.how) for blow in blows)
    victims = dict.fromkeys(blow.victim for blow in blows)
    title = f"## run: {outcome.leads} leads, {len(blows)} kills, {outcome.seconds:.0f} s"
    lines = [title, "", when, ""]
    lines += table(
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
    lines += table(
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


SAME = "chunks in the store: id for id, hash for hash those computed without Flink"


def _stored(outcome: Stored, when: str) -> list[str]:
    """The index job alone."""
    rows = (
        ("documents", outcome.documents),
        ("… of which another version came while they were in flight", outcome.documents // 10),
        (SAME, outcome.chunks),
        *_kills_and_faults(outcome),
    )
    title = f"## index: {outcome.documents} documents, {len(outcome.blows)} kills"
    return [f"{title}, {outcome.seconds:.0f} s", "", when, "", *table(("what", "found"), rows)]


def _briefed(outcome: Briefed, when: str) -> list[str]:
    """The whole research team, from a local site to the brief."""
    rows = (
        ("bundles of pages, one in two named by a feed", outcome.bundles),
        ("documents", outcome.documents),
        ("… edited after version 1, and the bundle asked for again", outcome.changed),
        (SAME, outcome.chunks),
        ("briefs: one of each version, of all its sources and of what changed", outcome.briefs),
        ("model calls", outcome.paid),
        ("… paid again, the answer on its way when its process was killed", outcome.paid_in_flight),
        ("… paid again otherwise", outcome.wrong.get("model calls paid twice", 0)),
        *_kills_and_faults(outcome),
    )
    title = f"## research: {outcome.documents} documents, {len(outcome.blows)} kills"
    return [f"{title}, {outcome.seconds:.0f} s", "", when, "", *table(("what", "found"), rows)]


def _orchestrated(scheduler: str, outcome: orchestration.Outcome, when: str) -> list[str]:
    """One result each, the join exact; anything else has raised before."""
    records = outcome.records
    rows = (
        ("commands", outcome.commands),
        ("… by id, as the topic has them", records["commands once"]),
        ("records on the topic of commands, repeats and second attempts among them",
         records["commands"]),
        ("records on the topic of results", records["results"]),
        ("objectives with one answer, complete and right", outcome.commands // COMMANDS),
        ("records on the topic of answers, repeats equal byte for byte", records["answers"]),
        ("kill -9", _counts(dict(outcome.kills))),
        ("restarts that Flink counts since the last rescale", outcome.restarts),
        ("rescaled to two subtasks and back to one",
         ", ".join(f"{seconds:.1f} s" for seconds in outcome.rescales_s)),
    )  # fmt: skip
    kills = outcome.kills.total()
    part = "orchestration" if scheduler == "default" else "orchestration rescaled in place"
    title = f"## {part}: {outcome.commands:,} commands, {kills} kills, 2 rescales"
    return [f"{title}, {outcome.seconds:.0f} s", "", when, "", *table(("what", "found"), rows)]


MARKETS = {
    "market": "the trade log is the reference's of the same commands",
    "clearing": "the trade log is the reference's of the accepted orders; all is conserved",
}


def _told(breaches: Sequence[str]) -> str:
    return f"no, {len(breaches)} times: {'; '.join(breaches[-5:])}" if breaches else "yes"


def _market(part: str, outcome: market.Outcome, when: str) -> list[str]:
    judged = outcome.judged
    rows = (
        ("commands", f"{outcome.commands:,}"),
        ("executions, repeats dropped by symbol and sequence", f"{judged.executions:,}"),
        ("repeats, byte for byte the first", f"{judged.repeats:,}"),
        ("kill -9 of the TaskManager with the books, or with the clearing", outcome.kills),
        ("restarts that they made", outcome.restarts),
        (MARKETS[part], _told(judged.breaches)),
    )
    title = f"## {part}: {outcome.commands:,} commands, {outcome.kills} kills"
    return [f"{title}, {outcome.seconds:.0f} s", "", when, "", *table(("what", "found"), rows)]


def _kills_and_faults(outcome: Stored | Briefed) -> list[tuple[str, object]]:
    in_flight = _range(blow.leads_in_flight for blow in outcome.blows)
    return [
        ("kill -9", _counts(Counter(blow.victim for blow in outcome.blows))),
        ("in flight at a kill", in_flight),
        ("not as it must be", _counts(dict(outcome.wrong)) if outcome.wrong else 0),
    ]


def _range(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    return f"{found[0]}–{found[-1]}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{n} {name.replace('_', ' ')}" for name, n in counts.items()) or "none"
