"""Batches that are written whole or not at all, by the one writer of a name, on a real broker."""

from __future__ import annotations

import uuid

import pytest

from connectors.kafka import KafkaError, NewRecord, ensure_topics, read_all
from connectors.kafka_transaction import Fenced, Transactions


@pytest.fixture
def topics(stack: dict[str, str]) -> list[str]:
    names = [f"written-{uuid.uuid4().hex[:8]}" for _ in range(2)]
    ensure_topics(stack["KAFKA_BOOTSTRAP_SERVERS"], dict.fromkeys(names, 2))
    return names


def batch(topics: list[str], value: bytes) -> list[NewRecord]:
    return [NewRecord(topic, b"k", value) for topic in topics]


def values(stack: dict[str, str], topics: list[str]) -> list[tuple[str, bytes | None]]:
    return sorted((r.topic, r.value) for r in read_all(stack["KAFKA_BOOTSTRAP_SERVERS"], topics))


def test_what_is_committed_is_there_for_who_reads_next(
    stack: dict[str, str], topics: list[str]
) -> None:
    for number in range(5):
        with Transactions(stack["KAFKA_BOOTSTRAP_SERVERS"], topics[0]) as log:
            log.batch(batch(topics, b"%d" % number))
        assert len(values(stack, topics)) == 2 * (number + 1)


def test_a_batch_with_a_record_that_is_not_taken_is_not_written(
    stack: dict[str, str], topics: list[str]
) -> None:
    with Transactions(stack["KAFKA_BOOTSTRAP_SERVERS"], topics[0]) as log:
        with pytest.raises(KafkaError, match="None of 3 records was written"):
            log.batch([*batch(topics, b"1"), NewRecord(topics[0], b"k", b"x" * (17 << 20))])
        with pytest.raises(KafkaError, match="records was written|nothing"):
            log.batch([*batch(topics, b"2"), NewRecord("no-such-topic", b"k", b"2")])
        log.batch(batch(topics, b"3"))
    assert values(stack, topics) == sorted((topic, b"3") for topic in topics)


def test_who_begins_fences_off_who_began_before(stack: dict[str, str], topics: list[str]) -> None:
    servers = stack["KAFKA_BOOTSTRAP_SERVERS"]
    with Transactions(servers, topics[0]) as first:
        first.batch(batch(topics, b"1"))
        with Transactions(servers, topics[0]) as second, Transactions(servers, "other") as third:
            with pytest.raises(Fenced, match="Another writer has begun"):
                first.batch(batch(topics, b"2"))
            second.batch(batch(topics, b"3"))
            third.batch(batch(topics, b"4"))
    expected = [(topic, value) for topic in topics for value in (b"1", b"3", b"4")]
    assert values(stack, topics) == sorted(expected)
