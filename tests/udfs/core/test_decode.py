"""What is thrown at a guarded source, record by record, and the reason that each one gets."""

import json
import pickle
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.core import events
from udfs.core.decode import Column, Record, Rejected, decode_record
from udfs.core.types import parse_type

COLUMNS = [
    Column("lead_id", parse_type("STRING"), "key"),
    Column(
        "lead_data",
        parse_type("ROW<`name` STRING, `email` STRING NOT NULL, `size` INT> NOT NULL"),
    ),
    Column("score", parse_type("INT")),
    Column("ratio", parse_type("DOUBLE")),
    Column("tags", parse_type("ARRAY<STRING>")),
    Column("headers", parse_type("MAP<STRING, BYTES>"), "headers"),
    Column("event_time", parse_type("TIMESTAMP_LTZ(3)"), "timestamp"),
]
GOOD = {"lead_data": {"name": "Ada", "email": "ada@a.example", "size": 3}, "score": 7}
NOW_MS = int(time.time() * 1000)


def record(value: Any = GOOD, **changes: Any) -> Record:
    body = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
    fields: dict[str, Any] = {
        "topic": "leads",
        "partition": 0,
        "offset": 5,
        "timestamp_ms": NOW_MS,
        "key": b"k1",
        "value": body,
        "headers": {},
    }
    return Record(**{**fields, **changes})


