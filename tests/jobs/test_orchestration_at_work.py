"""Orchestrator and workers on a real cluster: whoever is killed or rescaled, one answer each."""

import random

import pytest

from tests.bench.orchestra import orchestra
from tests.bench.orchestration import BACKOFF, COMMANDS, killed_and_rescaled

TOTAL, KILLS = 1_000, 2


def test_workers_may_die_and_their_number_change_while_commands_are_at_work() -> None:
    with orchestra("play_slowly", *BACKOFF) as running:
        with pytest.raises(AssertionError, match="100 task slots are wanted"):
            running.scale(100)
        _, row = killed_and_rescaled(running, TOTAL, KILLS, random.Random(6))
        counts = running.check(COMMANDS)
    assert int(row[0]) == KILLS
    assert counts["commands once"] == TOTAL
    assert counts["answers"] == TOTAL // COMMANDS
