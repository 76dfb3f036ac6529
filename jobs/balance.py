"""A team's name in, where all its leads are out: `tidemill status sdr`.

    Watch(team).look()           one snapshot, measured now
    settled(watch)               one that balances, or that does not however long one waits
    team_status("sdr")           the same for a person; exit code 0 if it balances, 1 if not

Order makes a snapshot of moving things true: first what was committed, then what operators hold,
then the topics. What a job has answered in between is on its topic by then.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import typer
from pymongo.errors import PyMongoError
from rich.console import Console
from rich.table import Table

from connectors.kafka import bootstrap_servers, committed_offsets, read_all
from connectors.ledger import LEDGER, NOT_SENT
from connectors.mongodb import client
from connectors.settings import settings
from jobs.cluster import Cluster, JobStatus
from jobs.decisions import decision
from jobs.errors import TidemillError, one_line
from jobs.evidence import Fact, LetterName, facts
from jobs.fates import Balance, Fate, Measured, balance, flow
from jobs.team_topics import TeamTopics, team_topics

# A job's figures are right half a minute after it was restored, and Flink renews them every 10 s:
# what is missing for longer than this is missing.
CERTAIN_S = 45.0
PATIENCE_S = 120.0
PAUSE_S = 1.0
LISTED = 20


@dataclass(frozen=True)
class JobFigures:
    """One job as Kafka and Flink see it. None where it does not run, so nobody can tell."""

    name: str
    state: str
    behind: int  # records behind the last committed offsets
    held: int | None  # events in its operators
    scheduled: int | None  # of those, the ones whose time has not come


class Watch:
    """Snapshots of one team; each reads only what has been written since the one before."""

    def __init__(self, team: TeamTopics) -> None:
        self.team, self.way = team, flow(team)
        self.servers = bootstrap_servers()
        self.facts: list[Fact] = []
        self.jobs: list[JobFigures] = []
        self._ends: dict[tuple[str, int], int] = {}
        self._discarded: set[LetterName] = set()
        self._gauges: dict[tuple[str, str], list[str]] = {}
        url = settings().flink_rest_url
        self._cluster = Cluster(url) if url else None

    def look(self) -> Balance:
        """Where each lead is now."""
        committed = {
            job: committed_offsets(self.servers, job, topics)
            for job, topics in self.team.reads.items()
        }
        held = self._held()
        self._read()
        self.jobs = [
            JobFigures(
                job,
                held[job][0],
                sum(max(0, self._ends.get(p, 0) - offset) for p, offset in committed[job].items()),
                *held[job][1:],
            )
            for job in self.team.jobs
        ]
        measured = Measured(
            committed,
            {job.name: job.held for job in self.jobs},
            self._resolved(),
            self._discarded,
        )
        return balance(self.facts, self.way, measured)

    def _read(self) -> None:
        for one in facts(read_all(self.servers, self.way.topics, self._ends), self.team):
            self.facts.append(one)
            self._ends[one.topic, one.partition] = one.offset + 1
        for record in read_all(self.servers, [self.team.decisions], self._ends):
            self._ends[record.topic, record.partition] = record.offset + 1
            said = decision(record)
            if said and not said.drives:
                self._discarded.add(said.letter)

    def _held(self) -> dict[str, tuple[str, int | None, int | None]]:
        """Job → its state, and the events that its operators hold."""
        if not self._cluster:
            return dict.fromkeys(self.team.jobs, ("no cluster", None, None))
        running = {job.name: job for job in reversed(self._cluster.jobs()) if not job.ended}
        found: dict[str, tuple[str, int | None, int | None]] = {}
        for name in self.team.jobs:
            job = running.get(name)
            if job is None or job.state != "RUNNING":
                found[name] = (job.state.lower() if job else "stopped", None, None)
            else:
                queued, scheduled = self._gauge_sums(self._cluster, job)
                found[name] = ("running", queued + scheduled, scheduled)
        return found

    def _gauge_sums(self, cluster: Cluster, job: JobStatus) -> tuple[int, int]:
        """(events that may run, events whose time has not come) in the job's operators."""
        sums = {"queued": 0, "scheduled": 0}
        for vertex in cluster.vertices(job.id):
            place = (job.id, str(vertex["id"]))
            if not self._gauges.get(place):
                there = cluster.metrics(*place)
                self._gauges[place] = [n for n in there if n.rpartition(".")[2] in sums]
            if self._gauges[place]:
                for name, value in cluster.metrics(*place, self._gauges[place]).items():
                    sums[name.rpartition(".")[2]] += int(value)
        return sums["queued"], sums["scheduled"]

    def _resolved(self) -> Mapping[str, str]:
        """What people have decided about parked mails: effect id → status in the ledger. What was
        said not to be there stays parked until the attempt that is driven has its own outcome.
        """
        parked = {
            str(fact.says.get("effect_id"))
            for fact in self.facts
            if fact.says.get("status") == "parked" or fact.says.get("reason") == "already_parked"
        }
        if not parked:
            return {}
        try:
            with client() as mongodb:
                ledger = mongodb[settings().mongodb_database][LEDGER]
                decided = {"_id": {"$in": sorted(parked)}, "reason": {"$ne": NOT_SENT}}
                found = ledger.find(decided, {"status": 1})
                return {str(one["_id"]): str(one["status"]) for one in found}
        except PyMongoError as error:
            raise TidemillError(
                f"MongoDB does not tell what became of parked mails: {str(error)[:200]}",
                "see `tidemill status`",
            ) from None


