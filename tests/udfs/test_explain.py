"""Dead letters of the source: what of a record goes into their headers."""

from typing import Any

import pytest

from udfs.core.decode import CUT_BYTES, Column
from udfs.core.types import parse_type
from udfs.explain import Explain

COLUMNS = [Column("id", parse_type("STRING"), "key"), Column("n", parse_type("INT"))]
NOW = "2026-03-01 12:00:00.000"


class Context:
    """Of a function: a counter for what it counts."""

    def get_metric_group(self) -> Any:
        return self

    def counter(self, name: str) -> Any:
        return self

    def inc(self) -> None:
        pass


@pytest.fixture
def explain() -> Explain:
    made = Explain("leads", COLUMNS, "sdr.job")
    made.open(Context())
    return made


def test_headers_say_why_and_where(explain: Explain) -> None:
    headers = explain.eval(b"k", b"{", {"x": b"1", "n": None}, 2, 7, NOW)
    assert headers["dlq_reason"] == b"not_json" and headers["dlq_stage"] == b"decode"
    assert (headers["x"], headers["n"]) == (b"1", b"")
    assert (headers["dlq_topic"], headers["dlq_partition"]) == (b"leads", b"2")


def test_headers_that_are_too_many_stay_behind(explain: Explain) -> None:
    """A record with a header of 10 MiB made a dead letter that no broker takes, again and again."""
    given = {"h": b"x" * (10 << 20), "ce_id": b"mine", "traceparent": b"x" * 5000}
    headers = explain.eval(b"k", b"{}", given, 0, 0, NOW)
    assert headers["dlq_reason"] == b"too_many_headers"
    assert headers["ce_id"] == b"mine" and not {"h", "traceparent"} & set(headers)


def test_a_record_that_was_cut_says_so(explain: Explain) -> None:
    headers = explain.eval(b"k", b"x" * CUT_BYTES, {}, 0, 0, NOW)
    assert headers["dlq_reason"] == b"too_large" and b"or more" in headers["dlq_message"]
    headers = explain.eval(b"k", b"x" * (CUT_BYTES - 1), {}, 0, 0, NOW)
    assert headers["dlq_message"] == b"value has 3145727 bytes, limit 1048576"
