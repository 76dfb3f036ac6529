"""Objectives and results of one key in, commands and one answer to each objective out.

The state of an orchestrator: an objective's plan becomes commands, each is awaited, given again
when it failed or was not answered in time, planned anew, or told as missing; then the objective is
answered, once. What is late, comes twice or is about something cancelled changes nothing. Topics
are ordered, among each other they are not: a result or a cancellation may come before its
objective, as it does when topics are read again from their beginning, and waits for it then.

A node of a tree is an orchestrator whose objective is a command of another one: its answer is that
one's result. So the objective's headers carry what must hold in the whole tree (`hops`, `budget`).
"""

import heapq
from collections.abc import Iterable, Mapping
from typing import Any

from udfs.core.commands import (
    BUDGET,
    DONE,
    FAILED,
    HOPS,
    MEMBERS,
    MISSING_MOST,
    PLAN_STEP,
    REASON_CHARACTERS,
    RESULT_BYTES,
    STATES,
    STEP_IS,
    BadPlan,
    Command,
    Json,
    Limits,
    command_place,
    for_members,
    is_step,
    number,
    objective_id,
    parsed,
    planned,
    positive,
    read_event,
    result_text,
    too_large,
)
from udfs.core.fold import BadEvent, Emitted
from udfs.core.objective import Objective, answer_row, command_piece, command_row

KINDS = "objective, result, cancelled, joined, left"
# What no second attempt mends.
FINAL = ("member_left", "no_members", "hops", "fan_out", "cancelled", "oversize")


