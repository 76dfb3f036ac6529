"""Events of an orchestrator as JSON in, checked plans and their commands out.

A plan is a list of commands, made by SQL, by an agent or from who is there. Names:

    objective   what is wanted; its id is a path: `root/step/step` is a sub-objective
    command     one step of an objective, for a kind of worker; its id is `<objective_id>/<step>`
    attempt     how often a command was given; a result says which one it answers
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from udfs.core import events
from udfs.core.fold import BadEvent
from udfs.core.slot import compact

Json = dict[str, Any]

ID_CHARACTERS = 512
DEPTH_MOST = 100
MISSING_MOST = 1_000
REASON_CHARACTERS = 500
RESULT_BYTES = 200_000
ANSWER_BYTES = 900_000  # of all results in one answer; a record may have 1 MiB
DONE, FAILED = "done", "failed"
# What a worker or a node says of a command → what the command is then.
STATES = {DONE: DONE, "complete": DONE, "partial": DONE, FAILED: FAILED, "cancelled": FAILED}
HOPS, BUDGET = "hops", "budget"
PLAN_STEP = re.compile(r"plan-[0-9]+")
_STEP = re.compile(r"[A-Za-z0-9_.:-]{1,80}")
STEP_IS = "up to 80 letters, digits and _ . : -, not plan-N"
_DIGITS = re.compile(r"[0-9]{1,9}")


class BadPlan(ValueError):
    """A plan that cannot be followed: a reason code and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Limits:
    """What an orchestrator may do. `plan` is the kind of the command that asks for a plan, or
    `members` for one command to each member; None where objectives bring their commands."""

    plan: str | None = None
    kinds: tuple[str, ...] = ()  # of workers that there are; any where none are named
    attempts: int = 3  # of each command
    timeout_s: int = 60  # of each attempt
    deadline_s: int = 600  # of an objective
    fan_out: int = 1_000  # commands of an objective
    hops: int = 8  # sub-objectives below one another
    commands: int = 10_000  # of an objective and all that is below it
    replans: int = 1  # where `plan` asks somebody
    keep_s: int = 600  # how long an answered objective is known, so that what is late is a no-op


MEMBERS = "members"


@dataclass
class Command:
    """One step and what became of it. Times in milliseconds since the epoch."""

    step: str
    kind: str
    input: Any = None
    worker: str | None = None
    replaces: str | None = None
    attempt: int = 1
    state: str = "sent"  # done, failed
    due_ms: int = 0
    place: int = 0  # among the objective's commands
    budget: int = 0  # commands that a sub-objective may give
    result: str | None = None  # JSON
    missing: list[Json] | None = None  # of a part of the result
    reason: str | None = None

    @property
    def open(self) -> bool:
        return self.state == "sent"


def read_event(text: str | None) -> Json:
    """The event of a row. Raises BadEvent."""
    try:
        event = _loads(text or "")
    except (ValueError, RecursionError) as error:
        raise BadEvent("invalid_event", f"the event is no JSON that we take: {error}") from None
    if not isinstance(event, dict):
        raise BadEvent("invalid_event", "the event is no JSON object")
    return event


def _loads(text: str) -> Any:
    """JSON that can be written again, too. Raises ValueError, RecursionError.

    Half of a surrogate pair stands in no UTF-8, and what is nested deeper than this could be read
    where it cannot be written.
    """
    value = json.loads(text)
    if text.count("[") + text.count("{") > DEPTH_MOST and _deeper(value, DEPTH_MOST):
        raise ValueError(f"it is nested more than {DEPTH_MOST} deep")
    if "\\ud" in text or "\\uD" in text:
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _deeper(value: Any, most: int) -> bool:
    level = [value]
    for _ in range(most):
        inner: list[Any] = []
        for one in level:
            inner += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        level = inner
    return bool(level)


def objective_id(event: Mapping[str, Any], hops: int) -> str:
    """The objective that an event is about. Raises BadEvent."""
    found = event.get("objective_id")
    if not isinstance(found, str) or not 0 < len(found) <= ID_CHARACTERS:
        raise BadEvent("no_objective", "the event names no objective_id of 1 to 512 characters")
    if not hops and "/" in found:
        what = f"objective_id {found!r} has a /, which only ids of sub-objectives have"
        raise BadEvent("bad_objective_id", what)
    return found


