"""A running job rescaled in place while commands are at work; where it goes on, and is ended."""

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import psutil
import pytest

from connectors.settings import settings
from deploy.parts import TASKMANAGERS
from deploy.record import StackRecord
from jobs.deployments import Deployments
from jobs.errors import TidemillError
from jobs.submit import stop
from tests.bench.orchestra import COMMANDS, Orchestra, orchestra
from tests.conftest import isolate

WORKERS, CONDUCTOR = "orchestra.play_slowly", "orchestra.conduct"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orchestra]:
    """An orchestrator and its workers, under the adaptive scheduler."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path_factory.mktemp("scale"))
        with orchestra("play_slowly", scheduler="adaptive") as found:
            yield found


@pytest.mark.timeout(400)
def test_a_job_is_rescaled_in_place_and_each_objective_answered_once(running: Orchestra) -> None:
    before = running.cluster.must_run(WORKERS)
    running.ask(10, COMMANDS)
    for parallelism in (2, 1):
        running.scale(parallelism)
        now = running.cluster.must_run(WORKERS)
        assert now.id == before.id
        assert max(v["parallelism"] for v in running.cluster.vertices(now.id)) == parallelism
    running.wait(200)
    assert running.check(COMMANDS)["answers"] >= 10


def test_a_job_of_another_cluster_goes_on_at_what_that_cluster_tells(
    running: Orchestra, tmp_path: Path
) -> None:
    job = running.cluster.must_run(WORKERS)
    here = Deployments(settings().home, running.cluster, local=True)
    there = Deployments(tmp_path, running.cluster, local=False)
    assert there.resume_path(WORKERS) is None
    there.submitted(WORKERS, job.id)
    told, retained = there.resume_path(WORKERS), here.resume_path(WORKERS)
    assert told and retained and _folder(told) == _folder(retained)
    there.submitted(WORKERS, "0" * 32)
    with pytest.raises(TidemillError, match="no longer knows"):
        there.resume_path(WORKERS)
    assert Deployments(tmp_path, running.cluster, local=True).resume_path(WORKERS) is None


def test_a_savepoint_that_nobody_waited_for_is_where_the_job_goes_on(running: Orchestra) -> None:
    here = Deployments(settings().home, running.cluster, local=True)
    savepoints = (settings().home / "flink" / "savepoints").as_uri()
    path = running.cluster.stop(running.cluster.must_run(WORKERS), savepoints)
    told = here.resume_path(WORKERS)
    assert told and _path(told) == _path(path)


def test_a_job_that_gets_no_worker_is_ended_and_keeps_its_checkpoint(running: Orchestra) -> None:
    job = running.cluster.must_run(CONDUCTOR)
    for process in managers():
        process.kill()
        process.wait(30)
    deadline = time.monotonic() + 60
    while running.cluster.works(job):
        assert time.monotonic() < deadline, "Flink has not noticed that the TaskManagers are gone"
        time.sleep(0.2)
    said: list[str] = []
    stop(CONDUCTOR.replace(".", "/"), report=lambda _, event: said.append(event))
    assert running.cluster.running(CONDUCTOR) is None
    assert "cancelled" in said[0]
    told = Deployments(settings().home, running.cluster, local=True).resume_path(CONDUCTOR)
    assert told and _path(told).name.startswith("chk-")


def managers() -> list[psutil.Process]:
    record = StackRecord.load(settings().home)
    found = [record.processes[name].process() for name in TASKMANAGERS]
    return [process for process in found if process]


def _path(url: str) -> Path:
    return Path(unquote(urlparse(url).path))


def _folder(checkpoint: str) -> Path:
    """Where a job's checkpoints lie; another one may have ended in between."""
    return _path(checkpoint).parent
