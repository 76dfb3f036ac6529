"""Names in a script in, keyed functions out: `SELECT * FROM name(input => TABLE … PARTITION BY …)`.

A plan takes the call's literal arguments, the input's columns and the team; it runs on the client.
"""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any, Protocol

from udfs.core.definition import AgentDefinition
from udfs.keyed_function import Columns, KeyedFunction, StateFunction


class Definitions(Protocol):
    """What a plan may ask of the team whose script calls."""

    name: str

    def agent(self, name: str) -> AgentDefinition: ...


Plan = Callable[[Mapping[str, Any], Columns, Definitions], KeyedFunction | StateFunction]


def _planned_by(module: str, name: str) -> Plan:
    """Of a class that is imported when it is called for, with what it needs."""

    def plan(
        arguments: Mapping[str, Any], columns: Columns, team: Definitions
    ) -> KeyedFunction | StateFunction:
        planned: Plan = getattr(import_module(module), name).plan
        return planned(arguments, columns, team)

    return plan


KEYED_FUNCTIONS: dict[str, Plan] = {
    "complete_bundle": _planned_by("udfs.bundles", "CompleteBundle"),
    "diff_chunks": _planned_by("udfs.diff_chunks", "DiffChunks"),
    "ingest_source": _planned_by("udfs.ingest", "IngestSource"),
    "run_agent": _planned_by("udfs.agent", "RunAgent"),
    "send_email": _planned_by("udfs.email", "SendEmail"),
}