def command_place(event: Mapping[str, Any]) -> tuple[str, str]:
    """Objective and step of a result. Raises BadEvent."""
    found = event.get("command_id")
    objective, slash, step = found.rpartition("/") if isinstance(found, str) else ("", "", "")
    if not slash or not objective or not step or len(step) > 100:
        raise BadEvent("no_command", f"the result names no command: command_id is {found!r}")
    return objective, step


def number(headers: Mapping[str, bytes], name: str, otherwise: int) -> int:
    """A count that came with the headers; junk counts as none."""
    value = events.text(headers, name) or ""
    return int(value) if _DIGITS.fullmatch(value) else otherwise


def positive(value: Any, otherwise: int) -> int:
    """A whole number from 1 on that an INT holds, or what else holds."""
    right = isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**31
    return value if right else otherwise


def parsed(value: Any) -> Any:
    """Text that is a JSON object or array as what it says; all else as it is."""
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return _loads(value)
        except (ValueError, RecursionError):
            return value
    return value


def result_text(value: Any) -> str:
    """A worker's result as JSON text: text that is JSON stays, all other text becomes a string."""
    if isinstance(value, str):
        try:
            _loads(value)
        except (ValueError, RecursionError):
            return json.dumps(value, ensure_ascii=False)
        return value
    return as_text(value)


def too_large(value: Any) -> bool:
    """Whether a value is more than one command, or one result, may carry."""
    text = value if isinstance(value, str) else as_text(value)
    return len(text) > RESULT_BYTES or len(text.encode("utf-8", "replace")) > RESULT_BYTES


def as_text(value: Any) -> str:
    """A value as JSON text; text that is JSON already stays as it is."""
    if isinstance(value, str) and parsed(value) is not value:
        return value
    return compact(value)


def planned(
    given: Any,
    taken: Iterable[str],
    round_: int,
    most: int,
    wanted: Any = None,
    kinds: Collection[str] = (),
) -> list[Command]:
    """The commands of a plan, checked. Raises BadPlan.

    A command is an object, or just the kind of its worker; without an input of its own it gets
    what is `wanted`. A step named like one of an earlier round stands in for it, and gets the
    round's number behind it.
    """
    given = parsed(given)
    if isinstance(given, dict):
        given = parsed(given.get("commands"))
    if not isinstance(given, list) or not given:
        raise BadPlan("empty_plan", "the plan has no commands")
    if len(given) > most:
        raise BadPlan("fan_out", f"the plan has {len(given)} commands, and {most} are allowed here")
    known = set(taken)
    commands: dict[str, Command] = {}
    for place, one in enumerate(given, start=1):
        command = _command(one, place, wanted)
        if kinds and command.kind not in kinds:
            what = f"nobody is a {command.kind[:100]!r}; there are {', '.join(kinds)}"
            raise BadPlan("unknown_kind", what)
        if command.step in known:
            command.replaces = command.replaces or command.step
            command.step = f"{command.step}.{round_}"
        if command.step in known or command.step in commands:
            raise BadPlan("double_step", f"two commands of the plan are the step {command.step}")
        commands[command.step] = command
    return list(commands.values())


def _command(one: Any, place: int, wanted: Any) -> Command:
    one = parsed(one)
    if isinstance(one, str):
        one = {"kind": one, "step": one}
    if not isinstance(one, dict) or not isinstance(one.get("kind"), str) or not one["kind"]:
        raise BadPlan("bad_command", f"command {place} of the plan names no kind of worker")
    step = str(one.get("step") or place)
    if not is_step(step):
        raise BadPlan("bad_step", f"step {step[:100]!r} is no name: {STEP_IS}")
    worker, replaces = one.get("worker"), one.get("replaces")
    return Command(
        step=step,
        kind=one["kind"],
        input=wanted if one.get("input") is None else parsed(one["input"]),
        worker=worker if isinstance(worker, str) else None,
        replaces=replaces if isinstance(replaces, str) else None,
    )


def is_step(name: str) -> bool:
    """Whether a command's id can end so."""
    return _STEP.fullmatch(name) is not None and PLAN_STEP.fullmatch(name) is None


def for_members(members: Mapping[str, Json], wanted: Any, most: int) -> list[Command]:
    """One command to each member, in the order of their names. Raises BadPlan."""
    if not members:
        raise BadPlan("no_members", "nobody has joined whom the objective could be given to")
    shared = wanted if isinstance(wanted, dict) else {"objective": wanted}
    commands = [
        {
            "step": name,
            "kind": member["kind"],
            "worker": name,
            "input": {**shared, "about": member.get("about")},
        }
        for name, member in sorted(members.items())
    ]
    return planned(commands, (), 1, most)
