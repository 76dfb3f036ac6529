"""A topic and sources in, a cited brief out: `tidemill research "TOPIC" SOURCE…`.

Submits the research team where it does not run, sends one request, shows each source on its way,
and prints the brief of the version that comes of it. The same topic again is the same bundle: its
sources are looked at again, and what changed makes its next version.
"""

import asyncio
import datetime as dt
import hashlib
import json
import re
import shlex
import time
import unicodedata
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from connectors.kafka import NewRecord, produce_all
from connectors.settings import settings
from deploy import stack
from jobs import terminal
from jobs.bundles import TEAM, Bundles, Known, Seen
from jobs.cluster import cluster
from jobs.errors import TidemillError
from jobs.sql_dir import expand, job_name
from jobs.submission import Submission
from udfs.core import events
from udfs.core.bundle import DEADLINE_S, QUIET_MS

LOOK_S = 0.5
PATIENCE_S = 60.0  # with a broker that does not answer
WRITING_S = 240.0  # for the agent, once a version is fired
SHOWN_SOURCES = 24
_STYLES = {
    "ready": "green",
    "unchanged": "green",
    "listed": "green",
    "removed": "red",
    "failed": "red",
}


def research(
    topic: Annotated[str, typer.Argument(help="What the brief is to be about.")],
    sources: Annotated[
        list[str] | None, typer.Argument(help="Pages, feeds, files and folders.")
    ] = None,
    guest: Annotated[str | None, typer.Option(help="Whom you are going to talk to.")] = None,
    company: Annotated[str | None, typer.Option(help="Whom they work for.")] = None,
    bundle: Annotated[str | None, typer.Option(help="The bundle's name; else the topic's.")] = None,
    questions: Annotated[int | None, typer.Option(min=1, max=40, help="How many to ask.")] = None,
    deadline: Annotated[
        int, typer.Option(min=1, help="Seconds, after which what is missing is left out.")
    ] = DEADLINE_S,
    out: Annotated[
        Path | None, typer.Option(help="File or folder to write the brief to; else here.")
    ] = None,
) -> None:
    """Read sources, and write a brief in which every statement can be looked up.

    `tidemill research init` makes the search index, where the MongoDB server has one.
    """
    console = terminal.console()
    if not sources:
        _init(console, topic)
        return
    bundle_id = bundle or bundle_name(topic)
    wanted = {
        "topic": topic,
        "guest_name": guest,
        "company": company,
        "sources": [source_of(source) for source in sources],
        "questions_wanted": questions,
        "deadline_s": deadline,
    }
    submit_missing(console)
    watched = Bundles()
    watched.prepare()
    before = watched.look().get(bundle_id, Seen()).known
    trace = send_request(watched.servers, bundle_id, wanted)
    console.print(f"bundle {bundle_id}: {len(sources)} sources to read", markup=False)
    begun = time.monotonic()
    seen = watch(console, watched, bundle_id, trace, before, deadline)
    console.print(f"{counted(seen)} · {time.monotonic() - begun:.0f} s", markup=False)
    show(console, bundle_id, seen, before.version, out)


def _init(console: Console, topic: str) -> None:
    """Make the search index. Raises TidemillError where that is not what was asked for."""
    if topic != "init":
        raise TidemillError(
            "there is no source to read", f'tidemill research "{topic}" and pages, feeds, folders'
        )
    from connectors.vectors import init_store

    console.print(asyncio.run(init_store()), markup=False)


def bundle_name(topic: str) -> str:
    """A short name that is the same for the same topic."""
    plain = unicodedata.normalize("NFKD", topic).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    mark = hashlib.sha256(topic.strip().encode("utf-8", "replace")).hexdigest()[:6]
    return words if 0 < len(words) <= 40 and plain == topic.lower() else f"{words[:33]}-{mark}"


