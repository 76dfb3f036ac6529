"""The runner on a MiniCluster with a real broker: guarded sources, keyed calls, sinks, windows."""

import json
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from connectors.kafka import writing
from connectors.mongodb import client
from tests.jobs.flink import TeamOfOne
from tests.jobs.keyed_samples import Echo
from tests.udfs.core.test_decode import ACCEPTED, REJECTED

pytestmark = pytest.mark.usefixtures("stack")

NUMBERS = """
CREATE TABLE numbers (
  id STRING,
  n INT NOT NULL,
  doc ROW<name STRING, tags ARRAY<STRING>, price DECIMAL(10, 2), seen_at TIMESTAMP_LTZ(3)>,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: the test' WITH ('topic' = '@numbers', 'key.fields' = 'id') LIKE kafka_topic;
CREATE TABLE echoes (
  id STRING,
  n INT,
  doc ROW<name STRING, tags ARRAY<STRING>, price DECIMAL(10, 2), seen_at TIMESTAMP_LTZ(3)>,
  reply STRING,
  remembered INT,
  headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = '@echoes', 'key.fields' = 'id') LIKE kafka_topic;
CREATE TABLE documents (
  id STRING, n INT, price DECIMAL(38, 4), text STRING, PRIMARY KEY (id) NOT ENFORCED
) WITH ('connector' = 'mongodb', 'collection' = '@documents');
CREATE TABLE counts (window_start TIMESTAMP_LTZ(3), n BIGINT, PRIMARY KEY (n) NOT ENFORCED)
WITH ('connector' = 'mongodb', 'collection' = '@counts');
"""
ECHO = """
CREATE TEMPORARY VIEW echoed AS SELECT * FROM echo(input => TABLE numbers_in PARTITION BY id);
INSERT INTO echoes SELECT id, n, doc, reply, remembered, headers FROM echoed;
"""
NUMBERS_IN = "CREATE TEMPORARY VIEW numbers_in AS SELECT id, n, doc, headers FROM numbers;"


@pytest.fixture
def team(tmp_path: Path) -> TeamOfOne:
    team = TeamOfOne(tmp_path, echo=Echo())
    team.tables(NUMBERS)
    team.script(NUMBERS_IN + ECHO)
    return team


def dead_letters(team: TeamOfOne) -> list[tuple[bytes, bytes, dict[str, bytes]]]:
    return [
        (r.key or b"", r.value or b"", {k: v or b"" for k, v in r.headers})
        for r in team.read("dead_letters")
    ]


def test_every_kind_of_value_crosses_exactly_and_events_of_a_key_keep_their_order(
    team: TeamOfOne,
) -> None:
    doc = {
        "name": "É\u200b",
        "tags": ["a", None],
        "price": "12.30",
        "seen_at": "2026-01-02T03:04:05.678Z",
    }
    delays = [40, 1, 20, 2, 10]
    ordered = [(f"k{n % 3}", {"n": d + n, "doc": doc}) for n, d in enumerate(delays * 6)]
    team.send("numbers", ordered)
    team.send("numbers", [("k9", {"n": 5})])
    team.run()
    rows = list(team.rows("echoes"))
    assert len(rows) == 31
    for key in ("k0", "k1", "k2"):
        mine = [row for k, row in rows if k == key]
        assert [row["n"] for row in mine] == [value["n"] for k, value in ordered if k == key]
        assert [row["remembered"] for row in mine] == [min(n, 3) for n in range(10)]
        assert mine[0]["doc"] == {**doc, "price": 12.3}
    assert [row["doc"] for key, row in rows if key == "k9"] == [None]


def test_a_failed_run_and_a_defect_become_dead_letters_and_the_job_goes_on(team: TeamOfOne) -> None:
    team.send("numbers", [("a", {"n": 666}), ("a", {"n": 777}), ("a", {"n": 1})])
    team.run()
    assert [row["n"] for _, row in team.rows("echoes")] == [1]
    found = {
        h["dlq_reason"]: (key, json.loads(payload), h) for key, payload, h in dead_letters(team)
    }
    assert set(found) == {b"number_of_the_beast", b"internal_error"}
    key, payload, headers = found[b"number_of_the_beast"]
    assert (key, payload["n"], headers["dlq_stage"]) == (b"a", 666, b"agent")
    assert headers["dlq_topic"].decode() == team.topic("numbers")
    assert b"a defect" in found[b"internal_error"][2]["dlq_message"]


def test_a_repeated_event_is_handled_once_and_a_reused_id_is_refused(team: TeamOfOne) -> None:
    same = [("a", {"n": 1})]
    for _ in range(5):
        team.send("numbers", same, headers=[("ce_id", b"one")])
    team.send("numbers", [("a", {"n": 2})], headers=[("ce_id", b"one")])
    team.send("numbers", same, headers=[("ce_id", b"one"), ("attempt", b"2")])
    team.run()
    records = team.read("echoes")
    assert [dict(r.headers)["attempt"] for r in records] == [b"1", b"2"]
    assert len({dict(r.headers)["ce_id"] for r in records}) == 1
    assert [h["dlq_reason"] for _, _, h in dead_letters(team)] == [b"id_conflict"]