def settled(watch: Watch) -> tuple[Balance, bool]:
    """A snapshot, and whether it is certain. One that balances is; one that does not becomes so
    when the same leads are missing for longer than a metric or a checkpoint may lag."""
    started = since = time.monotonic()
    missing: set[tuple[str, str]] = set()
    while True:
        found = watch.look()
        now = time.monotonic()
        wrong = {(lead.key, lead.trace_id) for lead in found.wrong}
        if not wrong:
            return found, True
        if wrong != missing:
            missing, since = wrong, now
        if now - since > CERTAIN_S or now - started > PATIENCE_S:
            return found, now - since > CERTAIN_S
        time.sleep(PAUSE_S)


def team_status(team: str) -> None:
    """Print where a team's events are. Ends the command with code 1 where they do not balance."""
    topics = team_topics(team)
    if "research_requests" in topics.topics:
        _bundles_status(topics)
        return
    watch = Watch(topics)
    console = Console(highlight=False)
    if not watch.way.external:
        watch.look()
        console.print(jobs_table(watch.jobs))
        return
    with console.status("reading topics and operators …"):
        found, certain = settled(watch)
    console.print(jobs_table(watch.jobs))
    console.print(balance_table(team, found))
    console.print(verdict(found, certain), markup=False, soft_wrap=True)
    if found.wrong:
        raise typer.Exit(1)


def _bundles_status(team: TeamTopics) -> None:
    """The same for a team whose events are sources of bundles: each is in one state."""
    from jobs.bundles import Bundles
    from jobs.research import bundles_table, unbalanced

    watch, console = Watch(team), Console(highlight=False)
    watch.look()
    found = Bundles().look()
    console.print(jobs_table(watch.jobs))
    console.print(bundles_table(found))
    if wrong := unbalanced(found):
        listed = ", ".join(map(one_line, wrong[:LISTED]))
        told = f"UNBALANCED: nothing is waited for, and there is no brief: {listed}"
        console.print(told, markup=False, soft_wrap=True)
        raise typer.Exit(1)
    told = "BALANCED: every source is ready, has failed, or is waited for."
    console.print(told, markup=False, soft_wrap=True)


def jobs_table(jobs: Sequence[JobFigures]) -> Table:
    """Jobs with what they have before them: records behind the last commit, events in operators,
    and those of them whose time has not come."""
    table = Table()
    table.add_column("Job", no_wrap=True)
    table.add_column("State")
    for heading in ("behind", "held", "for later"):
        table.add_column(heading, justify="right")
    for job in jobs:
        held = "?" if job.held is None else str(job.held)
        later = "?" if job.scheduled is None else str(job.scheduled)
        table.add_row(job.name, job.state, str(job.behind), held, later)
    return table


def balance_table(team: str, found: Balance) -> Table:
    """The sum, a fate a row."""
    counts = found.counts
    table = Table(title=f"Events of {team}", title_justify="left", show_footer=True)
    table.add_column("", footer="events in")
    table.add_column("events", footer=str(len(found.leads)), justify="right")
    table.add_column("", footer=_beside(found))
    notes = {
        Fate.MAILED: f"{found.by_another} of them by another event of the same person"
        if found.by_another
        else "",
        Fate.IN_FLIGHT: f"{found.waiting} on topics, "
        f"{counts[Fate.IN_FLIGHT] - found.waiting} in operators"
        if counts[Fate.IN_FLIGHT]
        else "",
        Fate.PARKED: f"to be settled: tidemill parked {team}" if counts[Fate.PARKED] else "",
        Fate.DEAD: f"to be decided: tidemill dead-letters {team}" if counts[Fate.DEAD] else "",
    }
    always = set(Fate) - {Fate.NOWHERE, Fate.TWICE, Fate.DONE, Fate.DISCARDED}
    always = always if Fate.DONE not in counts else {Fate.DONE, Fate.DEAD, Fate.IN_FLIGHT}
    for fate in Fate:
        if fate in always or counts[fate]:
            style = "red" if fate in (Fate.NOWHERE, Fate.TWICE) else ""
            table.add_row(fate, str(counts[fate]), notes.get(fate, ""), style=style)
    return table


def _beside(found: Balance) -> str:
    beside = {"tombstones": found.tombstones, "repeats": found.repeats, "strays": found.strays}
    return ", ".join(f"{count} {what} beside" for what, count in beside.items() if count)


def verdict(found: Balance, certain: bool) -> str:
    """One line, and the leads that are not where they should be."""
    if not found.wrong:
        return "BALANCED: every event is in exactly one place."
    listed = [
        f"  {one_line(lead.key)} (trace {lead.trace_id}) is {lead.fate}: {lead.because}"
        for lead in found.wrong[:LISTED]
    ]
    if len(found.wrong) > LISTED:
        listed.append(f"  and {len(found.wrong) - LISTED} more")
    title = (
        "UNBALANCED: these leads are nowhere, or counted twice; `tidemill trace` shows their ways."
        if certain
        else "MOVING: things did not come to rest while this was measured; ask again."
    )
    return "\n".join([title, *listed])
