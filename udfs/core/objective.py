"""One objective: its commands and what became of them in, its rows and its stored pieces out."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from udfs.core.commands import (
    ANSWER_BYTES,
    BUDGET,
    HOPS,
    ID_CHARACTERS,
    MISSING_MOST,
    PLAN_STEP,
    REASON_CHARACTERS,
    RESULT_BYTES,
    Command,
    Json,
    as_text,
    parsed,
)
from udfs.core.fold import Emitted
from udfs.core.slot import compact

_PIECE = (
    "input",
    "reply_to",
    "attempt",
    "state",
    "hops",
    "budget",
    "given",
    "rounds",
    "run",
    "digest",
    "deadline_s",
)


@dataclass(slots=True)
class Objective:
    """`state` is `expected` before it has come, `open`, or the status that it was answered with."""

    id: str
    input: Any = None
    reply_to: str | None = None
    attempt: int = 1  # the last that was heard of
    run: int = 1  # the attempt that is at work: numbers its commands' attempts on
    state: str = "expected"
    headers: dict[str, bytes] = field(default_factory=dict)
    hops: int = 0
    budget: int = 0
    given: int = 0
    rounds: int = 0  # of asking for a plan
    digest: str = ""
    deadline_s: int = 0
    due_ms: int = 0
    cancelled: bool = False
    commands: dict[str, Command] = field(default_factory=dict)
    awaited: int = 0
    early: dict[str, Json] = field(default_factory=dict)  # what came before what it is about

    @classmethod
    def new(
        cls, name: str, event: Json, headers: Mapping[str, bytes], hops: int, budget: int
    ) -> "Objective":
        reply_to = event.get("reply_to")
        return cls(
            id=name,
            input=parsed(event.get("input")),
            reply_to=reply_to if isinstance(reply_to, str) else None,
            state="open",
            headers=dict(headers),
            hops=hops,
            budget=budget,
            digest=_digest(event),
        )

    @classmethod
    def of(cls, name: str, piece: Json) -> "Objective":
        """As it was stored; what a later release has added is left out."""
        known = {f.name for f in fields(cls)} - {"id", "headers", "commands", "awaited", "early"}
        objective = cls(name, **{n: v for n, v in piece.items() if n in known})
        objective.headers = {n: base64.b64decode(v) for n, v in piece.get("headers", {}).items()}
        return objective

    def piece(self) -> Json:
        """What is stored of it, its commands apart."""
        piece: Json = {"state": self.state, "due_ms": self.due_ms, "attempt": self.attempt}
        if self.state == "open":
            piece |= {name: getattr(self, name) for name in _PIECE}
            piece["headers"] = {n: base64.b64encode(v).decode() for n, v in self.headers.items()}
        if self.digest:
            piece["digest"] = self.digest
        if self.cancelled:
            piece["cancelled"] = True
        return piece

    def restore(self, step: str, piece: Json) -> None:
        """Take a command back that was stored, in the order of their places."""
        known = {f.name for f in fields(Command)} - {"step"}
        self.add(Command(step, **{n: v for n, v in piece.items() if n in known}))

    @property
    def open(self) -> bool:
        return self.state == "open"

    def same(self, event: Json) -> bool:
        return self.digest == _digest(event)

    def add(self, command: Command) -> None:
        command.place = len(self.commands)
        self.commands[command.step] = command
        self.awaited += command.open

    def settle(self, command: Command, state: str) -> None:
        """The command waits for nothing any more."""
        self.awaited -= command.open
        command.state, command.due_ms = state, 0

    def moments(self) -> Iterator[tuple[int, str]]:
        """When something is due, and of which step; "" is the objective itself."""
        yield self.due_ms, ""
        yield from ((c.due_ms, c.step) for c in self.commands.values() if c.open)

    def moment(self, step: str) -> int | None:
        if not step:
            return self.due_ms
        command = self.commands.get(step)
        return command.due_ms if command is not None and command.open else None

    def close(self, status: str, forget_ms: int) -> None:
        self.state, self.due_ms = status, forget_ms
        self.commands, self.awaited = {}, 0
        self.headers, self.input = {}, None

    def missing(self, *, settled: bool = False) -> list[Json]:
        """The steps without a result, and why; what stands in for one that failed makes it good.

        `settled` leaves out those that are still at work.
        """
        found: list[Json] = []
        good = {c.replaces for c in self.commands.values() if c.state == "done" and c.replaces}
        for command in self.commands.values():
            if settled and command.open:
                continue
            planning = PLAN_STEP.fullmatch(command.step) is not None
            if command.state == "done":
                inner = command.missing or []
                found += [{**m, "step": f"{command.step}/{m.get('step')}"} for m in inner]
            elif command.step not in good and not (planning and self.given):
                found.append({"step": command.step, "reason": command.reason or "no result"})
        return found


def command_piece(command: Command) -> Json:
    """What is stored of a command."""
    return {n: v for n, v in vars(command).items() if v is not None and n != "step"}


def command_row(
    kind: str, orchestrator: str, objective: Objective, command: Command, timeout_s: int
) -> Emitted:
    """A command, or the word that it is cancelled: the same bytes each time that it is made."""
    values: Json = {
        "kind": kind,
        "objective_id": objective.id,
        "command_id": f"{objective.id}/{command.step}",
        "step": command.step,
        "worker_kind": command.kind,
        "worker": command.worker or command.step,
        "reply_to": orchestrator,
        "attempt": command.attempt,
        "input": as_text(command.input),
        "timeout_s": timeout_s,
    }
    headers = {
        **objective.headers,
        HOPS: str(objective.hops + 1).encode(),
        BUDGET: str(command.budget).encode(),
    }
    return Emitted(values, headers, f"{kind}/{command.step}#{command.attempt}")


def answer_row(orchestrator: str, objective: Objective, reason: str | None) -> Emitted:
    """The one answer. Results beyond what a record holds, or a result where the answer is one, are
    told as missing."""
    most = RESULT_BYTES if objective.reply_to else ANSWER_BYTES
    missing = objective.missing()
    parts: list[str] = []
    size = 0
    for command in objective.commands.values():
        if command.result is None:
            continue
        part = f"{json.dumps(command.step)}:{command.result}"
        size += len(compact(part).encode("utf-8", "replace"))  # as a string in a record
        if size > most:
            missing.append({"step": command.step, "reason": "oversize: the answer is full"})
        else:
            parts.append(part)
    if reason == "cancelled":
        status = "cancelled"
    elif not parts:
        status = "failed"
    else:
        status = "partial" if missing or reason else "complete"
    values: Json = {
        "kind": "answer",
        "objective_id": objective.id,
        "command_id": objective.id,
        "step": objective.id.rpartition("/")[2],
        "worker": orchestrator,
        "reply_to": objective.reply_to,
        "attempt": objective.attempt,
        "input": as_text(objective.input),
        "status": status,
        "result": "{" + ",".join(parts) + "}",
        "missing": [_told(one) for one in missing[:MISSING_MOST]],
        "reason": reason or next((_told(one)["reason"] for one in missing), None),
    }
    return Emitted(values, objective.headers, "answer")


def _told(missing: Json) -> Json:
    """A missing step as two texts, whatever a worker said."""
    step, reason = str(missing.get("step")), str(missing.get("reason") or "no result")
    return {"step": step[:ID_CHARACTERS], "reason": reason[:REASON_CHARACTERS]}


def _digest(event: Json) -> str:
    """What must be the same when an objective comes again."""
    content = [event.get("input"), event.get("commands")]
    text = json.dumps(content, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
