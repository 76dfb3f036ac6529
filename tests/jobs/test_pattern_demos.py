"""What the demos of orchestration and hierarchy make of the rows on their topics."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from jobs import demo_hierarchy, demo_orchestration
from jobs.topic_watch import Row, TopicWatch


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> TopicWatch:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    return TopicWatch([])


def put(watch: TopicWatch, topic: str, key: str, **value: Any) -> None:
    watch.rows.append(Row(topic, key, value, 0))


def shown(renderable: Any) -> str:
    console = Console(file=io.StringIO(), width=160)
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_a_question_is_followed_from_its_plan_to_its_report(watch: TopicWatch) -> None:
    for topic, step in (("planning_commands", "plan-1"), ("record_commands", "crm")):
        put(watch, topic, "k", command_id=f"q/{step}", kind="command")
    put(watch, "website_commands", "k", command_id="q/website", kind="command")
    put(watch, "website_commands", "k", command_id="q/website", kind="cancelled")
    put(watch, "command_results", "q", command_id="q/plan-1", status="done")
    for _ in range(2):
        put(watch, "command_results", "q", command_id="q/website", status="failed")
    line = shown(demo_orchestration.progress(watch, ["q"])).splitlines()[1].split()
    assert line == ["q", "done", "sent", "failed", "×2"]
    assert not demo_orchestration.all_told(watch, ["q"])
    missing = [{"step": "website", "reason": "gone"}]
    put(watch, "account_answers", "q", status="partial", missing=missing)
    assert not demo_orchestration.all_told(watch, ["q"])
    put(watch, "account_reports", "q", report="Tarnwick has \x1b[31m3,100 employees.")
    assert demo_orchestration.all_told(watch, ["q"])
    console = Console(file=io.StringIO(), width=160)
    asked = [{"objective_id": "q", "company_name": "Tarnwick", "question": "How many?"}]
    demo_orchestration.print_outcome(console, watch, asked, True)
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "partial; missing: website (gone)" in told
    assert "3,100 employees" in told and "\x1b" not in told
    assert "3 commands, 3 results, 1 answers" in told


def test_a_question_that_is_cancelled_or_found_nothing_needs_no_report(watch: TopicWatch) -> None:
    put(watch, "account_answers", "a", status="cancelled", missing=None)
    put(watch, "account_answers", "b", status="failed", missing=[])
    assert demo_orchestration.all_told(watch, ["a", "b"])


def test_a_case_is_counted_down_and_up_the_tree(watch: TopicWatch) -> None:
    put(watch, "node_events", "lead", kind="objective", objective_id="c")
    put(watch, "node_events", "legal", kind="objective", objective_id="c/legal")
    put(watch, "node_events", "legal", kind="cancelled", objective_id="c/legal")
    put(watch, "analyst_commands", "x", kind="command", command_id="c/legal/contracts")
    put(watch, "analyst_commands", "x", kind="cancelled", command_id="c/legal/contracts")
    put(watch, "node_results", "legal", command_id="c/legal/contracts", status="done")
    put(watch, "case_answers", "c", status="cancelled", result="{}", missing=[])
    line = shown(demo_hierarchy.progress(watch, ["c"])).splitlines()[1].split()
    assert line == ["c", "1", "1", "1", "done", "2", "cancelled"]
    assert demo_hierarchy._begun(watch, "c") and not demo_hierarchy._begun(watch, "d")


def test_the_samples_are_what_their_topics_take() -> None:
    for name in ("registry", "later", "cases"):
        for row in demo_hierarchy._sample(name):
            assert row["kind"] in ("joined", "left", "objective") and row["node_id"]
            if row["kind"] == "objective":
                assert set(json.loads(row["input"])) == {"company", "dossier"}
