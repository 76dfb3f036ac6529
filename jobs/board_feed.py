"""The blackboard team's topics in, what is new on one board out; and what a replay makes of it.

The replay is a fresh consumer: the keeper's own rules over every update from the first offset, in
this process, beside what the keeper's job wrote when it ran.
"""

import datetime as dt
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.kafka import KafkaRecord, bootstrap_servers, read_all
from jobs.topic_watch import TopicWatch

Json = dict[str, Any]

BOARD, REFUSED, FACTS, UPDATES = "board", "refused_updates", "board_facts", "board_updates"


@dataclass
class BoardFeed:
    """What stands on one board, as its topics tell."""

    board_id: str
    facts: dict[tuple[str, str], Json] = field(default_factory=dict)
    entries: dict[str, Json] = field(default_factory=dict)
    refused: dict[str, Json] = field(default_factory=dict)
    watch: TopicWatch = field(default_factory=lambda: TopicWatch((BOARD, REFUSED, FACTS)))
    _told: int = 0

    def look(self) -> Iterator[tuple[str, Json]]:
        """(topic, row) of each entry and refusal that came since the last look."""
        new = self.watch.look()[self._told :]
        self._told += len(new)
        for row in new:
            if row.topic == FACTS and row.value.get("board_id") == self.board_id:
                self.facts[row.value["subject"], row.value["predicate"]] = row.value
            elif row.topic == BOARD and row.key == self.board_id:
                self.entries[row.value["entry_id"]] = row.value
                yield row.topic, row.value
            elif row.topic == REFUSED and row.key == self.board_id:
                self.refused[row.value["update_id"]] = row.value
                yield row.topic, row.value

    def cause(self) -> Json | None:
        """The last word on the incident's cause by the team's own agent."""
        causes = [
            row
            for row in self.entries.values()
            if row["predicate"] == "cause" and row["source"] == "blackboard.diagnose"
        ]
        return max(causes, key=lambda row: row["version"], default=None)


def replayed(board_id: str) -> tuple[list[str], list[str]]:
    """What the board's updates come to when they are read from offset 0, and what they came to.

    A line for each entry and refusal: who, of which fact, as what version or why not; sorted.
    """
    from udfs.board import KeptBoard

    board, seen = KeptBoard(board_id, {}), set[str]()
    again: list[str] = []
    for record in read_all(bootstrap_servers(), (UPDATES,)):
        headers = {name: value or b"" for name, value in record.headers}
        identity = headers.get("ce_id", b"").decode()
        if (record.key or b"").decode("utf-8", "replace") != board_id or identity in seen:
            continue
        seen.add(identity)
        row = {**_EMPTY, **_row(record), "source": _source(headers), "said_at": _time(record)}
        if any(row.get(name) is None for name in ("subject", "predicate", "confidence")):
            continue  # a dead letter: no update ever reached the keeper
        again += [_told(one.values) for one in board.take(row, headers, 0)]
    then = [_told(row) for _, row in BoardFeed(board_id).look()]
    return sorted(again), sorted(then)


_EMPTY: Json = dict.fromkeys(
    ("value", "valid_until", "expected_version", "supersedes", "evidence", "confidence")
)


def _told(row: Mapping[str, Any]) -> str:
    identity = row.get("entry_id") or row.get("update_id")
    place = f"{row['source']} {row['subject']} {row['predicate']}"
    return f"{identity} {place} {row.get('version')} {row.get('reason')} {row['value']}"


def _source(headers: Mapping[str, bytes]) -> str:
    """As sql/blackboard/keep_board.sql has it."""
    source = headers.get("ce_source", b"").decode()
    parts = source.removeprefix("tidemill:").split(".")
    known = source.startswith("tidemill:") and len(parts) > 1
    return ".".join(parts[:2]) if known else f"outside {source}"


def _time(record: KafkaRecord) -> str:
    return dt.datetime.fromtimestamp(record.timestamp_ms / 1000, dt.UTC).isoformat()


def _row(record: KafkaRecord) -> Json:
    try:
        found = json.loads(record.value or b"")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
