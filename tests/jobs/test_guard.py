"""The guard against `decode_record`: it takes the same records, and reads the same values.

Records of every kind go through the real operator in one job.
"""

import base64
import datetime as dt
import json
import random
import sys
from typing import Any

import pytest
from pyflink.table import Schema

from deploy.flink_cluster import job_configuration
from jobs.file_topics import FileTopics
from jobs.java_operators import guarded
from jobs.planner import environments
from jobs.sources import row_stream
from jobs.tables import TableFacts
from jobs.topics import raw_name, sink_name
from tests.udfs.core.test_decode import ACCEPTED, NOW_MS, REJECTED, record
from udfs.core.decode import Column, Record, Rejected, decode_record
from udfs.core.types import decode, parse_type
from udfs.flink_types import data_type

COLUMNS = [
    Column("id", parse_type("STRING"), "key"),
    Column("lead_data", parse_type("ROW<`name` STRING, `email` STRING NOT NULL, `size` INT>")),
    Column("score", parse_type("INT")),
    Column("ratio", parse_type("DOUBLE")),
    Column("tags", parse_type("ARRAY<STRING>")),
    Column("yes", parse_type("BOOLEAN")),
    Column("tiny", parse_type("TINYINT")),
    Column("small", parse_type("SMALLINT")),
    Column("big", parse_type("BIGINT")),
    Column("narrow", parse_type("FLOAT")),
    Column("price", parse_type("DECIMAL(10, 2)")),
    Column("raw", parse_type("BYTES")),
    Column("day", parse_type("DATE")),
    Column("clock", parse_type("TIME(0)")),
    Column("moment", parse_type("TIMESTAMP(3)")),
    Column("instant", parse_type("TIMESTAMP_LTZ(6)")),
    Column("parts", parse_type("ARRAY<ROW<`sku` STRING NOT NULL, `n` INT>>")),
    Column("words", parse_type("MAP<STRING, INT>")),
    Column("headers", parse_type("MAP<STRING, BYTES>"), "headers"),
    Column("event_time", parse_type("TIMESTAMP_LTZ(3)"), "timestamp"),
    Column("offset", parse_type("BIGINT"), "offset"),
    Column("topic", parse_type("STRING"), "topic"),
]
# What a sink writes of each type; and other values.
WRITTEN: dict[str, list[Any]] = {
    "lead_data": [{"name": "Ada", "email": "a@b.example", "size": 3}, {"email": "é"}, None],
    "score": [0, -1, 2**31 - 1, -(2**31)],
    "ratio": [0.5, -0.0, 1e300, 5e-324, 3, 0.1],
    "tags": [[], ["a", None, "😀"], None],
    "yes": [True, False],
    "tiny": [127, -128],
    "small": [32767],
    "big": [2**63 - 1, -(2**63)],
    "narrow": [0.1, 3.4e38],
    "price": ["12.30", 12.3, 0, "-0.01", 99999999.99],
    "raw": ["", "AAEC", "/+8="],
    "day": ["2026-02-28", "1969-12-31"],
    "clock": ["23:59:59"],
    "moment": ["2026-01-02T03:04:05.678", "1969-12-31T23:59:59", "2026-01-02T03:04:05.123456"],
    "instant": ["2026-01-02T03:04:05.678901Z", "2026-01-02T03:04:05+02:00"],
    "parts": [[{"sku": "x", "n": 1}, {"sku": "y"}], []],
    "words": [{"a": 1, "é": None}, {}],
}
OTHER: list[Any] = [
    None, True, "text", "7", 7, 7.0, 7.5, -0.0, 128, 2**15, 2**31, 2**53, 2**63, 10**30, 1e308,
    3.5e38, [], {}, [1], ["a", 1], {"email": None}, {"email": 1}, {"a": "b"}, "2026-02-30",
    "24:00:00", "2026-01-02", "2026-01-02T25:00:00", "0000-01-01T00:00:00",
    "9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+05:00", "AAE", "AA E", "1e5", "NaN",
    "12.345", "1_0", "\ud800", {"\udc00": 1}, [{"sku": None}], [{"n": 1}],
]  # fmt: skip
RAW = [
    b'{"score": 1e2}', b'{"score": 1.0e0}', b'{"score": -0}', b'{"score": 01}', b'{"score": +1}',
    b'{"ratio": .5}', b'{"ratio": 1.}', b'{"ratio": 1e400}', b'{"ratio": ' + b"1" * 400 + b"}",
    b'{"score": 1} ', b'\t{"score": 1}\n', b'{"score": 1}x', b'{"score": 1,}', b'{"score": 1}{}',
    b'{"a": {"b": 1, "b": 2}}', b'{"a": [{"b": 1, "b": 2}]}', b'{"score": 1, "score": 1}',
    b'{"a": "\\ud83d\\ude00"}', b'{"tags": ["\\ud83d"]}', b'{"tags": ["\\ude00\\ud83d"]}',
    b'{"a": "\x01"}', b'{"a": "\\x"}', b'{"tags": ["\xc3\xa9"]}', b'{"tags": ["\xc0\x80"]}',
    b'{"tags": ["\xed\xa0\x80"]}', b'{"a": "\xff"}', b'\xef\xbb\xbf{"score": 1}', b"{}", b"null",
    b"{'a': 1}", b'{"a": nul}', b'{"a": undefined}', b"{/* */}", b'{"score": 1} // x',
    b"\x00{}", b'{"\\u0073core": 5}', b'{"score": 1, "\\u0073core": 2}', b'"score"', b"[" * 500,
    b'{"a": ' + b"[" * 300 + b"]" * 300 + b"}", b'{"a": 1e999}', b'{"a": [{"b": -1e999}]}',
    b'{"a": 1e308, "b": [1, 2.5, {"c": {}}], "score": 7}', b'{"a": "x\\ud800"}', b'{"\\udfff": 1}',
    b'{"a": {"\\ud800": []}, "score": 1}', b'{"a": {"b": ["\\ud83d\\ude00"]}, "score": 3}',
]  # fmt: skip
HEADERS: list[dict[str, bytes | None]] = [
    {"ce_id": b"mine"},
    {"ce_id": b"6c1f6e38-31f5-5a4e-9d57-6b0c8a1f2d11"},
    {"ce_id": b"00000000-0000-0000-0000-000000000000"},
    {"ce_id": b""},
    {"ce_id": None, "x": b"\x00\xff"},
    {"traceparent": b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-00", "attempt": b"3"},
    {"traceparent": b"00-" + b"0" * 32 + b"-" + b"b" * 16 + b"-00"},
    {"traceparent": b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01\n"},
    {"traceparent": b"nonsense", "ce_source": b"you", "source": b"forged/0/1", "\u00e9": b"1"},
]


def records() -> list[Record]:
    """Records of every kind, numbered by their offsets."""
    rng = random.Random(7)
    found = [record({name: v}) for name, some in WRITTEN.items() for v in (*some, *OTHER)]
    for _ in range(500):
        names = rng.sample(sorted(WRITTEN), rng.randint(0, len(WRITTEN)))
        document = {name: rng.choice(WRITTEN[name]) for name in names}
        found.append(record(document, key=f"kéy{rng.random()}".encode()))
        text = json.dumps(document, ensure_ascii=rng.random() < 0.5).encode()
        cut = rng.randrange(len(text))
        found.append(record(text[:cut] + bytes([rng.randrange(256)]) + text[cut + 1 :]))
        found.append(record(text[:cut] + text[rng.randrange(len(text)) :]))
    found += [record(value) for value in RAW]
    found += [record({"score": 1}, headers=headers) for headers in HEADERS]
    found += [*ACCEPTED.values(), *(bad for bad, _ in REJECTED.values())]
    return [one._replace(offset=number) for number, one in enumerate(found)]


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory) -> dict[int, dict[str, Any]]:
    """What the operator let through, by offset: the columns' values."""
    _, environment = environments(
        {**job_configuration(), "python.executable": sys.executable, "parallelism.default": "1"}
    )
    topics = FileTopics(tmp_path_factory.mktemp("topics"), endless=False)
    facts = TableFacts("leads", {"topic": "leads"}, COLUMNS)
    environment.execute_sql(topics.source(facts))
    lines = (json.dumps(_line(one)) + "\n" for one in records())
    (topics.folder / "in" / "leads" / "records.json").write_text("".join(lines))
    raw = row_stream(environment, environment.from_path(raw_name("leads")))
    passed, _ = guarded(raw, "leads", "leads", COLUMNS)
    schema = Schema.new_builder()
    for column in COLUMNS:
        schema.column(column.name, data_type(column.type))
    environment.create_temporary_view("passed", passed, schema.build())
    environment.execute_sql(topics.sink(facts))
    environment.from_path("passed").execute_insert(sink_name("leads")).wait()
    rows = topics.read_output("leads")
    return {row["offset"]: {c.name: decode(row[c.name], c.type) for c in COLUMNS} for row in rows}


def _line(one: Record) -> dict[str, Any]:
    """The record as a line of the file that stands for its topic."""
    when = dt.datetime(1970, 1, 1) + dt.timedelta(milliseconds=one.timestamp_ms)
    return {
        "record_key": _encoded(one.key),
        "record_value": _encoded(one.value),
        "headers": {name: _encoded(value) for name, value in one.headers.items()},
        "partition": one.partition,
        "offset": one.offset,
        "kafka_time": when.isoformat(timespec="milliseconds") + "Z",
    }


def _encoded(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def expected(one: Record) -> dict[str, Any] | None:
    """What Python reads, in the precision of the types."""
    try:
        values = decode_record(one, COLUMNS, NOW_MS)
    except Rejected:
        return None
    if values is None:
        return None
    row = dict(zip((c.name for c in COLUMNS), values, strict=True))
    if row["moment"]:
        microsecond = row["moment"].microsecond // 1000 * 1000
        row["moment"] = row["moment"].replace(microsecond=microsecond)
    if row["narrow"] is not None:
        row["narrow"] = pytest.approx(row["narrow"], rel=1e-6)
    return row


def test_the_guard_takes_what_decode_record_takes_and_reads_the_same_values(
    taken: dict[int, dict[str, Any]],
) -> None:
    all_records = records()
    for one in all_records:
        assert taken.get(one.offset) == expected(one), one
    assert len(all_records) // 4 < len(taken) < len(all_records) // 2
