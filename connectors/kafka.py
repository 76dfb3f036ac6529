"""Kafka's addresses in; records of topics as they lie there out, and acknowledged records in.

    ensure_topics     create the topics that are missing
    read_all          every record of some topics, from the beginning to the end as it is now
    read_at           one record by its place
    produce_all       write records; returns when every one of them is acknowledged
    end_offsets, committed_offsets       how far topics reach, how far a consumer group has come

Reads are bounded, join no group and leave nothing behind. They see committed records only. A null
value (a tombstone) is None and an empty one is b"", both ways.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka import KafkaError as ClientError
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from connectors.settings import settings

MAX_MESSAGE_BYTES = 16 << 20
UNPACKED_BYTES = 1_000_000_000  # what a batch that someone packed a thousandfold may unpack to
RETENTION_MS = 30 * 24 * 3600 * 1000
ANSWER_S = 10.0
STALLED_S = 30.0
DELIVERY_S = 60.0
# A topic that was just created has no leader for a moment, and a broker that was just started
# coordinates no group.
_PASSING = (
    ClientError.NOT_LEADER_FOR_PARTITION,
    ClientError.LEADER_NOT_AVAILABLE,
    ClientError.UNKNOWN_TOPIC_OR_PART,
    ClientError.FENCED_LEADER_EPOCH,
    ClientError.UNKNOWN_LEADER_EPOCH,
    ClientError.NOT_COORDINATOR,
    ClientError.COORDINATOR_NOT_AVAILABLE,
    ClientError.COORDINATOR_LOAD_IN_PROGRESS,
)

T = TypeVar("T")
Partition = tuple[str, int]
Headers = tuple[tuple[str, bytes | None], ...]


class KafkaError(Exception):
    """Kafka cannot be reached, or has not taken what it was given. One sentence."""


@dataclass(frozen=True, slots=True)
class NewRecord:
    """A record to write. Records of one key go to one partition, as Java's clients choose it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers = ()


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """A record as it lies on its topic; time in milliseconds since the epoch, -1 for none."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @property
    def place(self) -> str:
        """topic/partition/offset."""
        return f"{self.topic}/{self.partition}/{self.offset}"

    def header(self, name: str) -> bytes | None:
        """The last value under this name, which is the one that Flink's connector takes, too."""
        return dict(self.headers).get(name)


def bootstrap_servers() -> str:
    """KAFKA_BOOTSTRAP_SERVERS, or a `KafkaError` that says what to do."""
    servers = settings().kafka_bootstrap_servers
    if not servers:
        raise KafkaError(
            "KAFKA_BOOTSTRAP_SERVERS is not set: run `tidemill up`, or name your own brokers."
        )
    return servers


def ensure_topics(
    servers: str,
    topics: Mapping[str, int],
    configs: Mapping[str, Mapping[str, str]] | None = None,
) -> list[str]:
    """Create each missing topic with its number of partitions; returns those that were missing.

    `configs` are topics' own settings, in Kafka's words, over ours. Those of a topic that is there
    stay as they are.
    """
    admin = _admin(servers)
    there = _partitions(admin, servers)
    config = {"max.message.bytes": str(MAX_MESSAGE_BYTES), "retention.ms": str(RETENTION_MS)}
    missing = [
        NewTopic(
            topic,
            num_partitions=partitions,
            replication_factor=-1,
            config={**config, **((configs or {}).get(topic) or {})},
        )
        for topic, partitions in topics.items()
        if topic not in there
    ]
    created, deadline = [], time.monotonic() + ANSWER_S
    while missing:
        homeless = set()  # Kafka has no broker for them now: one that was stalled comes back
        for topic, future in admin.create_topics(missing, request_timeout=ANSWER_S).items():
            try:
                future.result()
                created.append(topic)
            except KafkaException as error:
                code = error.args[0].code()
                if code == ClientError.INVALID_REPLICATION_FACTOR and time.monotonic() < deadline:
                    homeless.add(topic)
                elif code != ClientError.TOPIC_ALREADY_EXISTS:
                    words = _words(error)
                    raise KafkaError(f"Topic {topic} cannot be created: {words}.") from error
        missing = [new for new in missing if new.topic in homeless]
        if missing:
            time.sleep(0.2)
    return created


