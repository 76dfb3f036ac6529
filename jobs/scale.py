"""A running job and a number in, the same job with so many parallel subtasks out: `tidemill scale`.

Where the cluster's scheduler is the adaptive one, in place. Elsewhere it stops with a savepoint and
goes on from there. Keyed state moves by slots, and the topics keep what comes in between.
"""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from jobs.cluster import Cluster, cluster
from jobs.errors import TidemillError
from jobs.sql_dir import job_name, script_name

PARALLELISM_MAX = 128  # key groups of every job (deploy/flink/job.yaml)


def scale(
    job: Annotated[str, typer.Argument(help="A running job: TEAM.JOB or TEAM/JOB.")],
    parallelism: Annotated[int, typer.Argument(help="How many parallel subtasks, from 1 on.")],
    wheel: Annotated[
        Path | None, typer.Option(help="The wheel for workers that lack it, as for `submit`.")
    ] = None,
) -> None:
    """Give a running job more or fewer parallel workers; none of its events is lost or doubled."""
    target, local = cluster()
    script = script_name(job)
    name = job_name(script)
    begun = time.monotonic()
    how = _scale(target, script, parallelism, local, wheel)
    seconds = time.monotonic() - begun
    Console(highlight=False, soft_wrap=True).print(
        f"{name} runs with parallelism {parallelism}, {how} ({seconds:.1f} s)"
    )


def _scale(target: Cluster, script: str, parallelism: int, local: bool, wheel: Path | None) -> str:
    """Do it; how it was done. Raises TidemillError, before anything is stopped, where it cannot."""
    from jobs.submit import submit

    running = target.must_run(job_name(script))
    if not 1 <= parallelism <= PARALLELISM_MAX:
        most = f"a number from 1 to {PARALLELISM_MAX}"
        raise TidemillError(f"{parallelism} is no parallelism", most)
    if target.scheduler() == "adaptive":
        if local:
            target.wait_for_room([running.name], parallelism)
        target.rescale(running, parallelism)
        return "in place"
    overrides = {"parallelism.default": str(parallelism)}
    submit([script], replace=True, wheel=wheel, overrides=overrides)
    return "from a savepoint"
