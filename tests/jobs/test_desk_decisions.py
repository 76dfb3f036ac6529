"""What a person decides at the desk, over real topics: driven once, said once, whatever happens."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from connectors.kafka import NewRecord, end_offsets
from connectors.kafka_transaction import Transactions
from jobs import redrive as decide
from jobs.dead_letters import app
from jobs.desk import Desk, Filter
from jobs.errors import TidemillError
from tests.jobs.desk_world import World, new_world

GOOD = b'{"lead_data": {"name": "Ada", "email": "ada@example.org"}}'


@pytest.fixture
def world(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app)


def broken(world: World, count: int) -> None:
    """So many dead letters, one a lead."""
    world.put(*(NewRecord(world.leads, b"lead-%d" % n, b"{broken") for n in range(count)))
    assert world.decode() == count


def again(world: World) -> list[bytes | None]:
    """The keys of what was driven again."""
    return [r.key for r in world.records(world.leads) if r.header("attempt")]


def ends(world: World) -> dict[tuple[str, int], int]:
    return end_offsets(world.servers, [world.leads, world.team.decisions, world.team.dead_letters])


def test_redriven_is_the_original_record_byte_for_byte_with_the_next_attempt(world: World) -> None:
    headers = (("twice", b"a"), ("twice", b"b"), ("null", None), ("ce_id", b"abc"))
    original = world.lead(b"lead-1", b" {broken\xff", *headers)
    world.decode()
    output = world.command(world.team.team, "redrive", world.number("lead-1")).output
    assert f"1 driven again, to {world.leads}" in output
    found = world.records(world.leads)[-1]
    assert (found.key, found.value) == (original.key, original.value)
    assert found.headers == (*headers, ("attempt", b"2"))
    assert found.partition == original.partition


def test_the_same_attempt_is_driven_once(world: World) -> None:
    world.lead(b"lead-1", b"{broken", ("attempt", b"3"))
    world.decode()
    number = world.number("lead-1")
    world.command(world.team.team, "redrive", number)
    after = ends(world)
    for words in ([number], ["--reason", "not_json"], ["--all"]):
        output = world.command(world.team.team, "redrive", *words).output
        assert "1 decided so already: nothing to do" in output
    assert ends(world) == after
    assert world.records(world.leads)[-1].header("attempt") == b"4"
    (row,) = world.rows()
    assert row[-1] == "redriven" and world.rows("--reason", "not_json") == []


def test_a_decision_is_an_event_that_says_what_who_when_and_why(world: World) -> None:
    record = world.lead(b"lead-1", b"{broken", ("ce_id", b"abc"))
    world.decode()
    number = world.number("lead-1")
    world.command(world.team.team, "redrive", number, "--because", "the form is mended")
    (event,) = world.records(world.team.decisions)
    said = json.loads(event.value or b"")
    assert event.header("ce_type") == b"dead_letter.redriven"
    assert event.header("ce_source") == b"tidemill:desk"
    assert event.header("ce_subject") == b"lead-1"
    assert event.header("ce_time") == said["at"].encode()
    assert (said["event_id"], said["attempt"], said["topic"]) == ("abc", 2, world.leads)
    assert (said["origin"], said["reason"]) == (record.place, "not_json")
    assert said["because"] == "the form is mended" and "@" in said["by"]
    shown = world.command(world.team.team, "show", number).output
    assert "It was redriven by" in shown and "because: the form is mended" in shown


def test_the_id_of_a_decision_is_that_of_what_was_decided(world: World) -> None:
    broken(world, 2)
    desk = Desk(world.team)
    first, second = (
        decide._decision(decide.REDRIVEN, letter, world.leads, letter.event_id, 2)
        for letter in desk.letters
    )
    ids = [
        dict(made.record("t").headers)["ce_id"]
        for made in (first, decide.replace(first, by="x", at="y"), second)
    ]
    assert ids[0] == ids[1] != ids[2]


def test_what_dies_again_can_be_driven_again(world: World) -> None:
    world.lead(b"lead-1", b"{broken")
    world.decode()
    world.command(world.team.team, "redrive", "--all")
    world.decode()  # both records, for decoding is delivered at least once
    assert [(r[4], r[7]) for r in world.rows()] == [("not_json (×2)", "redriven"), ("not_json", "")]
    world.command(world.team.team, "redrive", "--reason", "not_json")
    attempts = [r.header("attempt") for r in world.records(world.leads)]
    assert attempts == [None, b"2", b"3"]


def test_two_dead_letters_of_one_record_drive_it_once(world: World) -> None:
    record = world.lead(b"lead-1", GOOD)
    for reason in ("refusal", "truncated"):
        world.fail(record, reason, b'{"lead_id": "lead-1"}')
    world.command(world.team.team, "redrive", world.number("lead-1", "refusal"))
    output = world.command(world.team.team, "redrive", world.number("lead-1", "truncated")).output
    assert "1 decided so already" in output and again(world) == [b"lead-1"]


def test_an_event_that_lies_there_twice_is_driven_once_and_both_are_decided(world: World) -> None:
    for _ in range(2):
        world.lead(b"lead-1", b"{broken")  # the same bytes: one event
    world.decode()
    output = world.command(world.team.team, "redrive", "--all").output
    assert "1 driven again" in output and "1 decided so already" in output
    assert again(world) == [b"lead-1"] and world.rows("--limit", "9") == []
    after = ends(world)
    world.command(world.team.team, "redrive", "--all")
    assert ends(world) == after


def test_a_thousand_are_driven_and_the_second_time_nothing_is_written(world: World) -> None:
    broken(world, 1000)
    world.put(NewRecord(world.leads, b"other", b""))
    output = world.command(world.team.team, "redrive", "--reason", "not_json").output
    assert "1000 driven again" in output
    assert sorted(again(world)) == sorted(b"lead-%d" % n for n in range(1000))
    assert len(world.decisions()) == 1000
    after = ends(world)
    output = world.command(world.team.team, "redrive", "--reason", "not_json").output
    assert "1000 decided so already" in output and "driven" not in output
    assert ends(world) == after


def test_a_limit_drives_the_oldest_and_then_the_next(world: World) -> None:
    broken(world, 5)
    for expected in ("2 driven", "2 driven", "1 driven", "None is one of these"):
        assert expected in world.command(world.team.team, "redrive", "--limit", "2").output
    assert len(again(world)) == 5


@pytest.mark.parametrize("words", [[], ["1", "--all"], ["1", "--reason", "x"]])
def test_a_command_must_be_told_which(world: World, words: Sequence[str]) -> None:
    broken(world, 1)
    for command in (["redrive"], ["discard", "--because", "x"]):
        with pytest.raises(TidemillError, match="say which dead letters, by number or by a filter"):
            world.command(world.team.team, *command, *words)


# --- discarded


def test_what_is_discarded_waits_for_nobody_and_can_be_taken_back(world: World) -> None:
    broken(world, 3)
    number = world.number("lead-1")
    discard = ("discard", number, "--because", "a test by marketing")
    assert "1 discarded" in world.command(world.team.team, *discard).output
    after = ends(world)
    assert "1 decided so already" in world.command(world.team.team, *discard).output
    assert ends(world) == after
    assert sorted(row[6] for row in world.rows("--limit", "9")) == ["lead-0", "lead-2"]
    (said,) = world.decisions()
    assert (said["decision"], said["because"]) == ("discarded", "a test by marketing")
    output = world.command(world.team.team, "redrive", "--all").output
    assert "2 driven again" in output and "1 decided otherwise before" in output
    assert "1 driven again" in world.command(world.team.team, "redrive", number).output
    assert [r[7] for r in world.rows()] == ["redriven"] * 3
    output = world.command(world.team.team, "discard", number, "--because", "too late").output
    assert "1 decided otherwise before: left" in output


def test_all_of_a_filter_are_discarded(world: World) -> None:
    broken(world, 4)
    world.put(NewRecord(world.leads, b"other", b""))
    world.decode()
    words = ("discard", "--reason", "not_json", "--because", "noise")
    assert "4 discarded" in world.command(world.team.team, *words).output
    assert [row[6] for row in world.rows("--limit", "9")] == ["other"]
    assert again(world) == []


def test_a_discard_says_why(world: World) -> None:
    broken(world, 1)
    assert world.command(world.team.team, "discard", "--all").exit_code == 2
    with pytest.raises(TidemillError, match="--because says nothing"):
        world.command(world.team.team, "discard", "--all", "--because", " ")


def test_many_are_asked_about_where_somebody_is_there_to_answer(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(world, 3)
    with monkeypatch.context() as patched:
        patched.setenv("FORCE_COLOR", "1")
        assert world.command(world.team.team, "redrive", "--all").exit_code == 1  # no answer: no
        assert again(world) == []
        assert world.command(world.team.team, "redrive", "--all", "--yes").exit_code == 0
    assert len(again(world)) == 3


# --- gone


def test_what_retention_has_taken_is_driven_from_what_the_dead_letter_kept(world: World) -> None:
    world.lead(b"lead-1", b"{broken", ("ce_id", b"abc"))
    world.decode()
    world.forget_leads()
    world.command(world.team.team, "redrive", world.number("lead-1"))
    (found,) = world.records(world.leads)
    assert (found.key, found.value) == (b"lead-1", b"{broken")
    assert dict(found.headers) == {"ce_id": b"abc", "attempt": b"2"}


def test_all_whose_records_are_gone_are_driven_in_one_pass(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(world, 50)
    world.forget_leads()
    monkeypatch.setattr(Desk, "whole", None)  # nobody asks for one at a time
    assert "50 driven again" in world.command(world.team.team, "redrive", "--all").output
    assert sorted(again(world)) == sorted(b"lead-%d" % n for n in range(50))


def test_a_row_that_is_not_what_the_topic_takes_is_not_driven(world: World) -> None:
    record = world.lead(b"lead-1", GOOD)
    world.fail(record, "refusal", b'{"lead_id": "lead-1", "question": "a view has other columns"}')
    world.fail(record, "truncated", b'{"lead_id": "lead-1", ' + GOOD[1:])
    world.forget_leads()
    refused = world.command(world.team.team, "redrive", world.number("lead-1", "refusal"))
    assert refused.exit_code == 1
    assert "is gone, and what is left is not one" in refused.output
    assert world.records(world.leads) == []
    taken = world.command(world.team.team, "redrive", world.number("lead-1", "truncated"))
    assert taken.exit_code == 0
    assert len(world.records(world.leads)) == 1


def test_a_dead_letter_that_does_not_say_from_where_is_not_driven(world: World) -> None:
    world.put(NewRecord(world.team.dead_letters, b"k", b"v", (("dlq_reason", b"odd"),)))
    found = world.command(world.team.team, "redrive", world.rows()[0][0])
    assert found.exit_code == 1 and "does not say from where" in found.output
    with pytest.raises(TidemillError, match="cannot be edited: it does not say"):
        world.command(world.team.team, "edit", world.rows()[0][0], "--set", "lead_id=x")
    world.command(world.team.team, "discard", "--all", "--because", "a stranger's")
    assert world.rows("--limit", "9") == []


# --- two desks, and one that dies


def test_of_two_desks_at_once_one_is_stopped_and_nothing_is_driven_twice(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(world, 20)
    monkeypatch.setattr(decide, "TOGETHER", 10)
    batch, begun = Transactions.batch, []

    def batch_with_another_desk(self: Transactions, records: Sequence[NewRecord]) -> None:
        begun.append(self)
        if len(begun) == 2:  # between the first desk's batches the second does all of its work
            done = decide.redrive(desk_b, desk_b.select(Filter()))
            assert sum(done.driven.values()) == 15 and done.already == 5
        batch(self, records)

    monkeypatch.setattr(Transactions, "batch", batch_with_another_desk)
    desk_a, desk_b = Desk(world.team), Desk(world.team)
    with pytest.raises(TidemillError, match="another desk .* began to decide .* nothing is driven"):
        decide.redrive(desk_a, desk_a.select(Filter()))
    assert sorted(again(world)) == sorted(b"lead-%d" % n for n in range(20))
    assert len(world.decisions()) == 20
    assert "20 decided so already" in world.command(world.team.team, "redrive", "--all").output


DIES = """
import os, signal, sys
from connectors.kafka import give
from connectors.kafka_transaction import Transactions
from jobs.desk import Desk, Filter
from jobs.redrive import redrive
from jobs.team_topics import team_topics