def partitions(servers: str) -> dict[str, int]:
    """Every topic that there is, with its number of partitions."""
    return _partitions(_admin(servers), servers)


def end_offsets(servers: str, topics: Iterable[str]) -> dict[Partition, int]:
    """The offset behind the last record, for each partition of those topics that there are."""
    admin = _admin(servers)
    there = _partitions(admin, servers)
    wanted = [
        TopicPartition(topic, partition)
        for topic in dict.fromkeys(topics)
        for partition in range(there.get(topic, 0))
    ]
    if not wanted:
        return {}

    def ends() -> dict[Partition, int]:
        futures: Mapping[Any, Future[Any]] = admin.list_offsets(
            dict.fromkeys(wanted, OffsetSpec.latest()),
            isolation_level=IsolationLevel.READ_COMMITTED,
            request_timeout=ANSWER_S,
        )
        return {(p.topic, p.partition): int(f.result().offset) for p, f in futures.items()}

    return _asked(servers, ends)


def committed_offsets(servers: str, group: str, topics: Iterable[str]) -> dict[Partition, int]:
    """Where a consumer group goes on, for each partition; 0 where it has committed nothing."""
    there = partitions(servers)
    wanted = [TopicPartition(t, p) for t in dict.fromkeys(topics) for p in range(there.get(t, 0))]
    if not wanted:
        return {}
    consumer = Consumer(_reading(servers) | {"group.id": group})
    try:
        found = _asked(servers, lambda: consumer.committed(wanted, timeout=ANSWER_S))
    finally:
        consumer.close()
    return {(p.topic, p.partition): max(0, p.offset) for p in found}


def _asked(servers: str, question: Callable[[], T]) -> T:
    """The answer of a cluster that may be starting just now."""
    deadline = time.monotonic() + ANSWER_S
    while True:
        try:
            return question()
        except KafkaException as error:
            if error.args[0].code() not in _PASSING or time.monotonic() > deadline:
                words = _words(error)
                raise KafkaError(
                    f"Kafka at {servers} does not tell its offsets: {words}."
                ) from error
        time.sleep(0.1)


def read_all(
    servers: str, topics: Iterable[str], start: Mapping[Partition, int] | None = None
) -> Iterator[KafkaRecord]:
    """Every record from `start` (the beginning) to the ends as they are when this is called.

    In the order of each partition, partitions mixed; topics that there are not are empty. A few
    megabytes are in memory at a time, whatever the topics hold.
    """
    ends = end_offsets(servers, topics)
    begin = {place: (start or {}).get(place, 0) for place in ends}
    return _records(servers, {place: (begin[place], ends[place]) for place in ends})


def _records(servers: str, ranges: Mapping[Partition, tuple[int, int]]) -> Iterator[KafkaRecord]:
    left = {place: end for place, (begin, end) in ranges.items() if begin < end}
    if not left:
        return
    consumer = Consumer(_reading(servers))
    try:
        # Numbers, for "from the beginning" costs half a second; below the beginning they mean that.
        consumer.assign([TopicPartition(t, p, ranges[t, p][0]) for t, p in left])
        while left:
            message = consumer.poll(STALLED_S)
            if message is None:
                raise KafkaError(f"Kafka at {servers} has sent nothing for {STALLED_S:.0f} s.")
            yield from _taken(consumer, message, left)
    finally:
        consumer.close()


