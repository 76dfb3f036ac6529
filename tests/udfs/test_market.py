"""Events of an account, as JSON that anybody may have written."""

import json
from typing import Any

import pytest

from udfs.core.fold import BadEvent
from udfs.market import event_of


@pytest.mark.parametrize(
    ("event", "words"),
    [
        ({"cash": "5"}, 'cash is "5", expected a whole number'),
        ({"cash": True}, "cash is true, expected a whole number"),
        ({"lots": 1.5}, "lots is 1.5, expected a whole number"),
        ({"limit_ticks": {}}, "limit_ticks is {}, expected a whole number"),
        ({"order_id": ["x"]}, 'order_id is ["x"], expected a text'),
        ({"symbol": 4}, "symbol is 4, expected a text"),
        ([], "no JSON object"),
    ],
)
def test_a_value_of_another_type_is_no_event(event: Any, words: str) -> None:
    with pytest.raises(BadEvent) as error:
        event_of({"event": json.dumps(event)})
    assert error.value.reason == "invalid_event" and words in str(error.value)


def test_what_is_not_known_is_let_be() -> None:
    event = {"cash": 2**63 - 1, "lots": None, "note": ["anything", 1.5]}
    assert event_of({"event": json.dumps(event)}) == event
