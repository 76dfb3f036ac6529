"""Raw Kafka records that a guard refused in, the headers of their dead letters out, which say why.

The guard is `udfs/java/Guard.java`; it takes exactly the records that `decode_record` takes.
"""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from typing import Any

from pyflink.table import FunctionContext
from pyflink.table.udf import ScalarFunction, udf

from udfs import worker_process
from udfs.core.dead_letter import dead_letter_headers
from udfs.core.decode import Column, Record, Rejected, decode_record
from udfs.flink_types import HEADERS, data_type

KEPT_HEADERS = ("ce_id", "attempt", "traceparent")


class Explain(ScalarFunction):
    """A dead letter's headers for each record that it is called with; key and value stay in Flink.
    Counter: `records_rejected`."""

    def __init__(self, topic: str, columns: Sequence[Column], job: str) -> None:
        self.topic, self.columns, self.job = topic, list(columns), job

    def is_deterministic(self) -> bool:
        return False  # else the planner calls it for each column

    def open(self, function_context: FunctionContext) -> None:
        worker_process.prepare()
        self._rejected = function_context.get_metric_group().counter("records_rejected")

    def eval(
        self,
        key: bytes | None,
        body: bytes | None,
        headers: Mapping[str, bytes | None] | None,
        partition: int,
        offset: int,
        kafka_time: str | None,
    ) -> Any:
        self._rejected.inc()
        at_ms = _milliseconds(kafka_time)
        record = Record(self.topic, partition, offset, at_ms, key, body, headers or {})
        why = self._why(record)
        place = f"{record.topic}/{record.partition}/{record.offset}".encode()
        given = {n: v or b"" for n, v in record.headers.items()}
        if why.reason == "too_many_headers":  # and so too many for the dead letter
            given = {n: v for n, v in given.items() if n in KEPT_HEADERS and len(v) < 1024}
        return dead_letter_headers(
            {**given, "source": place},
            reason=why.reason,
            message=str(why),
            stage="decode",
            job=self.job,
            at=dt.datetime.now(dt.UTC),
        )

    def _why(self, record: Record) -> Rejected:
        try:
            decode_record(record, self.columns, int(time.time() * 1000))
        except Rejected as rejected:
            return rejected
        except Exception as error:  # no record stops a job, not even one that shows a defect
            return Rejected("undecodable", f"{type(error).__name__}: {error}"[:300])
        return Rejected(
            "too_deep",
            "the JSON is nested too deeply, or has a number of over 1,000 digits or a name of "
            "over 50,000 characters",
        )


def _milliseconds(kafka_time: str | None) -> int:
    """Of a time as SQL writes it, in UTC: PyFlink's coder cannot hold a time beyond 2038."""
    try:
        moment = dt.datetime.fromisoformat(kafka_time or "1969-12-31T23:59:59.999")
    except ValueError:
        return 2**63 - 1  # beyond the year 9999
    return round(moment.replace(tzinfo=dt.UTC).timestamp() * 1000)


def explain(topic: str, columns: Sequence[Column], job: str) -> Any:
    """The function as the planner takes it."""
    return udf(Explain(topic, columns, job), result_type=data_type(HEADERS))
