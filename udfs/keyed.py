"""Events of one keyed view in, finished runs out: the operator under a keyed function that waits.

A continuation: `process_element` stores the event in keyed state, hands it to the function's own
process (`udfs.run_process`) and returns. Whoever is called next, an element or a timer, emits what
has finished. A slow run therefore holds no bundle, no checkpoint and no other event; a restore
starts again what was unfinished, and the journal or the ledger answers what was done since.
"""

import json
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from pyflink.common import Row, Types
from pyflink.datastream import KeyedCoProcessFunction
from pyflink.datastream.functions import RuntimeContext
from pyflink.datastream.state import MapStateDescriptor

from udfs import worker_process
from udfs.core import events
from udfs.core.slot import CONFLICT, Entry, Slot, known_by
from udfs.core.types import decode, plain, row_type
from udfs.flink_types import from_flink, to_flink
from udfs.keyed_function import Columns, KeyedFunction, Result
from udfs.runs import Runs
from udfs.side_outputs import dead_letter, dead_letters_tag, trace, traces_tag

HARVEST_MS = 10
PAUSE_S = 0.02
END_OF_TIME_MS = 2**63 - 2


class Continuation(KeyedCoProcessFunction):
    """Runs a KeyedFunction under slots. Inputs: rows of a partition key, then the view's columns;
    and heartbeats, rows of a slot, which make it go on while no event comes."""

    def __init__(
        self,
        function: KeyedFunction,
        columns: Columns,
        job: str,
        step: str,
        labels: Sequence[tuple[int, float]],
    ) -> None:
        """`labels` are the slots' Flink keys, each with its place among all key groups, 0 to 1."""
        self.function, self.columns, self.job, self.step = function, list(columns), job, step
        self.labels = list(labels)
        function.job, function.step = job, step
        self._times = {name for name, t in columns if t.kind == "TIMESTAMP_LTZ"}

    def open(self, runtime_context: RuntimeContext) -> None:
        self._state = runtime_context.get_map_state(
            MapStateDescriptor("slot", Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()))
        )
        self._backend = runtime_context._keyed_state_backend
        subtasks = runtime_context.get_number_of_parallel_subtasks()
        mine = runtime_context.get_index_of_this_subtask()
        self._own = [label for label, place in self.labels if int(place * subtasks) == mine]
        self._awake, self._timer_at_ms = False, END_OF_TIME_MS
        self._slots: dict[Any, Slot] = {}
        self._done: dict[Any, deque[tuple[int, Result]]] = {}
        self._tags = dead_letters_tag(), traces_tag()
        own = list(self.function.output_columns())
        self._input_type, self._own_type = row_type(self.columns), row_type(own)
        self._from_flink = from_flink(self._input_type)
        self._to_flink = to_flink(row_type([*self.columns, *own]))
        self._headers_at = [name for name, _ in self.columns].index("headers")
        worker_process.prepare()
        self._runs, self._is_open = Runs(self.function), True
        self._open_metrics(runtime_context)

    def _open_metrics(self, runtime_context: RuntimeContext) -> None:
        group = runtime_context.get_metrics_group()
        names = ("completed", "dead_letters", "repeats", "withdrawn", *self.function.counters)
        self._counters = {name: group.counter(name) for name in names}
        self._latency = group.distribution("run_ms")
        group.gauge("in_flight", lambda: self._runs.in_flight)
        group.gauge(
            "queued", lambda: sum(len(s.pending) - s.scheduled for s in self._slots.values())
        )
        group.gauge("scheduled", lambda: sum(s.scheduled for s in self._slots.values()))

    def close(self) -> None:
        if getattr(self, "_is_open", False):  # PyFlink may close twice, or what did not open
            self._is_open = False
            self._runs.close()

    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterator[Any]:
        yield from self._wake(ctx)
        slot = self._slot(ctx.get_current_key(), ctx)
        now_ms = int(time.time() * 1000)
        key, given = value[0], self._from_flink(list(value)[1:])
        headers = given[self._headers_at] or {}
        columns = zip(self.columns, given, strict=True)
        row = {name: plain(v, t) for (name, t), v in columns if name != "headers"}
        known = known_by(key, row, headers, self._times)
        verdict = slot.seen(*known) if headers.get("ce_id") else "new"
        if verdict == "repeat":
            self._counters["repeats"].inc()
        elif verdict == "conflict":
            entry = Entry(-1, key, row, headers, now_ms)
            yield self._dead_letter(entry, "id_conflict", CONFLICT)
        elif (matching := self.function.withdraws(row)) is not None:
            self._counters["withdrawn"].inc(slot.withdraw(key, matching))
        else:
            slot.add(key, row, headers, now_ms, given)
        self._collect()
        yield from self._advance(slot, ctx.get_current_key(), ctx)
        yield from self._hold_back(ctx)

    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterator[Any]:
        """A heartbeat. PyFlink registers the timers of the bundle that a barrier ends only after
        the snapshot, so restored slots may have work and no timer; this wakes them all the same.
        """
        yield from self._wake(ctx)

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield from self._wake(ctx)
        if timestamp >= END_OF_TIME_MS:
            yield from self._each(self._drain, ctx)
            return
        if timestamp >= self._timer_at_ms:
            self._timer_at_ms = END_OF_TIME_MS
        yield from self._advance_all(ctx)

    def _hold_back(self, ctx: Any) -> Iterator[Any]:
        """Back-pressure: take no event while too many wait, but keep no bundle for long either."""
        until_s = time.monotonic() + PAUSE_S
        while sum(s.ready for s in self._slots.values()) > self.function.queued:
            if time.monotonic() >= until_s:
                return
            time.sleep(HARVEST_MS / 1000)
            yield from self._advance_all(ctx)

    def _wake(self, ctx: Any) -> Iterator[Any]:
        """At the first call after a start, go on with every slot of this subtask."""
        if not self._awake:
            self._awake = True
            yield from self._advance_all(ctx)

    def _each(self, step: Callable[[Slot, Any, Any], Iterator[Any]], ctx: Any) -> Iterator[Any]:
        """Do a step for each slot of this subtask, under the slot's key."""
        current = self._backend.get_current_key()
        for label in self._own:
            self._backend.set_current_key(Row(label))
            yield from step(self._slot(label, ctx), label, ctx)
        self._backend.set_current_key(current)

    def _slot(self, label: Any, ctx: Any) -> Slot:
        slot = self._slots.get(label)
        if slot is None:
            function = self.function
            slot = Slot(self._state, function.due_ms, function.memory_policy).load()
            self._slots[label], self._done[label] = slot, deque()
            ctx.timer_service().register_event_time_timer(END_OF_TIME_MS)
        return slot

    def _advance_all(self, ctx: Any) -> Iterator[Any]:
        self._collect()
        yield from self._each(self._advance, ctx)

    def _advance(self, slot: Slot, label: Any, ctx: Any) -> Iterator[Any]:
        yield from self._harvest(slot, label)
        self._start(slot, label)
        self._set_timer(slot, ctx)

    def _start(self, slot: Slot, label: Any, *, all_due: bool = False) -> None:
        now_ms = int(time.time() * 1000)
        while not self._runs.full:
            entry = slot.next_ready(now_ms, all_due=all_due)
            if entry is None:
                return
            slot.start(entry)
            self._runs.start(label, entry, slot.recall(entry.key, now_ms))

    def _collect(self) -> None:
        """Take from the process what has finished, for whichever slot."""
        for label, sequence, result in self._runs.finished():
            self._done[label].append((sequence, result))

    def _harvest(self, slot: Slot, label: Any) -> Iterator[Any]:
        done = self._done[label]
        while done:
            sequence, result = done.popleft()
            entry = slot.finish(sequence)
            yield from self._emit(slot, entry, result)

    def _emit(self, slot: Slot, entry: Entry, result: Result) -> Iterator[Any]:
        self._latency.update(result.counts.pop("run_ms", 0))
        for name, count in result.counts.items():
            self._counters[name].inc(count)
        for span in result.spans:
            yield self._tags[1], trace(replace(span, job=self.job))
        if result.values is not None:
            size = len(json.dumps([entry.row, result.values]).encode())
            if size > self.function.row_bytes_max:
                message = f"row and reply have {size} bytes, limit {self.function.row_bytes_max}"
                result = Result(reason="oversize", message=message)
        if result.values is None:
            reason = result.reason or "internal_error"
            result.values = self.function.instead(reason, result.message)
            if result.values is None:
                yield self._dead_letter(entry, reason, result.message)
                return
        if result.remember:
            slot.remember(entry.key, result.remember, int(time.time() * 1000))
        self._counters["completed"].inc()
        yield self._row(entry, result.values)

    def _row(self, entry: Entry, values: dict[str, Any]) -> Row:
        given = list(entry.value) if entry.value is not None else self._restored(entry)
        given[self._headers_at] = events.child_headers(entry.headers, self.step)
        return self._to_flink([*given, *decode(values, self._own_type)])

    def _restored(self, entry: Entry) -> list[Any]:
        """The input columns as the state kept them; one that the script has added since is null."""
        return [decode(entry.row.get(n), replace(t, nullable=True)) for n, t in self.columns]

    def _dead_letter(self, entry: Entry, reason: str, message: str) -> Any:
        self._counters["dead_letters"].inc()
        payload = json.dumps(entry.row, ensure_ascii=False).encode("utf-8", "replace")
        return self._tags[0], dead_letter(
            entry.key.encode(),
            payload,
            entry.headers,
            reason=reason,
            message=message,
            stage=self.function.stage,
            job=self.job,
        )

    def _set_timer(self, slot: Slot, ctx: Any) -> None:
        now_ms = ctx.timer_service().current_processing_time()
        if slot.in_flight or slot.ready:
            due_ms = now_ms + HARVEST_MS
        elif slot.next_due_ms is not None:
            due_ms = max(slot.next_due_ms, now_ms + HARVEST_MS)
        else:
            return
        if due_ms < self._timer_at_ms:  # one timer for all slots: it comes to any, and wakes all
            ctx.timer_service().register_processing_time_timer(due_ms)
            self._timer_at_ms = due_ms

    def _drain(self, slot: Slot, label: Any, ctx: Any) -> Iterator[Any]:
        """Bounded input has ended: finish what this slot holds, scheduled events too."""
        while slot.pending:
            self._start(slot, label, all_due=True)
            self._collect()
            yield from self._harvest(slot, label)
            if slot.pending:
                time.sleep(HARVEST_MS / 1000)
