"""A running job rescaled in place while commands are at work; where it would go on elsewhere."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest

from connectors.settings import settings
from jobs.deployments import Deployments
from jobs.errors import TidemillError
from tests.bench.orchestra import COMMANDS, Orchestra, orchestra
from tests.conftest import isolate

WORKERS = "orchestra.play_slowly"


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


def _folder(checkpoint: str) -> Path:
    """Where a job's checkpoints lie; another one may have ended in between."""
    return Path(unquote(urlparse(checkpoint).path)).parent
