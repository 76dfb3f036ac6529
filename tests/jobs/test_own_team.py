"""A person's own team in a folder of its own: `orchestrate` and `work` by SQL and YAML alone."""

import json
import os
from pathlib import Path
from typing import Any

from tests.conftest import tidemill

TABLES = """
CREATE TABLE kafka_topic (event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL) WITH (
  'connector' = 'kafka', 'properties.bootstrap.servers' = '${KAFKA_BOOTSTRAP_SERVERS}',
  'format' = 'json', 'key.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY');
CREATE TABLE tickets (ticket_id STRING, body STRING NOT NULL, headers MAP<STRING, BYTES> METADATA)
COMMENT 'external: the help desk' WITH ('topic' = 'tickets', 'key.fields' = 'ticket_id')
LIKE kafka_topic;
CREATE TABLE commands (
  aspect STRING, command_id STRING NOT NULL, reply_to STRING NOT NULL, attempt INT NOT NULL,
  input STRING NOT NULL, headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'ticket_commands', 'key.fields' = 'aspect') LIKE kafka_topic;
CREATE TABLE results (
  ticket_id STRING, command_id STRING NOT NULL, attempt INT NOT NULL, status STRING NOT NULL,
  `result` STRING, reason STRING, headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'ticket_results', 'key.fields' = 'ticket_id') LIKE kafka_topic;
CREATE TABLE answers (
  ticket_id STRING, status STRING NOT NULL, `result` STRING, headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = 'ticket_answers', 'key.fields' = 'ticket_id') LIKE kafka_topic;
"""
SPLIT = """
-- The plan is SQL: every ticket is judged for its area and its urgency.
CREATE TEMPORARY VIEW heard AS
SELECT ticket_id, 'objective' AS kind,
  JSON_OBJECT(
    KEY 'objective_id' VALUE ticket_id,
    KEY 'input' VALUE JSON_OBJECT(KEY 'body' VALUE body),
    KEY 'commands' VALUE JSON_ARRAY('area', 'urgency')
  ) AS event, headers
FROM tickets
UNION ALL
SELECT ticket_id, 'result' AS kind,
  JSON_OBJECT(KEY 'command_id' VALUE command_id, KEY 'attempt' VALUE attempt,
    KEY 'status' VALUE status, KEY 'result' VALUE `result`, KEY 'reason' VALUE reason) AS event,
  headers
FROM results;
CREATE TEMPORARY VIEW said AS
SELECT * FROM orchestrate(input => TABLE heard PARTITION BY ticket_id, fan_out => 4);
EXECUTE STATEMENT SET BEGIN
INSERT INTO commands
SELECT worker_kind AS aspect, command_id, reply_to, attempt, input, headers
FROM said WHERE kind = 'command';
INSERT INTO answers
SELECT objective_id AS ticket_id, status, `result`, headers FROM said WHERE kind = 'answer';
END;
"""
JUDGE = """
CREATE TEMPORARY VIEW to_judge AS
SELECT aspect, command_id, reply_to, attempt, JSON_VALUE(input, '$.body') AS body, headers
FROM commands;
CREATE TEMPORARY VIEW judged AS
SELECT * FROM work(input => TABLE to_judge PARTITION BY aspect, agent => 'judge');
INSERT INTO results
SELECT reply_to AS ticket_id, command_id, attempt, status, `result`, reason, headers FROM judged;
"""
AGENT = """
agent: judge
persona: {role: Support engineer, goal: Say what a ticket is about.}
instructions: |
  Judge this ticket for one aspect. {{ {"aspect": aspect, "ticket": body} | data }}
reply:
  type: object
  additionalProperties: false
  required: [verdict]
  properties:
    verdict: {type: string, enum: [billing, login, outage], description: What the ticket is about.}
"""


def _lines(path: Path, rows: list[tuple[str, dict[str, Any]]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    events = [
        {"key": key, "headers": {"ce_id": f"id-{number}"}, "value": value}
        for number, (key, value) in enumerate(rows)
    ]
    path.write_text("".join(json.dumps(event) + "\n" for event in events))


def _written(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_team_of_ones_own_needs_sql_and_yaml_only(tmp_path: Path) -> None:
    team = tmp_path / "sql" / "desk"
    team.mkdir(parents=True)
    (team / "tables.sql").write_text(TABLES)
    (team / "split.sql").write_text(SPLIT)
    (team / "judge.sql").write_text(JUDGE)
    (team / "judge.yaml").write_text(AGENT)
    ticket = {"body": "I cannot log in: the password is refused."}
    _lines(team / "tests" / "split" / "tickets.jsonl", [("t1", ticket)])
    done = {"attempt": 1, "status": "done", "result": '{"verdict": "login"}'}
    results = [("t1", {**done, "command_id": f"t1/{aspect}"}) for aspect in ("area", "urgency")]
    _lines(team / "tests" / "split" / "results.jsonl", results)
    command = {"command_id": "t1/area", "reply_to": "t1", "attempt": 1, "input": json.dumps(ticket)}
    _lines(team / "tests" / "judge" / "commands.jsonl", [("area", command)])
    environment = {**os.environ, "TIDEMILL_SQL": str(team.parent), "TIDEMILL_HOME": str(tmp_path)}
    run = tidemill("test", "--update", "desk", environment=environment, timeout_s=240)
    assert run.returncode == 0, run.stdout + run.stderr
    assert run.stdout.count("agrees") == 4
    expected = team / "tests" / "split" / "expected"
    assert {row["command_id"] for row in _written(expected / "commands.jsonl")} == {
        "t1/area",
        "t1/urgency",
    }
    (answer,) = _written(expected / "answers.jsonl")
    assert answer["status"] == "complete"
    assert json.loads(answer["result"])["area"] == {"verdict": "login"}
    (result,) = _written(team / "tests" / "judge" / "expected" / "results.jsonl")
    assert (result["ticket_id"], result["status"]) == ("t1", "done")
    assert json.loads(result["result"])["verdict"] in ("billing", "login", "outage")
