"""Entries in, results of their runs out: the operator's end of the process that runs a function.

Runs have a process of their own because they are busy: on one interpreter lock with Beam's threads
each of a bundle's hand-overs waited for them, and they for it. The process is started with the
operator and ends with it: where the operator's end of the pipe is gone, even by `kill -9`, it stops
at once, because what lives on would go on paying and mailing.

    frame = 4 bytes of length, big-endian, then a pickle (the framing of multiprocessing's pipes)
    to the process: the function; then (number, entry, memory) for each run; then None: close
    from it: None when it is open, else a sentence; then (number, result) as runs end
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from udfs.core.slot import Entry
from udfs.keyed_function import KeyedFunction, Result

OPEN_S = 120.0
CLOSE_S = 15.0


class Died(Exception):
    """The process has ended by itself, or was killed."""


class RunProcess:
    """One process for one function. Not for use by two threads at once."""

    def __init__(self, function: KeyedFunction) -> None:
        """Start it and wait until the function has its clients. Raises RuntimeError if not."""
        self._close_s = function.finish_s + CLOSE_S
        own, other = socket.socketpair()
        with other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "udfs.run_process_main", str(other.fileno())],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
        self._connection = Connection(own.detach())
        self._send(function)
        if trouble := self._opened():
            self.kill()
            raise RuntimeError(f"a keyed function did not open: {trouble}")

    def _opened(self) -> str | None:
        try:
            if self._connection.poll(OPEN_S):
                return self._connection.recv()
            return f"it gave no answer within {OPEN_S:.0f} s"
        except (EOFError, OSError):
            return f"its process ended with {self._process.wait()}; its log says why"

    def start(self, number: int, entry: Entry, memory: list[dict[str, Any]]) -> None:
        """Begin a run. One that the process does not live to see shows in `finished`."""
        self._send((number, entry, memory))

    def finished(self) -> Iterator[tuple[int, Result]]:
        """The runs that have ended since the last call. Raises `Died`."""
        try:
            while self._connection.poll():
                yield self._connection.recv()
        except (EOFError, OSError):
            raise Died(f"the process of a keyed function ended with {self.kill()}") from None

    def close(self) -> None:
        """Let the function finish what it must, then end the process."""
        self._send(None)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(self._close_s)
        self.kill()

    def kill(self) -> int:
        """End it now; its exit status."""
        self._connection.close()
        self._process.kill()
        return self._process.wait()

    def _send(self, message: object) -> None:
        with suppress(OSError):  # it is gone, which `finished` tells
            self._connection.send(message)
