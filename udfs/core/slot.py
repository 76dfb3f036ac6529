"""Events of one slot in, which of them may run now out; all that must survive goes through a store.

A keyed function's Flink key is a *slot*, `hash(partition key) % slots`, because PyFlink commits
state with one blocking round trip per dirty key and bundle. Under the slot one map holds
everything, by prefix:

    q/<sequence>       a pending event: partition key, row and headers, in arrival order
    s/<generation>/<id>  an event id that was seen, with a hash of its content
    m/<partition key>  short-term memory of that key

The store is Flink's MapState; in tests a dictionary. Pending events and seen ids are mirrored
here, so that a hot path never reads state; memory is read when a run starts.
Values begin with a version byte: what version n wrote, n + 1 reads.
"""

import base64
import hashlib
import heapq
import json
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from udfs.core import events

VERSION = b"\x01"
# One encoder for all: to make one costs more than most documents that it is given.
compact = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
SEEN_PER_GENERATION = 20_000
CONFLICT = "an event with this ce_id came before with other content; give it another id"


class Store(Protocol):
    """The part of Flink's MapState that a slot needs."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, value: bytes) -> None: ...
    def remove(self, key: str) -> None: ...
    def items(self) -> Iterable[tuple[str, bytes]]: ...


@dataclass
class Entry:
    """A pending event. `row` has plain values, without headers and time columns."""

    sequence: int
    key: str
    row: dict[str, Any]
    headers: dict[str, bytes]
    arrived_ms: int
    value: Any = None
    in_flight: bool = False


def known_by(
    key: str, row: Mapping[str, Any], headers: Mapping[str, bytes], times: Collection[str]
) -> tuple[str, bytes]:
    """What an event is known by: its id and attempt, and a hash of its content. Columns of `times`
    are none of it, for Kafka stamps a repeat anew."""
    content = {name: value for name, value in row.items() if name not in times}
    identity = f"{events.text(headers, 'ce_id') or ''}#{events.attempt(headers)}"
    return identity, hashlib.sha256(json.dumps([key, content], sort_keys=True).encode()).digest()[
        :8
    ]


def encode(document: Any) -> bytes:
    """A JSON document as versioned bytes."""
    return VERSION + compact(document).encode()


def decode(stored: bytes) -> Any:
    """What `encode` wrote. Raises ValueError for a version of the future."""
    if stored[:1] != VERSION:
        raise ValueError(
            f"state has version {stored[0]}, this code reads {VERSION[0]}: "
            "the savepoint is newer than the job; submit the newer code"
        )
    return json.loads(stored[1:])


@dataclass(frozen=True)
class MemoryPolicy:
    """How many events a partition key remembers, and for how long."""

    events: int
    max_age_ms: int


@dataclass
class Slot:
    """The state of one slot. `now_ms` is always the caller's clock."""

    store: Store
    due_ms: Callable[[Entry], int] = lambda entry: 0
    memory_policy: MemoryPolicy | None = None
    seen_per_generation: int = SEEN_PER_GENERATION
    in_flight: int = 0
    pending: dict[int, Entry] = field(default_factory=dict)
    _queues: dict[str, deque[int]] = field(default_factory=dict)
    _ready: deque[int] = field(default_factory=deque)
    _scheduled: list[tuple[int, int]] = field(default_factory=list)
    _seen: list[dict[str, bytes]] = field(default_factory=lambda: [{}, {}])
    _generation: int = 0
    _sequence: int = 0
    _swept_ms: int = 0

    def load(self) -> "Slot":
        """Read everything back, once after a start or a restore."""
        seen: dict[int, dict[str, bytes]] = {}
        entries = []
        for name, stored in self.store.items():
            prefix, _, rest = name.partition("/")
            if prefix == "q":
                entries.append(self._entry(int(rest), stored))
            elif prefix == "s":
                generation, _, identity = rest.partition("/")
                seen.setdefault(int(generation), {})[identity] = bytes(stored)
        for entry in sorted(entries, key=lambda e: e.sequence):
            self._enqueue(entry)
        self._sequence = max(self.pending, default=-1) + 1
        if seen:
            self._generation = max(seen)
            self._seen = [seen.get(self._generation, {}), seen.get(self._generation - 1, {})]
        return self

    def _entry(self, sequence: int, stored: bytes) -> Entry:
        document = decode(bytes(stored))
        headers = {k: base64.b64decode(v) for k, v in document["headers"].items()}
        return Entry(sequence, document["key"], document["row"], headers, document["arrived_ms"])

    def _enqueue(self, entry: Entry) -> None:
        self.pending[entry.sequence] = entry
        queue = self._queues.setdefault(entry.key, deque())
        queue.append(entry.sequence)
        if len(queue) == 1:
            self._line_up(entry)

    def _line_up(self, entry: Entry) -> None:
        due_ms = self.due_ms(entry)
        if due_ms > entry.arrived_ms:
            heapq.heappush(self._scheduled, (due_ms, entry.sequence))
        else:
            self._ready.append(entry.sequence)

    def seen(self, identity: str, content: bytes) -> str:
        """`new`, `repeat`, or `conflict` for a known id with other content. Remembers a new one."""
        for generation in self._seen:
            if identity in generation:
                return "repeat" if generation[identity] == content else "conflict"
        if len(self._seen[0]) >= self.seen_per_generation:
            self._rotate()
        self._seen[0][identity] = content
        self.store.put(f"s/{self._generation}/{identity}", content)
        return "new"

    def _rotate(self) -> None:
        for identity in self._seen[1]:
            self.store.remove(f"s/{self._generation - 1}/{identity}")
        self._generation += 1
        self._seen = [{}, self._seen[0]]

    def add(
        self, key: str, row: dict[str, Any], headers: dict[str, bytes], now_ms: int, value: Any
    ) -> Entry:
        """Queue an event behind the others of its partition key."""
        entry = Entry(self._sequence, key, row, headers, now_ms, value)
        self._sequence += 1
        document = {
            "key": key,
            "row": row,
            "headers": {k: base64.b64encode(v).decode() for k, v in headers.items()},
            "arrived_ms": now_ms,
        }
        self.store.put(f"q/{entry.sequence}", encode(document))
        self._enqueue(entry)
        return entry

    def next_ready(self, now_ms: int, *, all_due: bool = False) -> Entry | None:
        """The next event to start: its key has none in flight and its time has come.

        `all_due` is for the end of bounded input, when no later time will come.
        """
        while self._scheduled and (all_due or self._scheduled[0][0] <= now_ms):
            self._ready.append(heapq.heappop(self._scheduled)[1])
        return self.pending[self._ready.popleft()] if self._ready else None

    @property
    def next_due_ms(self) -> int | None:
        """When the earliest of the scheduled events is due."""
        return self._scheduled[0][0] if self._scheduled else None

    @property
    def ready(self) -> int:
        """Events that may start now."""
        return len(self._ready)

    @property
    def scheduled(self) -> int:
        """Events whose time has not come."""
        return len(self._scheduled)

    def start(self, entry: Entry) -> None:
        """This event is in flight now."""
        entry.in_flight = True
        self.in_flight += 1

    def finish(self, sequence: int) -> Entry:
        """This event is done: forget it, and let the next of its key come."""
        entry = self.pending.pop(sequence)
        if entry.in_flight:
            self.in_flight -= 1
        queue = self._queues[entry.key]
        queue.popleft()
        if queue:
            self._line_up(self.pending[queue[0]])
        else:
            del self._queues[entry.key]
        self.store.remove(f"q/{sequence}")
        return entry

    def withdraw(self, key: str, matching: Mapping[str, Any]) -> int:
        """Forget the events of a key that wait and have these values; how many. What is in flight
        ends as it would."""
        queue = self._queues.get(key, deque())
        gone = [s for s in queue if not self.pending[s].in_flight and self._has(s, matching)]
        for sequence in gone:
            if queue[0] == sequence:
                self._ready = deque(s for s in self._ready if s != sequence)
                self._scheduled = [one for one in self._scheduled if one[1] != sequence]
                heapq.heapify(self._scheduled)
                if len(queue) > 1:
                    self._line_up(self.pending[queue[1]])
            queue.remove(sequence)
            del self.pending[sequence]
            self.store.remove(f"q/{sequence}")
        if gone and not queue:
            del self._queues[key]
        return len(gone)

    def _has(self, sequence: int, matching: Mapping[str, Any]) -> bool:
        row = self.pending[sequence].row
        return all(row.get(name) == value for name, value in matching.items())

    def recall(self, key: str, now_ms: int) -> list[dict[str, Any]]:
        """What this partition key remembers, oldest first."""
        if not self.memory_policy:
            return []
        stored = self.store.get(f"m/{key}")
        events = decode(bytes(stored)) if stored else []
        return [e["event"] for e in events if now_ms - e["at_ms"] <= self.memory_policy.max_age_ms]

    def remember(self, key: str, event: dict[str, Any], now_ms: int) -> None:
        """Add an event to the memory of a partition key, and let the oldest go."""
        if not self.memory_policy:
            return
        self._sweep(now_ms)
        stored = self.store.get(f"m/{key}")
        oldest_ms = now_ms - self.memory_policy.max_age_ms
        kept = [e for e in (decode(bytes(stored)) if stored else []) if e["at_ms"] >= oldest_ms]
        kept.append({"event": event, "at_ms": now_ms})
        self.store.put(f"m/{key}", encode(kept[-self.memory_policy.events :]))

    def _sweep(self, now_ms: int) -> None:
        """Twice per age limit, drop the memory of keys that have not been heard of since."""
        assert self.memory_policy
        if now_ms - self._swept_ms < self.memory_policy.max_age_ms // 2:
            return
        self._swept_ms = now_ms
        stale = [
            name
            for name, stored in self.store.items()
            if name.startswith("m/")
            and now_ms - decode(bytes(stored))[-1]["at_ms"] > self.memory_policy.max_age_ms
        ]
        for name in stale:
            self.store.remove(name)
