"""Objectives, results and members in, commands and answers out: `orchestrate`.

    SELECT * FROM orchestrate(input => TABLE heard PARTITION BY objective_id, plan => 'planner')

The input has `kind` (objective, result, cancelled, joined or left) and `event`, the columns of that
kind as JSON. A thin shell: what is given, and when it is answered, is `udfs.core.orchestration`.
"""

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core.commands import Limits
from udfs.core.fold import KeyState
from udfs.core.orchestration import Orchestrator
from udfs.core.types import Type, parse_type
from udfs.keyed_function import BadCall, Columns, StateFunction, check_call

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

TAKES = {"kind": "STRING", "event": "STRING"}
GIVES = {
    "kind": "STRING",  # command, cancelled or answer
    "objective_id": "STRING",
    "command_id": "STRING",
    "step": "STRING",
    "worker_kind": "STRING",
    "worker": "STRING",
    "reply_to": "STRING",
    "attempt": "INT",
    "input": "STRING",
    "timeout_s": "INT",
    "status": "STRING",
    "result": "STRING",
    "missing": "ARRAY<ROW<`step` STRING, `reason` STRING>>",
    "reason": "STRING",
}
MOST = {
    "attempts": 100,
    "timeout_s": 86_400,
    "deadline_s": 30 * 86_400,
    "fan_out": 100_000,
    "hops": 100,
    "commands": 10_000_000,
    "replans": 20,
    "keep_s": 30 * 86_400,
}


class Orchestrate(StateFunction):
    """The orchestrators of one job: one per partition key."""

    stage: ClassVar[str] = "orchestrator"
    dedupes: ClassVar[bool] = False  # an orchestrator knows what came before by what it says

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "Orchestrate":
        """Check the call. Raises BadCall."""
        options = [field.name for field in fields(Limits)]
        check_call("orchestrate", arguments, options, columns, TAKES)
        for name, value in arguments.items():
            most = MOST.get(name)
            whole = isinstance(value, int) and not isinstance(value, bool)
            least = 0 if name == "replans" else 1
            if most is not None and not (whole and least <= value <= most):
                raise BadCall(name, f"{name} is {value!r}", f"a whole number, {least} to {most:,}")
        plan = arguments.get("plan")
        if plan is not None and (not isinstance(plan, str) or not plan):
            expected = "'members', or the kind of the command that asks for a plan"
            raise BadCall("plan", f"plan is {plan!r}", expected)
        kinds = arguments.get("kinds", "")
        if not isinstance(kinds, str):
            raise BadCall("kinds", f"kinds is {kinds!r}", "kinds of workers: 'crm, website'")
        given = {n: v for n, v in arguments.items() if n not in ("slots", "kinds")}
        return cls(Limits(kinds=tuple(re.findall(r"[^\s,]+", kinds)), **given))

    def output_columns(self) -> list[tuple[str, Type]]:
        return [(name, parse_type(declared)) for name, declared in GIVES.items()]

    def new_state(self, key: str, pieces: Mapping[str, dict[str, Any]]) -> KeyState:
        return Orchestrator(key, pieces, self.limits)
