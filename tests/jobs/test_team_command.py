"""Commands about one team: what they do is said without a stack, what they need one for is not."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from jobs import dead_letters, parked
from jobs.errors import TidemillError

DESKS = [(dead_letters.app, name) for name in ("list", "show", "edit", "redrive", "discard")]
DESKS += [(parked.app, name) for name in ("list", "sent", "again")]


@pytest.fixture(autouse=True)
def no_stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KAFKA_BOOTSTRAP_SERVERS", raising=False)


@pytest.mark.parametrize(("app", "command"), DESKS)
def test_a_command_is_explained_without_a_stack(app: typer.Typer, command: str) -> None:
    result = CliRunner().invoke(app, ["sdr", command, "--help"], catch_exceptions=False)
    assert result.exit_code == 0 and "Usage" in result.output and command in result.output


@pytest.mark.parametrize("app", [dead_letters.app, parked.app])
@pytest.mark.parametrize("words", [["sdr"], ["sdr", "list"]])
def test_a_command_that_needs_the_stack_says_so(app: typer.Typer, words: list[str]) -> None:
    with pytest.raises(TidemillError, match="no local stack runs; run `tidemill up`"):
        CliRunner().invoke(app, words, catch_exceptions=False)