class Orchestrator:
    """The state of one key, in pieces: `m/NAME` a member, `o/ID` an objective, `c/ID/STEP` a
    command of one, `e/ID/…` what came too early for one."""

    __slots__ = ("_changed", "_due", "key", "limits", "members", "objectives")

    def __init__(
        self, key: str, pieces: Mapping[str, Json] | None = None, limits: Limits | None = None
    ) -> None:
        self.key, self.limits = key, limits or Limits()
        self.members: dict[str, Json] = {}
        self.objectives: dict[str, Objective] = {}
        self._changed: dict[str, Json | None] = {}
        self._due: list[tuple[int, str, str]] = []  # a heap of objective and step, "" for its own
        parts: list[tuple[str, str, Json]] = []
        for name, piece in (pieces or {}).items():
            prefix, _, rest = name.partition("/")
            if prefix == "m":
                self.members[rest] = piece
            elif prefix == "o":
                self.objectives[rest] = Objective.of(rest, piece)
            else:
                parts.append((prefix, rest, piece))
        for prefix, rest, piece in sorted(parts, key=lambda part: part[2]["place"]):
            found, _, step = rest.rpartition("/")
            if prefix == "c":
                self.objectives[found].restore(step, piece)
            else:
                self.objectives[found].early[step] = piece["event"]
        for objective in self.objectives.values():
            for due_ms, step in objective.moments():
                heapq.heappush(self._due, (due_ms, objective.id, step))

    @property
    def gone(self) -> bool:
        return not self.members and not self.objectives

    @property
    def due_ms(self) -> int | None:
        while self._due and not self._holds(*self._due[0]):
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else None

    def _holds(self, due_ms: int, name: str, step: str) -> bool:
        objective = self.objectives.get(name)
        return objective is not None and objective.moment(step) == due_ms

    def changed_pieces(self) -> dict[str, Json | None]:
        changed, self._changed = self._changed, {}
        return changed

    def take(self, row: Json, headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        """What an event makes the orchestrator say. Raises BadEvent."""
        event, kind = read_event(row.get("event")), row.get("kind")
        if kind == "objective":
            return self._objective(event, headers, now_ms)
        if kind == "result":
            return self._result(event, now_ms)
        if kind == "cancelled":
            return self._cancelled(objective_id(event, 1), now_ms)
        if kind in ("joined", "left"):
            return self._membership(kind, event, now_ms)
        raise BadEvent("unknown_kind", f"kind is {kind!r}; an orchestrator hears of {KINDS}")

    def wake(self, now_ms: int) -> list[Emitted]:
        """What time makes it say: attempts that were not answered, a deadline, what to forget."""
        emitted: list[Emitted] = []
        while (due_ms := self.due_ms) is not None and due_ms <= now_ms:
            _, name, step = heapq.heappop(self._due)
            objective = self.objectives[name]
            if step:
                reason = f"no result within {self._timeout_s(objective)} s"
                emitted += self._failed(objective, objective.commands[step], reason, now_ms)
            elif objective.open:
                emitted += self._end(objective, now_ms, "deadline")
            else:
                self._forget(objective)
        return emitted

    def _objective(self, event: Json, headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        hops = number(headers, HOPS, 0)
        name = objective_id(event, hops)
        known = self.objectives.get(name)
        attempt = positive(event.get("attempt"), 1)
        if known is not None and known.state != "expected":
            if not known.same(event):
                raise BadEvent("objective_conflict", f"{name} came before with another input")
            if attempt <= known.attempt:
                return []
            known.attempt = attempt
            self._store(known)
            if known.open:
                return []
        budget = number(headers, BUDGET, self.limits.commands)
        objective = Objective.new(name, event, headers, hops, budget)
        objective.attempt = objective.run = attempt
        if known is not None:
            objective.early, known.early = known.early, {}
        given_s = positive(event.get("deadline_s"), 2 * self.limits.deadline_s)
        objective.deadline_s = min(self.limits.deadline_s, _shorter(given_s))
        objective.due_ms = now_ms + objective.deadline_s * 1000
        self.objectives[name] = objective
        self._store(objective)
        if known is not None and known.cancelled:
            return self._end(objective, now_ms, "cancelled")
        if hops >= self.limits.hops:
            return self._end(objective, now_ms, f"hops: {hops} objectives stand above this one")
        return self._begin(objective, event.get("commands"), now_ms)

    def _begin(self, objective: Objective, given: Any, now_ms: int) -> list[Emitted]:
        """Follow the plan that came, make one of the members, or ask for one."""
        plan = self.limits.plan
        if too_large(objective.input):
            return self._end(objective, now_ms, f"oversize: more than {RESULT_BYTES:,} bytes")
        try:
            if given is not None or plan is None:
                commands = self._planned(objective, given, ())
            elif plan == MEMBERS:
                commands = for_members(self.members, objective.input, self._most(objective))
            else:
                return self._ask(objective, now_ms)
        except BadPlan as bad:
            return self._end(objective, now_ms, f"{bad.reason}: {bad}")
        return self._give(objective, commands, now_ms)

    def _planned(self, objective: Objective, plan: Any, taken: Iterable[str]) -> list[Command]:
        """The commands of a plan. Raises BadPlan."""
        most, kinds = self._most(objective), self.limits.kinds
        return planned(plan, taken, max(1, objective.rounds), most, objective.input, kinds)

    def _most(self, objective: Objective) -> int:
        return min(self.limits.fan_out, objective.budget) - objective.given

    def _ask(self, objective: Objective, now_ms: int) -> list[Emitted]:
        """A command whose result is a plan."""
        objective.rounds += 1
        asked = {
            "objective": objective.input,
            "members": [{"member": n, **about} for n, about in sorted(self.members.items())],
            "done": [c.step for c in objective.commands.values() if c.result is not None],
            "missing": objective.missing(settled=True),
        }
        assert self.limits.plan
        command = Command(f"plan-{objective.rounds}", self.limits.plan, asked)
        return self._give(objective, [command], now_ms)

    def _give(self, objective: Objective, commands: list[Command], now_ms: int) -> list[Emitted]:
        """Publish commands for the first time."""
        work = [one for one in commands if not PLAN_STEP.fullmatch(one.step)]
        share = (objective.budget - objective.given - len(work)) // max(1, len(work))
        objective.given += len(work)
        emitted = []
        for command in commands:
            command.budget = max(0, share)
            command.attempt = (objective.run - 1) * self.limits.attempts + 1
            objective.add(command)
            emitted.append(self._send(objective, command, now_ms))
        self._store(objective)
        for event in self._taken_early(objective):
            emitted += self._result(event, now_ms)
        return emitted

    def _taken_early(self, objective: Objective) -> list[Json]:
        """What came early, in its order; what is still too early is kept again."""
        early, objective.early = objective.early, {}
        self._changed |= {f"e/{objective.id}/{place}": None for place in early}
        return list(early.values())

    def _send(self, objective: Objective, command: Command, now_ms: int) -> Emitted:
        timeout_s = self._timeout_s(objective)
        command.due_ms = now_ms + timeout_s * 1000
        self._keep(objective, command)
        heapq.heappush(self._due, (command.due_ms, objective.id, command.step))
        return command_row("command", self.key, objective, command, timeout_s)

    def _timeout_s(self, objective: Objective) -> int:
        """Of each attempt: such that all of them end before the objective's own deadline."""
        return min(self.limits.timeout_s, _shorter(objective.deadline_s, self.limits.attempts))

    def _result(self, event: Json, now_ms: int) -> list[Emitted]:
        name, step = command_place(event)
        said = event.get("status")
        status = STATES.get(said) if isinstance(said, str) else None
        if status is None:
            raise BadEvent("unknown_status", f"status is {said!r}; one of {', '.join(STATES)}")
        objective = self.objectives.get(name)
        command = objective.commands.get(step) if objective is not None else None
        if objective is None or (command is None and objective.state in ("open", "expected")):
            return self._early(name, event, now_ms)
        attempt = positive(event.get("attempt"), 1)
        if command is None or not objective.open or command.state == DONE:
            return []  # late, or the second result
        if status == FAILED:
            if not command.open or attempt < command.attempt:
                return []  # of an attempt that was given up
            reason = str(event.get("reason") or event.get("status"))[:REASON_CHARACTERS]
            return self._failed(objective, command, reason, now_ms)
        result = result_text(event.get("result"))
        if too_large(result):
            reason = f"oversize: the result has more than {RESULT_BYTES:,} bytes"
            return self._failed(objective, command, reason, now_ms)
        return self._done(objective, command, result, event.get("missing"), now_ms)

    def _early(self, name: str, event: Json, now_ms: int) -> list[Emitted]:
        """Keep what is about an objective or a command that has not come yet."""
        objective = self._expected(name, now_ms)
        step, attempt = event["command_id"].rpartition("/")[2], positive(event.get("attempt"), 1)
        place = f"{step}#{attempt}{event['status']}"
        if place not in objective.early and len(objective.early) < self._early_most:
            objective.early[place] = event
            piece = {"event": event, "place": len(objective.early)}
            self._changed[f"e/{name}/{place}"] = piece
            self._store(objective)
        return []

    @property
    def _early_most(self) -> int:
        return self.limits.fan_out * self.limits.attempts

    def _expected(self, name: str, now_ms: int) -> Objective:
        found = self.objectives.get(name)
        if found is None:
            found = self.objectives[name] = Objective(name)
            found.due_ms = now_ms + self.limits.keep_s * 1000
        return found

    def _done(
        self, objective: Objective, command: Command, result: str, missing: Any, now_ms: int
    ) -> list[Emitted]:
        if PLAN_STEP.fullmatch(command.step):
            taken = objective.commands
            try:
                plan = self._planned(objective, result, taken)
            except BadPlan as bad:
                return self._failed(objective, command, f"{bad.reason}: {bad}", now_ms)
            objective.settle(command, DONE)
            self._keep(objective, command)
            return [*self._give(objective, plan, now_ms), *self._checked(objective, now_ms)]
        command.result, command.reason = result, None
        parts = parsed(missing)
        if isinstance(parts, list):
            told = [part for part in parts if isinstance(part, dict)]
            command.missing = told[:MISSING_MOST]
        objective.settle(command, DONE)
        self._keep(objective, command)
        return self._checked(objective, now_ms)

    def _failed(
        self, objective: Objective, command: Command, reason: str, now_ms: int
    ) -> list[Emitted]:
        """Give it again, plan anew, or let it be missing."""
        command.reason = reason
        final = reason.startswith(FINAL) and not PLAN_STEP.fullmatch(command.step)
        if command.attempt < objective.run * self.limits.attempts and not final:
            command.attempt += 1
            return [self._send(objective, command, now_ms)]
        objective.settle(command, FAILED)
        self._keep(objective, command)
        emitted: list[Emitted] = []
        if self._may_replan(objective, command):
            emitted = self._ask(objective, now_ms)
        return emitted + self._checked(objective, now_ms)

    def _may_replan(self, objective: Objective, command: Command) -> bool:
        asks = self.limits.plan not in (None, MEMBERS) and not PLAN_STEP.fullmatch(command.step)
        planning = any(c.open for s, c in objective.commands.items() if PLAN_STEP.fullmatch(s))
        used = objective.rounds - (1 if "plan-1" in objective.commands else 0)
        return bool(asks) and not planning and used < self.limits.replans

    def _checked(self, objective: Objective, now_ms: int) -> list[Emitted]:
        return [] if objective.awaited or not objective.open else self._end(objective, now_ms)

    def _end(self, objective: Objective, now_ms: int, reason: str | None = None) -> list[Emitted]:
        """Answer. What is still at work is cancelled, and from here on only its end is known."""
        emitted = [
            command_row("cancelled", self.key, objective, command, self._timeout_s(objective))
            for command in objective.commands.values()
            if command.open
        ]
        self._taken_early(objective)
        for command in objective.commands.values():
            self._changed[f"c/{objective.id}/{command.step}"] = None
            if command.open:
                command.reason = reason or "cancelled"
        answer = answer_row(self.key, objective, reason)
        objective.close(answer.values["status"], now_ms + self.limits.keep_s * 1000)
        self._store(objective)
        return [*emitted, answer]

    def _cancelled(self, name: str, now_ms: int) -> list[Emitted]:
        objective = self._expected(name, now_ms)
        if objective.open:
            return self._end(objective, now_ms, "cancelled")
        if objective.state == "expected":
            objective.cancelled = True
            self._store(objective)
        return []

    def _membership(self, kind: str, event: Json, now_ms: int) -> list[Emitted]:
        name = event.get("member")
        if not isinstance(name, str) or not is_step(name):
            raise BadEvent("no_member", f"member is {name!r}; a member's name is {STEP_IS}")
        if kind == "joined":
            worker_kind = event.get("kind")
            if not isinstance(worker_kind, str) or not worker_kind:
                raise BadEvent("no_kind", f"{name} joined without a kind of worker")
            if self.limits.kinds and worker_kind not in self.limits.kinds:
                what = f"{name} joined as {worker_kind!r}; there are {', '.join(self.limits.kinds)}"
                raise BadEvent("unknown_kind", what)
            self.members[name] = {"kind": worker_kind, "about": event.get("about")}
            self._changed[f"m/{name}"] = self.members[name]
            return []
        if self.members.pop(name, None) is not None:
            self._changed[f"m/{name}"] = None
        emitted: list[Emitted] = []
        for objective in [one for one in self.objectives.values() if one.open]:
            for command in [c for c in objective.commands.values() if c.worker == name and c.open]:
                if objective.open:
                    emitted += self._failed(objective, command, "member_left", now_ms)
        return emitted

    def _store(self, objective: Objective) -> None:
        self._changed[f"o/{objective.id}"] = objective.piece()
        heapq.heappush(self._due, (objective.due_ms, objective.id, ""))

    def _keep(self, objective: Objective, command: Command) -> None:
        self._changed[f"c/{objective.id}/{command.step}"] = command_piece(command)

    def _forget(self, objective: Objective) -> None:
        del self.objectives[objective.id]
        self._changed |= {f"e/{objective.id}/{place}": None for place in objective.early}
        self._changed[f"o/{objective.id}"] = None


def _shorter(seconds: int, times: int = 1) -> int:
    """A time that, so many times, leaves a tenth for the way up."""
    return max(1, seconds * 9 // (10 * times))
