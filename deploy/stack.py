"""Parts asked for in, a running local stack out; and what runs, and what jobs need to reach it.

    up()           start what is not running, mend what is half dead, wait until all answers
    down()         stop everything, and prove it
    status()       one PartStatus for each part
    environment()  the variables of the jobs; the user's own win
    private()      a stack for a while: free ports, a folder that is removed

Everything is under $TIDEMILL_HOME: `stack.json` (what was started), a folder of data for each
part, `logs/`. Data outlives `down`; `up(fresh=True)` wipes it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import psutil
from pydantic import ValidationError

from connectors.settings import settings
from deploy.addresses import stack_environment, user_variables
from deploy.parts import PARTS, Part
from deploy.processes import stop
from deploy.record import StackError, StackRecord, exclusive
from deploy.start import Report, Start

__all__ = ["PartStatus", "Report", "StackError", "down", "environment", "private", "status", "up"]


@dataclass(frozen=True)
class PartStatus:
    """One part as `tidemill status` shows it."""

    name: str
    what: str
    state: str  # running | not answering | dead | stopped | yours
    address: str = ""
    pids: tuple[int, ...] = ()
    memory_bytes: int = 0  # with all that its processes started


def _quiet(_part: str, _event: str) -> None:
    pass


def up(
    parts: Iterable[str] | None = None, fresh: bool = False, report: Report = _quiet
) -> dict[str, str]:
    """Start or mend these parts (all by default); returns `environment()` once all answer.

    `report` is told (part, what happens to it). Raises StackError with a sentence; whatever this
    call had started is stopped again by then.
    """
    chosen = _parts(parts)
    home = _home()
    with exclusive(home, lambda: report("stack", "waiting for another `up` or `down` to finish")):
        record = StackRecord.load(home)
        if fresh:
            _stop_parts(record, chosen, report)
            for (
                part
            ) in chosen:  # of a cluster of the user's own, `flink` holds where its jobs go on
                if not user_variables(part, record):
                    shutil.rmtree(home / part.folder, ignore_errors=True)
            if parts is None:
                shutil.rmtree(home / "logs", ignore_errors=True)
        local = []
        for part in chosen:
            if named := user_variables(part, record):
                report(part.name, f"yours ({', '.join(named)} is set)")
            else:
                local.append(part)
        Start(record, report).run(local)
    return environment()


def down(report: Report = _quiet) -> None:
    """Stop every process of the stack; data stays. Raises StackError if one would not go."""
    home = _home()
    with exclusive(home, lambda: report("stack", "waiting for another `up` or `down` to finish")):
        record = StackRecord.load(home)
        _stop_parts(record, PARTS.values(), report)
        record.forget()


def status(parts: Iterable[str] | None = None) -> list[PartStatus]:
    """What runs and answers, asked now."""
    record = StackRecord.load(_home())
    with ThreadPoolExecutor(len(PARTS)) as pool:
        return list(pool.map(lambda part: _status(part, record), _parts(parts)))


def environment() -> dict[str, str]:
    """Variables that jobs and clients need; a variable that the user has set keeps its value."""
    return stack_environment(StackRecord.load(_home()))


@contextlib.contextmanager
def private(
    parts: Iterable[str], environment: Mapping[str, str], without: Iterable[str] = ()
) -> Iterator[None]:
    """These parts on free ports, in a folder of their own; all is stopped and removed at the end.

    For that time the process's environment has their addresses and `environment`, and has none of
    the variables `without`.
    """
    parts, before = list(parts), dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="tidemill-", ignore_cleanup_errors=True) as home:
        for name in without:
            os.environ.pop(name, None)
        os.environ.update({PARTS[part].port_variable: "0" for part in parts})
        os.environ.update(environment, TIDEMILL_HOME=home)
        try:
            os.environ.update(up(parts))
            yield
        finally:
            down()
            os.environ.clear()
            os.environ.update(before)


def _home() -> Path:
    try:
        return settings().home.expanduser().resolve()
    except ValidationError as error:
        wrong = (f"{found['loc'][0]} is not usable: {found['msg']}" for found in error.errors())
        raise StackError("; ".join(wrong)) from None


def _parts(names: Iterable[str] | None) -> list[Part]:
    if names is None:
        return list(PARTS.values())
    wanted = set(names)
    if unknown := wanted - set(PARTS):
        raise StackError(
            f"The stack has no part {', '.join(sorted(unknown))}: expected {', '.join(PARTS)}."
        )
    return [part for part in PARTS.values() if part.name in wanted]


def _stop_parts(record: StackRecord, parts: Iterable[Part], report: Report) -> None:
    going = {name: found for part in parts for name, found in record.of(part).items()}
    for part in parts:
        if record.of(part):
            report(part.name, "stopping")
    if left := stop(going.values()):
        raise StackError(f"These processes do not end, even killed: {left}; see `ps`.")
    for name in going:
        del record.processes[name]
    record.save()


def _status(part: Part, record: StackRecord) -> PartStatus:
    records = record.of(part)
    port = record.port(part)
    if named := user_variables(part, record):
        return PartStatus(part.name, part.what, "yours", f"{named[0]} is set")
    if not records or port is None:
        return PartStatus(part.name, part.what, "stopped")
    alive = [found for found in records.values() if found.process()]
    state = "running" if len(alive) == len(part.processes) else "dead"
    if state == "running":
        try:
            part.probe(port, [found.identity for found in records.values()])
        except Exception:
            state = "not answering"
    memory = 0
    for process in (member for found in alive for member in found.family()):
        try:
            memory += process.memory_info().rss
        except psutil.Error:
            continue
    pids = tuple(found.pid for found in alive)
    return PartStatus(part.name, part.what, state, f"127.0.0.1:{port}", pids, memory)
