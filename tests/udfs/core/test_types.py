"""Type strings, and values that go through state and come back the same."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.core.types import Type, TypeMismatch, decode, parse_type, plain

NESTED = (
    "ROW<`name` STRING NOT NULL, `tags` ARRAY<ROW<`a` INT, `b` DECIMAL(10, 2)>>, "
    "`m` MAP<STRING, BYTES>, `at` TIMESTAMP_LTZ(3)> NOT NULL"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("VARCHAR(2147483647) NOT NULL", "STRING NOT NULL"),
        ("TIMESTAMP(3) WITH LOCAL TIME ZONE", "TIMESTAMP_LTZ(3)"),
        ("TIMESTAMP(6) WITHOUT TIME ZONE", "TIMESTAMP(6)"),
        ("INTEGER", "INT"),
        ("DOUBLE PRECISION", "DOUBLE"),
        ("ROW<`a``b` INT 'a comment, with > in it', `c` STRING>", None),
        (NESTED, NESTED),
    ],
)
def test_type_strings_are_read_as_flink_writes_them(text: str, expected: str | None) -> None:
    parsed = parse_type(text)
    assert parse_type(str(parsed)) == parsed or expected is None
    if expected:
        assert str(parsed) == expected


@pytest.mark.parametrize("text", ["RAW('x', 'y')", "INTERVAL DAY", "ROW<a INT", "INT INT", ""])
def test_what_cannot_cross_into_python_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="type"):
        parse_type(text)


VALUES: dict[str, st.SearchStrategy[Any]] = {
    "STRING": st.text(),
    "BOOLEAN": st.booleans(),
    "INT": st.integers(-(2**31), 2**31 - 1),
    "BIGINT": st.integers(-(2**63), 2**63 - 1),
    "DOUBLE": st.floats(allow_nan=False, allow_infinity=False),
    "DECIMAL(10, 2)": st.decimals(-99999999, 99999999, places=2),
    "BYTES": st.binary(),
    "DATE": st.dates(),
    "TIME": st.times(),
    "TIMESTAMP(6)": st.datetimes(),
    "TIMESTAMP_LTZ(3)": st.datetimes(timezones=st.just(dt.UTC)),
}


def values_of(declared: Type) -> st.SearchStrategy[Any]:
    if declared.kind == "ROW":
        return st.tuples(*(values_of(t) for _, t in declared.fields))
    if declared.kind == "ARRAY":
        return st.lists(values_of(declared.items[0]), max_size=3)
    if declared.kind == "MAP":
        return st.dictionaries(st.text(), values_of(declared.items[1]), max_size=3)
    exact = VALUES[str(Type(declared.kind, parameters=declared.parameters))]
    return exact | st.none() if declared.nullable else exact


@given(
    st.sampled_from([*VALUES, NESTED]).flatmap(
        lambda t: values_of(parse_type(t)).map(lambda v: (t, v))
    )
)
def test_every_value_comes_back_from_its_plain_form(pair: tuple[str, Any]) -> None:
    declared, value = parse_type(pair[0]), pair[1]
    assert decode(plain(value, declared), declared) == value


def test_a_mismatch_names_the_path() -> None:
    with pytest.raises(TypeMismatch, match=r"tags\[1\]\.a: expected INT, found text"):
        decode({"name": "x", "tags": [{"a": 1}, {"a": "1"}]}, parse_type(NESTED))


def test_a_decimal_is_never_rounded_silently() -> None:
    assert decode("1.50", parse_type("DECIMAL(10, 2)")) == Decimal("1.50")
    with pytest.raises(TypeMismatch):
        decode(1.505, parse_type("DECIMAL(10, 2)"))
