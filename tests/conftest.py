"""Fixtures for every room: a small local stack of one's own, and a clean environment for it."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from connectors.mongodb import client
from deploy import stack as local_stack
from deploy.java import JavaError, client_environment
from deploy.parts import PARTS
from deploy.record import LOCAL_ADDRESSES

ROOT = Path(__file__).parent.parent
STARTED_WITH: dict[str, str] = {}
SWITCHES = ("TIDEMILL_ALLOW_LOCAL_WEB", "TIDEMILL_CLOCK_SPEED", "TIDEMILL_TRACE_CONTENT")


# A busy machine is no defect: examples are given all the time that they take. They are the same in
# every run, so that a change is judged by itself; `--hypothesis-profile=explore` takes new ones.
hypothesis.settings.register_profile("explore", deadline=None)
hypothesis.settings.register_profile("tidemill", deadline=None, derandomize=True)
hypothesis.settings.load_profile("tidemill")


def pytest_configure() -> None:
    """Every JVM that a test starts: the right Java, and settings for a short life."""
    try:
        os.environ.update(client_environment())
    except JavaError:
        pass  # most tests need none; the others say so
    STARTED_WITH.update(os.environ)


def tidemill(
    *arguments: str, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[str]:
    """Run the command as a person does, in a process of its own.

    Its environment is the one that this process was started with: a Python worker that a
    MiniCluster ran in this process has written its own variables over `os.environ`.
    """
    started_with = {k: v for k, v in STARTED_WITH.items() if not k.startswith("TIDEMILL_")}
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", *arguments],
        env={**started_with, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def isolate(patch: pytest.MonkeyPatch, home: Path) -> None:
    """A home of its own, free ports, and none of the user's services.

    Nor what a MiniCluster's Python worker has left behind: a cluster that is started with it would
    run its workers in this process.
    """
    for name in set(os.environ) - set(STARTED_WITH):
        if not name.startswith("PYTEST_"):
            patch.delenv(name)
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


@pytest.fixture
def database(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """An empty database of the stack's MongoDB, which is that of the settings meanwhile."""
    name = f"test_{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("MONGODB_DATABASE", name)
    with client() as mongo:
        yield mongo[name]
        mongo.drop_database(name)
