"""An edited payload: checked against the topic's declaration, driven once, and told what it was."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
import typer
from rich.console import Console

from connectors.kafka import NewRecord
from jobs import terminal
from jobs.balance import Watch, team_status
from jobs.dead_letters import app
from jobs.errors import TidemillError
from jobs.fates import Fate
from tests.jobs.desk_world import World, new_world
from udfs.core import events

LATER = ("email=ada", "email=ada@example.org")
BAD = b'{"lead_data": {"name": "Ada", "email": 7}}'


@pytest.fixture
def world(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("FLINK_REST_URL", raising=False)
    monkeypatch.delenv("VISUAL", raising=False)
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app)


def editor(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """An editor that runs Python on the file that it is given, as `file`."""
    script = folder / "editor.py"
    script.write_text(f"import pathlib, sys\nfile = pathlib.Path(sys.argv[-1])\n{code}\n")
    monkeypatch.setenv("EDITOR", f"python3 {script}")


MENDS = "file.write_text(file.read_text().replace('7', '\"ada@example.org\"'))"


def test_an_edit_is_driven_under_the_same_id_as_the_next_attempt(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = world.lead(b"lead-1", BAD, ("note", b"kept"))
    world.decode()
    editor(monkeypatch, tmp_path, MENDS)
    output = world.command(world.team.team, "edit", world.number("lead-1")).output
    assert '-    "email": 7' in output and '+    "email": "ada@example.org"' in output
    assert f"1 driven again, to {world.leads}" in output
    found = world.records(world.leads)[-1]
    assert json.loads(found.value or b"") == {
        "lead_data": {"name": "Ada", "email": "ada@example.org"}
    }
    assert dict(found.headers) == {
        "note": b"kept",
        "ce_id": events.event_id(world.leads, record.key, record.value).encode(),
        "edited_from": record.place.encode(),
        "attempt": b"2",
    }
    assert world.decode() == 1  # the first again, and not the second


def test_what_stood_there_before_is_in_the_decision(world: World, tmp_path: Path) -> None:
    world.lead(b"lead-1", BAD)
    world.lead(b"lead-2", b"\xff\xfe")
    world.decode()
    file = tmp_path / "new.json"
    file.write_bytes(b'{"lead_data": {"email": "ada@example.org"}}')
    for key in ("lead-1", "lead-2"):
        words = ("edit", world.number(key), "--file", str(file), "--because", "asked Ada")
        assert world.command(world.team.team, *words).exit_code == 0
    text, raw = world.decisions()
    assert (text["decision"], text["because"]) == ("edited", "asked Ada")
    assert text["original"] == BAD.decode()
    assert base64.b64decode(str(raw["original"])) == b"\xff\xfe" and raw["original_is_base64"]
    assert [r.value for r in world.records(world.leads)[2:]] == [file.read_bytes()] * 2


def test_the_same_edit_twice_is_one_and_another_is_refused(world: World) -> None:
    world.lead(b"lead-1", BAD)
    world.decode()
    number = world.number("lead-1")
    same = ("edit", number, "--set", "lead_data.email=ada@example.org")
    world.command(world.team.team, *same)
    assert "1 decided so already" in world.command(world.team.team, *same).output
    assert "1 decided so already" in world.command(world.team.team, "redrive", number).output
    assert "It was edited by" in world.command(world.team.team, "edit", number).output
    other = ("edit", number, "--set", "lead_data.email=eve@example.org")
    with pytest.raises(TidemillError, match="was edited already, by .*; if that died again"):
        world.command(world.team.team, *other)
    assert len(world.records(world.leads)) == 2


def test_values_are_set_as_their_columns_are_declared(world: World) -> None:
    world.lead(b"lead-1", b'{"lead_data": {"name": 1}}')
    world.decode()
    sets = ("--set", "lead_data.name=12", "--set", "lead_data.email=a=b@example.org")
    world.command(world.team.team, "edit", world.number("lead-1"), *sets)
    found = json.loads(world.records(world.leads)[-1].value or b"")
    assert found == {"lead_data": {"name": "12", "email": "a=b@example.org"}}


def test_a_record_without_a_key_is_given_one(world: World) -> None:
    good = b'{"lead_data": {"email": "ada@example.org"}}'
    world.put(NewRecord(world.leads, None, good))
    world.decode()
    (row,) = world.rows()
    output = world.command(world.team.team, "edit", row[0], "--set", "lead_id=lead-9").output
    assert "-key: (null)" in output and "+key: lead-9" in output
    found = [r for r in world.records(world.leads) if r.key == b"lead-9"]
    assert [r.value for r in found] == [good]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--set", "lead_data.email"], "names no column of .*; write --set PATH=VALUE"),
        (["--set", "mail=x"], "--set mail=x names no column .* it has lead_id, lead_data"),
        (["--set", "lead_data.name.first=x"], "lead_data.name is no object or list that has first"),
        (
            ["--set", "lead_data=7"],
            "does not take this .wrong_type.: lead_data: expected .*nothing",
        ),
        (["--file", "nowhere.json"], "nowhere.json cannot be read: No such file"),
        (["--file", "x", "--set", "a=b"], "--set and --file exclude each other"),
        ([], "neither VISUAL nor EDITOR says which editor is yours; set EDITOR, or use --set"),
    ],
)
def test_an_edit_that_does_not_fit_is_told_and_not_driven(
    world: World, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    monkeypatch.delenv("EDITOR", raising=False)
    world.lead(b"lead-1", BAD)
    world.decode()
    with pytest.raises(TidemillError, match=told):
        world.command(world.team.team, "edit", world.number("lead-1"), *words)
    assert len(world.records(world.leads)) == 1 and world.records(world.team.decisions) == []


def test_what_was_typed_and_does_not_fit_is_kept(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.lead(b"lead-1", BAD)
    world.decode()
    editor(monkeypatch, tmp_path, "file.write_text('{\"lead_data\": null}')")
    with pytest.raises(TidemillError, match="wrong_type.*; nothing was driven; mend") as raised:
        world.command(world.team.team, "edit", world.number("lead-1"))
    kept = Path(str(raised.value).rpartition(" ")[2])
    assert kept.read_bytes() == b'{"lead_data": null}'
    assert kept.stat().st_mode & 0o077 == 0
    kept.unlink()


def test_an_editor_that_changes_nothing_or_fails_drives_nothing(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.lead(b"lead-1", BAD)
    world.lead(b"lead-2", b"\xff")
    world.decode()
    number = world.number("lead-1")
    editor(monkeypatch, tmp_path, "file.write_text(file.read_text() + '\\n')")
    assert "Nothing was changed" in world.command(world.team.team, "edit", number).output
    for code, told in (("sys.exit(3)", "ended with code 3; nothing was driven"),):
        editor(monkeypatch, tmp_path, code)
        with pytest.raises(TidemillError, match=told):
            world.command(world.team.team, "edit", number)
    monkeypatch.setenv("EDITOR", "no-such-editor")
    with pytest.raises(TidemillError, match="the editor 'no-such-editor' does not start"):
        world.command(world.team.team, "edit", number)
    with pytest.raises(TidemillError, match="its value is no text.*use --file"):
        world.command(world.team.team, "edit", world.number("lead-2"))
    assert len(world.records(world.leads)) == 2


def test_an_edit_is_asked_about_where_somebody_is_there(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.lead(b"lead-1", BAD)
    world.decode()
    number = world.number("lead-1")
    editor(monkeypatch, tmp_path, MENDS)
    monkeypatch.setattr(terminal, "console", lambda: Console(force_terminal=True, width=100))
    assert world.command(world.team.team, "edit", number).exit_code == 1
    assert len(world.records(world.leads)) == 1
    assert world.command(world.team.team, "edit", number, "--yes").exit_code == 0
    assert len(world.records(world.leads)) == 2


def test_what_is_left_of_a_gone_record_can_be_made_one(world: World) -> None:
    record = world.lead(b"lead-1", b'{"lead_data": {"email": "ada@example.org"}}')
    world.fail(record, "refusal", b'{"lead_id": "lead-1", "question": "a view has other columns"}')
    world.forget_leads()
    number = world.number("lead-1")
    with pytest.raises(TidemillError, match="missing_field"):
        world.command(world.team.team, "edit", number, "--set", "lead_data.name=Ada")
    assert world.records(world.leads) == []
    email = ("--set", "lead_data.email=ada@example.org")
    world.command(world.team.team, "edit", number, *email)
    (found,) = world.records(world.leads)
    assert found.header("attempt") == b"2" and found.header("edited_from") == record.place.encode()


def test_an_edited_lead_is_the_same_lead_and_a_discarded_one_is_counted_so(world: World) -> None:
    world.lead(b"lead-1", BAD)
    world.lead(b"lead-2", BAD)
    world.lead(b"lead-3", BAD)
    world.decode()
    assert dict(Watch(world.team).look().counts) == {Fate.DEAD: 3}
    watch = Watch(world.team)
    world.command(
        world.team.team, "edit", world.number("lead-1"), "--set", "lead_data.email=a@b.example"
    )
    world.command(world.team.team, "discard", world.number("lead-2"), "--because", "x")
    found = watch.look()
    assert dict(found.counts) == {Fate.IN_FLIGHT: 1, Fate.DISCARDED: 1, Fate.DEAD: 1}
    assert not found.wrong and not found.strays
    world.command(world.team.team, "redrive", world.number("lead-2"))
    assert dict(watch.look().counts) == {Fate.IN_FLIGHT: 2, Fate.DEAD: 1}
    world.app = typer.Typer()
    world.app.command()(team_status)
    output = world.command(world.team.team).output
    assert "to be decided: tidemill dead-letters" in output and "discarded" not in output
