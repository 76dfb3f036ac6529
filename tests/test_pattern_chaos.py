"""A tenth of what `make chaos` does to the patterns, and the judge of trade logs tried."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import KafkaRecord
from tests.bench.orchestra import COMMANDS
from tests.chaos import market, orchestration
from tests.conftest import isolate


def record(symbol: str, sequence: int, **values: Any) -> KafkaRecord:
    value = json.dumps({"sequence": sequence, "lots": 1} | values).encode()
    return KafkaRecord("executions", 0, 0, 0, symbol.encode(), value, ())


EXPECTED: market.Rows = {b"s": [{"sequence": n, "lots": 1} for n in (1, 2, 3)]}


def test_the_log_of_the_reference_with_repeats_is_no_breach() -> None:
    log = [record("s", n) for n in (1, 2, 1, 2, 3)]
    judged = market.judge(log, EXPECTED)
    assert (judged.executions, judged.repeats, judged.breaches) == (3, 2, [])


@pytest.mark.parametrize(
    "log",
    [
        [record("s", 1), record("s", 2)],
        [record("s", 1), record("s", 2), record("s", 3), record("s", 4)],
        [record("s", 1), record("s", 3), record("s", 2)],
        [record("s", 1), record("s", 2), record("s", 2, lots=2), record("s", 3)],
        [record("s", 1), record("s", 2, lots=2), record("s", 3)],
        [record("s", 1), record("s", 2), record("s", 3), record("t", 1)],
    ],
    ids=["missing", "more", "order", "other repeat", "other content", "other symbol"],
)
def test_any_other_log_is_a_breach(log: list[KafkaRecord]) -> None:
    assert market.judge(log, EXPECTED).breaches


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """None of the session's addresses."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path / "home")
        yield


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("alone")
def test_the_trade_log_is_the_references_whatever_is_killed() -> None:
    outcome = market.run(20_000, kills=2, seed=3, report=print)
    assert outcome.judged.breaches == []
    assert outcome.restarts == 2


@pytest.mark.timeout(900)
@pytest.mark.usefixtures("alone")
def test_workers_may_die_and_their_number_change_while_commands_are_at_work() -> None:
    outcome = orchestration.run(1_000, kills=2, seed=6, report=print)
    assert outcome.kills.total() == len(outcome.rescales_s) == 2
    assert outcome.records["commands once"] == 1_000
    assert outcome.records["answers"] >= 1_000 // COMMANDS
