"""Batches of records in, each on its topics whole or not at all, by one writer at a time.

    with Transactions(servers, "tidemill.desk.sdr") as log:   # ends what another left unfinished
        …read what stands: of all that go by this name, only this one can write now…
        log.batch(records)                                     # Fenced, if a later one has begun

The name is Kafka's transactional id. Whoever begins under it fences off all who began before: what
they had not committed is aborted, and their next batch fails. Readers of committed records see a
a batch in its whole; what a reader of uncommitted ones saw of an aborted one may come again.
"""

import time
from collections.abc import Sequence
from typing import Any, Self

from confluent_kafka import KafkaError as ClientError
from confluent_kafka import KafkaException, Producer

from connectors.kafka import (
    ANSWER_S,
    KafkaError,
    NewRecord,
    Partition,
    end_offsets,
    give,
    writing,
)

UNFINISHED_MS = 20_000  # for so long a writer that was killed holds up readers, if no other begins
BEGIN_S = 30.0
_FENCED = (
    ClientError._FENCED,
    ClientError.PRODUCER_FENCED,
    ClientError.INVALID_PRODUCER_EPOCH,
)


class Fenced(KafkaError):
    """Another writer of the same name has begun; nothing of this batch is written."""


class Transactions:
    """The one writer of a name, until the next."""

    def __init__(self, servers: str, name: str) -> None:
        self._servers, self._name = servers, name
        self._producer: Any = None
        self._written: dict[Partition, int] = {}  # the last offset of each

    def __enter__(self) -> Self:
        self._producer = Producer(
            writing(self._servers)
            | {
                "transactional.id": self._name,
                "transaction.timeout.ms": UNFINISHED_MS,
                "delivery.timeout.ms": UNFINISHED_MS,
            }
        )
        self._ask("begin", lambda: self._producer.init_transactions(BEGIN_S))
        return self

    def __exit__(self, *_: object) -> None:
        """A commit is promised before readers see it: wait for that, too, but not for ever."""
        until = time.monotonic() + ANSWER_S
        while self._written and time.monotonic() < until:
            ends = end_offsets(self._servers, {topic for topic, _ in self._written})
            if all(ends.get(place, 0) > offset for place, offset in self._written.items()):
                break
            time.sleep(0.02)
        self._producer = None

    def batch(self, records: Sequence[NewRecord]) -> None:
        """Write these, or none of them. Raises Fenced and KafkaError."""
        failures: list[str] = []
        written: dict[Partition, int] = {}

        def told(error: Any, message: Any) -> None:
            if error:
                failures.append(str(error.str()))
            else:
                written[message.topic(), message.partition()] = message.offset()

        producer = self._producer
        self._ask("write", producer.begin_transaction)
        for record in records:
            give(producer, record, told, failures)
        if failures:
            self._abort()
            raise KafkaError(f"None of {len(records)} records was written: {failures[0]}.")
        self._ask("write", lambda: producer.commit_transaction(BEGIN_S + ANSWER_S))
        self._written |= written

    def _abort(self) -> None:
        try:
            self._producer.abort_transaction(ANSWER_S)
        except KafkaException:
            pass  # it ends by itself, or by the next of this name

    def _ask(self, what: str, step: Any) -> None:
        try:
            step()
        except KafkaException as error:
            told = error.args[0]
            if told.code() in _FENCED:
                raise Fenced(f"Another writer has begun as {self._name}.") from error
            if what == "write":
                self._abort()
            words = str(told.str()).rstrip(".")
            raise KafkaError(
                f"Kafka at {self._servers} lets {self._name} {what} nothing: {words}."
            ) from error
