"""The way of a lead as a tree, put together from headers as jobs write them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from connectors.kafka import KafkaRecord, NewRecord
from jobs.errors import TidemillError
from jobs.team_topics import TeamTopics, team_topics
from jobs.trace_tree import Found, Node, trees
from jobs.traces import mail_files, rendered, trace, trace_ids
from tests.jobs.desk_world import World, new_world
from udfs.core import events
from udfs.core.spans import span_id


class Topics:
    """Records of one lead, with the headers that the jobs of sdr would give them."""

    def __init__(self, team: TeamTopics) -> None:
        self.team, self.found = team, Found()
        self.records: list[KafkaRecord] = []

    def put(
        self, topic: str, headers: events.Headers, value: Any = None, at_ms: int = 0
    ) -> KafkaRecord:
        offset = sum(r.topic == topic for r in self.records)
        raw = json.dumps(value if value is not None else {}).encode()
        record = KafkaRecord(
            topic, 0, offset, 1_000_000 + at_ms, b"lead-1", raw, tuple(headers.items())
        )
        self.records.append(record)
        return record

    def read(self, record: KafkaRecord) -> events.Headers:
        """The headers with which a job goes on from a record."""
        headers = events.identified(
            {k: v or b"" for k, v in record.headers},
            topic=record.topic,
            key=record.key,
            value=record.value,
            time="",
        )
        headers["source"] = record.place.encode()
        return headers

    def run(
        self, headers: events.Headers, step: str, kind: str = "run", **fields: Any
    ) -> dict[str, Any]:
        trace_id, parent = events.trace_context(headers)
        event_id = events.text(headers, "ce_id") or ""
        span = {
            "trace_id": trace_id,
            "span_id": span_id("run", event_id, step, "0"),
            "parent_span_id": parent,
            "kind": kind,
            "job": step.rpartition(".")[0],
            "agent": "" if kind == "effect" else "researcher",
            "name": "send_email",
            "event_id": event_id,
            "started_at": 1_000_000,
            "duration_ms": 1200,
            "status": "ok",
            "attributes": {},
        } | fields
        self.found.add_span(span)
        return span

    def call(self, run: dict[str, Any], kind: str, number: int, **attributes: str) -> None:
        span = {**run, "kind": kind, "parent_span_id": run["span_id"], "attributes": attributes}
        self.found.add_span({**span, "span_id": f"{number:016x}", "started_at": number})

    def trees(self) -> list[Node]:
        traces = {t for r in self.records for t in trace_ids("lead-1", [r])}
        for record in self.records:
            self.found.add_event(record, self.team, traces)
        return trees(self.found)


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> Topics:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    return Topics(team_topics("sdr"))


def text(nodes: list[Node]) -> str:
    console = Console(width=200, no_color=True, force_terminal=False)
    with console.capture() as captured:
        for node in nodes:
            console.print(rendered(node))
    return captured.get()


def shape(node: Node) -> Any:
    """Labels only, as nested tuples."""
    return (node.label, *(shape(child) for child in node.children)) if node.children else node.label


def test_a_lead_is_one_tree_from_first_event_to_mail(topics: Topics) -> None:
    lead = topics.put("incoming_leads", {})
    headers = topics.read(lead)
    step = "sdr.lead_ingestion.researched_leads"
    run = topics.run(headers, step)
    topics.call(run, "model_call", 1, **{"gen_ai.request.model": "m", "journal": "miss"})
    topics.call(run, "tool_call", 2, **{"tool.name": "look_up_account"})
    report = topics.put("lead_ingestion_output", events.child_headers(headers, step), at_ms=1500)

    headers = topics.read(report)
    scored = events.child_headers(headers, "lead_scoring")
    topics.found.calls = [
        {
            "event_id": events.text(headers, "ce_id"),
            "attempt": 1,
            "agent": "lead_scoring",
            "kind": "model",
            "name": "m",
            "usage": {"input_tokens": 10, "output_tokens": 5},
            "started_at": 1_000_000,
            "duration_ms": 30,
        }
    ]
    topics.put("lead_scoring_output", scored, at_ms=1600)
    route = topics.put("leads_to_activate", scored, at_ms=1600)

    headers = topics.read(route)
    step = "sdr.active_outreach.written_campaigns"
    topics.run(headers, step, agent="active_outreach")
    sent = {"emails": [{"to": "a@example.org"}]}
    campaign = topics.put("email_campaigns", events.child_headers(headers, step), sent, 2000)

    headers = events.child_headers(topics.read(campaign), "send_email", 1)
    step = "sdr.send_email.handled_emails"
    topics.run(headers, step, kind="effect")
    outcome = {"effect_id": "e1", "status": "sent", "step": 1}
    topics.put("sent_emails", events.child_headers(headers, step), outcome, 2100)

    (tree,) = topics.trees()
    assert shape(tree) == (
        "incoming_leads  lead-1",
        (
            "sdr.lead_ingestion: researcher",
            "model m",
            "tool look_up_account",
            (
                "lead_ingestion_output",
                "lead_scoring: model",
                "lead_scoring_output",
                (
                    "leads_to_activate",
                    (
                        "sdr.active_outreach: active_outreach",
                        ("email_campaigns", ("sdr.send_email: send_email", "mail 1: sent")),
                    ),
                ),
            ),
        ),
    )
    shown = text([tree])
    for part in ("1200 ms", "10 + 5 tokens", "+1.5 s", "1 e-mails", "as the journal has it"):
        assert part in shown


def test_a_dead_letter_hangs_below_its_run_and_its_next_attempt_below_it(topics: Topics) -> None:
    lead = topics.put("incoming_leads", {})
    headers = topics.read(lead)
    step = "sdr.lead_ingestion.researched_leads"
    topics.run(
        headers, step, status="error", reason="refusal", attributes={"tidemill.attempt": "1"}
    )
    dead = {k: v for k, v in headers.items() if k != "source"} | {
        "dlq_topic": b"incoming_leads",
        "dlq_partition": b"0",
        "dlq_offset": b"0",
        "dlq_reason": b"refusal",
        "dlq_message": b"it \x1b[2J would not",
        "dlq_stage": b"agent",
        "dlq_job": b"sdr.lead_ingestion",
    }
    topics.put("sdr_dead_letters", dead, at_ms=100)
    topics.put("incoming_leads", {"attempt": b"2"}, at_ms=9000)
    (tree,) = topics.trees()
    assert shape(tree) == (
        "incoming_leads  lead-1",
        (
            "sdr.lead_ingestion: researcher",
            ("✗ dead letter: refusal (it \x1b[2J would not)", "incoming_leads  lead-1"),
        ),
    )
    shown = text([tree])
    assert "failed: refusal" in shown and "attempt 2" in shown and "\x1b" not in shown


def test_each_attempt_of_an_event_has_its_own_calls(topics: Topics) -> None:
    first = topics.put("incoming_leads", {"ce_id": b"e-1"})
    again = topics.put("incoming_leads", {"ce_id": b"e-1", "attempt": b"2"}, at_ms=50)
    for number, record in enumerate((first, again), 1):
        run = topics.run(
            topics.read(record),
            "sdr.lead_ingestion.v",
            attributes={"tidemill.attempt": str(number)},
            started_at=number * 100,
        )
        topics.call(run, "tool_call", number * 100 + 1, **{"tool.name": f"tool_{number}"})
    assert [shape(tree) for tree in topics.trees()] == [
        ("incoming_leads  lead-1", ("sdr.lead_ingestion: researcher", f"tool tool_{n}"))
        for n in (1, 2)
    ]


def test_an_event_that_was_delivered_twice_is_shown_once(topics: Topics) -> None:
    lead = topics.put("incoming_leads", {})
    child = events.child_headers(topics.read(lead), "step")
    topics.put("lead_ingestion_output", child)
    topics.put("lead_ingestion_output", child)
    (tree,) = topics.trees()
    assert shape(tree) == ("incoming_leads  lead-1", "lead_ingestion_output")
    assert "×2" in text([tree])


def test_of_a_replayed_call_the_one_that_was_made_is_shown(topics: Topics) -> None:
    topics.put("incoming_leads", {})
    run = topics.run(topics.read(topics.records[0]), "sdr.lead_ingestion.v")
    topics.call(run, "model_call", 1, **{"gen_ai.request.model": "m", "journal": "miss"})
    topics.call(run, "model_call", 1, **{"gen_ai.request.model": "m", "journal": "hit"})
    shown = text(topics.trees())
    assert shown.count("model m") == 1 and "from the journal" not in shown


def test_the_ids_of_an_event_all_lead_to_its_trace(topics: Topics) -> None:
    record = topics.put("incoming_leads", {"ce_id": b"e-1"})
    trace_id, _ = events.trace_context({"ce_id": b"e-1"})
    for id in ("lead-1", "e-1", trace_id, trace_id.upper(), " lead-1 "):
        assert trace_ids(id, [record]) == {trace_id}
    assert trace_ids("lead-2", [record]) == set()


def test_mails_are_found_by_their_message_id(tmp_path: Path) -> None:
    ours, other = "a" * 64, "b" * 64
    (tmp_path / "1.eml").write_text(f"X-RcptTo: a@b\r\nMessage-ID: <{ours}@tidemill>\r\n\r\nHello")
    (tmp_path / "2.eml").write_text(f"message-id: <{other}@tidemill>\r\n\r\nHello")
    (tmp_path / "3.eml").write_text("Subject: none\r\n\r\n")
    assert mail_files(tmp_path, {ours}) == {ours: tmp_path / "1.eml"}
    assert mail_files(tmp_path / "none", {ours}) == {}


@pytest.fixture
def world(stack: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    app = typer.Typer()
    app.command()(trace)
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app)


def test_the_command_reads_topics_and_says_what_it_found(world: World) -> None:
    world.put(NewRecord(world.leads, b"lead-1", b"{broken"), NewRecord(world.leads, b"x", b"{}"))
    world.decode()
    output = world.command("lead-1", "--team", world.team.team).output
    assert (
        "lead-1" in output and "dead letter: not_json" in output and "missing_field" not in output
    )
    assert world.command("lead-1").output == output


def test_an_id_that_nobody_knows_is_told(world: World) -> None:
    with pytest.raises(TidemillError, match=r"nothing is known of 'nobody': no event on 3 topics"):
        world.command("nobody")
