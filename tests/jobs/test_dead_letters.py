"""The desk over real topics: what it lists, what it shows, and what it drives again, once."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka import NewRecord
from jobs.dead_letters import app
from jobs.errors import TidemillError
from jobs.terminal import hexdump, visible
from tests.jobs.desk_world import World, new_world

GOOD = b'{"lead_data": {"name": "Ada", "email": "ada@example.org"}}'


@pytest.fixture
def world(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app)


def lines(output: str) -> list[list[str]]:
    return [line.split("\t") for line in output.splitlines() if "\t" in line]


def test_a_team_without_dead_letters_says_so(world: World) -> None:
    assert "has no dead letters" in world.command(world.team.team).output


def test_dead_letters_are_listed_with_why_and_where(world: World) -> None:
    world.lead(b"lead-1", b"{broken")
    world.lead(b"lead-2", b"[]")
    assert world.decode() == 2
    found = lines(world.command(world.team.team).output)
    assert [row[0] for row in found] == ["1", "2"]
    assert {row[4] for row in found} == {"not_json"}
    assert {row[6] for row in found} == {"lead-1", "lead-2"}
    assert found[0][2:4] == [f"{world.team.team}.report", "decode"]
    assert lines(world.command(world.team.team, "list").output) == found


def test_a_dead_letter_that_was_delivered_twice_is_one(world: World) -> None:
    world.lead(b"lead-1", b"{broken")
    world.decode()
    world.decode()
    (row,) = lines(world.command(world.team.team).output)
    assert row[4] == "not_json (×2)"


def test_only_those_with_a_reason_are_listed_and_keep_their_numbers(world: World) -> None:
    world.lead(b"lead-1", b"{broken")
    world.lead(b"lead-2", b"")
    world.decode()
    found = lines(world.command(world.team.team).output)
    (empty,) = [row for row in found if row[4] == "empty"]
    assert lines(world.command(world.team.team, "--reason", "empty").output) == [empty]
    with pytest.raises(TidemillError, match="no dead letter with reason rude; there are: empty, n"):
        world.command(world.team.team, "--reason", "rude")


def test_one_is_shown_with_its_headers_and_bytes(world: World) -> None:
    world.lead(b"lead-1", b'{"lead_data": 1}', ("ce_id", b"abc"), ("note", b"\xff\x00"))
    world.decode()
    output = world.command(world.team.team, "show", "1").output
    for part in ("wrong_type", "abc", "ff 00", '"lead_data": 1', "is still there", "dlq_stage"):
        assert part in output


def test_bytes_that_are_no_text_are_shown_as_a_hexdump(world: World) -> None:
    world.lead(b"lead-1", b"\x80\x04\x95pickle" + bytes(3000))
    world.decode()
    output = world.command(world.team.team, "show", "1").output
    assert "00000000  80 04 95 70 69 63 6b 6c 65 00" in output
    assert "more bytes" in output


def test_what_strangers_wrote_cannot_act_on_a_terminal(world: World) -> None:
    attack = "\x1b[2J\x1b]0;owned\x07 \u202egnp \x9b31m [red]x[/red]"
    raw = json.dumps({"lead_data": attack}, ensure_ascii=False).replace("\\u001b", "\x1b").encode()
    world.lead(attack.encode(), raw, ("x\x1b[2J", attack.encode()))
    world.decode()
    for words in ([], ["show", "1"]):
        output = world.command(world.team.team, *words).output
        assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(output)
        assert "[red]x[/red]" in output


def test_a_number_that_is_not_there_is_told(world: World) -> None:
    world.lead(b"lead-1", b"")
    world.decode()
    with pytest.raises(TidemillError, match="has no dead letter 7; there are: 1 to 1"):
        world.command(world.team.team, "show", "7")


def test_redriven_is_the_original_record_byte_for_byte_with_the_next_attempt(world: World) -> None:
    headers = (("twice", b"a"), ("twice", b"b"), ("null", None), ("ce_id", b"abc"))
    original = world.lead(b"lead-1", b" {broken\xff", *headers)
    world.decode()
    output = world.command(world.team.team, "redrive", "1").output
    assert f"1 driven again, to {world.leads}" in output
    again = world.records(world.leads)[-1]
    assert (again.key, again.value) == (original.key, original.value)
    assert again.headers == (*headers, ("attempt", b"2"))
    assert again.partition == original.partition


def test_the_same_attempt_is_driven_once(world: World) -> None:
    world.lead(b"lead-1", b"{broken", ("attempt", b"3"))
    world.decode()
    world.command(world.team.team, "redrive", "1")
    output = world.command(world.team.team, "redrive", "1").output
    assert "1 already driven with this attempt" in output
    assert "1 already" in world.command(world.team.team, "redrive", "--reason", "not_json").output
    assert len(world.records(world.leads)) == 2
    assert world.records(world.leads)[-1].header("attempt") == b"4"
    (row,) = lines(world.command(world.team.team).output)
    assert row[-1] == "driven"
    (mark,) = world.records(world.team.redrives)
    said = json.loads(mark.value or b"")
    assert (said["topic"], said["attempt"], said["reason"]) == (world.leads, 4, "not_json")


def test_what_dies_again_can_be_driven_again(world: World) -> None:
    world.lead(b"lead-1", b"{broken")
    world.decode()
    world.command(world.team.team, "redrive", "1")
    world.decode()  # both records, for decoding is delivered at least once
    found = lines(world.command(world.team.team).output)
    assert [(row[4], row[7]) for row in found] == [("not_json (×2)", "driven"), ("not_json", "")]
    world.command(world.team.team, "redrive", "--reason", "not_json")
    attempts = [r.header("attempt") for r in world.records(world.leads)]
    assert attempts == [None, b"2", b"3"]


def test_two_dead_letters_of_one_record_drive_it_once(world: World) -> None:
    record = world.lead(b"lead-1", GOOD)
    for reason in ("refusal", "truncated"):
        world.fail(record, reason, b"{}")
    world.command(world.team.team, "redrive", "1")
    assert "1 already" in world.command(world.team.team, "redrive", "2").output
    assert len(world.records(world.leads)) == 2


def test_all_of_a_reason_are_driven_and_the_second_time_none(world: World) -> None:
    world.put(*(NewRecord(world.leads, b"lead-%d" % n, b"{broken") for n in range(250)))
    world.put(NewRecord(world.leads, b"other", b""))
    world.decode()
    assert (
        "250 driven again"
        in world.command(world.team.team, "redrive", "--reason", "not_json").output
    )
    assert "250 already" in world.command(world.team.team, "--reason", "not_json", "redrive").output
    assert len(world.records(world.leads)) == 501


def test_redrive_must_be_told_which(world: World) -> None:
    with pytest.raises(TidemillError, match="say which dead letters"):
        world.command(world.team.team, "redrive")


def forget(world: World) -> None:
    """Retention takes all of the external topic."""
    ends = [TopicPartition(world.leads, partition, -1) for partition in (0, 1)]
    admin = AdminClient({"bootstrap.servers": world.servers})
    for future in admin.delete_records(ends).values():
        future.result()


def test_what_retention_has_taken_is_driven_from_what_the_dead_letter_kept(world: World) -> None:
    world.lead(b"lead-1", b"{broken", ("ce_id", b"abc"))
    world.decode()
    forget(world)
    assert "is gone" in world.command(world.team.team, "show", "1").output
    world.command(world.team.team, "redrive", "1")
    (again,) = world.records(world.leads)
    assert (again.key, again.value) == (b"lead-1", b"{broken")
    assert dict(again.headers) == {"ce_id": b"abc", "attempt": b"2"}


def test_a_row_that_is_not_what_the_topic_takes_is_not_driven(world: World) -> None:
    record = world.lead(b"lead-1", GOOD)
    world.fail(record, "refusal", b'{"lead_id": "lead-1", "question": "a view has other columns"}')
    world.fail(record, "truncated", GOOD)
    forget(world)
    refused = world.command(world.team.team, "redrive", "1")
    assert refused.exit_code == 1
    assert "is gone, and what is left is not one" in refused.output
    assert world.records(world.leads) == []
    assert world.command(world.team.team, "redrive", "2").exit_code == 0
    assert [r.value for r in world.records(world.leads)] == [GOOD]


def test_a_dead_letter_that_does_not_say_from_where_is_not_driven(world: World) -> None:
    world.put(NewRecord(world.team.dead_letters, b"k", b"v", (("dlq_reason", b"odd"),)))
    found = world.command(world.team.team, "redrive", "1")
    assert found.exit_code == 1 and "does not say from where" in found.output


def test_visible_keeps_text_and_spells_out_what_acts() -> None:
    assert visible("Zoë\tline\nnext") == "Zoë\tline\nnext"
    assert visible("\x1b[0m\u202e\x9b\u2028\ud800") == r"\x1b[0m\u202e\x9b\u2028\ud800"


def test_a_hexdump_is_bounded() -> None:
    assert hexdump(bytes(range(20)), 18).splitlines() == [
        "00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................",
        "00000010  10 11                                            ..",
        "… 2 more bytes",
    ]
