"""Parts that should run in; out, once they do: the ones that were dead started, the rest untouched.

What one `Start` has started it stops again where anything fails, so that a failed start leaves the
machine as it was.
"""

from __future__ import annotations

import os
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from deploy import jars, ports
from deploy.addresses import fingerprint, stack_environment
from deploy.flink_cluster import worker_environment
from deploy.java import JavaError, java_home
from deploy.parts import TASKMANAGERS, Part, Plan
from deploy.processes import Record, last_lines, start, stop, stop_orphans
from deploy.record import LOCAL_ADDRESSES, StackError, StackRecord

START_LIMIT_S = 120.0
ANSWER_LIMIT_S = 30.0  # of a part that has been up for longer

Report = Callable[[str, str], None]  # part, what happens to it


class Start:
    """One `up`."""

    def __init__(self, record: StackRecord, report: Report) -> None:
        self.record = record
        self.report = report
        self.started: set[str] = set()
        self.abandoned = threading.Event()
        self.jars_tenths = 0

    def run(self, parts: list[Part]) -> None:
        """Bury the dead, choose ports, start what is missing, wait until it answers."""
        ports_before = dict(self.record.ports)
        try:
            self._end_unresponsive(parts)
            self._bury_dead(parts)
            self._prepare([part for part in parts if not self._is_complete(part)])
            self.record.remember_switches(os.environ)
            for part in parts:  # Flink last: its workers' environment names the others
                self._start_missing(part)
            self._wait_for_started(parts)
        except BaseException as error:
            stop([self.record.processes.pop(name) for name in self.started], grace_s=5)
            self.record.ports = ports_before
            self.record.save()
            if isinstance(error, (ports.PortError, jars.JarError, JavaError)):
                raise StackError(str(error)) from error
            raise

    def _bury_dead(self, parts: list[Part]) -> None:
        for part in parts:
            dead = {n: record for n, record in self.record.of(part).items() if not record.process()}
            for name, record in dead.items():
                self.report(part.name, f"{name} has died and is started again")
                stop_orphans(record)
                del self.record.processes[name]
            if part.processes[0] in dead:  # no TaskManager outlives its JobManager
                self._retire(part)

    def _end_unresponsive(self, parts: list[Part]) -> None:
        whole = [part for part in parts if self._is_complete(part) and self._is_alive(part)]
        for part, trouble in zip(whole, self._all(self._answer, whole), strict=True):
            if trouble and self._is_alive(part):  # else one has died meanwhile
                self.report(part.name, f"{trouble.splitlines()[0]} It is started again.")
                self._retire(part, grace_s=2)

    def _retire(self, part: Part, *names: str, grace_s: float = 15) -> None:
        records = self.record.of(part)
        going = names or tuple(records)
        stop([records[name] for name in going], grace_s)
        for name in going:
            del self.record.processes[name]

    def _is_complete(self, part: Part) -> bool:
        return len(self.record.of(part)) == len(part.processes)

    def _is_alive(self, part: Part) -> bool:
        return all(record.process() for record in self.record.of(part).values())

    def _prepare(self, missing: list[Part]) -> None:
        """What may fail with a sentence comes before anything is started."""
        if any(part.needs_java for part in missing):
            java_home()
            jars.fetch(progress=self._report_jars)
        moving = [part for part in missing if part.processes[0] not in self.record.processes]
        for name, port in ports.choose(moving, self.record.ports).items():
            self.record.ports[name] = port
            self.record.ports[f"{name}-inner"] = ports.free()
        for part in moving:  # what a killed cluster left of its scratch files
            shutil.rmtree(self.record.home / part.folder / "tmp", ignore_errors=True)

    def _report_jars(self, done_bytes: int, total_bytes: int) -> None:
        tenth = total_bytes // 10 + 1
        if done_bytes // tenth > self.jars_tenths:
            self.jars_tenths = done_bytes // tenth
            self.report("jars", f"{done_bytes / 1e6:.0f} of {total_bytes / 1e6:.0f} MB fetched")

    def _start_missing(self, part: Part) -> None:
        port = self.record.ports[part.name]
        environment = {**stack_environment(self.record), **part.variables(port)}
        environment.pop(LOCAL_ADDRESSES, None)  # for clients; grows with every part that starts
        mark = fingerprint(environment)
        outdated = [
            name
            for name, record in self.record.of(part).items()
            if name in TASKMANAGERS and record.environment_hash != mark
        ]
        if outdated:
            self.report(part.name, "the workers' environment has changed: TaskManagers start again")
            self._retire(part, *outdated)
        if self._is_complete(part):
            self.report(part.name, f"already running on 127.0.0.1:{port}")
            return
        generation = f"{time.time_ns() // 1_000_000:x}"
        plan = Plan(self.record.home, port, self.record.ports[f"{part.name}-inner"], generation)
        if part.name == "flink":
            environment = worker_environment(environment, plan.home / "flink" / "conf")
        for name, command in part.commands(plan).items():
            if name in self.record.processes:
                continue
            log = self.record.home / "logs" / f"{name}.log"
            identity = plan.identity(name) if name in TASKMANAGERS else ""
            self.record.processes[name] = start(
                command, {**os.environ, **environment}, port, log, identity, mark
            )
            self.started.add(name)
            self.record.save()
        self.report(part.name, "starting")

    def _wait_for_started(self, parts: list[Part]) -> None:
        waiting = [part for part in parts if self.started & set(part.processes)]
        failures = [text for text in self._all(self._answer_or_abandon, waiting) if text]
        if failures:
            raise StackError("\n".join(failures))

    def _answer_or_abandon(self, part: Part) -> str:
        """One part that does not start is enough to give up the others."""
        trouble = self._answer(part)
        if trouble:
            self.abandoned.set()
        return trouble

    def _answer(self, part: Part) -> str:
        """Wait until the part answers its probe; returns what is wrong, or nothing."""
        records = self.record.of(part)
        begun = time.monotonic()
        limit_s = max(ANSWER_LIMIT_S, START_LIMIT_S - _age_s(records.values()))
        trouble = ""
        while not self.abandoned.is_set():
            for name, record in records.items():
                if not record.process():
                    return self._failed(f"{name} ended while starting", record)
            try:
                port = self.record.ports[part.name]
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                part.probe(port, [record.identity for record in records.values()])
            except Exception as error:  # each probe has errors of its own; all mean "not yet"
                trouble = f"{type(error).__name__}: {error}"
            else:
                if self.started & set(records):
                    elapsed_s = time.monotonic() - begun
                    self.report(part.name, f"ready on 127.0.0.1:{port} after {elapsed_s:.1f} s")
                return ""
            if time.monotonic() - begun > limit_s:
                sentence = f"{part.name} does not answer within {limit_s:.0f} s ({trouble})"
                return self._failed(sentence, next(iter(records.values())))
            self.abandoned.wait(0.1)
        return ""

    def _failed(self, sentence: str, record: Record) -> str:
        log = Path(record.log)
        return f"{sentence}. The end of {log}:\n{last_lines(log)}"

    def _all(self, action: Callable[[Part], str], parts: list[Part]) -> list[str]:
        """The action on all parts at once; an interrupt reaches every one of them."""
        with ThreadPoolExecutor(max(1, len(parts))) as pool:
            running = [pool.submit(action, part) for part in parts]
            try:
                return [future.result() for future in running]
            except BaseException:
                self.abandoned.set()
                raise


def _age_s(records: Iterable[Record]) -> float:
    return time.time() - max(record.started_at for record in records)
