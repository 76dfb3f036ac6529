"""Detached processes: their family ends with them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from deploy.processes import Record, last_lines, start, stop


def wait_until_gone(pid: int) -> None:
    for _ in range(200):
        try:
            if (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except OSError:
            return
        time.sleep(0.05)
    raise AssertionError(f"process {pid} lives")


def start_family(log: Path) -> tuple[Record, int]:
    """A shell with a child, as a TaskManager has Python workers; returns it and the child's pid."""
    command = ["/bin/sh", "-c", "sleep 1000 & echo $!; wait"]
    record = start(command, dict(os.environ), 0, log)
    for _ in range(200):
        if log.exists() and log.read_text().strip():
            return record, int(log.read_text())
        time.sleep(0.05)
    raise AssertionError("the child was not started")


def test_a_killed_process_takes_its_children_along(tmp_path: Path) -> None:
    record, child = start_family(tmp_path / "part.log")
    os.kill(record.pid, signal.SIGKILL)
    wait_until_gone(child)
    assert record.process() is None


def test_stop_ends_the_whole_family(tmp_path: Path) -> None:
    record, child = start_family(tmp_path / "part.log")
    assert stop([record], grace_s=5) == []
    wait_until_gone(child)


def test_a_process_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    record = start(
        ["/bin/sh", "-c", "trap '' TERM; echo on; while :; do sleep 1; done"],
        dict(os.environ), 0, log,
    )  # fmt: skip
    while not log.read_text():
        time.sleep(0.05)
    assert stop([record], grace_s=0.3) == []
    assert record.process() is None


def test_the_end_of_a_log(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_text("".join(f"line {number}\n" for number in range(5000)))
    assert last_lines(log, 2) == "line 4998\nline 4999"
    assert last_lines(tmp_path / "none.log") == ""
