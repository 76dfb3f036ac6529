"""Raw Kafka records in, rows of the declared table out; what is not so goes to dead letters."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from pyflink.datastream import ProcessFunction
from pyflink.datastream.functions import RuntimeContext

from udfs import worker_process
from udfs.core.decode import Column, Record, Rejected, decode_record
from udfs.core.types import row_type
from udfs.flink_types import to_flink
from udfs.side_outputs import dead_letter, dead_letters_tag


class Decode(ProcessFunction):
    """The guarded source's operator.

    Input columns: record_key, record_value, headers, partition, offset, event_time.
    Counters: `records_rejected`, `tombstones`.
    """

    def __init__(self, topic: str, columns: Sequence[Column], job: str) -> None:
        self.topic, self.columns, self.job = topic, list(columns), job

    def open(self, runtime_context: RuntimeContext) -> None:
        worker_process.prepare()
        self._dead_letters = dead_letters_tag()
        self._to_flink = to_flink(row_type([(c.name, c.type) for c in self.columns]))
        metrics = runtime_context.get_metrics_group()
        self._rejected = metrics.counter("records_rejected")
        self._tombstones = metrics.counter("tombstones")

    def process_element(self, value: Any, ctx: ProcessFunction.Context) -> Iterator[Any]:
        record = self._record(value)
        try:
            row = decode_record(record, self.columns, int(time.time() * 1000))
        except Rejected as rejected:
            self._rejected.inc()
            place = f"{record.topic}/{record.partition}/{record.offset}".encode()
            yield (
                self._dead_letters,
                dead_letter(
                    record.key,
                    record.value,
                    {**{n: v or b"" for n, v in record.headers.items()}, "source": place},
                    reason=rejected.reason,
                    message=str(rejected),
                    stage="decode",
                    job=self.job,
                ),
            )
            return
        if row is None:
            self._tombstones.inc()
            return
        yield self._to_flink(row)

    def _record(self, value: Any) -> Record:
        key, body, headers, partition, offset, event_time = list(value)[:6]
        return Record(
            topic=self.topic,
            partition=partition,
            offset=offset,
            timestamp_ms=event_time.to_epoch_milli() if event_time else -1,
            key=None if key is None else bytes(key),
            value=None if body is None else bytes(body),
            headers={k: None if v is None else bytes(v) for k, v in (headers or {}).items()},
        )
