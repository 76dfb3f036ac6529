"""A home for stacks that a test breaks, wholly apart from the shared one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import stack
from deploy.parts import PARTS
from deploy.record import LOCAL_ADDRESSES

SWITCHES = ("TIDEMILL_ALLOW_LOCAL_WEB", "TIDEMILL_CLOCK_SPEED", "TIDEMILL_TRACE_CONTENT")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """$TIDEMILL_HOME, empty; what a test starts in it is stopped after it."""
    monkeypatch.setenv("TIDEMILL_HOME", str(tmp_path))
    for part in PARTS.values():
        monkeypatch.setenv(part.port_variable, "0")
        for variable in part.yours:
            monkeypatch.delenv(variable, raising=False)
    for switch in ("MONGODB_DATABASE", LOCAL_ADDRESSES, *SWITCHES):
        monkeypatch.delenv(switch, raising=False)
    yield tmp_path.resolve()
    stack.down()
