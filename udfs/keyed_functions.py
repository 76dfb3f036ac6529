"""Names in a script in, keyed functions out: `SELECT * FROM name(input => TABLE … PARTITION BY …)`.

A plan takes the call's literal arguments, the input's columns and the team; it runs on the client.
"""

from collections.abc import Callable, Mapping
from pkgutil import resolve_name
from typing import Any, Protocol

from udfs.core.definition import AgentDefinition
from udfs.keyed_function import AnyFunction, Columns


class Definitions(Protocol):
    """What a plan may ask of the team whose script calls."""

    name: str

    def agent(self, name: str) -> AgentDefinition: ...


Plan = Callable[[Mapping[str, Any], Columns, Definitions], AnyFunction]


def _planned_by(where: str) -> Plan:
    """Of a module or a class in it, which is imported when it is called for."""

    def plan(arguments: Mapping[str, Any], columns: Columns, team: Definitions) -> AnyFunction:
        planned: Plan = resolve_name(where).plan
        return planned(arguments, columns, team)

    return plan


KEYED_FUNCTIONS: dict[str, Plan] = {
    "accept_orders": _planned_by("udfs.market:AcceptOrders"),
    "complete_bundle": _planned_by("udfs.bundles:CompleteBundle"),
    "diff_chunks": _planned_by("udfs.diff_chunks:DiffChunks"),
    "ingest_source": _planned_by("udfs.ingest:IngestSource"),
    "keep_board": _planned_by("udfs.board:KeepBoard"),
    "match_orders": _planned_by("udfs.market:MatchOrders"),
    "orchestrate": _planned_by("udfs.orchestrate:Orchestrate"),
    "read_board": _planned_by("udfs.board:ReadBoard"),
    "run_agent": _planned_by("udfs.agent:RunAgent"),
    "send_email": _planned_by("udfs.email:SendEmail"),
    "trade": _planned_by("udfs.trading:Trade"),
    "work": _planned_by("udfs.work"),
}
