"""A team's topics in, their events as rows out, each once, as they come: what demos look at."""

import datetime as dt
import json
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from connectors.kafka import (
    KafkaError,
    bootstrap_servers,
    end_offsets,
    ensure_topics,
    produce_all,
    read_all,
)
from jobs.errors import TidemillError
from jobs.lead_files import Event
from jobs.send import record
from jobs.submission import Submission
from jobs.team_topics import PARTITIONS
from udfs.core import events

LOOK_S = 0.5
SILENCE_S = 30.0

Json = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One event: its topic, key and columns."""

    topic: str
    key: str
    value: Json
    timestamp_ms: int


class TopicWatch:
    """What some topics hold from now on, or from their beginning."""

    def __init__(self, topics: Sequence[str]) -> None:
        self.servers, self.topics = bootstrap_servers(), list(topics)
        self.rows: list[Row] = []
        self._ends: dict[tuple[str, int], int] = {}
        self._ids: set[str] = set()

    def prepare(self) -> None:
        """Create the topics that are not there."""
        ensure_topics(self.servers, dict.fromkeys(self.topics, PARTITIONS))

    def from_here(self) -> None:
        """Leave out what the topics hold now."""
        self._ends = end_offsets(self.servers, self.topics)

    def look(self) -> list[Row]:
        """All rows so far, in the order in which they were seen."""
        for found in read_all(self.servers, self.topics, self._ends):
            self._ends[found.topic, found.partition] = found.offset + 1
            headers = {name: value or b"" for name, value in found.headers}
            identity = f"{found.topic}#{events.text(headers, 'ce_id') or found.place}"
            value = _object(found.value)
            if identity not in self._ids and value is not None:
                self._ids.add(identity)
                key = (found.key or b"").decode("utf-8", "replace")
                self.rows.append(Row(found.topic, key, value, found.timestamp_ms))
        return self.rows

    def of(self, topic: str) -> list[Row]:
        return [row for row in self.rows if row.topic == topic]


def send_rows(topic: str, key: str, rows: Iterable[Json]) -> int:
    """Write rows as events that begin here; `key` is the column that is the topic's key."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
    made = []
    for number, row in enumerate(rows):
        value = {name: one for name, one in row.items() if name != key}
        content = json.dumps(value, ensure_ascii=False).encode()
        made.append(record(topic, Event(number, str(row[key]), content), now))
    return produce_all(bootstrap_servers(), made)


def watch_until(
    console: Console,
    watch: TopicWatch,
    submission: Submission,
    shown: Callable[[], RenderableType],
    ended: Callable[[], bool],
    bound_s: float,
) -> bool:
    """Show what there is until it has ended; whether it has, within `bound_s`."""
    begun = answered = time.monotonic()
    with Live(console=console, auto_refresh=False, transient=not console.is_terminal) as live:
        while True:
            submission.check()
            try:
                watch.look()
                answered = time.monotonic()
            except (TidemillError, KafkaError):  # busy starting; when it stays silent, say so
                if time.monotonic() - answered > SILENCE_S:
                    raise
            if console.is_terminal:
                live.update(shown(), refresh=True)
            done = ended()
            if done or time.monotonic() - begun > bound_s:
                break
            time.sleep(LOOK_S)
    if not console.is_terminal:
        console.print(shown())
    return done


def _object(value: bytes | None) -> Json | None:
    try:
        found = json.loads(value or b"")
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
