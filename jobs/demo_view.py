"""Looks at a team in, what a person sees of the demo out: a live table or lines, and the end."""

import email
import email.policy
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from connectors.settings import settings
from jobs.balance import Watch, balance_table, verdict
from jobs.errors import TidemillError
from jobs.evidence import MAILS, Fact
from jobs.fates import Balance, Fate
from jobs.terminal import visible
from jobs.trace_tree import trees
from jobs.traces import gather, mail_files, rendered

BAR = 30
LINE_S = 2.0
STAGES = {
    "came in": "incoming_leads",
    "researched": "lead_ingestion_output",
    "to engage": "leads_to_activate",
    "to nurture": "leads_to_nurture",
    "disqualified": "leads_disqualified",
    "campaigns written": "email_campaigns",
}


class Progress:
    """Looks, and shows each of them: a table that changes, or a line when a number has."""

    def __init__(
        self, console: Console, watch: Watch, started: float, jobs: Mapping[str, str]
    ) -> None:
        self.console, self.watch, self.started, self.jobs = console, watch, started, jobs
        self.first_mail_s: float | None = None  # None too where there was one before
        self._was_without = False
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self._line, self._printed = "", 0.0

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.stop()

    def look(self) -> Balance:
        """Look once more, and show it."""
        found = self.watch.look()
        stages = self.stages()
        if not stages["e-mails sent"]:
            self._was_without = True
        elif self._was_without and self.first_mail_s is None:
            self.first_mail_s = self.elapsed_s
        if self._live:
            self._live.update(self._table(stages, found), refresh=True)
        else:
            self._print_line(stages)
        return found

    def stages(self) -> dict[str, int]:
        """How many events each stage has seen; one that was delivered twice is one."""
        seen: dict[str, set[tuple[str, object]]] = {}
        for fact in self.watch.facts:
            name = MAILS + str(fact.says["status"]) if fact.topic == MAILS else fact.topic
            seen.setdefault(name, set()).add((fact.event_id, fact.says.get("step")))
        counts = {stage: len(seen.get(topic, ())) for stage, topic in STAGES.items()}
        sent = f"{MAILS}sent"
        counts["e-mails sent"] = len(seen.get(sent, ()))
        counts["e-mails held back"] = sum(
            len(events) for name, events in seen.items() if name.startswith(MAILS) and name != sent
        )
        counts["dead letters"] = len(seen.get(self.watch.team.dead_letters, ()))
        return counts

    def _table(self, stages: Mapping[str, int], found: Balance) -> Table:
        table = Table(box=None, title=f"{self.elapsed_s:.0f} s", title_justify="left")
        table.add_column("Leads", no_wrap=True)
        table.add_column("", justify="right")
        table.add_column("", no_wrap=True)
        most = max(1, *stages.values())
        for stage, count in stages.items():
            colour = "red" if stage == "dead letters" else "green" if "sent" in stage else "cyan"
            bar = "█" * round(BAR * count / most)
            table.add_row(stage, str(count), f"[{colour}]{bar}[/]")
        counts = found.counts
        table.add_row("in flight", str(counts[Fate.IN_FLIGHT]), "")
        table.add_row("nurturing", str(counts[Fate.NURTURING]), "mails to come")
        for job, state in self._jobs().items():
            table.add_row(f"[dim]{job}[/]", "", f"[dim]{state[:60]}[/]")
        return table

    def _jobs(self) -> dict[str, str]:
        """What each job does: as Flink says where it runs, else what came of submitting it."""
        running = {job.name for job in self.watch.jobs if job.state == "running"}
        return {name: "running" if name in running else told for name, told in self.jobs.items()}

    def _print_line(self, stages: Mapping[str, int]) -> None:
        line = ", ".join(f"{count} {stage}" for stage, count in stages.items() if count)
        jobs = list(self._jobs().values())
        line += f"; {jobs.count('running')} of {len(jobs)} jobs running"
        if line != self._line and self.elapsed_s - self._printed >= LINE_S:
            self.console.print(f"{self.elapsed_s:5.0f} s  {line}", markup=False, soft_wrap=True)
            self._line, self._printed = line, self.elapsed_s


def print_summary(console: Console, progress: Progress, found: Balance, ended: bool) -> None:
    """What came of it, one e-mail, one lead's way, and where everything is."""
    team, home = progress.watch.team.team, settings().home
    console.print("5. What came of it", style="bold")
    console.print(balance_table(team, found))
    console.print(verdict(found, certain=True), markup=False, soft_wrap=True)
    _print_one(console, progress)
    if progress.first_mail_s is not None:
        first = f"The first e-mail was seen after {progress.first_mail_s:.0f} s"
        console.print(f"{first}; all of it took {progress.elapsed_s:.0f} s.", markup=False)
    if found.repeats:
        console.print(
            f"{found.repeats} events had come in before, and have no second effect: "
            "`tidemill up --fresh` begins anew.",
            markup=False,
        )
    if not ended:
        console.print("Not all leads have come to their end: watch on with `tidemill status sdr`.")
    if found.counts[Fate.NURTURING]:
        count = found.counts[Fate.NURTURING]
        console.print(f"{count} leads get more mails later; their times are kept in Flink's state.")
    mails = len(list((home / "mail").glob("*.eml")))
    lines = {
        "E-mails": f"{home / 'mail'} ({mails} files)" if mails else "at your SMTP_URL",
        "Flink": settings().flink_rest_url or "",
        "Balance": f"tidemill status {team}",
        "One lead": "tidemill trace lead-001",
        "Not handled": f"tidemill dead-letters {team}",
        "Own leads": f"tidemill send {team} leads.csv",
        "Stop": "tidemill down (the data stays)",
    }
    table = Table(box=None, show_header=False)
    for name, value in lines.items():
        table.add_row(name, Text(value, style="bold"))
    console.print(table)


def _print_one(console: Console, progress: Progress) -> None:
    """One whole e-mail and the way of its lead; nothing where no mail is in the local mailbox."""
    sent = [f for f in progress.watch.facts if f.says.get("status") == "sent"]
    ids = {str(fact.says.get("effect_id")): fact for fact in sent}
    files = mail_files(settings().home / "mail", set(ids))
    chosen = _chosen(ids, files, progress.watch.facts)
    if chosen is None:
        return
    fact, file = chosen
    message = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    body = message.get_body(("plain",))
    shown = [f"{name}: {message[name]}" for name in ("From", "To", "Subject")]
    shown += ["", str(body.get_content()).replace("\r\n", "\n") if body else ""]
    console.print(Panel(Text(visible("\n".join(shown)).rstrip()), title="One e-mail", expand=False))
    try:
        known, _ = gather(fact.trace_id, [progress.watch.team])
    except TidemillError:
        return
    console.print(f"The way of {fact.key}:", style="bold")
    for tree in trees(known):
        console.print(rendered(tree))


def _chosen(
    sent: Mapping[str, Fact], files: Mapping[str, Path], facts: list[Fact]
) -> tuple[Fact, Path] | None:
    """The first mail of outreach (a campaign of one), else the first there is."""
    outreach = {f.place for f in facts if f.says.get("emails") == 1}
    there = [(sent[effect_id], file) for effect_id, file in files.items()]
    there.sort(key=lambda one: (one[0].source not in outreach, one[0].timestamp_ms))
    return there[0] if there else None
