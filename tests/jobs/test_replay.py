"""What a model was given and gave back, shown from the journal: the run itself is the witness."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.journal import MongoJournal
from connectors.model import OpenAIModel
from deploy.offline_model import Fault, OfflineModel
from jobs.dead_letters import app
from jobs.replay import agents
from jobs.sql_dir import sql_dir
from jobs.team import Team
from tests.jobs.desk_world import World, new_world, on_a_terminal
from udfs.core import agent_loop, events
from udfs.core.calls import Json, RunRequest
from udfs.core.tool import resolve_tools

LEAD = b'{"lead_data": {"name": "Ada", "email": "ada@example.org"}}'
ROW = {"lead_id": "lead-1", "lead_data": {"name": "Ada", "email": "ada@example.org"}}
TRIAGE = """
CREATE TEMPORARY VIEW open_leads AS SELECT lead_id, lead_data, headers FROM {team}_leads;
CREATE TEMPORARY VIEW seen AS
SELECT * FROM run_agent(input => TABLE open_leads PARTITION BY lead_id, agent => 'triage');
INSERT INTO {team}_reports SELECT lead_id, area AS report, headers FROM seen;
"""
SCORE = """
CREATE TEMPORARY VIEW scored AS
SELECT lead_id, AI_COMPLETE('scoring', '{"a": 1}', headers) AS said, headers FROM {team}_leads;
INSERT INTO {team}_reports SELECT lead_id, said.area AS report, headers FROM scored;
"""
AGENT = """
agent: triage
persona: {role: Clerk, goal: Sort leads.}
instructions: |
  What is this lead about? {{ lead_data | data }}
reply:
  type: object
  additionalProperties: false
  required: [area]
  properties:
    area: {type: string, enum: [billing, login], description: What it is about.}
"""
WITH_TOOL = AGENT.replace("reply:", "tools: [tests.jobs.test_replay.weather]\nreply:")
WITH_MEMORY = AGENT.replace("reply:", "memory: {short_term: {events: 3, max_age_s: 60}}\nreply:")


def weather(city: str) -> str:
    """Tell the weather.

    Args:
        city: Where.
    """
    CALLED.append(city)
    return f"rain in {city}"


CALLED: list[str] = []


@dataclass
class Witness:
    """A model that passes on what it is given to another, and remembers it."""

    model: OpenAIModel
    given: list[Json] = field(default_factory=list)

    async def complete(self, call: Json, deadline_s: float) -> Json:
        self.given.append(call)
        return await self.model.complete(call, deadline_s)


@pytest.fixture(scope="module")
def offline() -> Iterator[OfflineModel]:
    with OfflineModel() as model:
        yield model


@pytest.fixture
def world(
    stack: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    offline: OfflineModel,
) -> World:
    offline.reset()
    CALLED.clear()
    files = {"triage.sql": TRIAGE, "triage.yaml": AGENT, "score.sql": SCORE, "scoring.yaml": AGENT}
    return new_world(tmp_path, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, app, files)


def agent_file(world: World, text: str, name: str = "triage") -> None:
    Path(str(sql_dir()), world.team.team, f"{name}.yaml").write_text(text)


def fails(
    world: World,
    offline: OfflineModel,
    faults: Sequence[Fault],
    memory: Sequence[Json] = (),
    stage: str = "agent",
    job: str = "triage",
    agent: str = "triage",
) -> tuple[str, list[Json]]:
    """An agent fails on a lead as in its operator; the dead letter's number, what it was given."""
    record = world.lead(b"lead-1", LEAD, ("ce_id", b"event-of-" + world.team.team.encode()))
    definition = Team(sql_dir(), world.team.team).agent(agent)
    headers = {n: v or b"" for n, v in record.headers}
    trace, parent = events.trace_context(headers)
    event_id = f"event-of-{world.team.team}"
    request = RunRequest(event_id, 1, "lead-1", ROW, list(memory), trace, parent, job)
    offline.misbehave(list(faults))

    async def run() -> tuple[Any, list[Json]]:
        journal = MongoJournal.from_settings()
        witness = Witness(OpenAIModel(offline.url, "key", "tidemill-offline"))
        try:
            tools = resolve_tools(definition)
            return await agent_loop.run(definition, request, witness, journal, tools), witness.given
        finally:
            await journal.aclose()
            await witness.model.aclose()

    outcome, given = asyncio.run(run())
    failure = outcome.failure
    reason, message = (failure.reason, failure.message) if failure else ("odd", "nobody takes it")
    payload = json.dumps(ROW).encode()
    world.fail(record, reason, payload, message, stage, f"{world.team.team}.{job}")
    return world.number("lead-1"), given


def shown(world: World, number: str) -> str:
    return world.command(world.team.team, "show", number).output


def test_every_answer_that_broke_the_schema_is_shown_with_what_was_wrong(
    world: World, offline: OfflineModel
) -> None:
    answers = [Fault("answer", count=1, text=f'{{"area": "x{n}"}}') for n in range(3)]
    number, given = fails(world, offline, answers)
    output = shown(world, number)
    for message in given[0]["messages"]:
        assert message["content"] in output  # the prompt, as it was given
    for n in range(3):
        assert f'{{"area": "x{n}"}}' in output
        assert f"'x{n}' is not one of ['billing', 'login']" in output
    assert output.index("answer 1") < output.index("'x0' is not one") < output.index("answer 2")
    assert "Note:" not in output
    assert not (offline.requests[3:] or CALLED)  # showing asks nobody


