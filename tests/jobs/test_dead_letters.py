"""The desk over real topics: what it lists, sums up and shows. Decisions: test_desk_decisions."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka import NewRecord
from jobs import desk_view
from jobs.dead_letters import app
from jobs.desk import Desk, moment_ms
from jobs.errors import TidemillError
from jobs.payload_edit import laid_out
from jobs.terminal import hexdump, visible
from tests.jobs.desk_world import World, new_world, on_a_terminal

GOOD = b'{"lead_data": {"name": "Ada", "email": "ada@example.org"}}'


@pytest.fixture
def world(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app)


def test_a_team_without_dead_letters_says_so(world: World) -> None:
    assert "has no dead letters" in world.command(world.team.team).output
    with pytest.raises(TidemillError, match="has no dead letter 3: it has none"):
        world.command(world.team.team, "show", "3")


def test_dead_letters_are_listed_with_why_and_where(world: World) -> None:
    world.lead(b"lead-1", b"{broken")
    world.lead(b"lead-2", b"[]")
    assert world.decode() == 2
    found = world.rows()
    assert {row[4] for row in found} == {"not_json"}
    assert {row[6] for row in found} == {"lead-1", "lead-2"}
    assert found[0][2:4] == [f"{world.team.team}.report", "decode"]
    bare = world.command(world.team.team).output.splitlines()
    assert [line.split("\t") for line in bare] == found


def test_a_dead_letter_that_was_delivered_twice_is_one_under_either_number(world: World) -> None:
    world.lead(b"lead-1", b"{broken")
    world.decode()
    (before,) = world.rows()
    world.decode()
    (row,) = world.rows()
    assert row[4] == "not_json (×2)" and row[0] == before[0]
    numbers = Desk(world.team).letters[0].numbers
    shown = {world.command(world.team.team, "show", str(n)).output for n in numbers}
    assert len(numbers) == 2 and len(shown) == 1


def test_a_number_stays_when_older_dead_letters_go(world: World) -> None:
    for n in range(6):
        world.lead(b"lead-%d" % n, b"{broken")
    world.decode()
    number = world.number("lead-5")
    place = Desk(world.team).letter(int(number)).place
    first = TopicPartition(place[0], place[1], place[2])  # all before it on its partition
    admin = AdminClient({"bootstrap.servers": world.servers})
    for future in admin.delete_records([first]).values():
        future.result()
    assert world.number("lead-5") == number
    assert len(world.rows()) < 6 or place[2] == 0


def test_only_those_of_a_filter_are_listed(world: World) -> None:
    world.fail(world.lead(b"lead-1", GOOD), "refusal", b'{"lead_id": "lead-1"}', "it would not")
    world.lead(b"lead-2", b"{broken")
    world.lead(b"lead-3", b"")
    world.decode()
    for words, keys in {
        ("--reason", "empty"): ["lead-3"],
        ("--stage", "decode"): ["lead-2", "lead-3"],
        ("--key", "lead-1"): ["lead-1"],
        ("--text", "Would NOT"): ["lead-1"],
        ("--job", "report"): ["lead-1", "lead-2", "lead-3"],
        ("--job", f"{world.team.team}.report", "--stage", "agent"): ["lead-1"],
        ("--since", "1h"): ["lead-1", "lead-2", "lead-3"],
        ("--until", "1h"): [],
        ("--limit", "1"): ["lead-1"],
    }.items():
        assert sorted(row[6] for row in world.rows(*words)) == keys, words
    with pytest.raises(TidemillError, match="no dead letter with reason rude; there are: empty, n"):
        world.rows("--reason", "rude")
    with pytest.raises(TidemillError, match="'yesterday' is no moment; write 2h or 3d"):
        world.rows("--since", "yesterday")
    told = world.command(world.team.team, "--key", "nobody").output
    assert "None of 3 dead letters" in told


def test_moments_are_ago_or_utc() -> None:
    now = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
    day = int(dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC).timestamp() * 1000)
    for text in ("1d", "24h", "2026-11-22T12:00", "2026-11-22 12:00", "2026-11-22T13:00+01:00"):
        assert moment_ms(text, now) == day


def test_many_are_summed_up_on_a_terminal_and_listed_one_by_one_elsewhere(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = desk_view.LISTED + 10
    world.put(*(NewRecord(world.leads, b"lead-%d" % n, b"{broken") for n in range(many)))
    world.put(NewRecord(world.leads, b"other", b""))
    world.decode()
    world.command(world.team.team, "redrive", "--reason", "not_json", "--limit", "3")
    assert len(world.rows("--limit", str(many))) == many - 2
    screen = on_a_terminal(monkeypatch, 100)
    world.command(world.team.team)
    assert len(screen.getvalue().splitlines()) < 15
    assert f"│  60 │        57 │ {dt.datetime.now(dt.UTC):%m-%d}" in screen.getvalue()
    screen = on_a_terminal(monkeypatch, 100)
    world.command(world.team.team, "--reason", "empty")
    assert "other" in screen.getvalue() and "undecided" not in screen.getvalue()


@pytest.mark.parametrize("width", [80, 160])
def test_long_keys_and_reasons_leave_room_for_the_message(
    world: World, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    record = world.lead(b"9acd16cc-21ac-5ffc-bebc-e66d1b7b02a9", GOOD)
    row = b'{"lead_id": "9acd16cc-21ac-5ffc-bebc-e66d1b7b02a9"}'
    world.fail(record, "model_unavailable", row, "HTTP 503: the server is overloaded, it says")
    world.lead(b"lead-1", b"{broken")
    world.decode()
    world.command(world.team.team, "discard", world.number("lead-1"), "--because", "x")
    screen = on_a_terminal(monkeypatch, width)
    world.command(world.team.team, "list", "--decided")
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines[:-1])) == width and len(lines) < (10 if width == 160 else 16)
    assert "model_unavailable" in screen.getvalue() and "discarded" in screen.getvalue()


def test_one_is_shown_with_its_headers_and_bytes(world: World) -> None:
    world.lead(b"lead-1", b'{"lead_data": 1}', ("ce_id", b"abc"), ("note", b"\xff\x00"))
    world.decode()
    output = world.command(world.team.team, "show", world.number("lead-1")).output
    for part in ("wrong_type", "ce_id: abc", "note: ff 00", '"lead_data": 1', "stage decode"):
        assert part in output
    assert "is gone" not in output and "Prompt" not in output


def test_bytes_that_are_no_text_are_shown_as_a_hexdump(world: World) -> None:
    world.lead(b"lead-1", b"\x80\x04\x95pickle" + bytes(3000))
    world.decode()
    output = world.command(world.team.team, "show", world.number("lead-1")).output
    assert "00000000  80 04 95 70 69 63 6b 6c 65 00" in output
    assert "more bytes" in output


def test_what_strangers_wrote_cannot_act_on_a_terminal(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    attack = "\x1b[2J\x1b]0;owned\x07 \u202egnp \x9b31m [red]x[/red]"
    raw = json.dumps({"lead_data": attack}, ensure_ascii=False).replace("\\u001b", "\x1b").encode()
    world.lead(attack.encode(), raw, ("x\x1b[2J", attack.encode()))
    world.decode()
    number = world.rows()[0][0]
    for words in ([], ["show", number]):
        seen = [world.command(world.team.team, *words).output]
        for width in (80, 160):
            with monkeypatch.context() as patched:
                screen = on_a_terminal(patched, width)
                world.command(world.team.team, *words)
                seen.append(screen.getvalue())
        for output in seen:
            assert not {"\x1b", "\x9b", "\x07", "\u202e"} & set(output)
        assert "[red]x[/red]" in seen[0]


def test_a_number_that_is_not_there_is_told(world: World) -> None:
    world.lead(b"lead-1", b"")
    world.decode()
    with pytest.raises(TidemillError, match="has no dead letter 70; near it are [12]; `tidemill"):
        world.command(world.team.team, "show", "70")


def test_what_retention_has_taken_is_shown_as_the_dead_letter_kept_it(world: World) -> None:
    world.lead(b"lead-1", b"{broken", ("ce_id", b"abc"))
    world.decode()
    world.forget_leads()
    output = world.command(world.team.team, "show", world.number("lead-1")).output
    assert "is gone; this was kept" in output and "{broken" in output and "ce_id: abc" in output


def test_visible_keeps_text_and_spells_out_what_acts() -> None:
    assert visible("Zoë\tline\nnext") == "Zoë\tline\nnext"
    assert visible("\x1b[0m\u202e\x9b\u2028\ud800") == r"\x1b[0m\u202e\x9b\u2028\ud800"


def test_a_hexdump_is_bounded() -> None:
    assert hexdump(bytes(range(20)), 18).splitlines() == [
        "00000000  00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f  ................",
        "00000010  10 11                                            ..",
        "… 2 more bytes",
    ]


@pytest.mark.parametrize("text", ['{"a":1.10}', '{"a":1,"a":2}', '{"a":1e5}', '{"a":-0}', "{a"])
def test_json_that_would_not_come_back_the_same_is_left_as_it_is(text: str) -> None:
    assert laid_out(text) == text
    assert laid_out('{"a":1.5,"b":["ü"]}') == '{\n  "a": 1.5,\n  "b": [\n    "ü"\n  ]\n}'