def source_of(given: str) -> dict[str, Any]:
    """A source as the request names it. Raises TidemillError for what is neither."""
    if re.match(r"https?://\S+$", given, re.IGNORECASE):
        return {"url": given, "kind": None}
    path = Path(given).expanduser()
    if "://" in given or not path.exists():
        raise TidemillError(
            f"{given} is no source: it is no http(s) address, and no file or folder is there",
            "name a page, a feed, a file or a folder",
        )
    from connectors.folders import allow

    return {"url": allow(path), "kind": "folder" if path.is_dir() else "file"}


def submit_missing(console: Console) -> None:
    """Submit the team's jobs that do not run, from a process of its own (`jobs.submission`)."""
    target, is_local = cluster()
    if is_local:
        _can_embed()
    running = target.running_names()
    names = [name for name in expand([TEAM]) if job_name(name) not in running]
    if not names:
        return
    submission = Submission(names, settings().home / "logs" / "research-submission.log")
    try:
        with console.status(f"submitting {len(names)} jobs of the research team …"):
            submission.start(stack.environment())
            submission.join()
    finally:
        submission.close()
    console.print(f"submitted: {', '.join(names)}", markup=False)


def _can_embed() -> None:
    """The local cluster's workers run in this Python. Raises TidemillError."""
    from connectors.embedding import EmbeddingError, check_installed

    try:
        check_installed()
    except EmbeddingError as error:
        raise TidemillError(str(error), "`make up` does that for the local stack") from None


def send_request(servers: str, bundle_id: str, wanted: dict[str, Any]) -> str:
    """Put the request on its topic; returns its trace id. Asked twice is asked twice."""
    key, value = bundle_id.encode(), json.dumps(wanted, ensure_ascii=False).encode()
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    own = {"ce_source": b"tidemill:research", "ce_id": str(uuid.uuid4()).encode()}
    topic = "research_requests"
    headers = events.identified(own, topic=topic, key=key, value=value, time=now)
    produce_all(servers, [NewRecord(topic, key, value, tuple(headers.items()))])
    return events.trace_context(headers)[0]


def watch(
    console: Console, watched: Bundles, bundle_id: str, trace: str, before: Known, deadline_s: float
) -> Seen:
    """Show the sources until there is a brief that was not there `before`, or none can come."""
    begun, known = time.monotonic(), before.version
    settled_since: float | None = None
    said: set[str] = set()
    with Live(console=console, refresh_per_second=4, transient=True) as live:
        while True:
            seen = watched.look(PATIENCE_S).get(bundle_id, Seen())
            now = time.monotonic()
            live.update(progress(seen, known, now - begun))
            if not console.is_terminal:
                say_finished(console, seen, trace, said)
            if any(version > known for version in seen.briefs):
                return seen
            settled = trace in seen.request.rounds and seen.bundle.settled
            settled_since = (settled_since or now) if settled else None
            fired = [version for version in seen.versions if version > known]
            quiet_s = QUIET_MS / 1000 + 15.0  # a version is seen when its checkpoint is complete
            if known and settled_since and not fired and now - settled_since > quiet_s:
                return seen
            failed = next((f for f in seen.failures[before.failures :] if "write_brief" in f), None)
            if fired and failed:
                raise TidemillError(
                    f"the brief was not written: {failed}", f"tidemill dead-letters {TEAM}"
                )
            if now - begun > deadline_s + WRITING_S:
                raise TidemillError(
                    f"no brief of {bundle_id} within {deadline_s + WRITING_S:.0f} s",
                    f"`tidemill status {TEAM}` shows what it waits for",
                )
            time.sleep(LOOK_S)


def say_finished(console: Console, seen: Seen, trace: str, said: set[str]) -> None:
    """A line for each source that this round is done with, where nothing can be drawn over.

    What is as it was is only counted, afterwards.
    """
    for source in seen.sources():
        state = seen.state(source)
        told = state in _STYLES and state != "unchanged"
        if told and source.trace == trace and source.url not in said:
            said.add(source.url)
            name = terminal.visible(source.title or source.url)
            why = f" ({terminal.visible(source.reason)})" if source.reason else ""
            console.print(f"{state:<10}{name}{why}", markup=False, soft_wrap=True)


