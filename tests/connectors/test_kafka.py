"""Records in and out of a real broker: bounded, whole, and honest about what is not there."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource

from connectors.kafka import (
    MAX_MESSAGE_BYTES,
    KafkaError,
    NewRecord,
    bootstrap_servers,
    committed_offsets,
    end_offsets,
    ensure_topics,
    partitions,
    produce_all,
    read_all,
    read_at,
)


@pytest.fixture
def servers(stack: dict[str, str]) -> str:
    return stack["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture
def topic(servers: str) -> Callable[[int], str]:
    """Creates a topic of its own with that many partitions."""

    def create(partitions: int) -> str:
        name = f"kafka_test_{uuid.uuid4().hex[:10]}"
        assert ensure_topics(servers, {name: partitions}) == [name]
        return name

    return create


def settings_of(servers: str, topic: str) -> Any:
    """A topic's settings, once the broker has heard of it from its controller."""
    while topic not in partitions(servers):
        time.sleep(0.05)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    admin = AdminClient({"bootstrap.servers": servers})
    return admin.describe_configs([resource])[resource].result()


def test_a_topic_is_created_once_and_takes_large_messages(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(3)
    assert ensure_topics(servers, {name: 7}) == []
    config = settings_of(servers, name)
    assert partitions(servers)[name] == 3
    assert config["max.message.bytes"].value == str(MAX_MESSAGE_BYTES)
    assert int(config["retention.ms"].value) > 7 * 24 * 3600 * 1000


def test_a_topic_gets_the_settings_that_its_table_asks_for(servers: str) -> None:
    name = f"kafka_test_{uuid.uuid4().hex[:10]}"
    assert ensure_topics(servers, {name: 1}, {name: {"cleanup.policy": "compact"}}) == [name]
    config = settings_of(servers, name)
    assert config["cleanup.policy"].value == "compact"
    assert config["max.message.bytes"].value == str(MAX_MESSAGE_BYTES)


def test_a_topic_name_that_cannot_be_is_told_in_a_sentence(servers: str) -> None:
    with pytest.raises(KafkaError, match=r"Topic no/slash cannot be created: .*\.$"):
        ensure_topics(servers, {"no/slash": 1})


def test_what_is_written_is_read_byte_for_byte(servers: str, topic: Callable[[int], str]) -> None:
    name = topic(1)
    headers = (("ce_id", b"1"), ("twice", b"a"), ("twice", b"\xff\x00"), ("null", None))
    given = [
        NewRecord(name, b"key", b"value", headers),
        NewRecord(name, b"tombstone", None),
        NewRecord(name, b"empty", b""),
        NewRecord(name, None, b"without a key"),
        NewRecord(name, b"", b"with an empty key"),
        NewRecord(name, b"large", bytes(9_000_000)),
    ]
    assert produce_all(servers, given) == 6
    found = list(read_all(servers, [name]))
    assert [NewRecord(name, r.key, r.value, r.headers) for r in found] == given
    assert [r.place for r in found] == [f"{name}/0/{n}" for n in range(6)]
    assert found[0].header("twice") == b"\xff\x00"
    assert found[0].header("other") is None


def test_reading_ends_at_the_ends_of_when_it_began(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(4)
    produce_all(servers, (NewRecord(name, b"%d" % n, b"first") for n in range(500)))
    reading = read_all(servers, [name, "no_such_topic"])
    first = next(reading)
    ends = end_offsets(servers, [name])
    produce_all(servers, (NewRecord(name, b"%d" % n, b"second") for n in range(500)))
    assert {r.value for r in (first, *reading)} == {b"first"}
    later = list(read_all(servers, [name], ends))
    assert len(later) == 500 and {r.value for r in later} == {b"second"}


def test_one_key_stays_in_one_partition_and_in_order(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(4)
    produce_all(servers, (NewRecord(name, b"k%d" % (n % 20), b"%03d" % n) for n in range(400)))
    by_key: dict[bytes | None, list[tuple[int, bytes | None]]] = {}
    for r in read_all(servers, [name]):
        by_key.setdefault(r.key, []).append((r.partition, r.value))
    assert len(by_key) == 20
    assert len({partition for rows in by_key.values() for partition, _ in rows}) > 1
    for rows in by_key.values():
        assert len({partition for partition, _ in rows}) == 1
        assert rows == sorted(rows)


def test_aborted_records_are_not_seen_and_the_read_still_ends(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(1)
    producer = Producer({"bootstrap.servers": servers, "transactional.id": f"{name}-writer"})
    producer.init_transactions()
    for value, commit in ((b"one", True), (b"two", False), (b"three", True), (b"four", False)):
        producer.begin_transaction()
        producer.produce(name, value)
        producer.flush()
        producer.commit_transaction() if commit else producer.abort_transaction()
    assert [r.value for r in read_all(servers, [name])] == [b"one", b"three"]


def test_a_record_is_read_at_its_place_or_not_at_all(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(1)
    produce_all(servers, (NewRecord(name, b"k", b"%d" % n) for n in range(5)))
    found = read_at(servers, name, 0, 3)
    assert found is not None and found.value == b"3"
    assert read_at(servers, name, 0, 5) is None
    assert read_at(servers, name, 1, 0) is None
    assert read_at(servers, "no_such_topic", 0, 0) is None


def test_a_record_that_retention_has_taken_is_none(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(1)
    produce_all(servers, (NewRecord(name, b"k", b"%d" % n) for n in range(5)))
    admin = AdminClient({"bootstrap.servers": servers})
    for future in admin.delete_records([TopicPartition(name, 0, 3)]).values():
        future.result()
    assert read_at(servers, name, 0, 2) is None
    assert [r.value for r in read_all(servers, [name])] == [b"3", b"4"]
    for future in admin.delete_records([TopicPartition(name, 0, 5)]).values():
        future.result()
    assert list(read_all(servers, [name])) == []


def test_a_groups_offsets_are_told_and_reading_does_not_move_them(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(2)
    produce_all(servers, (NewRecord(name, b"%d" % n, b"v") for n in range(20)))
    assert committed_offsets(servers, "sdr.reader", [name]) == {(name, 0): 0, (name, 1): 0}
    consumer = Consumer({"bootstrap.servers": servers, "group.id": "sdr.reader"})
    consumer.commit(offsets=[TopicPartition(name, 1, 4)], asynchronous=False)
    consumer.close()
    list(read_all(servers, [name]))
    assert committed_offsets(servers, "sdr.reader", [name]) == {(name, 0): 0, (name, 1): 4}


def test_a_record_that_is_not_taken_is_told_and_the_others_are_written(
    servers: str, topic: Callable[[int], str]
) -> None:
    name = topic(1)
    too_large = NewRecord(name, b"k", bytes(MAX_MESSAGE_BYTES + 1))
    with pytest.raises(KafkaError, match="1 of 3 records were not written: .*too large"):
        produce_all(servers, [NewRecord(name, b"k", b"a"), too_large, NewRecord(name, b"k", b"b")])
    assert [r.value for r in read_all(servers, [name])] == [b"a", b"b"]


def test_a_broker_that_is_not_there_is_told_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("connectors.kafka.ANSWER_S", 0.5)
    with pytest.raises(KafkaError, match=r"Kafka at 127\.0\.0\.1:1 does not answer: .*\.$"):
        end_offsets("127.0.0.1:1", ["any"])
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(KafkaError, match="run `tidemill up`"):
        bootstrap_servers()
