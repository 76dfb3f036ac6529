"""A file of events (leads, tickets) in, records on a team's topic out, all of them or none.

    tidemill send sdr leads.csv

Every line is checked before the first is sent. An event's id is that of its content, so that a file
that is sent twice has one effect.
"""

import datetime as dt
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from connectors.kafka import NewRecord, bootstrap_servers, ensure_topics, produce_all
from jobs.errors import TidemillError, one_line
from jobs.lead_files import Event, read_events, read_unchecked
from jobs.team_topics import PARTITIONS, Topic, require_external, team_topics
from udfs.core import events

SOURCE = b"tidemill:send"


def send(
    team: Annotated[str, typer.Argument(help="The team, as in sdr.")],
    file: Annotated[Path, typer.Argument(help="CSV with a header, or JSONL: a record a line.")],
    topic: Annotated[
        str | None, typer.Option(help="Which topic, where the team has several external ones.")
    ] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Send each line as it stands, whatever it is.")
    ] = False,
) -> None:
    """Send a file of events to a team; nothing is sent unless every line is right."""
    target = require_external(team_topics(team), topic)
    found = read_unchecked(file, target.key) if unchecked else checked(file, target)
    count = send_events(target, found)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{count} event{'s' * (count != 1)} sent to {target.name}.", markup=False)
    console.print(
        f"Next: `tidemill status {team}` counts where they are, "
        f"`tidemill trace {one_line(found[0].key)}` shows the way of the first.",
        markup=False,
    )


def checked(file: Path, target: Topic) -> list[Event]:
    """The file's events. Prints every problem with its line, then raises TidemillError."""
    found, problems = read_events(file, target.fields, target.key)
    if problems:
        errors = Console(stderr=True, highlight=False, soft_wrap=True)
        for problem in problems:
            errors.print(one_line(f"{file}: {problem}"), style="red", markup=False)
        many = len(problems) != 1
        raise TidemillError(
            f"nothing was sent: {file} has {len(problems)} problem{'s' * many}",
            f"mend {'them' if many else 'it'} and send the file again",
        )
    return found


def send_events(target: Topic, found: Sequence[Event]) -> int:
    """Write events to their topic; returns how many when all of them are acknowledged."""
    servers = bootstrap_servers()
    ensure_topics(servers, {target.name: PARTITIONS}, {target.name: target.config})
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    return produce_all(servers, (record(target.name, event, now) for event in found))


def record(topic: str, event: Event, now: str) -> NewRecord:
    """An event as it goes onto its topic, with the headers of an event that begins here."""
    key = event.key.encode("utf-8", "surrogatepass")
    headers = events.identified(
        {"ce_source": SOURCE}, topic=topic, key=key, value=event.value, time=now
    )
    return NewRecord(topic, key, event.value, tuple(headers.items()))
