"""What is read of tables from their words is what Flink knows of them after it has taken them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.errors import ScriptError, TidemillError
from jobs.script import read_tables
from jobs.team_topics import declared_topics, require_external, team_topics

TABLES = """
CREATE TABLE base (
  event_time TIMESTAMP_LTZ(3) METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR event_time AS event_time - INTERVAL '1' SECOND
) WITH (
  'connector' = 'kafka', 'properties.bootstrap.servers' = 'broker:9092',
  'format' = 'json', 'key.format' = 'raw', 'value.fields-include' = 'EXCEPT_KEY'
);
CREATE TABLE orders (          -- a comment, with (parentheses and, a comma
  `order id` STRING NOT NULL COMMENT 'with a , and a (',
  lines ARRAY<ROW<sku STRING NOT NULL, amount DECIMAL(10, 2), `as` INT>> NOT NULL,
  tags MAP<STRING, ARRAY<INT>>,
  weight DOUBLE PRECISION,
  headers MAP<STRING, BYTES> METADATA,
  PRIMARY KEY (`order id`) NOT ENFORCED
) COMMENT 'External: a shop'
WITH (
  'topic' = 'shop-orders', 'key.fields' = 'order id', 'topic.config.cleanup.policy' = 'compact'
)
LIKE base (OVERWRITING OPTIONS);
CREATE TABLE copies WITH ('topic' = 'copies', 'connector' = 'kafka') LIKE orders;
CREATE TABLE stored (id STRING, PRIMARY KEY (id) NOT ENFORCED) WITH ('connector' = 'mongodb');
"""


def test_columns_keys_and_topics_are_read() -> None:
    found = declared_topics(read_tables(TABLES, "t", {}))
    assert list(found) == ["orders", "copies"]
    orders = found["orders"]
    assert (orders.name, orders.key, orders.external) == ("shop-orders", "order id", True)
    assert orders.config == {"cleanup.policy": "compact"}
    assert {c.name: c.source for c in orders.columns} == {
        "event_time": "timestamp",
        "order id": "key",
        "lines": "value",
        "tags": "value",
        "weight": "value",
        "headers": "headers",
    }
    assert dict(orders.fields)["lines"].endswith("NOT NULL")
    assert found["copies"].columns == orders.columns
    assert (found["copies"].name, found["copies"].external) == ("copies", False)


def test_flink_says_the_same_of_every_table_of_sdr(monkeypatch: pytest.MonkeyPatch) -> None:
    from jobs.planner import environments
    from jobs.tables import table_facts

    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    team = team_topics("sdr")
    _, environment = environments({})
    for table in team.scripts[0].tables:
        environment.execute_sql(table.statement.text)
    for name, topic in team.topics.items():
        facts = table_facts(environment, name)
        assert topic.name == facts.topic
        assert topic.external == facts.external
        assert {(c.name, str(c.type), c.source) for c in topic.columns} == {
            (c.name, str(c.type), c.source) for c in facts.columns
        }


def test_who_reads_and_writes_is_read_from_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    team = team_topics("sdr")
    assert team.reads["sdr.lead_scoring"] == ["lead_ingestion_output"]
    assert set(team.writes["sdr.lead_scoring"]) == {
        "lead_scoring_output",
        "leads_to_activate",
        "leads_to_nurture",
        "leads_disqualified",
    }
    assert team.dead_letters == "sdr_dead_letters" and team.traces == "sdr_agent_traces"


def test_a_type_that_is_none_is_told_with_its_line() -> None:
    with pytest.raises(ScriptError, match=r"t:2: column a: .*NONSENSE is not a type"):
        declared_topics(read_tables("CREATE TABLE x (\n  a NONSENSE\n) WITH ('a' = 'b');", "t", {}))


def test_without_brokers_the_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)
    with pytest.raises(TidemillError, match="no local stack runs; run `tidemill up`"):
        team_topics("sdr")


def test_the_external_topic_is_meant_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    monkeypatch.setenv("TIDEMILL_SQL", str(tmp_path))
    options = "'connector' = 'kafka', 'format' = 'json', 'key.fields' = 'id'"
    tables = {"a": "external: one", "b": "ours", "c": "external: two"}
    for team, names in {"one": "ab", "two": "abc", "none": "b"}.items():
        (tmp_path / team).mkdir()
        ddl = (
            f"CREATE TABLE {n} (id STRING) COMMENT '{tables[n]}' WITH ({options});" for n in names
        )
        (tmp_path / team / "tables.sql").write_text("\n".join(ddl))
    assert require_external(team_topics("one"), None).name == "a"
    assert require_external(team_topics("two"), "b").name == "b"
    with pytest.raises(TidemillError, match=r"two has 2 external topics \(a, c\); name the one"):
        require_external(team_topics("two"), None)
    with pytest.raises(TidemillError, match=r"none has 0 external topics \(none\); begin the COMM"):
        require_external(team_topics("none"), None)
