"""What every demo begins with: the local stack, and a team's jobs on their way to it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from connectors.settings import settings
from deploy import commands, stack
from jobs.submission import Submission


def start_stack(console: Console) -> None:
    """The first step. Its addresses are in the environment afterwards."""
    console.print("1. The local stack", style="bold")
    with commands.plain_errors(), commands.progress() as report:
        os.environ.update(stack.up(report=report))


@contextmanager
def submitting(team: str, jobs: Sequence[str], log: str = "demo") -> Iterator[Submission]:
    """A submission of these jobs that ends with the demo; it is started when the stack is there."""
    path = settings().home / "logs" / f"{log}-submission.log"
    submission = Submission([f"{team}/{job}" for job in jobs], path)
    try:
        yield submission
    finally:
        submission.close()
