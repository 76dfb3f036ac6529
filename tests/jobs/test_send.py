"""Files of people onto a real topic: all of a file or nothing, and the same file twice the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer

from connectors.kafka import KafkaRecord
from jobs.errors import TidemillError
from jobs.evidence import raw_record
from jobs.send import send
from jobs.team_topics import team_topics
from tests.jobs.desk_world import World, new_world
from udfs.core import events
from udfs.core.decode import decode_record

HEADER = "lead_id,name,email\n"


@pytest.fixture
def world(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    app = typer.Typer()
    app.command()(send)
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app)


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    file = tmp_path / "leads.csv"
    file.write_text(HEADER + "lead-1,Ada,ada@example.org\nlead-2,Zoë,zoe@example.org\n")
    return file


def test_a_file_is_sent_and_what_to_type_next_is_told(world: World, csv: Path) -> None:
    output = world.command(world.team.team, str(csv)).output
    assert f"2 events sent to {world.leads}." in output
    assert f"tidemill status {world.team.team}" in output and "tidemill trace lead-1" in output
    found = {record.key: record for record in world.records(world.leads)}
    assert json.loads(found[b"lead-2"].value or b"") == {
        "lead_data": {"name": "Zoë", "email": "zoe@example.org"}
    }


def test_what_is_sent_is_what_the_guarded_source_takes(world: World, csv: Path) -> None:
    world.command(world.team.team, str(csv))
    for record in world.records(world.leads):
        row = decode_record(
            raw_record(record), world.team.topics[world.leads].columns, record.timestamp_ms
        )
        assert row is not None and (record.key or b"").decode() in row


def test_headers_are_those_of_an_event_that_begins_here(world: World, csv: Path) -> None:
    world.command(world.team.team, str(csv))
    record = world.records(world.leads)[0]
    headers = dict(record.headers)
    expected_id = events.event_id(world.leads, record.key, record.value)
    assert headers["ce_id"] == expected_id.encode()
    assert headers["attempt"] == b"1"
    assert headers["ce_source"] == b"tidemill:send"
    assert headers["ce_type"] == world.leads.encode()
    assert (headers["ce_time"] or b"").startswith(b"20")
    trace, _ = events.trace_context({"ce_id": expected_id.encode()})
    assert trace.encode() in (headers["traceparent"] or b"")


def test_a_file_that_is_sent_twice_has_the_same_events(world: World, csv: Path) -> None:
    def ids(records: list[KafkaRecord]) -> list[bytes | None]:
        return sorted(record.header("ce_id") or b"" for record in records)

    world.command(world.team.team, str(csv))
    once = ids(world.records(world.leads))
    world.command(world.team.team, str(csv))
    assert ids(world.records(world.leads)) == sorted(once * 2)


def test_one_wrong_line_and_nothing_is_sent(world: World, csv: Path) -> None:
    with csv.open("a") as file:
        file.write("lead-3,Bo\nlead-4,Cy,\n")
    with pytest.raises(TidemillError, match="nothing was sent: .* has 2 problems; mend them"):
        world.command(world.team.team, str(csv))
    assert world.records(world.leads) == []


def test_every_problem_is_told_with_its_line(
    world: World, csv: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with csv.open("a") as file:
        file.write("lead-3,Bo\nlead-4,Cy,\n")
    with pytest.raises(TidemillError):
        send(world.team.team, csv)
    told = capfd.readouterr().err
    assert "line 4: 2 cells where the header has 3; expected" in told
    assert "line 5: lead_data.email: found null or nothing; expected" in told


def test_unchecked_sends_each_line_as_it_stands(world: World, tmp_path: Path) -> None:
    file = tmp_path / "broken.jsonl"
    file.write_bytes(b'{"lead_id": "lead-1", "lead_data": {}}\n{broken\n\n\xff\xfe\n')
    assert "3 events sent" in world.command(world.team.team, str(file), "--unchecked").output
    found = world.records(world.leads)
    assert {r.value for r in found} == {
        b'{"lead_id": "lead-1", "lead_data": {}}',
        b"{broken",
        b"\xff\xfe",
    }
    assert all(r.key for r in found) and b"lead-1" in {r.key for r in found}


def test_a_topic_that_the_team_has_not_is_told(world: World, csv: Path) -> None:
    with pytest.raises(TidemillError, match=r"has no topic nope; its topics are .*_leads, "):
        world.command(world.team.team, str(csv), "--topic", "nope")


def test_a_named_topic_takes_its_own_columns(world: World, tmp_path: Path) -> None:
    file = tmp_path / "reports.csv"
    file.write_text("lead_id,report\nlead-1,fine\n")
    topic = f"{world.team.team}_reports"
    assert "1 event sent" in world.command(world.team.team, str(file), "--topic", topic).output
    assert [r.value for r in world.records(topic)] == [b'{"report": "fine"}']


def test_a_team_that_there_is_not_is_told(world: World, csv: Path) -> None:
    with pytest.raises(TidemillError, match=r"there is no sql/nobody/tables\.sql"):
        world.command("nobody", str(csv))


def test_the_samples_of_sdr_have_the_columns_of_its_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    (topic,) = team_topics("sdr").external
    assert topic.key == "lead_id"
    assert [name for name, _ in topic.fields] == ["lead_id", "lead_data"]
