"""`stack.json` in and out: which processes were started, on which ports; and the lock around it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from deploy.parts import Part
from deploy.processes import MARK, Record

LOCAL_ADDRESSES = "TIDEMILL_LOCAL_ADDRESSES"  # see deploy/addresses.py

# Settings of this machine's stack itself; the other TIDEMILL_ variables are switches of the jobs.
_NO_SWITCH = {
    "TIDEMILL_HOME",
    "TIDEMILL_CACHE",
    "TIDEMILL_MAVEN_REPOSITORY",
    "TIDEMILL_SQL",
    LOCAL_ADDRESSES,
    MARK,
}


class StackError(Exception):
    """The stack cannot be started or stopped: a sentence, then perhaps the end of a log."""


@dataclass
class StackRecord:
    """What `up` has started and `down` has not stopped yet."""

    home: Path
    processes: dict[str, Record] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    switches: dict[str, str] = field(default_factory=dict)  # TIDEMILL_… that workers were given

    @classmethod
    def load(cls, home: Path) -> StackRecord:
        file = home / "stack.json"
        try:
            content = json.loads(file.read_text())
            processes = {name: Record(**fields) for name, fields in content["processes"].items()}
            return cls(home, processes, content["ports"], content["switches"])
        except FileNotFoundError:
            return cls(home)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise StackError(
                f"{file} is not of this version: end the processes that it lists, then delete it."
            ) from None

    def save(self) -> None:
        file = self.home / "stack.json"
        unfinished = file.with_suffix(".json.part")
        content = {
            "ports": self.ports,
            "switches": self.switches,
            "processes": {name: asdict(record) for name, record in self.processes.items()},
        }
        unfinished.write_text(json.dumps(content, indent=2) + "\n")
        os.replace(unfinished, file)

    def forget(self) -> None:
        (self.home / "stack.json").unlink(missing_ok=True)

    def of(self, part: Part) -> dict[str, Record]:
        """The part's recorded processes by name."""
        return {name: self.processes[name] for name in part.processes if name in self.processes}

    def port(self, part: Part) -> int | None:
        return self.ports.get(part.name) if self.of(part) else None

    def remember_switches(self, environment: Mapping[str, str]) -> None:
        """Keep the TIDEMILL_ variables that are set now; those that are not keep their value."""
        for name, value in environment.items():
            if name.startswith("TIDEMILL_") and not name.endswith("_PORT"):
                if name not in _NO_SWITCH and value:
                    self.switches[name] = value


@contextmanager
def exclusive(home: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """One `up` or `down` of a home at a time; the others wait for it."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "stack.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
