"""A running job and a number in, the same job with so many parallel subtasks out: `tidemill scale`.

It stops with a savepoint and goes on from there with other subtasks; keyed state moves by slots,
and the topics keep what comes in between. Flink's adaptive scheduler could do that in place; the
local cluster keeps the default one, under which recovery after a kill is measured.
"""

import time
from typing import Annotated

import typer
from rich.console import Console

from jobs.cluster import Cluster, cluster
from jobs.errors import TidemillError

PARALLELISM_MAX = 128  # key groups of every job (deploy/flink/job.yaml)


def scale(
    job: Annotated[str, typer.Argument(help="A running job: TEAM.JOB or TEAM/JOB.")],
    parallelism: Annotated[int, typer.Argument(help="How many parallel subtasks, from 1 on.")],
) -> None:
    """Give a running job more or fewer parallel workers; none of its events is lost or doubled."""
    from jobs.submit import submit

    target, _ = cluster()
    name = job.replace("/", ".")
    _check(target, name, parallelism)
    begun = time.monotonic()
    script = name.replace(".", "/", 1)
    submit([script], replace=True, overrides={"parallelism.default": str(parallelism)})
    seconds = time.monotonic() - begun
    Console(highlight=False, soft_wrap=True).print(
        f"{name} runs with parallelism {parallelism}, from a savepoint ({seconds:.1f} s)"
    )


def _check(target: Cluster, name: str, parallelism: int) -> None:
    """Raise TidemillError, before anything is stopped, where it could not run so."""
    target.must_run(name)
    if not 1 <= parallelism <= PARALLELISM_MAX:
        most = f"a number from 1 to {PARALLELISM_MAX}"
        raise TidemillError(f"{parallelism} is no parallelism", most)
