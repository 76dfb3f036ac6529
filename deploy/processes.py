"""A command in, a detached process that is known by pid and birth out.

Each has a mark of its own in its environment, so that a pid that the system has given to somebody
else since is neither taken for ours nor killed (its time of creation would do, but that moves when
the clock is set). Each has a session of its own, by which what it started (a TaskManager's Python
workers) is found and ended even after its own death.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "TIDEMILL_MARK"  # in the environment of a process and of all that it starts

MAX_LOG_BYTES = 20 * 1024 * 1024  # a longer one is put aside at the next start

# The outer shell ends at once, so that the process is nobody's child and nobody has to wait for it.
# The inner one stays: when the process has ended, in whatever way, it ends what that left behind (a
# Python worker that outlives its TaskManager would go on calling models and sending mail).
_GUARD = """(
    "$@" >>"$0" 2>&1 &
    echo "$$ $!"
    exec >/dev/null
    wait
    kill -KILL 0
) &"""


@dataclass(frozen=True)
class Record:
    """One started process, as `stack.json` keeps it."""

    pid: int
    started_at: float
    mark: str
    session: int
    port: int
    log: str
    identity: str = ""  # by which the part itself knows it, where it does
    environment_hash: str = ""

    def process(self) -> psutil.Process | None:
        """The living process, or None if it is gone or its pid belongs to another one now."""
        try:
            process = psutil.Process(self.pid)
            if process.status() == psutil.STATUS_ZOMBIE or not self._is_marked(process):
                return None
            return process
        except psutil.Error:
            return None

    def family(self) -> list[psutil.Process]:
        """The process and all that it started, dead leader or not."""
        found = []
        for process in psutil.process_iter():
            try:
                if os.getsid(process.pid) != self.session or process.pid == os.getpid():
                    continue
                if self._is_marked(process):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def _is_marked(self, process: psutil.Process) -> bool:
        return process.environ().get(MARK) == self.mark


def start(
    command: list[str],
    environment: Mapping[str, str],
    port: int,
    log: Path,
    identity: str = "",
    environment_hash: str = "",
) -> Record:
    """Start a process in a session of its own, without input; its output is appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    if log.exists() and log.stat().st_size > MAX_LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    mark = f"{log}#{uuid.uuid4().hex}"
    shell = subprocess.run(
        ["/bin/sh", "-c", _GUARD, str(log), *command],
        env={**environment, MARK: mark},
        cwd=log.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # or the guard would hold the pipe of `tidemill up | tail`
        start_new_session=True,
        check=True,
        text=True,
    )
    session, pid = (int(word) for word in shell.stdout.split())
    return Record(pid, time.time(), mark, session, port, str(log), identity, environment_hash)


def stop(records: Iterable[Record], grace_s: float = 15.0) -> list[int]:
    """SIGTERM, then SIGKILL after the grace; returns the pids that would not go, which is none."""
    records = list(records)
    for record in records:
        if process := record.process():
            _send(process, signal.SIGTERM)
    leaders = [process for record in records if (process := record.process())]
    _wait(leaders, grace_s)
    rest = [process for record in records for process in record.family()]
    for process in rest:
        _send(process, signal.SIGKILL)
    return [process.pid for process in _wait(rest, 5.0)]


def stop_orphans(record: Record) -> None:
    """End what a dead process left behind."""
    rest = record.family()
    for process in rest:
        _send(process, signal.SIGKILL)
    _wait(rest, 5.0)


def home_of(mark: str) -> Path:
    """$TIDEMILL_HOME of the stack that gave this mark to a process."""
    return Path(mark.rpartition("#")[0]).parent.parent


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, for an error message."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(lines[-count:])


def _send(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        pass


def _wait(processes: list[psutil.Process], limit_s: float) -> list[psutil.Process]:
    """Wait until they are gone (or zombies of some parent that does not look); returns the rest."""
    deadline = time.monotonic() + limit_s
    while True:
        alive = [process for process in processes if _is_alive(process)]
        if not alive or time.monotonic() > deadline:
            return alive
        time.sleep(0.05)


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False
