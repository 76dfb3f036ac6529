"""Names of jobs in, what becomes of each out, from a process of its own that is warm beforehand.

Flink's planner keeps state in Java threads, and Python's garbage collection talks to Java from
whichever thread it runs in: a process that plans does nothing else. It starts its Java at once,
waits for one line of JSON (the environment, the jobs), submits, and writes a line for each event.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from jobs.errors import TidemillError
from jobs.sql_dir import job_name


class Submission:
    """Jobs `team/job` on their way to the cluster. `told` has what happened, by job name."""

    def __init__(self, names: Sequence[str], log: Path) -> None:
        self.told = {job_name(name): "to be submitted" for name in names}
        self._names, self._log, self._error = names, log, ""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "jobs.submission"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        self._listener = threading.Thread(target=self._listen, daemon=True)

    def start(self, environment: Mapping[str, str]) -> None:
        """Begin, now that the cluster is there."""
        assert self._process.stdin
        with self._process.stdin as words:
            words.write(json.dumps({"environment": dict(environment), "names": self._names}))
        self._listener.start()

    def _listen(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            if line.startswith("{"):  # libraries write lines of their own
                said = json.loads(line)
                self._error = said.get("error", self._error)
                if "job" in said:
                    self.told[said["job"]] = said["event"]
        if self._process.wait() and not self._error:
            self._error = f"submitting ended with code {self._process.returncode}"

    @property
    def ended(self) -> bool:
        return not self._listener.is_alive()

    def check(self) -> None:
        """Raises TidemillError with what went wrong."""
        if self._error:
            raise TidemillError(self._error, f"see {self._log}")

    def join(self) -> None:
        """Wait for the end, and check."""
        self._listener.join()
        self.check()

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.terminate()


def main() -> int:
    """The process: exit code 0 when all jobs run."""
    start_java()
    words = sys.stdin.readline()
    if not words:
        return 0  # the stack did not come up
    said = json.loads(words)
    os.environ.update(said["environment"])
    from jobs.cluster import cluster
    from jobs.submit import submit

    try:
        target, _ = cluster()
        running = target.running_names()
        names = [name for name in said["names"] if job_name(name) not in running]
        for name in set(said["names"]) - set(names):
            _tell(job=job_name(name), event="runs already")
        if names:
            submit(names, report=lambda job, event: _tell(job=job, event=event))
    except TidemillError as error:
        _tell(error=str(error))
        return 1
    return 0


def _tell(**said: str) -> None:
    print(json.dumps(said), flush=True)


def start_java() -> None:
    """Start the client's Java, which takes six seconds that otherwise would come later."""
    from pyflink.java_gateway import get_gateway

    from deploy.java import client_environment

    os.environ.update(client_environment())
    get_gateway()


if __name__ == "__main__":
    sys.exit(main())
