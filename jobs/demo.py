"""Nothing in, the SDR team at work on the sample leads out: `tidemill demo`.

The stack comes up while the client's Java starts; the leads are sent while the jobs are submitted,
and wait on their topic. Then one watches, until nothing is in flight. The stack stays up.
"""

import json
import os
import time
from collections.abc import Iterator
from importlib.resources import as_file
from typing import Annotated

import typer
from rich.console import Console

from connectors.kafka import KafkaError
from connectors.mongodb import bulk_upsert, client
from connectors.settings import settings
from deploy import stack
from jobs import terminal
from jobs.balance import Watch
from jobs.demo_steps import start_stack, submitting
from jobs.demo_view import Progress, print_summary
from jobs.errors import TidemillError
from jobs.fates import Balance, Fate
from jobs.lead_files import read_unchecked
from jobs.send import send_events
from jobs.sql_dir import sql_dir
from jobs.submission import Submission
from jobs.team_topics import require_external, team_topics

TEAM = "sdr"
# In the order in which a lead needs them; the job whose mails are not the first comes last.
JOBS = ("lead_ingestion", "lead_scoring", "active_outreach", "send_email", "nurture_campaign")
# A campaign's days pass in a minute, unless TIDEMILL_CLOCK_SPEED says otherwise.
CAMPAIGN_S = 7 * 86400
CLOCK_SPEED = CAMPAIGN_S / 60
BOUND_S = 300.0
SOON_S = 120.0  # campaigns that last longer than this are not waited for
STUCK_S = 60.0  # before leads that are nowhere are believed to be; a fail-over takes 25 s
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
    console = terminal.console()
    os.environ.setdefault("TIDEMILL_CLOCK_SPEED", f"{CLOCK_SPEED:g}")
    with submitting(TEAM, JOBS) as submission:
        run(console, submission, started, leads, no_wait)


def run(
    console: Console, submission: Submission, started: float, leads: int | None, no_wait: bool
) -> None:
    """The steps, one after the other."""
    start_stack(console)
    console.print("2. Five agents, each a Flink job", style="bold")
    submission.start(stack.environment())
    console.print("3. Records to look things up in, and the leads", style="bold")
    for collection, documents in seed():
        console.print(f"{collection}: {documents} documents in MongoDB", markup=False)
    count, topic = send_sample(leads)
    console.print(f"{topic}: {count} leads sent, some of them hostile or broken", markup=False)
    if no_wait:
        submission.join()
        console.print(f"Next: `tidemill status {TEAM}`.", markup=False)
        return
    console.print("4. Leads on their way", style="bold")
    team = team_topics(TEAM)
    progress = Progress(console, Watch(team), started, submission.told)
    found, ended = watch(progress, submission)
    print_summary(console, progress, found, ended)
    if found.wrong or not ended:
        raise typer.Exit(1)


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

    Campaigns are waited for where the clock is compressed, not where they take days.
    """
    soon = CAMPAIGN_S / settings().clock_speed <= SOON_S
    begun = changed = answered = time.monotonic()
    before: object = None
    with progress:
        while True:
            now = time.monotonic()
            submission.check()
            try:
                found = progress.look()
            except (TidemillError, KafkaError):  # busy starting; when it stays silent, say so
                if now - answered > SILENCE_S:
                    raise
                time.sleep(LOOK_S)
                continue
            answered = now
            if (state := dict(found.counts)) != before:
                before, changed = state, now
            still_s = now - changed if submission.ended else 0.0
            moving = found.counts[Fate.IN_FLIGHT] + len(found.wrong)
            nurturing = found.counts[Fate.NURTURING] if soon else 0
            if not moving and not nurturing:
                return found, True
            if still_s > STUCK_S and not found.counts[Fate.IN_FLIGHT]:
                return found, True
            if now - begun > BOUND_S:
                return found, False
            time.sleep(LOOK_S)
