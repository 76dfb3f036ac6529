"""An orchestrator over a store, and workers whose results depend on the command alone."""

import json
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from udfs.core.commands import Limits
from udfs.core.fold import Emitted, Fold, KeyState
from udfs.core.orchestration import Orchestrator

Json = dict[str, Any]
Event = tuple[str, str, Json, dict[str, bytes]]  # key, kind, event, headers


class Map(dict[str, bytes]):
    """Flink's MapState over a dictionary that outlives it."""

    def __init__(self, kept: dict[str, bytes]) -> None:
        self._kept = kept

    def items(self) -> Any:
        return list(self._kept.items())

    def put(self, key: str, value: bytes) -> None:
        self._kept[key] = value

    def remove(self, key: str) -> None:
        self._kept.pop(key, None)


class World:
    """One slot of orchestrators, as the operator drives it. `said` is all that came out."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits, self.now_ms = limits or Limits(), 1_000
        self.store: dict[str, bytes] = {}
        self.said: list[Emitted] = []
        self.restart()

    def restart(self) -> None:
        """As from a checkpoint: everything that counts is in the store."""
        self.fold = Fold(Map(self.store), self._new).load()

    def _new(self, key: str, pieces: Mapping[str, Json]) -> KeyState:
        return Orchestrator(key, pieces, self.limits)

    def hear(self, event: Event) -> list[Emitted]:
        key, kind, content, headers = event
        row = {"kind": kind, "event": json.dumps(content)}
        said = self.fold.take(key, row, headers, self.now_ms)
        self.said += said
        return said

    def wait(self, seconds: float) -> list[Emitted]:
        self.now_ms += int(seconds * 1000)
        said = self.fold.wake(self.now_ms)
        self.said += said
        return said

    def rows(self, kind: str) -> list[Json]:
        return [one.values for one in self.said if one.values["kind"] == kind]

    @property
    def answers(self) -> list[Json]:
        return self.rows("answer")


def objective(name: str = "o", **event: Any) -> Event:
    headers = {"ce_id": f"ce-{name}-{event.get('attempt', 1)}".encode()}
    return name, "objective", {"objective_id": name, "input": {"of": name}, **event}, headers


def steps(*names: str, kind: str = "worker") -> list[Json]:
    return [{"step": name, "kind": kind, "input": {"n": name}} for name in names]


def result(command: Emitted | Json, status: str = "done", **event: Any) -> Event:
    row = command.values if isinstance(command, Emitted) else command
    told = {"command_id": row["command_id"], "attempt": row["attempt"], "status": status}
    given = {"result": {"of": row["step"]}} if status == "done" else {"reason": "broken"}
    return row["reply_to"], "result", {**told, **given, **event}, {"ce_id": b"r"}


def run(world: World, events: list[Event], work: Callable[[Json], Event | None]) -> list[Event]:
    """Hear events, let workers answer each command, until nobody says more; the results' log."""
    log: list[Event] = []
    waiting = deque(events)
    while waiting:
        event = waiting.popleft()
        for said in world.hear(event):
            if said.values["kind"] == "command" and (answer := work(said.values)):
                log.append(answer)
                waiting.append(answer)
    return log
