"""Events of one keyed view in, what the states of their keys say out: the operator of a fold.

Nothing here waits for the outside, so it runs where Flink calls it: an event changes its key's
state and emits what that fires; the heartbeat that every slot gets once a second is its clock.
State and output belong to the same checkpoint.
"""

import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

from pyflink.common import Types
from pyflink.datastream import KeyedCoProcessFunction
from pyflink.datastream.functions import RuntimeContext
from pyflink.datastream.state import MapStateDescriptor

from udfs.core import events
from udfs.core.fold import Emitted, Fold
from udfs.core.slot import CONFLICT, known_by
from udfs.core.types import decode, plain, row_type
from udfs.flink_types import from_flink, to_flink
from udfs.keyed_function import Columns, StateFunction
from udfs.side_outputs import dead_letter, dead_letters_tag

END_OF_TIME_MS = 2**63 - 2
# After a start, before time makes anything happen: until nothing has come for QUIET_S, from the
# first on, to the second at most.
PATIENCE_S, PATIENCE_MOST_S, QUIET_S = 5.0, 60.0, 1.0


class Folding(KeyedCoProcessFunction):
    """Runs a StateFunction under slots. Inputs as those of `udfs.keyed.Continuation`."""

    def __init__(
        self,
        function: StateFunction,
        columns: Columns,
        job: str,
        step: str,
    ) -> None:
        self.function, self.columns, self.job, self.step = function, list(columns), job, step
        self._times = {name for name, t in columns if t.kind == "TIMESTAMP_LTZ"}

    def open(self, runtime_context: RuntimeContext) -> None:
        self._state = runtime_context.get_map_state(
            MapStateDescriptor("slot", Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()))
        )
        self._folds: dict[Any, Fold] = {}
        self._started_s = self._heard_s = time.monotonic()
        self._patient = True
        self._tag = dead_letters_tag()
        self._from_flink = from_flink(row_type(self.columns))
        self._result = row_type(self.function.view_columns(self.columns))
        self._result_fields = [(n, t, t.kind == "STRING") for n, t in self._result.fields]
        self._to_flink = to_flink(self._result)
        self._headers_at = [name for name, _ in self.columns].index("headers")
        group = runtime_context.get_metrics_group()
        names = ("completed", "dead_letters", "repeats")
        self._counters = {name: group.counter(name) for name in names}

    def process_element1(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterator[Any]:
        if self._patient:
            self._heard_s = time.monotonic()
        fold = self._fold(ctx)
        key, given = value[0], self._from_flink(list(value)[1:])
        headers = given[self._headers_at] or {}
        columns = zip(self.columns, given, strict=True)
        row = {name: plain(v, t) for (name, t), v in columns if name != "headers"}
        verdict = "new"
        if self.function.dedupes and headers.get("ce_id"):
            verdict = fold.seen(*known_by(key, row, headers, self._times))
        if verdict == "repeat":
            self._counters["repeats"].inc()
            return
        if verdict == "conflict":
            yield self._dead_letter(key, row, headers, "id_conflict", CONFLICT)
            return
        try:
            emitted = fold.take(key, row, headers, _now_ms())
        except ValueError as error:
            reason = getattr(error, "reason", "invalid_event")
            yield self._dead_letter(key, row, headers, reason, str(error))
            return
        yield from self._rows(emitted)

    def process_element2(self, value: Any, ctx: KeyedCoProcessFunction.Context) -> Iterator[Any]:
        """A heartbeat: see whose moment has come. What came while the job was down is heard first,
        or everything that was awaited then would be taken for late."""
        if self._patient:
            since_s, now_s = self._started_s, time.monotonic()
            heard_it = now_s > since_s + PATIENCE_S and now_s > self._heard_s + QUIET_S
            self._patient = not heard_it and now_s < since_s + PATIENCE_MOST_S
            if self._patient:
                return
        yield from self._rows(self._fold(ctx).wake(_now_ms()))

    def on_timer(self, timestamp: int, ctx: KeyedCoProcessFunction.OnTimerContext) -> Iterator[Any]:
        yield from self._rows(self._fold(ctx).end())

    def _fold(self, ctx: Any) -> Fold:
        label = ctx.get_current_key()
        fold = self._folds.get(label)
        if fold is None:
            fold = self._folds[label] = Fold(self._state, self.function.new_state).load()
            ctx.timer_service().register_event_time_timer(END_OF_TIME_MS)
        return fold

    def _rows(self, emitted: Iterable[Emitted]) -> Iterator[Any]:
        for one in emitted:
            self._counters["completed"].inc()
            fields = [
                value if type(value := one.values.get(name)) is str and text else decode(value, t)
                for name, t, text in self._result_fields
            ]
            fields[-1] = events.child_headers(one.headers, self.step, one.index)
            yield self._to_flink(fields)

    def _dead_letter(self, key: str, row: Any, headers: Any, reason: str, message: str) -> Any:
        self._counters["dead_letters"].inc()
        return self._tag, dead_letter(
            key.encode(),
            json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"),
            headers,
            reason=reason,
            message=message,
            stage=self.function.stage,
            job=self.job,
        )


def _now_ms() -> int:
    return int(time.time() * 1000)