def _taken(consumer: Any, message: Any, left: dict[Partition, int]) -> Iterator[KafkaRecord]:
    """The message's record, if it lies before its partition's end; the partition's last ends it."""
    place = (message.topic(), message.partition())
    error = message.error()
    if error and error.code() != ClientError._PARTITION_EOF:
        if error.code() in _PASSING:
            return
        raise KafkaError(f"Topic {place[0]} cannot be read: {error.str()}.")
    if place not in left:
        return
    end = left[place]
    if error or message.offset() + 1 >= end:  # behind gaps and markers only the end is told
        del left[place]
        consumer.incremental_unassign([TopicPartition(*place)])
    if not error and message.offset() < end:
        yield _record(message)


def read_at(servers: str, topic: str, partition: int, offset: int) -> KafkaRecord | None:
    """The record at a place, or None where there is none (any more)."""
    place = (topic, partition)
    if not 0 <= offset < end_offsets(servers, [topic]).get(place, 0):
        return None
    first = next(_records(servers, {place: (offset, offset + 1)}), None)
    return first if first and first.offset == offset else None


def _record(message: Any) -> KafkaRecord:
    return KafkaRecord(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp_ms=message.timestamp()[1],
        key=message.key(),
        value=message.value(),
        headers=tuple(message.headers() or ()),
    )


def produce_all(servers: str, records: Iterable[NewRecord]) -> int:
    """Write records in their order; returns how many, when all are acknowledged by all replicas.

    Raises KafkaError with how many were not, and why; those that were stay written.
    """
    producer = _producer(servers)
    failures: list[str] = []
    delivered = 0

    def on_delivery(error: Any, _message: Any) -> None:
        nonlocal delivered
        if error:
            failures.append(str(error.str()))
        else:
            delivered += 1

    given = 0
    for record in records:
        give(producer, record, on_delivery, failures)
        given += 1
    producer.flush(DELIVERY_S + ANSWER_S)
    if delivered != given:
        _producer.cache_clear()  # nothing that it still holds may be written later, unasked
        producer.purge()
        why = failures[0] if failures else f"Kafka at {servers} does not answer"
        raise KafkaError(f"{given - delivered} of {given} records were not written: {why}.")
    return given


@cache
def _producer(servers: str) -> Any:
    """One for the process: each new one waits half a second for its id."""
    return Producer(writing(servers))


def writing(servers: str) -> dict[str, Any]:
    """How a producer writes: once, in order, and acknowledged by all replicas."""
    return {
        "bootstrap.servers": servers,
        "log_level": 0,
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "message.max.bytes": MAX_MESSAGE_BYTES,
        "queue.buffering.max.kbytes": 64 << 10,
        "compression.type": "lz4",
        "delivery.timeout.ms": int(DELIVERY_S * 1000),
        "topic.metadata.propagation.max.ms": int(ANSWER_S * 1000),
    }


def give(producer: Any, record: NewRecord, on_delivery: Any, failures: list[str]) -> None:
    """Hand one record to the client, waiting while its buffer is full."""
    while True:
        try:
            producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=on_delivery,
            )
        except BufferError:
            producer.poll(1.0)
        except KafkaException as error:
            failures.append(_words(error))
            return
        else:
            producer.poll(0)
            return


@cache
def _admin(servers: str) -> Any:
    return AdminClient({"bootstrap.servers": servers, "log_level": 0})


def _partitions(admin: Any, servers: str) -> dict[str, int]:
    try:
        topics = admin.list_topics(timeout=ANSWER_S).topics
    except KafkaException as error:
        raise KafkaError(f"Kafka at {servers} does not answer: {_words(error)}.") from error
    return {name: len(topic.partitions) for name, topic in topics.items()}


def _reading(servers: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": servers,
        "log_level": 0,
        "group.id": "tidemill.reader",  # asked for by the client; nothing is committed under it
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": 50,
        "fetch.message.max.bytes": 1 << 20,
        "receive.message.max.bytes": UNPACKED_BYTES,
        "queued.max.messages.kbytes": 16 << 10,
    }


def _words(error: KafkaException) -> str:
    return str(error.args[0].str()).rstrip(".")