def dies(self, records):  # all is with the broker, nothing is committed
    self._producer.begin_transaction()
    for record in records:
        give(self._producer, record, None, [])
    assert self._producer.flush(30) == 0
    os.kill(os.getpid(), signal.SIGKILL)

Transactions.batch = dies
desk = Desk(team_topics(sys.argv[1]))
redrive(desk, desk.select(Filter()))
"""


def test_a_desk_that_is_killed_has_driven_nothing_that_it_has_not_said(world: World) -> None:
    broken(world, 7)
    killed = subprocess.run([sys.executable, "-c", DIES, world.team.team], timeout=120)
    assert killed.returncode == -signal.SIGKILL
    assert "7 driven again" in world.command(world.team.team, "redrive", "--all").output
    assert sorted(again(world)) == sorted(b"lead-%d" % n for n in range(7))
    assert len(world.decisions()) == 7
    seen = uncommitted(world, world.leads)
    driven = [m for m in seen if dict(m.headers() or ()).get("attempt") == b"2"]
    assert len(driven) == 14  # who reads uncommitted records sees each twice, and alike,
    alike = {(m.key(), m.value(), tuple(m.headers())) for m in driven}
    assert len(alike) == 7  # so that the second is dropped, by event id and attempt


def uncommitted(world: World, topic: str) -> list[Any]:
    """Everything that lies on a topic, as a reader of uncommitted records sees it."""
    consumer = Consumer(
        {
            "bootstrap.servers": world.servers,
            "group.id": "test",
            "isolation.level": "read_uncommitted",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    found, open_ = [], 2
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(open_)])
    while open_:
        message = consumer.poll(30)
        assert message is not None
        if message.error():
            open_ -= 1
        else:
            found.append(message)
    consumer.close()
    return found