def progress(seen: Seen, known: int, seconds: float) -> Group:
    """The sources with where they are, and what is being done."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(width=10)
    table.add_column(overflow="ellipsis", no_wrap=True)
    table.add_column(overflow="ellipsis", no_wrap=True, style="dim")
    sources = seen.sources()
    moving = [one for one in sources if seen.state(one) not in _STYLES]
    rest = [one for one in sources if seen.state(one) in _STYLES]
    for source in [*moving, *rest][:SHOWN_SOURCES]:
        state = seen.state(source)
        name = terminal.visible(source.title or source.url)
        table.add_row(Text(state, style=_STYLES.get(state, "yellow")), Text(name), _beside(source))
    fired = [version for version in seen.versions if version > known]
    doing = f"writing version {max(fired)}" if fired else "reading"
    more = f"   and {len(sources) - SHOWN_SOURCES} more" if len(sources) > SHOWN_SOURCES else ""
    return Group(
        table, Text(more), Text(f"{doing} · {counted(seen) or 'request sent'} · {seconds:.0f} s")
    )


def counted(seen: Seen) -> str:
    """How many sources are in which state, most first."""
    counts = Counter(seen.state(one) for one in seen.sources())
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def _beside(source: Any) -> Text:
    if source.reason:
        return Text(terminal.visible(source.reason), style="red")
    return Text(terminal.visible(source.url) if source.title else "")


def show(console: Console, bundle_id: str, seen: Seen, known: int, out: Path | None) -> None:
    """Print the brief, write it, and say what can be done next."""
    newest = seen.latest
    if newest is None or newest["version"] <= known:
        console.print(f"Nothing has changed since version {known}.", style="bold")
    if known > max([0, *seen.briefs]):
        console.print(
            f"Version {known} has no brief yet: it is being written, or `tidemill dead-letters "
            f"{TEAM}` says why it cannot be, and drives it again."
        )
    if newest is None:
        return
    brief = terminal.visible(newest["brief"])
    if newest["version"] > known:
        console.print(Markdown(brief))
    path = written(newest["brief"], out or Path(), f"{bundle_id}-v{newest['version']}.md")
    console.print()
    console.print(f"The brief is in {path}.", markup=False, soft_wrap=True)
    named = shlex.quote(terminal.visible(bundle_id))
    console.print(
        f'Next: `tidemill ask {named} "…"` answers from the same sources, '
        f"`tidemill ask {named} --open 1` shows the passage behind [1].",
        markup=False,
        soft_wrap=True,
    )


def written(brief: str, out: Path, name: str) -> Path:
    """Write a brief to a file, or into a folder under this name. Raises TidemillError."""
    path = out / re.sub(r"[^\w.-]+", "-", name) if out.is_dir() else out
    try:
        path.write_text(brief, encoding="utf-8")
    except OSError as error:
        what = f"the brief could not be written to {path}: {error.strerror}"
        raise TidemillError(what, "the same command again with --out FILE") from None
    return path


def bundles_table(found: dict[str, Seen]) -> Table:
    """Bundles with the sums of their sources, for `tidemill status research`."""
    table = Table(title="Bundles", title_justify="left")
    for heading in ("bundle", "version", "sources", "ready", "failed", "waited for"):
        name = heading == "bundle"  # whole, because it is typed again
        table.add_column(
            heading, justify="left" if name else "right", overflow="fold" if name else "ellipsis"
        )
    for bundle_id, seen in sorted(found.items()):
        if not seen.asked:
            continue
        states = Counter(seen.state(one) for one in seen.sources())
        ready = sum(states[name] for name in ("ready", "unchanged", "listed", "removed"))
        total = sum(states.values())
        numbers = [max([0, *seen.briefs]), total, ready, states["failed"]]
        waiting = total - ready - states["failed"]
        table.add_row(terminal.visible(bundle_id), *map(str, [*numbers, waiting]))
    return table


def unbalanced(found: dict[str, Seen]) -> Sequence[str]:
    """Bundles all of whose sources have come to an end, and that have no brief of that."""
    return [
        name
        for name, seen in sorted(found.items())
        if seen.asked and seen.bundle.settled and not (seen.briefs or seen.failures)
    ]
