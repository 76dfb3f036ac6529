"""The SDR team as shipped: its scripts are read, its agents load, its sample is what it claims."""

import hashlib
import json
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from jobs.lead_files import read_events, read_unchecked
from jobs.lint import lint, lint_team
from jobs.script import job_names, load_script
from udfs.core.definition import load_definition
from udfs.tools.crm import company_key

SQL = Path(__file__).resolve().parents[2] / "sql"
SDR = SQL / "sdr"
SAMPLE = SDR / "sample"
VARIABLES = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}
JOBS = ["active_outreach", "lead_ingestion", "lead_scoring", "nurture_campaign", "send_email"]
COLUMNS = [
    ("lead_id", "STRING"),
    (
        "lead_data",
        "ROW<name STRING, email STRING NOT NULL, company_name STRING, company_website STRING, "
        "job_title STRING, lead_source STRING, project_description STRING> NOT NULL",
    ),
]


def leads() -> dict[str, dict[str, str]]:
    """The sample's leads that a topic takes, by id."""
    found = {}
    for event in read_unchecked(SAMPLE / "leads.jsonl"):
        if event.key.startswith("lead-"):
            found[event.key] = json.loads(event.value)["lead_data"]
    return {
        k: v for k, v in found.items() if isinstance(v, dict) and isinstance(v.get("email"), str)
    }


def test_the_team_has_five_jobs_without_findings() -> None:
    assert job_names(SQL, "sdr") == JOBS
    scripts = [load_script(SQL, f"sdr/{job}", VARIABLES) for job in JOBS]
    assert [str(finding) for script in scripts for finding in lint(script)] == []
    assert [str(finding) for finding in lint_team(scripts)] == []


def test_each_script_runs_the_agent_of_its_name_or_sends() -> None:
    for job in JOBS:
        script = load_script(SQL, f"sdr/{job}", VARIABLES)
        calls = [(call.function, call.partition_by) for call in script.keyed_calls]
        agents = [call.arguments.get("agent") for call in script.keyed_calls]
        if job == "send_email":
            assert calls == [("send_email", ("effect_key",))]
        elif job != "lead_scoring":
            assert calls == [("run_agent", ("lead_id",))]
            assert agents == [job]


@pytest.mark.parametrize("path", sorted(SDR.glob("*.yaml")), ids=lambda path: path.stem)
def test_an_agent_gets_the_lead_between_data_marks_only(path: Path) -> None:
    definition = load_definition(path.read_text(encoding="utf-8"), str(path))
    assert definition.agent == path.stem
    assert "lead_data" in definition.variables
    assert definition.instructions.count("{{") == definition.instructions.count("| data }}") == 1


@pytest.mark.parametrize("agent", ["active_outreach", "nurture_campaign"])
def test_what_writes_mail_has_no_tool_and_no_say_in_the_recipient(agent: str) -> None:
    text = (SDR / f"{agent}.yaml").read_text(encoding="utf-8")
    definition = load_definition(text, f"{agent}.yaml")
    assert definition.tools == ()
    assert not any(name in ("to", "email", "recipient") for name, _ in definition.reply_columns())


def test_the_sample_has_sixty_leads_and_broken_lines_last() -> None:
    _, problems = read_events(SAMPLE / "leads.jsonl", COLUMNS)
    lines = (SAMPLE / "leads.jsonl").read_text(encoding="utf-8").rstrip("\n").split("\n")
    broken = [problem.line for problem in problems]
    assert len(lines) - len(broken) >= 60
    assert broken == list(range(len(lines) - len(broken) + 1, len(lines) + 1))
    assert len(set(leads())) == len(lines) - len(broken)


def test_nobody_in_the_sample_is_real() -> None:
    for lead_id, data in leads().items():
        for address in data["email"].replace("(at)", "@").split(","):
            assert address.strip().endswith(".example"), lead_id


def test_the_websites_that_leads_name_are_there() -> None:
    named = {urlsplit(data.get("company_website", "")) for data in leads().values()}
    labels = {
        url.hostname.removesuffix(".localhost")
        for url in named
        if url.hostname and url.hostname.endswith(".localhost")
    }
    assert len(labels) >= 8
    assert labels == {folder.name for folder in (SAMPLE / "websites").iterdir()}
    assert {url.port for url in named if url.hostname and "localhost" in url.hostname} == {8480}


def test_who_opted_out_is_among_the_leads() -> None:
    known = {
        hashlib.sha256(data["email"].strip().lower().encode()).hexdigest()
        for data in leads().values()
    }
    rows = (SAMPLE / "opt_outs.jsonl").read_text(encoding="utf-8").splitlines()
    assert rows and {json.loads(row)["_id"] for row in rows} <= known


@pytest.mark.parametrize("name", ["crm_accounts", "firmographics"])
def test_companies_are_filed_as_the_tools_look_them_up(name: str) -> None:
    rows = [json.loads(r) for r in (SAMPLE / f"{name}.jsonl").read_text("utf-8").splitlines()]
    assert len({row["_id"] for row in rows}) == len(rows)
    assert all(row["_id"] == company_key(row["company_name"]) for row in rows)
