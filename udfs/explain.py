"""Raw Kafka records in, rows of the declared table out, or the dead letter of what is not so.

A scalar function on Flink's own binary rows, because that is PyFlink's cheapest way through Python:
a `ProcessFunction` costs four times as much for each record.
"""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from pyflink.common import Row
from pyflink.table import FunctionContext
from pyflink.table.types import DataType
from pyflink.table.udf import ScalarFunction, udf

from udfs import worker_process
from udfs.core.decode import Column, Record, Rejected, decode_record
from udfs.core.types import Type, row_type
from udfs.flink_types import data_type, to_table
from udfs.side_outputs import DEAD_LETTER_ROW, dead_letter

REJECTED = "rejected__"


class Decode(ScalarFunction):
    """The guarded source's function. None for a tombstone; else the columns, then the dead letter.

    Counters: `records_rejected`, `tombstones`.
    """

    def __init__(self, topic: str, columns: Sequence[Column], job: str) -> None:
        self.topic, self.columns, self.job = topic, list(columns), job

    def is_deterministic(self) -> bool:
        return False  # else the planner calls it for each column

    def open(self, function_context: FunctionContext) -> None:
        worker_process.prepare()
        self._to_table = to_table(row_type(_fields(self.columns)))
        metrics = function_context.get_metric_group()
        self._rejected = metrics.counter("records_rejected")
        self._tombstones = metrics.counter("tombstones")

    def eval(
        self,
        key: bytes | None,
        body: bytes | None,
        headers: Mapping[str, bytes | None] | None,
        partition: int,
        offset: int,
        event_time: Any,
    ) -> Any:
        timestamp_ms = round(event_time.timestamp() * 1000) if event_time else -1
        record = Record(self.topic, partition, offset, timestamp_ms, key, body, headers or {})
        try:
            row = decode_record(record, self.columns, int(time.time() * 1000))
        except Rejected as rejected:
            self._rejected.inc()
            nothing = [None] * len(self.columns)
            return self._to_table((*nothing, self._dead_letter(record, rejected)))
        if row is None:
            self._tombstones.inc()
            return None
        return self._to_table((*row, None))

    def _dead_letter(self, record: Record, rejected: Rejected) -> Row:
        place = f"{record.topic}/{record.partition}/{record.offset}".encode()
        return dead_letter(
            record.key,
            record.value,
            {**{n: v or b"" for n, v in record.headers.items()}, "source": place},
            reason=rejected.reason,
            message=str(rejected),
            stage="decode",
            job=self.job,
        )


def _fields(columns: Sequence[Column]) -> list[tuple[str, Type]]:
    return [*((c.name, c.type) for c in columns), (REJECTED, DEAD_LETTER_ROW)]


def decoded_type(columns: Sequence[Column]) -> DataType:
    """What the function returns: a ROW of the table's columns, then the dead letter."""
    return data_type(row_type(_fields(columns)))


def decode(topic: str, columns: Sequence[Column], job: str) -> Any:
    """The function as the planner takes it."""
    return udf(Decode(topic, columns, job), result_type=decoded_type(columns))
