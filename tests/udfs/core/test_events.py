"""Headers that come from outside: what is believed of them."""

import pytest

from udfs.core import events


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *((b"1", 1), (b"7", 7), (b"999999999", 999_999_999)),
        *((b"", 1), (b"0", 1), (b"-3", 1), (b"two", 1), (b"1.5", 1), ("٣".encode(), 1)),
        *((b"007", 1), (b"1" * 10, 1), (b"9" * 200, 1), (b"\xff", 1)),
    ],
)
def test_an_attempt_is_a_number_that_every_store_can_hold(value: bytes, expected: int) -> None:
    assert events.attempt({"attempt": value}) == expected
