"""The balance of a team over real topics and offsets; what operators hold is asked end to end."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from confluent_kafka import Consumer, TopicPartition
from rich.console import Console

from connectors.kafka import NewRecord, end_offsets
from connectors.ledger import LEDGER
from connectors.mongodb import client
from connectors.settings import settings
from jobs import balance
from jobs.balance import Watch, balance_table, settled, team_status, verdict
from jobs.evidence import MAILS, Fact
from jobs.fates import Fate
from tests.jobs.desk_world import World, new_world

LEAD = b'{"lead_data": {"name": "Ada", "email": "ada@example.org"}}'


@pytest.fixture
def world(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.delenv("FLINK_REST_URL", raising=False)
    app = typer.Typer()
    app.command()(team_status)
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app)


def commit_all(world: World) -> None:
    """The team's job has read all that came in, and committed that."""
    ends = end_offsets(world.servers, [world.leads])
    consumer = Consumer(
        {"bootstrap.servers": world.servers, "group.id": world.team.jobs[0], "log_level": 0}
    )
    offsets = [TopicPartition(topic, partition, end) for (topic, partition), end in ends.items()]
    consumer.commit(offsets=offsets, asynchronous=False)
    consumer.close()


def report(world: World, source: str) -> None:
    """The team's job has made a report of the lead at a place."""
    headers = (("source", source.encode()),)
    world.put(NewRecord(f"{world.team.team}_reports", b"lead-1", b'{"report": "x"}', headers))


def test_leads_that_nobody_has_read_are_in_flight_and_balance(world: World) -> None:
    world.lead(b"lead-1", LEAD)
    world.lead(b"lead-1", LEAD)
    world.lead(b"lead-2", LEAD)
    world.lead(b"lead-2", None)
    found, certain = settled(Watch(world.team))
    assert certain and not found.wrong
    assert dict(found.counts) == {Fate.IN_FLIGHT: 2}
    assert (found.repeats, found.tombstones, found.waiting) == (1, 1, 2)


def test_what_came_of_leads_is_found_by_their_places(world: World) -> None:
    done = world.lead(b"lead-1", LEAD)
    world.lead(b"lead-2", b"{broken")
    world.decode()
    report(world, done.place)
    report(world, done.place)
    commit_all(world)
    found, _ = settled(Watch(world.team))
    assert dict(found.counts) == {Fate.DONE: 1, Fate.DEAD: 1} and not found.strays


def test_a_second_look_reads_what_is_new_and_counts_nothing_twice(world: World) -> None:
    watch = Watch(world.team)
    lead = world.lead(b"lead-1", LEAD)
    assert watch.look().counts[Fate.IN_FLIGHT] == 1
    assert len(watch.facts) == 1
    report(world, lead.place)
    found = watch.look()
    assert dict(found.counts) == {Fate.DONE: 1} and found.repeats == 0
    assert len(watch.facts) == 2
    (job,) = watch.jobs
    assert (job.behind, job.held) == (1, None)


def test_a_lead_that_was_read_and_came_to_nothing_unbalances(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance, "CERTAIN_S", 0.2)
    monkeypatch.setattr(balance, "PAUSE_S", 0.1)
    world.lead(b"lost-lead", LEAD)
    commit_all(world)
    result = world.command(world.team.team)
    assert result.exit_code == 1
    assert "UNBALANCED" in result.output and "lost-lead" in result.output
    assert "does not run: nobody can tell what it holds" in result.output


def test_what_does_not_come_to_rest_is_said_to_move(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(balance, "PATIENCE_S", 0.5)
    monkeypatch.setattr(balance, "PAUSE_S", 0.1)
    world.lead(b"lead-1", LEAD)
    commit_all(world)
    result = world.command(world.team.team)
    assert result.exit_code == 1 and "MOVING" in result.output


def test_the_command_prints_the_sum(world: World) -> None:
    lead = world.lead(b"lead-1", LEAD)
    report(world, lead.place)
    result = world.command(world.team.team)
    assert result.exit_code == 0
    assert "BALANCED: every event" in result.output and "UNBALANCED" not in result.output
    assert world.team.jobs[0] in result.output


def test_a_parked_mail_is_looked_up_in_the_ledger(world: World) -> None:
    watch = Watch(world.team)
    name = f"effect-{world.team.team}"
    says = {"status": "parked", "effect_id": name}
    watch.facts.append(Fact(MAILS, 0, 0, 0, "k", "e", 1, "t", says=says))
    assert watch._resolved() == {}
    with client() as mongodb:
        ledger = mongodb[settings().mongodb_database][LEDGER]
        ledger.insert_one({"_id": name, "status": "sent"})
    assert watch._resolved() == {name: "sent"}


def test_strangers_keys_cannot_act_on_the_terminal(world: World) -> None:
    world.lead(b"\x1b[2Jlead", LEAD)
    commit_all(world)
    found = Watch(world.team).look()
    console = Console(width=100)
    with console.capture() as captured:
        console.print(balance_table(world.team.team, found))
        console.print(verdict(found, certain=True), markup=False)
    assert "\x1b" not in captured.get() and "[2Jlead" in captured.get()
