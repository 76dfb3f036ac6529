"""A team's name in, the DDL of the two topics that every team has out.

They are ordinary tables: a script may read them, and route to `dead_letters` what it refuses.
"""

from jobs.tables import create_table
from udfs.core.types import Type
from udfs.side_outputs import DEAD_LETTER_ROW, TRACE_ROW

_BASE = {
    "connector": "kafka",
    "key.format": "raw",
    "value.fields-include": "EXCEPT_KEY",
    "properties.linger.ms": "100",  # nobody waits for them, and there are several per run
}


def standard_topics(team: str) -> dict[str, str]:
    """Table name → topic."""
    return {"dead_letters": f"{team}_dead_letters", "agent_traces": f"{team}_agent_traces"}


def standard_tables(team: str, bootstrap_servers: str) -> dict[str, str]:
    """Table name → DDL. Dead letters are raw bytes, traces are JSON."""
    topics = standard_topics(team)
    base = {**_BASE, "properties.bootstrap.servers": bootstrap_servers}
    dead = {
        **base,
        "key.fields": "event_key",
        "value.format": "raw",
        "topic": topics["dead_letters"],
    }
    traces = {
        **base,
        "key.fields": "trace_id",
        "value.format": "json",
        "topic": topics["agent_traces"],
    }
    return {
        "dead_letters": create_table(
            "dead_letters", _lines(DEAD_LETTER_ROW), dead, temporary=False
        ),
        "agent_traces": create_table("agent_traces", _lines(TRACE_ROW), traces, temporary=False),
    }


def _lines(rows: Type) -> list[str]:
    return [
        f"`{name}` {declared}" + (" METADATA" if name == "headers" else "")
        for name, declared in rows.fields
    ]
