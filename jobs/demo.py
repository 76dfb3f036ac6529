"""Nothing in, the SDR team at work on the sample leads out: `tidemill demo`.

The stack comes up while the client's Java starts; the leads are sent while the jobs are submitted,
and wait on their topic. Then one watches, until nothing is in flight. The stack stays up.
"""

import json
import os
import threading
import time
from collections.abc import Iterator
from importlib.resources import as_file
from typing import Annotated

import typer
from rich.console import Console

from connectors.mongodb import bulk_upsert, client
from connectors.settings import settings
from deploy import commands, stack
from jobs.balance import Watch
from jobs.demo_view import Progress, print_summary
from jobs.errors import TidemillError
from jobs.fates import Balance, Fate
from jobs.lead_files import read_unchecked
from jobs.send import send_events
from jobs.sql_dir import sql_dir
from jobs.team_topics import require_external, team_topics

TEAM = "sdr"
# In the order in which a lead needs them; the job whose mails are not the first comes last.
JOBS = ("lead_ingestion", "lead_scoring", "active_outreach", "send_email", "nurture_campaign")
# A campaign's 7 days pass in 20 s, unless TIDEMILL_CLOCK_SPEED says otherwise.
CLOCK_SPEED = 7 * 86400 / 20
BOUND_S = 300.0
QUIET_S = 20.0
LOOK_S = 1.0
SILENCE_S = 30.0


def demo(
    leads: Annotated[int | None, typer.Option(help="How many; all of the sample if none.")] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Do not watch: end when all is submitted and sent.")
    ] = False,
) -> None:
    """Run the SDR team on sample leads: stack, jobs, leads, e-mails; then tell what came of it."""
    started = time.monotonic()
    console = Console(highlight=False)
    os.environ.setdefault("TIDEMILL_CLOCK_SPEED", f"{CLOCK_SPEED:g}")
    threading.Thread(target=_start_client_java, daemon=True).start()

    console.print("1. The local stack", style="bold")
    with commands.plain_errors(), commands.progress() as report:
        os.environ.update(stack.up(report=report))
    console.print("2. Five agents, each a Flink job", style="bold")
    submission = Submission()
    submission.start()
    console.print("3. Records to look things up in, and the leads", style="bold")
    for collection, documents in seed():
        console.print(f"{collection}: {documents} documents in MongoDB", markup=False)
    count, topic = send_sample(leads)
    console.print(f"{topic}: {count} leads sent, some of them hostile or broken", markup=False)
    if no_wait:
        submission.join()
        submission.check()
        console.print(f"Next: `tidemill status {TEAM}`.", markup=False)
        return
    console.print("4. Leads on their way", style="bold")
    team = team_topics(TEAM)
    progress = Progress(console, Watch(team), started, submission.told)
    found, ended = watch(progress, submission)
    print_summary(console, progress, found, ended)
    if found.wrong or not ended:
        raise typer.Exit(1)


def _start_client_java() -> None:
    """Six seconds that pass while the stack starts. What goes wrong here, submitting tells."""
    try:
        from pyflink.java_gateway import get_gateway

        from deploy.java import java_home

        os.environ.setdefault("JAVA_HOME", str(java_home()))
        get_gateway()
    except Exception:
        pass


class Submission(threading.Thread):
    """Submits the jobs that do not run yet. `told` has what happened, by job."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.told: dict[str, str] = {f"{TEAM}.{job}": "to be submitted" for job in JOBS}
        self._error: Exception | None = None

    def run(self) -> None:
        from jobs.submit import cluster, submit

        try:
            target, _ = cluster()
            running = {job.name for job in target.jobs() if not job.ended}
            self.told.update({name: "runs already" for name in self.told if name in running})
            names = [f"{TEAM}/{job}" for job in JOBS if f"{TEAM}.{job}" not in running]
            if names:
                submit(names, report=self._report)
                self.told.update({name.replace("/", "."): "running" for name in names})
        except Exception as error:
            self._error = error

    def _report(self, name: str, event: str) -> None:
        self.told[name] = event

    def check(self) -> None:
        """Raises what went wrong."""
        if self._error:
            raise self._error


def seed() -> Iterator[tuple[str, int]]:
    """Write the sample's records into their MongoDB collections: (collection, documents)."""
    sample = sql_dir().joinpath(TEAM).joinpath("sample")
    with client() as mongodb:
        database = mongodb[settings().mongodb_database]
        for collection in ("crm_accounts", "firmographics", "opt_outs"):
            text = sample.joinpath(f"{collection}.jsonl").read_text(encoding="utf-8")
            documents = [json.loads(line) for line in text.splitlines() if line.strip()]
            yield collection, bulk_upsert(database[collection], documents)


def send_sample(leads: int | None) -> tuple[int, str]:
    """Send the sample's lines as they stand; returns how many, and to which topic."""
    topic = require_external(team_topics(TEAM), None)
    with as_file(sql_dir().joinpath(TEAM).joinpath("sample").joinpath("leads.jsonl")) as file:
        lines = read_unchecked(file, topic.key)
    return send_events(topic, lines[:leads]), topic.name


def watch(progress: Progress, submission: Submission) -> tuple[Balance, bool]:
    """Look until all leads have come to their ends: the last look, and whether they have.

    Leads that are nurtured for days are let go on when nothing else has moved for a while.
    """
    begun = changed = answered = time.monotonic()
    before: object = None
    with progress:
        while True:
            now = time.monotonic()
            submission.check()
            try:
                found = progress.look()
            except TidemillError:  # Flink is busy starting; when it stays silent, say so
                if now - answered > SILENCE_S:
                    raise
                time.sleep(LOOK_S)
                continue
            answered = now
            if (state := dict(found.counts)) != before:
                before, changed = state, now
            moving = found.counts[Fate.IN_FLIGHT] + len(found.wrong)
            quiet = now - changed > QUIET_S and not submission.is_alive()
            if not moving and (not found.counts[Fate.NURTURING] or quiet):
                return found, True
            if quiet and not found.counts[Fate.IN_FLIGHT]:
                return found, True
            if now - begun > BOUND_S:
                return found, False
            time.sleep(LOOK_S)
