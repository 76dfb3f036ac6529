"""The teams of orchestrator and hierarchy as shipped: scripts, agents, samples, and their demos."""

import json
from pathlib import Path

import pytest

from jobs.demo_hierarchy import case_tree
from jobs.lint import lint, lint_team
from jobs.script import job_names, load_script
from udfs.core.commands import MEMBERS
from udfs.core.definition import load_definition

SQL = Path(__file__).resolve().parents[2] / "sql"
VARIABLES = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}
TEAMS = ("orchestration", "hierarchy")


@pytest.mark.parametrize("team", TEAMS)
def test_the_scripts_have_no_findings(team: str) -> None:
    scripts = [load_script(SQL, f"{team}/{job}", VARIABLES) for job in job_names(SQL, team)]
    assert [str(finding) for script in scripts for finding in lint(script)] == []
    assert [str(finding) for finding in lint_team(scripts)] == []


@pytest.mark.parametrize("path", sorted(p for t in TEAMS for p in (SQL / t).glob("*.yaml")))
def test_an_agent_gets_what_strangers_wrote_between_data_marks(path: Path) -> None:
    definition = load_definition(path.read_text(encoding="utf-8"), str(path))
    assert definition.agent == path.stem
    assert definition.tools == ()
    assert definition.instructions.count("{{") == definition.instructions.count("| data }}") == 1


def test_what_a_planner_may_ask_for_is_what_workers_do() -> None:
    text = (SQL / "orchestration" / "plan_account.yaml").read_text(encoding="utf-8")
    definition = load_definition(text, "plan_account.yaml")
    kinds = definition.reply["properties"]["commands"]["items"]["enum"]
    script = (SQL / "orchestration" / "research_accounts.sql").read_text(encoding="utf-8")
    assert [kind for kind in kinds if f"'{kind}'" not in script] == []


def test_the_tree_of_the_sample_has_three_levels_and_one_root() -> None:
    lines = (SQL / "hierarchy" / "sample" / "registry.jsonl").read_text().splitlines()
    joined = [json.loads(line) for line in lines]
    nodes = {one["member_id"] for one in joined if one["member_kind"] == "node"}
    assert {one["node_id"] for one in joined} - nodes == {"lead"}
    assert {one["node_id"] for one in joined if one["member_kind"] == "analyst"} == nodes
    (call,) = load_script(SQL, "hierarchy/nodes", VARIABLES).keyed_calls
    assert call.partition_by == ("node_id",)
    assert call.arguments["plan"] == MEMBERS


def test_an_answer_is_shown_as_the_tree_that_gave_it() -> None:
    finding = {"finding": "Debt is high.\x1b[2J", "risk": "high"}
    answer = {
        "status": "partial",
        "result": json.dumps({"financial": {"debt": finding}}),
        "missing": [{"step": "legal/litigation", "reason": "timeout"}],
    }
    tree = case_tree("c", answer)
    assert [str(one.label) for one in tree.children][0] == "financial"
    assert "\x1b" not in str(tree.children[0].children[0].label)
    assert "legal/litigation" in str(tree.children[1].label)
