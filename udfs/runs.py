"""Entries of all slots in, results of their runs out, whatever becomes of the process between.

A run that kills its process (a crash in a library, memory) must cost no job a restart, and no other
run its result. When the process dies it is started anew with what was in flight. Runs that have
seen two deaths are then made one at a time, so that the third death names the one to blame.
"""

from collections import deque
from dataclasses import dataclass
from itertools import count
from typing import Any

from udfs.core.slot import Entry
from udfs.keyed_function import KeyedFunction, Result
from udfs.run_process import Died, RunProcess

DEATHS_MAX = 3


@dataclass
class _Run:
    label: Any
    entry: Entry
    memory: list[dict[str, Any]]
    deaths: int = 0


class Runs:
    """The runs in flight of one operator."""

    def __init__(self, function: KeyedFunction) -> None:
        """Start the process and wait until it is open. Raises RuntimeError if it does not."""
        self._function = function
        self._numbers = count()
        self._running: dict[int, _Run] = {}
        self._again: deque[_Run] = deque()
        self._process = RunProcess(function)

    @property
    def in_flight(self) -> int:
        return len(self._running) + len(self._again)

    @property
    def full(self) -> bool:
        """Whether no other run may start now."""
        return self.in_flight >= self._function.concurrency or self._suspicious

    @property
    def _suspicious(self) -> bool:
        """Whether a suspect waits or runs. One that runs is alone."""
        return len(self._running) < 2 and any(
            run.deaths >= DEATHS_MAX - 1 for run in (*self._again, *self._running.values())
        )

    def start(self, label: Any, entry: Entry, memory: list[dict[str, Any]]) -> None:
        self._start(_Run(label, entry, memory))

    def finished(self) -> list[tuple[Any, int, Result]]:
        """Label, sequence and result of the runs that have ended since the last call."""
        ended = []
        try:
            for number, result in self._process.finished():
                run = self._running.pop(number)
                ended.append((run.label, run.entry.sequence, result))
        except Died as death:
            ended += self._bury(death)
            self._process = RunProcess(self._function)
        self._go_on()
        return ended

    def close(self) -> None:
        self._process.close()

    def _start(self, run: _Run) -> None:
        number, entry = next(self._numbers), run.entry
        self._running[number] = run
        bare = Entry(entry.sequence, entry.key, entry.row, entry.headers, entry.arrived_ms)
        self._process.start(number, bare, run.memory)

    def _bury(self, death: Died) -> list[tuple[Any, int, Result]]:
        """Line up what was in flight to start again; the results of what has killed too often."""
        blamed, again = [], []
        for run in self._running.values():
            run.deaths += 1
            if run.deaths < DEATHS_MAX:
                again.append(run)
                continue
            message = f"{death} in each of {run.deaths} tries at this event"
            result = Result(reason="process_killed", message=message)
            blamed.append((run.label, run.entry.sequence, result))
        self._running.clear()
        self._again.extendleft(reversed(again))
        return blamed

    def _go_on(self) -> None:
        """Start again what a death has broken off; the suspects one at a time."""
        while self._again and not (self._suspicious and self._running):
            self._start(self._again.popleft())
