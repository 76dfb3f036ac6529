"""Fixtures for every room: a small local stack of one's own, and a clean environment for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy import stack as local_stack
from deploy.java import JavaError, client_environment
from deploy.parts import PARTS
from deploy.record import LOCAL_ADDRESSES

SWITCHES = ("TIDEMILL_ALLOW_LOCAL_WEB", "TIDEMILL_CLOCK_SPEED", "TIDEMILL_TRACE_CONTENT")


def pytest_configure() -> None:
    """Every JVM that a test starts: the right Java, and settings for a short life."""
    try:
        os.environ.update(client_environment())
    except JavaError:
        pass  # most tests need none; the others say so


def isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """A home of its own, free ports, and none of the user's services."""
    patch.setenv("TIDEMILL_HOME", str(home))
    for part in PARTS.values():
        patch.setenv(part.port_variable, "0")
        for variable in part.yours:
            patch.delenv(variable, raising=False)
    for switch in ("MONGODB_DATABASE", LOCAL_ADDRESSES, *SWITCHES):
        patch.delenv(switch, raising=False)


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Kafka, MongoDB, mail sink and offline model, shared by the session.

    Its addresses are in the environment while the session runs, and are the fixture's value.
    """
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path_factory.mktemp("stack"))
        try:
            environment = local_stack.up(["kafka", "mongodb", "mail", "model"])
            for name, value in environment.items():
                patch.setenv(name, value)
            yield environment
        finally:
            local_stack.down()