def test_a_call_without_an_answer_is_shown_with_its_prompt(
    world: World, offline: OfflineModel
) -> None:
    bad = Fault("answer", count=1, text="no")
    number, given = fails(world, offline, [bad, Fault("unknown_model", count=9)])
    output = shown(world, number)
    assert given[0]["messages"][-1]["content"] in output
    assert "answer 1" in output and "answer 2" in output and "(none)" in output
    assert "Note:" not in output and "unavailable" in output


def test_a_refusal_is_shown_in_its_own_words(world: World, offline: OfflineModel) -> None:
    number, _ = fails(world, offline, [Fault("refusal", text="I would rather not.")])
    assert "refuses: I would rather not." in shown(world, number)


def test_tools_are_shown_and_not_called(
    world: World, offline: OfflineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent_file(world, WITH_TOOL)
    asks = {"content": None, "refusal": None, "finish_reason": "tool_calls", "model": "m"}
    call = {"name": "weather", "arguments": '{"city": "Oslo"}'}
    told = {"content": "cold", "tool_calls": [], "finish_reason": "stop", "model": "m"}
    answers = [{**asks, "tool_calls": [call]}, told, told, told]

    async def complete(self: OpenAIModel, call: Json, deadline_s: float) -> Json:
        return answers.pop(0)

    with monkeypatch.context() as patched:
        patched.setattr(OpenAIModel, "complete", complete)
        number, _ = fails(world, offline, [])
    assert CALLED == ["Oslo"]
    output = shown(world, number)
    assert 'calls weather {"city": "Oslo"}' in output and "rain in Oslo" in output
    assert output.index("rain in Oslo") < output.index("cold")
    assert "Note:" not in output and CALLED == ["Oslo"]


def test_an_agent_that_has_changed_since_is_told(world: World, offline: OfflineModel) -> None:
    answers = [Fault("answer", count=1, text='{"area": "outage"}') for _ in range(3)]
    number, given = fails(world, offline, answers)
    agent_file(world, AGENT.replace("What is this", "Say what this").replace("login]", "outage]"))
    output = " ".join(shown(world, number).split())
    assert "The agent triage has changed since: the prompt is the one that it would give" in output
    assert "Say what this lead is about" not in output and "Say what this lead" in output
    assert "the last of these answers would be accepted" in output
    assert output.count('{"area": "outage"}') >= 3
    agent_file(world, AGENT.replace("instructions", "instruction"))
    output = " ".join(shown(world, number).split())
    assert "The prompt cannot be shown: sql/" in output and output.count('"outage"') >= 3


def test_what_only_the_state_remembers_is_told(world: World, offline: OfflineModel) -> None:
    agent_file(world, WITH_MEMORY)
    remembered = [{"at_ms": 1, "input": {"a": 1}, "reply": {"area": "login"}}]
    number, _ = fails(world, offline, [Fault("empty", count=9)], memory=remembered)
    assert "what the agent remembered of earlier events" in shown(world, number)


def test_a_call_of_ai_complete_is_shown_too(world: World, offline: OfflineModel) -> None:
    agent_file(world, AGENT.replace("triage", "scoring"), "scoring")
    faults = [Fault("answer", count=1, text="what?") for _ in range(3)]
    number, given = fails(world, offline, faults, stage="script", job="score", agent="scoring")
    output = shown(world, number)
    assert given[0]["messages"][-1]["content"] in output and "what?" in output
    assert "== Prompt of scoring" in output and "Note:" not in output


def test_agents_of_a_script_are_found_in_its_words(world: World) -> None:
    by_job = {script.job: agents(script) for script in world.team.scripts}
    assert by_job == {"report": [], "score": ["scoring"], "triage": ["triage"]}


@pytest.mark.parametrize(("width", "beside"), [(160, True), (80, False)])
def test_parts_stand_side_by_side_where_there_is_room(
    world: World,
    offline: OfflineModel,
    monkeypatch: pytest.MonkeyPatch,
    width: int,
    beside: bool,
) -> None:
    number, _ = fails(world, offline, [Fault("empty", count=9)])
    screen = on_a_terminal(monkeypatch, width)
    world.command(world.team.team, "show", number)
    lines = screen.getvalue().splitlines()
    (line,) = [line for line in lines if "Prompt of triage" in line]
    assert ("What came back" in line and "Event " in line) == beside
    assert max(map(len, lines)) <= width or not beside


def test_without_a_journal_the_rest_is_shown(
    world: World, offline: OfflineModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, given = fails(world, offline, [Fault("empty", count=9)])
    monkeypatch.setenv("MONGODB_URI", "mongodb://127.0.0.1:9/?serverSelectionTimeoutMS=200")
    output = shown(world, number)
    assert "What the model answered is not known: the journal" in output
    assert given[0]["messages"][-1]["content"] in output
