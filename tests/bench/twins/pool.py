"""Commands and a number of workers in, how long all results take out: orchestration's twin.

An orchestrator and its workers, processes of their own, over TCP. What it knows is in its memory: a
worker that is killed costs it the commands that the worker had, which it gives to others at once;
the orchestrator that is killed costs all, and the objective begins anew.

python -m tests.bench.twins.pool COMMANDS WORKERS WORK_MS    prints a line halfway, one at the end
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[3]
WINDOW = 64  # commands that a worker has at a time
BOUND_S = 300.0


@dataclass
class Outcome:
    """How an objective went: seconds from its first command, and who did how much."""

    seconds: float = 0.0
    results: int = 0
    repeated: int = 0
    by_worker: dict[int, int] = field(default_factory=dict)
    first_result_s: dict[int, float] = field(default_factory=dict)


@dataclass
class Orchestrator:
    """Hands out commands, joins results, gives what a lost worker had to others."""

    commands: int
    work_ms: float
    outcome: Outcome = field(default_factory=Outcome)
    done: set[str] = field(default_factory=set)
    _waiting: deque[str] = field(default_factory=deque)
    _port: int = 0
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _begun: float = 0.0

    def start_worker(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.bench.twins.worker", str(self._port)]
        process = subprocess.Popen([*command, str(self.work_ms)], cwd=ROOT)
        self._processes.append(process)
        return process

    async def run(
        self, workers: int, event: Callable[["Orchestrator"], None], at: float = 0.5
    ) -> Outcome:
        """One objective from begin to end; the event happens when this part of it is done."""
        self._waiting.extend(f"c{n}" for n in range(self.commands))
        connected = asyncio.Semaphore(0)
        begin = asyncio.Event()

        serving: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            serving.add(task)
            connected.release()
            await begin.wait()
            await self._serve(reader, writer)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        try:
            for _ in range(workers):
                self.start_worker()
            for _ in range(workers):
                await connected.acquire()
            self._begun = time.perf_counter()
            begin.set()
            happened = False
            while len(self.done) < self.commands:
                await asyncio.sleep(0.002)
                if not happened and len(self.done) >= self.commands * at:
                    happened = True
                    event(self)
                assert time.perf_counter() - self._begun < BOUND_S
            self.outcome.seconds = time.perf_counter() - self._begun
            self.outcome.results = len(self.done)
            return self.outcome
        finally:
            server.close()
            for process in self._processes:
                process.kill()
                process.wait()
            await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One worker, as long as its connection stands."""
        has: set[str] = set()
        try:
            while len(self.done) < self.commands:
                while self._waiting and len(has) < WINDOW:
                    command = self._waiting.popleft()
                    has.add(command)
                    writer.write(json.dumps({"command_id": command}).encode() + b"\n")
                await writer.drain()
                if not has:
                    await asyncio.sleep(0.002)
                    continue
                line = await reader.readline()
                if not line:
                    break
                has.discard(self._join(json.loads(line)))
        except ConnectionError:
            pass
        finally:
            self._waiting.extend(has)
            writer.close()

    def _join(self, result: dict[str, str]) -> str:
        command, worker = result["command_id"], int(result["worker"])
        outcome = self.outcome
        outcome.repeated += command in self.done
        self.done.add(command)
        outcome.by_worker[worker] = outcome.by_worker.get(worker, 0) + 1
        outcome.first_result_s.setdefault(worker, time.perf_counter() - self._begun)
        return command


def undisturbed(commands: int, workers: int, work_ms: float) -> Outcome:
    """Nothing goes wrong."""
    return asyncio.run(Orchestrator(commands, work_ms).run(workers, lambda _: None))


def worker_dies(commands: int, workers: int, work_ms: float) -> Outcome:
    """One worker is killed (-9) when half of the results are there; no other comes."""

    def kill(orchestrator: Orchestrator) -> None:
        os.kill(orchestrator._processes[0].pid, signal.SIGKILL)

    return asyncio.run(Orchestrator(commands, work_ms).run(workers, kill))


def worker_joins(commands: int, workers: int, work_ms: float) -> tuple[Outcome, float]:
    """One worker more is started early: the outcome, and seconds until its first result."""
    started: list[tuple[int, float]] = []

    def add(orchestrator: Orchestrator) -> None:
        at = time.perf_counter() - orchestrator._begun
        started.append((orchestrator.start_worker().pid, at))

    outcome = asyncio.run(Orchestrator(commands, work_ms).run(workers, add, at=0.05))
    ((pid, at),) = started
    if pid not in outcome.first_result_s:
        raise RuntimeError(f"all {commands} commands were done before the new worker had begun")
    return outcome, outcome.first_result_s[pid] - at


def orchestrator_dies(commands: int, workers: int, work_ms: float) -> float:
    """The orchestrator is killed halfway and started again at once: seconds until all is done."""
    begun = time.perf_counter()
    first = _in_a_process(commands, workers, work_ms)
    assert first.stdout
    for line in first.stdout:
        if line.startswith("5 "):
            break
    first.kill()
    first.wait()
    again = _in_a_process(commands, workers, work_ms)
    told, _ = again.communicate(timeout=BOUND_S)
    assert told.splitlines()[-1] == f"done {commands}", told
    return time.perf_counter() - begun


def _in_a_process(commands: int, workers: int, work_ms: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.bench.twins.pool"]
    command += [str(commands), str(workers), str(work_ms)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def main() -> None:
    commands, workers, work_ms = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])

    def tell(orchestrator: Orchestrator) -> None:
        print(f"5 tenths: {len(orchestrator.done)}", flush=True)

    outcome = asyncio.run(Orchestrator(commands, work_ms).run(workers, tell))
    print(f"done {outcome.results}", flush=True)


if __name__ == "__main__":
    main()
