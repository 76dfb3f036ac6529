"""Events of one slot in, what the state of each key makes of them out, each event once.

A keyed function that holds state and may say nothing, or much, to an event is a fold: its state of
a key is an object that takes events and the passing of time. It is kept in pieces in the slot's
store (`udfs.core.slot`), beside the ids that were seen:

    k/["<key>","<piece>"]   a piece of that key's state
"""

import heapq
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from udfs.core.slot import Slot, Store, compact, decode, encode

Json = dict[str, Any]


@dataclass(frozen=True)
class Emitted:
    """One output row: own columns as plain values, the headers it descends from, and its place
    among their children, which makes its id."""

    values: Json
    headers: dict[str, bytes]
    index: int | str


class BadEvent(ValueError):
    """An event that a state can make nothing of: a reason code and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class KeyState(Protocol):
    """The state of one key. `take` raises BadEvent for an event that is none.

    A piece that has become None is forgotten; a key is, where `gone` says so.
    """

    @property
    def due_ms(self) -> int | None: ...
    def take(self, row: Json, headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]: ...
    def wake(self, now_ms: int) -> list[Emitted]: ...
    def changed_pieces(self) -> Mapping[str, Json | None]: ...
    @property
    def gone(self) -> bool: ...


@dataclass
class Fold:
    """The states of one slot's keys. `now_ms` is always the caller's clock."""

    store: Store
    new: Callable[[str, Mapping[str, Json]], KeyState]
    _slot: Slot = field(init=False)
    _states: dict[str, KeyState] = field(default_factory=dict)
    _due: list[tuple[int, str]] = field(default_factory=list)  # a heap; may hold what has changed

    def load(self) -> "Fold":
        """Read everything back, once after a start or a restore."""
        self._slot = Slot(self.store).load()
        pieces: dict[str, dict[str, Json]] = {}
        for name, stored in self.store.items():
            prefix, _, rest = name.partition("/")
            if prefix == "k":
                key, piece = json.loads(rest)
                pieces.setdefault(key, {})[piece] = decode(bytes(stored))
        self._states = {key: self.new(key, found) for key, found in pieces.items()}
        self._due = [(s.due_ms, key) for key, s in self._states.items() if s.due_ms is not None]
        heapq.heapify(self._due)
        return self

    def seen(self, identity: str, content: bytes) -> str:
        """`new`, `repeat` or `conflict`, as `Slot.seen`."""
        return self._slot.seen(identity, content)

    def take(self, key: str, row: Json, headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        """What a new event makes a key say. What its state raises leaves the state as it was."""
        state = self._states.get(key) or self.new(key, {})
        before = state.due_ms
        emitted = state.take(row, headers, now_ms)
        self._states[key] = state
        self._keep(key, state, before)
        return emitted

    def wake(self, now_ms: int) -> list[Emitted]:
        """What time makes the keys say whose moment has come."""
        emitted: list[Emitted] = []
        while self._due and self._due[0][0] <= now_ms:
            due_ms, key = heapq.heappop(self._due)
            state = self._states.get(key)
            if state is None or state.due_ms != due_ms:
                continue  # it was put off, and stands further behind
            emitted += state.wake(now_ms)
            self._keep(key, state, None)
        return emitted

    def end(self) -> Iterable[Emitted]:
        """Input has ended: no later time will come, so every moment has."""
        return self.wake(2**63)

    def _keep(self, key: str, state: KeyState, before: int | None) -> None:
        for piece, document in state.changed_pieces().items():
            name = "k/" + compact([key, piece])
            if document is None:
                self.store.remove(name)
            else:
                self.store.put(name, encode(document))
        if state.gone:
            self._states.pop(key, None)
        elif state.due_ms is not None and state.due_ms != before:
            heapq.heappush(self._due, (state.due_ms, key))
