"""A declared topic in, the DDL of a folder of files that stands for it in a test out.

Input lines are one JSON object per record, as a person writes it:

    {"key": "lead-1", "value": {…}, "headers": {"ce_id": "e1"}, "timestamp": "2026-01-01T00:00:00Z"}

A `value` that is text is taken as it is, so that a broken record can be written down.
"""

import base64
import datetime as dt
import json
from pathlib import Path
from typing import Any

from jobs.errors import ScriptError
from jobs.tables import TableFacts, create_table
from jobs.topics import raw_name, sink_lines, sink_name, watermark_lines

_JSON = {"format": "json", "json.timestamp-format.standard": "ISO-8601"}


class FileTopics:
    """Topics in a folder: `in/<table>` is read, `out/<table>` is written."""

    def __init__(self, folder: Path, *, endless: bool) -> None:
        self.folder, self.endless = folder, endless

    def source(self, facts: TableFacts) -> str:
        path = self.folder / "in" / facts.name
        path.mkdir(parents=True, exist_ok=True)
        options = {"connector": "filesystem", "path": path.as_uri(), **_JSON}
        if self.endless:
            options["source.monitor-interval"] = "1 s"
        lines = [
            "record_key BYTES",
            "record_value BYTES",
            "`partition` INT",
            "headers MAP<STRING, BYTES>",
            "`offset` BIGINT",
            "kafka_time TIMESTAMP_LTZ(3)",
            *watermark_lines(facts),
        ]
        return create_table(raw_name(facts.name), lines, options)

    def sink(self, facts: TableFacts) -> str:
        path = self.folder / "out" / facts.name
        options = {"connector": "filesystem", "path": path.as_uri(), **_JSON}
        return create_table(sink_name(facts.name), sink_lines(facts, metadata=False), options)

    def write_input(self, table: str, lines: list[dict[str, Any]]) -> None:
        """Lay down the records of one topic."""
        folder = self.folder / "in" / table
        folder.mkdir(parents=True, exist_ok=True)
        text = "".join(json.dumps(_record(line, n)) + "\n" for n, line in enumerate(lines))
        (folder / "records.json").write_text(text)

    def read_output(self, table: str) -> list[dict[str, Any]]:
        """The rows that were committed, in no order."""
        parts = sorted((self.folder / "out" / table).rglob("part-*"))
        return [json.loads(line) for part in parts for line in part.read_text().splitlines()]


def read_lines(path: Path, shown: str) -> list[dict[str, Any]]:
    """A JSON-lines file of a test. Raises ScriptError at the line that is not one."""
    lines = []
    for number, text in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        if not text.strip():
            continue
        try:
            line = json.loads(text)
        except ValueError as error:
            raise ScriptError(shown, number, f"not JSON: {error}", "one object a line") from None
        if not isinstance(line, dict):
            raise ScriptError(shown, number, "not an object", "one JSON object a line")
        lines.append(line)
    return lines


def _record(line: dict[str, Any], number: int) -> dict[str, Any]:
    value, key = line.get("value"), line.get("key")
    if not isinstance(value, str | None):
        value = json.dumps(value, ensure_ascii=False)
    moment = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=60)
    return {
        "record_key": _encoded(key),
        "record_value": _encoded(value),
        "headers": {name: _encoded(str(v)) for name, v in line.get("headers", {}).items()},
        "partition": 0,
        "offset": number,
        "kafka_time": line.get(
            "timestamp", moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        ),
    }


def _encoded(text: str | None) -> str | None:
    return None if text is None else base64.b64encode(text.encode()).decode()