def test_what_a_writer_did_not_commit_is_not_read(team: TeamOfOne) -> None:
    team.send("numbers", [("a", {"n": 1})])
    topic = team.topic("numbers")
    writer = Producer(writing(team.servers) | {"transactional.id": f"test.{team.name}"})
    writer.init_transactions()
    for number, end in ((2, writer.commit_transaction), (3, writer.abort_transaction)):
        writer.begin_transaction()
        writer.produce(topic, key=b"b", value=json.dumps({"n": number}).encode())
        assert writer.flush(30) == 0  # it is with the broker
        end()
    team.run()
    assert sorted(row["n"] for _, row in team.rows("echoes")) == [1, 2]
    assert dead_letters(team) == []


def test_every_bad_record_is_a_dead_letter_with_its_bytes_and_no_record_stops_the_job(
    tmp_path: Path,
) -> None:
    team = TeamOfOne(tmp_path)
    team.tables("""
CREATE TABLE leads (
  lead_id STRING,
  lead_data ROW<name STRING, email STRING NOT NULL, size INT> NOT NULL,
  score INT, ratio DOUBLE, tags ARRAY<STRING>,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: the test' WITH ('topic' = '@leads', 'key.fields' = 'lead_id') LIKE kafka_topic;
CREATE TABLE copies (
  lead_id STRING, score INT, headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = '@copies', 'key.fields' = 'lead_id') LIKE kafka_topic;
""")
    team.script("INSERT INTO copies SELECT lead_id, score, headers FROM leads;")
    bad = {
        case: (record.key, record.value, [(n, v) for n, v in record.headers.items()])
        for case, (record, _) in REJECTED.items()
        if not case.startswith("20 ")  # the broker's own clock stamps what a test produces
    }
    good = {case: record for case, record in ACCEPTED.items() if not case.startswith("23 ")}
    for key, value, headers in bad.values():
        team.send("leads", [(key, value)], headers=headers)
    for record in good.values():
        team.send("leads", [(record.key, record.value)])
    team.send("leads", [("tombstone", None)])
    team.run()
    assert len(team.read("copies")) == len(good)
    found = dead_letters(team)
    expected = sorted((key or b"", value or b"") for key, value, _ in bad.values())
    assert sorted((key, value) for key, value, _ in found) == expected
    assert {h["dlq_stage"] for _, _, h in found} == {b"decode"}
    reasons = {REJECTED[case][1].encode() for case in bad}
    assert {h["dlq_reason"] for _, _, h in found} == reasons


def test_event_time_survives_the_guard_and_a_window_counts_every_good_record(
    team: TeamOfOne,
) -> None:
    team.script("""
INSERT INTO counts
SELECT window_start, COUNT(*) AS n
FROM TABLE(TUMBLE(TABLE numbers, DESCRIPTOR(event_time), INTERVAL '1' DAY))
GROUP BY window_start, window_end;
""")
    records: list[tuple[Any, Any]] = [(f"k{n}", {"n": n}) for n in range(200)]
    for n in range(0, 200, 5):
        records[n] = (f"k{n}", b"broken")
    team.send("numbers", records)
    team.run()
    with client() as mongo:
        documents = list(mongo["tidemill"][f"{team.name}_counts"].find())
    assert sum(document["n"] for document in documents) == 160
    assert all(document["_id"] == document["n"] for document in documents)
    assert len(dead_letters(team)) == 40


def test_a_row_that_mongodb_can_never_hold_is_a_dead_letter_and_the_others_are_written(
    team: TeamOfOne,
) -> None:
    team.script(
        NUMBERS_IN
        + """
INSERT INTO documents
SELECT
  CASE n WHEN 7 THEN NULL ELSE id END AS id, n,
  CASE n WHEN 8 THEN CAST('1234567890123456789012345678901234.5678' AS DECIMAL(38, 4))
    ELSE CAST('12.5' AS DECIMAL(38, 4)) END AS price,
  CASE n WHEN 9 THEN REPEAT('x', 17000000) ELSE 'x' END AS text
FROM numbers_in;
"""
    )
    team.send("numbers", [(f"k{n}", {"n": n}) for n in range(12)])
    team.run()
    with client() as mongo:
        documents = list(mongo["tidemill"][f"{team.name}_documents"].find())
    assert {document["n"] for document in documents} == set(range(12)) - {7, 8, 9}
    found = dead_letters(team)
    assert {(h["dlq_reason"], h["dlq_stage"]) for _, _, h in found} == {
        (b"unfit_document", b"sink")
    }
    for words in (b"no `_id`", b"Inexact", b"above 16 MiB"):
        assert len([h for _, _, h in found if words in h["dlq_message"]]) == 1
    assert len(found) == 3 and max(len(payload) for _, payload, _ in found) < 8 << 20


def test_a_job_that_runs_again_goes_on_at_its_consumer_groups_offsets(team: TeamOfOne) -> None:
    team.send("numbers", [("a", {"n": 1})])
    team.run_until_committed("numbers", 1, "echoes")
    team.send("numbers", [("a", {"n": 2})])
    team.run()
    assert [row["n"] for _, row in team.rows("echoes")] == [1, 2]
