"""Names in a script in, keyed functions out: `SELECT * FROM name(input => TABLE … PARTITION BY …)`.

A plan takes the call's literal arguments, the input's columns and the team; it runs on the client.
"""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from udfs.core.definition import AgentDefinition
from udfs.keyed_function import Columns, KeyedFunction, StateFunction


class Definitions(Protocol):
    """What a plan may ask of the team whose script calls."""

    name: str

    def agent(self, name: str) -> AgentDefinition: ...


Plan = Callable[[Mapping[str, Any], Columns, Definitions], KeyedFunction | StateFunction]


def _run_agent(arguments: Mapping[str, Any], columns: Columns, team: Definitions) -> KeyedFunction:
    from udfs.agent import RunAgent

    return RunAgent.plan(arguments, columns, team)


def _send_email(arguments: Mapping[str, Any], columns: Columns, team: Definitions) -> KeyedFunction:
    from udfs.email import SendEmail

    return SendEmail.plan(arguments, columns, team)


def _complete_bundle(
    arguments: Mapping[str, Any], columns: Columns, team: Definitions
) -> StateFunction:
    from udfs.bundles import CompleteBundle

    return CompleteBundle.plan(arguments, columns, team)


KEYED_FUNCTIONS: dict[str, Plan] = {
    "run_agent": _run_agent,
    "send_email": _send_email,
    "complete_bundle": _complete_bundle,
}
