"""An id in, the whole way of its event out, as one tree: `tidemill trace lead-001`.

The id is a lead's, an event's (`ce_id`) or a trace's. From topics come the events, from
agent_traces the runs with their model and tool calls, from the journal the calls of AI_COMPLETE,
which has no spans, from the local mailbox the mails. `jobs.trace_tree` puts them together.
"""

import asyncio
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.tree import Tree

from connectors.journal import MongoJournal
from connectors.kafka import KafkaRecord, bootstrap_servers, partitions, read_all
from connectors.mongodb import MongoError
from connectors.settings import settings
from jobs import terminal
from jobs.errors import TidemillError, one_line
from jobs.evidence import flat_headers, identity
from jobs.sql_dir import sql_dir
from jobs.team_topics import TeamTopics, team_topics
from jobs.trace_tree import Found, Node, trees

_TRACE_ID = re.compile(r"[0-9a-f]{32}\Z")
_EFFECT_ID = re.compile(rb"(?im)^Message-ID:\s*<([0-9a-f]{64})@")
_COLOURS = {"event": "cyan", "run": "bold", "error": "red", "dead": "red", "mail": "green"}


def trace(
    id: Annotated[str, typer.Argument(help="A lead's id, an event's ce_id, or a trace id.")],
    team: Annotated[str | None, typer.Option(help="Whose topics; all teams' if none.")] = None,
) -> None:
    """Show the way of one event through the team: what was done with it, and what came of it."""
    console = terminal.console()
    with console.status("reading topics …"):
        teams = [team_topics(name) for name in ([team] if team else team_names())]
        found, notes = gather(id, teams)
    for tree in trees(found):
        console.print(rendered(tree))
    for note in notes:
        console.print(note, style="dim", markup=False)


def team_names() -> list[str]:
    """All teams that there are files of."""
    folders = sql_dir().iterdir()
    return sorted(f.name for f in folders if f.is_dir() and f.joinpath("tables.sql").is_file())


def gather(id: str, teams: Iterable[TeamTopics]) -> tuple[Found, list[str]]:
    """All that is known of an id, and what could not be asked. Raises TidemillError if nothing."""
    servers = bootstrap_servers()
    there = partitions(servers)
    found, notes = Found(), list[str]()
    looked_at = 0
    for team in teams:
        topics = [t.name for t in team.topics.values() if t.name in there]
        topics += [team.dead_letters] if team.dead_letters in there else []
        looked_at += len(topics)
        traces = trace_ids(id, read_all(servers, topics))
        if traces:
            _read(found, team, traces, read_all(servers, [*topics, team.traces]))
    if not found.events:
        raise TidemillError(
            f"nothing is known of {one_line(id)!r}: no event on {looked_at} topics has it as key, "
            "ce_id or trace id",
            "`tidemill status TEAM` tells what has come in",
        )
    try:
        found.calls = asyncio.run(_calls(found.trace_ids))
    except MongoError as error:
        notes.append(f"Calls of AI_COMPLETE are missing here: {error}.")
    found.files = mail_files(settings().home / "mail", found.effect_ids)
    return found, notes


def trace_ids(id: str, records: Iterable[KafkaRecord]) -> set[str]:
    """The traces of the events that an id means."""
    wanted = id.strip()
    as_trace = wanted.lower() if _TRACE_ID.match(wanted.lower()) else None
    found = set()
    for record in records:
        event_id, _, trace_id = identity(record, flat_headers(record))
        if trace_id == as_trace or wanted in (
            event_id,
            (record.key or b"").decode("utf-8", "replace"),
        ):
            found.add(trace_id)
    return found


def _read(found: Found, team: TeamTopics, traces: set[str], records: Iterable[KafkaRecord]) -> None:
    for record in records:
        if record.topic == team.traces:
            trace_id = (record.key or b"").decode("utf-8", "replace")
            span = _object(record.value) if trace_id in traces else {}
            if span:
                found.add_span({**span, "trace_id": trace_id})
        else:
            found.add_event(record, team, traces)


def _object(value: bytes | None) -> dict[str, Any]:
    try:
        parsed = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return parsed if isinstance(parsed, dict) else {}


async def _calls(traces: Iterable[str]) -> list[Mapping[str, Any]]:
    journal = MongoJournal.from_settings()
    try:
        return [call for trace_id in traces for call in await journal.calls_of_trace(trace_id)]
    finally:
        await journal.aclose()


def mail_files(folder: Path, effect_ids: set[str]) -> dict[str, Path]:
    """Effect id → its `.eml` in the local mailbox, by the Message-ID that the effect gave it."""
    found: dict[str, Path] = {}
    for file in sorted(folder.glob("*.eml")) if effect_ids else ():
        with file.open("rb") as opened:
            match = _EFFECT_ID.search(opened.read(8192))
        if match and match[1].decode() in effect_ids:
            found[match[1].decode()] = file
    return found


def rendered(node: Node) -> Tree:
    """The tree as rich prints it; text of strangers is one line and cannot act."""
    label = one_line(node.label).replace("[", r"\[")
    facts = one_line(node.facts).replace("[", r"\[")
    style = _COLOURS.get(node.kind, "")
    tree = Tree(f"[{style}]{label}[/] [dim]{facts}[/]" if style else f"{label} [dim]{facts}[/]")
    for child in node.children:
        tree.children.append(rendered(child))
    return tree
