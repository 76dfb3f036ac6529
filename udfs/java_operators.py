"""Declarations in, Java operators out: the code that Flink compiles, and what it must know.

`udfs/java/` is all of this project that is not Python or SQL: what happens to every record before
it comes to Python. Each file says why.
"""

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from udfs.core import decode, events
from udfs.core.decode import Column
from udfs.core.types import Type, row_type

GUARD, SLOTS, MATCH, FIRST_COLUMN = "Guard", "Slots", "Match", "FirstColumn"
_WITH = {MATCH: ("Book",)}  # files that are compiled with an operator's own
_LIMITS = {
    "key_bytes": decode.MAX_KEY_BYTES,
    "value_bytes": decode.MAX_VALUE_BYTES,
    "headers": decode.MAX_HEADERS,
    "header_bytes": decode.MAX_HEADER_BYTES,
    "earliest_ms": decode.EARLIEST_MS,
    "ahead_ms": decode.LATEST_AHEAD_MS,
    "cut_bytes": decode.CUT_BYTES,
}
_PARAMETERS = {"DECIMAL": (10, 0), "TIMESTAMP": (6,), "TIMESTAMP_LTZ": (6,)}


def code(name: str) -> str:
    """The Java code of an operator; its class has this name."""
    folder = files("udfs").joinpath("java")
    texts = [
        folder.joinpath(f"{part}.java").read_text(encoding="utf-8")
        for part in (name, *_WITH.get(name, ()))
    ]
    lines = [line for text in texts for line in text.splitlines()]
    imports = sorted({line for line in lines if line.startswith("import ")})
    return "\n".join([*imports, *(line for line in lines if not line.startswith("import "))])


def declaration(topic: str, columns: Sequence[Column]) -> str:
    """What a guard must know of a table, as JSON."""
    return json.dumps(
        {
            "topic": topic,
            "namespace": events.NAMESPACE.hex,
            "limits": _LIMITS,
            "sources": [column.source for column in columns],
            "table": _type(row_type([(column.name, column.type) for column in columns])),
        }
    )


def _type(declared: Type) -> dict[str, Any]:
    fields = declared.fields or tuple(("", item) for item in declared.items)
    return {
        "kind": declared.kind,
        "nullable": declared.nullable,
        "parameters": (*declared.parameters, *_PARAMETERS.get(declared.kind, ()))[:2],
        "names": [name for name, _ in fields],
        "parts": [_type(inner) for _, inner in fields],
    }