def lead(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


REJECTED = {
    "1 empty value": (record(b""), "empty"),
    "3 null key": (record(key=None), "null_key"),
    "3 empty key": (record(key=b""), "null_key"),
    "4 non-UTF-8 value": (record(b'{"a": "\xff"}'), "not_utf8"),
    "4 non-UTF-8 key": (record(key=b"\xff"), "not_utf8"),
    "5 UTF-16 with BOM": (record(json.dumps(GOOD).encode("utf-16")), "not_utf8"),
    "5 UTF-8 with BOM": (record(b"\xef\xbb\xbf{}"), "not_json"),
    "6 truncated": (record(json.dumps(GOOD).encode()[:-3]), "not_json"),
    "7 two documents": (record(b"{} {}"), "not_json"),
    "8 duplicate keys": (record(b'{"lead_data": {}, "lead_data": {}}'), "duplicate_key"),
    "9 NaN": (record(b'{"ratio": NaN}'), "not_finite"),
    "9 Infinity": (record(b'{"ratio": -Infinity}'), "not_finite"),
    "9 1e999": (record(json.dumps(GOOD)[:-1].encode() + b', "ratio": 1e999}'), "not_finite"),
    "9 1e999 in an undeclared field": (record(b'{"a": [{"b": -1e999}]}'), "not_finite"),
    "10 integer above 2^63": (record(lead(score=2**63)), "wrong_type"),
    "10 integer of 5,000 digits": (record(b'{"score": ' + b"9" * 5000 + b"}"), "not_json"),
    "11 depth 100,000": (record(b"[" * 100_000 + b"]" * 100_000), "too_deep"),
    "12 too large": (record(lead(tags=["x" * (1 << 20)])), "too_large"),
    "14 text for a number": (record(lead(score="7")), "wrong_type"),
    "14 fraction for an integer": (record(lead(score=7.5)), "wrong_type"),
    "14 boolean for a number": (record(lead(score=True)), "wrong_type"),
    "14 number for text": (record(lead(tags=[1])), "wrong_type"),
    "14 text for an object": (record(lead(lead_data="Ada")), "wrong_type"),
    "14 array at the top": (record(b"[1]"), "not_json"),
    "14 null for a NOT NULL field": (record({"lead_data": {"email": None}}), "wrong_type"),
    "15 missing field": (record({"lead_data": {"name": "Ada"}}), "missing_field"),
    "15 missing object": (record({}), "missing_field"),
    "17 magic byte": (record(b"\x00\x00\x00\x00\x07" + b'{"a":1}'), "unknown_schema"),
    "18 another topic's schema": (record({"lead_evaluation": {"score": 1}}), "missing_field"),
    "19 10,000 headers": (
        record(headers={f"h{n}": b"" for n in range(10_000)}),
        "too_many_headers",
    ),
    "19 huge header": (record(headers={"h": b"x" * 40_000}), "too_many_headers"),
    "19 binary id": (record(headers={"ce_id": b"\xff\xfe"}), "bad_header"),
    "20 timestamp -1": (record(timestamp_ms=-1), "bad_timestamp"),
    "20 year 1970": (record(timestamp_ms=0), "bad_timestamp"),
    "20 year 9999": (record(timestamp_ms=253402300799000), "bad_timestamp"),
    "26 lone surrogate": (record(b'{"lead_data": {"email": "\\ud800"}}'), "not_unicode"),
    "26 lone surrogate in an undeclared field": (record(b'{"a": ["x\\udfff"]}'), "not_unicode"),
    "26 lone surrogate in an undeclared name": (record(b'{"\\ud800": 1}'), "not_unicode"),
    "27 XML bomb": (record(b"<!DOCTYPE lolz>"), "not_json"),
    "28 pickle": (record(pickle.dumps(GOOD)), "not_utf8"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_bad_record_is_rejected_with_its_reason(case: str) -> None:
    bad, reason = REJECTED[case]
    with pytest.raises(Rejected) as caught:
        decode_record(bad, COLUMNS, NOW_MS)
    assert caught.value.reason == reason
    assert len(str(caught.value)) < 400


ACCEPTED = {
    "16 unknown field": record(lead(unknown={"deep": [1]})),
    "23 30 days late": record(timestamp_ms=NOW_MS - 30 * 86_400_000),
    "25 control, RTL, zero-width": record(
        lead(lead_data={"name": "\u202eA\u200bd\u0000a", "email": "a@a.example"})
    ),
    "whole float for an integer": record(lead(score=7.0)),
    "null for a nullable object": record(lead(tags=None)),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_odd_but_good_record_goes_on(case: str) -> None:
    row = decode_record(ACCEPTED[case], COLUMNS, NOW_MS)
    assert row and row[0] == "k1" and row[1][1].endswith(".example") and row[2] == 7


def test_a_tombstone_says_nothing() -> None:
    assert decode_record(record(None), COLUMNS, NOW_MS) is None


def test_missing_field_is_named_with_its_path() -> None:
    with pytest.raises(Rejected, match=r"lead_data\.email: expected STRING \(NOT NULL\)"):
        decode_record(record({"lead_data": {}}), COLUMNS, NOW_MS)


def test_an_event_without_id_gets_the_same_one_every_time_and_no_other_record_does() -> None:
    def identity(**changes: Any) -> bytes:
        row = decode_record(record(**changes), COLUMNS, NOW_MS)
        assert row
        return bytes(row[5]["ce_id"])

    assert identity() == identity(partition=3, offset=99, timestamp_ms=NOW_MS - 5)
    others = {identity(key=b"1_|2"), identity(key=b"1"), identity(topic="other"), identity()}
    assert len(others) == 4


def test_an_event_keeps_the_id_and_trace_that_it_came_with() -> None:
    given_headers = {
        "ce_id": b"mine",
        "traceparent": b"00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01",
    }
    row = decode_record(record(headers=given_headers), COLUMNS, NOW_MS)
    assert row and row[5]["ce_id"] == b"mine"
    assert row[5]["traceparent"] == given_headers["traceparent"]
    assert row[5]["attempt"] == b"1" and row[5]["source"] == b"leads/0/5"


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_any_bytes_end_in_a_row_or_a_reason(value: bytes) -> None:
    try:
        decode_record(record(value), COLUMNS, NOW_MS)
    except Rejected as rejected:
        assert rejected.reason and str(rejected)


def test_child_ids_differ_by_parent_step_and_index_and_do_not_collide() -> None:
    ids = {
        events.child_id(parent, step, index)
        for parent in ("1", "1_", "|")
        for step in ("a", "_a", "a|")
        for index in (0, 1)
    }
    assert len(ids) == 18
