"""The blackboard team as shipped: its scripts are read, its agents load, and tell what they see."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy.offline_model.chat import complete
from jobs.board_feed import BOARD, FACTS, REFUSED, UPDATES
from jobs.demo_blackboard import JOBS, JOINING, SIGNALS
from jobs.lint import lint, lint_team
from jobs.script import job_names, load_script
from jobs.team_topics import declared_topics
from udfs.core.definition import AgentDefinition, load_definition
from udfs.core.prompt import first_messages

SQL = Path(__file__).resolve().parents[2] / "sql"
TEAM = SQL / "blackboard"
VARIABLES = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}
GATEWAY = ("gateway", "fault in log L2", "ERROR upstream checkout does not answer: 502 after 10 s")
POOL = (
    "checkout",
    "fault in log L4",
    "ERROR PoolExhaustedException: no free connection in the pool after 3000 ms; 48 threads wait",
)
METRIC = ("checkout", "metric p99_ms", "4200.0, usually 180.0")
CHANGE = (
    "checkout",
    "suspicion of change C2",
    "lowers limit: config 2.14.1: db.pool.max reduced from 50 to 5",
)


def test_every_script_is_read_without_a_finding() -> None:
    names = job_names(SQL, "blackboard")
    assert sorted(names) == sorted([*JOBS, JOINING])
    scripts = [load_script(SQL, f"blackboard/{name}", VARIABLES) for name in names]
    assert [finding for script in scripts for finding in lint(script)] == []
    assert lint_team(scripts) == []
    topics = declared_topics(scripts[0].tables)
    assert {BOARD, REFUSED, FACTS, UPDATES, SIGNALS} <= set(topics)
    assert [t.name for t in topics.values() if t.external] == [SIGNALS]
    assert topics[FACTS].config == {"cleanup.policy": "compact", "retention.ms": "-1"}
    assert topics[BOARD].config == {"retention.ms": "-1"}


def asked(agent: str, row: dict[str, Any]) -> dict[str, Any]:
    """What the offline model answers an agent, as its worker asks."""
    path = TEAM / f"{agent}.yaml"
    definition: AgentDefinition = load_definition(path.read_text(), str(path))
    shape = {"name": agent, "schema": definition.reply}
    answer = complete(
        {
            "model": "offline",
            "messages": first_messages(definition, row, []),
            "response_format": {"type": "json_schema", "json_schema": shape},
        }
    )
    reply: dict[str, Any] = json.loads(answer.content or "")
    return reply


def entries(*said: tuple[str, str, str]) -> list[dict[str, Any]]:
    names = ("subject", "predicate", "value")
    more = {"confidence": 0.8, "version": 1, "prevails": True, "grounded": True}
    return [
        {**dict(zip(names, one, strict=True)), **more, "source": "x", "entry_id": f"e{number}"}
        for number, one in enumerate(said)
    ]


@pytest.mark.parametrize(
    ("said", "cause"),
    [
        ([METRIC], "unknown"),
        ([METRIC, GATEWAY], "dependency failure"),
        ([GATEWAY, POOL], "resource shortage"),
        ([GATEWAY, POOL, CHANGE], "configuration change"),
    ],
)
def test_the_cause_follows_from_what_stands_on_the_board(
    said: list[tuple[str, str, str]], cause: str
) -> None:
    reply = asked("diagnose", {"entries": entries(*said)})
    assert reply["cause"] == cause
    assert cause == "unknown" or said[-1][2].upper() in reply["grounds"].upper()


def test_the_sample_has_faults_and_noise_and_the_agents_tell_them_apart() -> None:
    lines = (TEAM / "sample" / "incident.jsonl").read_text().splitlines()
    signals = [json.loads(line) for line in lines]
    logs = {s["signal_id"]: s for s in signals if s["kind"] == "log"}
    signs = {
        name: asked("read_logs", {"subject": s["service"], "line": s["text"]})["sign"]
        for name, s in logs.items()
    }
    assert signs == {"L1": "routine", "L2": "fault", "L3": "routine", "L4": "fault"}
    changes = {s["signal_id"]: s for s in signals if s["kind"] == "change"}
    verdicts = {
        name: asked("review_changes", {"subject": s["service"], "change": s["text"]})["verdict"]
        for name, s in changes.items()
    }
    assert verdicts == {"C1": "harmless", "C2": "lowers_limit", "C3": "harmless"}
