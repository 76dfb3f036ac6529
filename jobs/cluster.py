"""The REST API of a Flink session cluster in, its jobs by name out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlparse

import httpx2 as httpx

from connectors.settings import settings
from deploy import stack
from jobs.errors import TidemillError

ENDED = frozenset({"FINISHED", "CANCELED", "FAILED"})
ROOM_S = 15.0  # a job that has just ended, or a TaskManager that has just come, frees slots


@dataclass(frozen=True)
class JobStatus:
    """One job of the cluster. `state` is Flink's word; times in milliseconds since the epoch."""

    id: str
    name: str
    state: str
    start_time_ms: int

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Cluster:
    """A session cluster at `http://host:port`."""

    def __init__(self, rest_url: str) -> None:
        self.rest_url = rest_url.rstrip("/")
        parsed = urlparse(self.rest_url)
        if not parsed.hostname:
            raise TidemillError(
                f"{rest_url!r} is no address of a Flink cluster", "http://host:8081"
            )
        self.host = parsed.hostname
        self.port = parsed.port or (443 if parsed.scheme == "https" else 80)
        self._client = httpx.Client(base_url=self.rest_url, timeout=30)

    def get(self, path: str, **parameters: str) -> Any:
        return self._answer("GET", path, params=parameters)

    def _answer(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._client.request(method, path, **arguments)
        except httpx.HTTPError as error:
            raise TidemillError(
                f"Flink at {self.rest_url} does not answer ({type(error).__name__})",
                "start the local stack with `tidemill up`, or set FLINK_REST_URL",
            ) from None
        if response.status_code >= 400:
            try:
                words = str(response.json().get("errors", [""])[0])
            except ValueError:
                words = response.text
            said = (words.strip().splitlines() or [f"HTTP {response.status_code}"])[0][:300]
            raise TidemillError(
                f"Flink refused {method} {path}: {said}", f"{self.rest_url} or its log may say more"
            )
        return response.json() if response.content else {}

    def jobs(self) -> list[JobStatus]:
        """Every job that the cluster knows, the newest first."""
        found = [
            JobStatus(job["jid"], job["name"], job["state"], job["start-time"])
            for job in self.get("/jobs/overview")["jobs"]
        ]
        return sorted(found, key=lambda job: -job.start_time_ms)

    def running_names(self) -> set[str]:
        """The names of the jobs that have not ended."""
        return {job.name for job in self.jobs() if not job.ended}

    def running(self, name: str) -> JobStatus | None:
        """The job of that name that has not ended, if there is one."""
        return next((job for job in self.jobs() if job.name == name and not job.ended), None)

    def must_run(self, name: str) -> JobStatus:
        """The running job of that name. Raises TidemillError with those that do run."""
        found = self.running(name)
        if found is None:
            names = ", ".join(job.name for job in self.jobs() if not job.ended) or "none"
            raise TidemillError(f"{name} does not run", f"running are: {names}")
        return found

    def stop(self, job: JobStatus, savepoint_dir: str | None = None, timeout_s: float = 120) -> str:
        """Stop with a savepoint; returns its path. Nothing that was read is lost."""
        body = {"drain": False} | ({"targetDirectory": savepoint_dir} if savepoint_dir else {})
        trigger = self._answer("POST", f"/jobs/{job.id}/stop", json=body)["request-id"]
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            answer = self.get(f"/jobs/{job.id}/savepoints/{trigger}")
            if answer["status"]["id"] == "COMPLETED":
                operation = answer.get("operation", {})
                if "location" in operation:
                    return str(operation["location"])
                cause = str(
                    operation.get("failure-cause", {}).get("stack-trace", "no reason given")
                )
                raise TidemillError(f"{job.name} did not stop: {_last_cause(cause)}", "try again")
            time.sleep(0.1)
        raise TidemillError(
            f"{job.name} did not stop within {timeout_s:.0f} s",
            f"it may still; see {self.rest_url}/#/job/running/{job.id}/checkpoints",
        )

    def works(self, job: JobStatus) -> bool:
        """Whether all its tasks run: one that fails at its start again and again never does."""
        return _works(self.get(f"/jobs/{job.id}"))

    def cancel(self, job: JobStatus, timeout_s: float = 120) -> None:
        """End a job without a savepoint; its last checkpoint stays. Returns when it has ended."""
        deadline = time.monotonic() + timeout_s
        if self.get(f"/jobs/{job.id}")["state"] not in ENDED:
            self._answer("PATCH", f"/jobs/{job.id}", params={"mode": "cancel"})
        while self.get(f"/jobs/{job.id}")["state"] not in ENDED:
            if time.monotonic() > deadline:
                raise TidemillError(f"{job.name} did not end within {timeout_s:.0f} s", "try again")
            time.sleep(0.1)

    def restarts(self, job_id: str) -> int | None:
        """How often Flink has restarted the job; None where it does not say."""
        found = self.get(f"/jobs/{job_id}/metrics", get="numRestarts")
        return int(float(found[0]["value"])) if found else None

    def last_checkpoint(self, job_id: str) -> str | None:
        """Where the job's last checkpoint, or savepoint, lies; None where it never came to one."""
        latest = self.get(f"/jobs/{job_id}/checkpoints").get("latest") or {}
        ended = [one for name in ("completed", "savepoint") if (one := latest.get(name))]
        there = [
            one
            for one in ended
            if ":" in str(one.get("external_path")) and not one.get("discarded")
        ]
        last = max(there, key=lambda one: int(one["trigger_timestamp"]), default=None)
        return str(last["external_path"]) if last else None

    def failure(self, job_id: str) -> str | None:
        """The root cause of the job's last failure, in a sentence."""
        history = self.get(f"/jobs/{job_id}/exceptions").get("exceptionHistory", {})
        entries = history.get("entries") or []
        return _last_cause(entries[0].get("stacktrace", "")) if entries else None

    def wait_until_running(self, job_id: str, timeout_s: float = 120) -> None:
        """Return when every task runs. Raises TidemillError with the root cause of a failure."""
        deadline = time.monotonic() + timeout_s
        while True:
            job = self.get(f"/jobs/{job_id}")
            if _works(job):
                return
            failure = self.failure(job_id)
            if job["state"] in ENDED or failure or time.monotonic() > deadline:
                raise TidemillError(
                    f"{job['name']} does not run ({job['state']}): {failure or 'no reason yet'}",
                    f"see {self.rest_url}/#/job/running/{job_id}/exceptions",
                )
            time.sleep(0.2)

    def scheduler(self) -> str:
        """Which one places the cluster's jobs: `default`, or `adaptive`, which can rescale them."""
        configuration = {one["key"]: one["value"] for one in self.get("/jobmanager/config")}
        return str(configuration.get("jobmanager.scheduler", "default")).lower()

    def rescale(self, job: JobStatus, parallelism: int, timeout_s: float = 120) -> None:
        """Give a running job so many subtasks of each vertex, in place; return when they run.

        Under the adaptive scheduler only. A vertex that cannot have as many has its most. Flink
        waits for the next checkpoint, so that nothing is done twice.
        """
        wanted = {v["id"]: min(parallelism, v["maxParallelism"]) for v in self.vertices(job.id)}
        bounds = {
            vertex: {"parallelism": {"lowerBound": 1, "upperBound": most}}
            for vertex, most in wanted.items()
        }
        self._answer("PUT", f"/jobs/{job.id}/resource-requirements", json=bounds)
        deadline = time.monotonic() + timeout_s
        while True:
            now = self.vertices(job.id)
            got = {v["id"]: v["parallelism"] for v in now}
            if got == wanted and {v["status"] for v in now} <= {"RUNNING", "FINISHED"}:
                return
            if time.monotonic() > deadline:
                found = ", ".join(str(v["parallelism"]) for v in now)
                raise TidemillError(
                    f"{job.name} has not got parallelism {parallelism} within {timeout_s:.0f} s",
                    f"its vertices have {found}; see {self.rest_url}/#/job/running/{job.id}",
                )
            time.sleep(0.1)

    def wait_for_room(self, names: Sequence[str], parallelism: int) -> None:
        """Return when these jobs find a task slot for each subtask, each in place of its own name.

        For a cluster whose slots are all there are. Raises TidemillError where there are too few.
        """
        deadline = time.monotonic() + ROOM_S
        wanted = len(names) * parallelism
        while True:
            running = [job for job in self.jobs() if not job.ended]
            held = [
                max((v["parallelism"] for v in self.vertices(job.id)), default=0)
                for job in running
                if job.name in names
            ]
            overview = self.get("/overview")
            room = int(overview["slots-available"]) + sum(held)
            if wanted <= room:
                return
            if time.monotonic() > deadline:
                total, shown = overview["slots-total"], ", ".join(sorted(j.name for j in running))
                raise TidemillError(
                    f"{wanted} task slots are wanted for {', '.join(names)}, {room} of {total} "
                    f"can be had",
                    f"`tidemill stop TEAM` frees those of a team; running are: {shown or 'none'}",
                )
            time.sleep(0.5)

    def vertices(self, job_id: str) -> list[dict[str, Any]]:
        return list(self.get(f"/jobs/{job_id}")["vertices"])

    def metrics(self, job_id: str, vertex_id: str, names: Sequence[str] = ()) -> dict[str, float]:
        """Sums over the subtasks of a vertex; without names, the names that there are (value 0)."""
        path = f"/jobs/{job_id}/vertices/{vertex_id}/subtasks/metrics"
        found = self.get(path, **({"get": ",".join(names), "agg": "sum"} if names else {}))
        return {metric["id"]: float(metric.get("sum", 0)) for metric in found}


def _works(job: dict[str, Any]) -> bool:
    states = {vertex["status"] for vertex in job["vertices"]}
    return job["state"] == "RUNNING" and states <= {"RUNNING", "FINISHED"}


def _last_cause(stack_trace: str) -> str:
    lines = [line.strip() for line in stack_trace.splitlines() if line.strip()]
    causes = [line for line in lines if line.startswith("Caused by:")] or lines[:1]
    python = [line for line in lines if line[:1].isalpha() and "Error: " in line[:60]]
    return (python[-1:] or causes[-1:] or ["unknown"])[0].removeprefix("Caused by:").strip()[:400]


def cluster() -> tuple[Cluster, bool]:
    """The cluster to use, and whether it is the local stack's."""
    url = settings().flink_rest_url
    if not url:
        raise TidemillError(
            "FLINK_REST_URL is not set, and no local stack runs",
            "run `tidemill up`, or set it to the REST address of your cluster",
        )
    (flink,) = stack.status(["flink"])
    return Cluster(url), flink.state not in ("yours", "stopped")
