"""`tidemill up | down | status | logs | doctor` in, the local stack and lines for a person out.

`jobs/cli.py` mounts `app`; `python -m deploy.commands up` works without it.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connectors.settings import settings
from deploy import stack

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console()

Parts = Annotated[list[str] | None, typer.Argument(help="Parts; all if none is named.")]


@app.command()
def up(
    parts: Parts = None,
    fresh: Annotated[bool, typer.Option(help="Stop it first and wipe its data.")] = False,
) -> None:
    """Start the local stack, or mend it; data is kept between runs."""
    begun = time.monotonic()
    with _errors():
        stack.up(parts or None, fresh=fresh, report=report)
    console.print(f"The stack is up after {time.monotonic() - begun:.1f} s.")


@app.command()
def down() -> None:
    """Stop the local stack; its data stays."""
    with _errors():
        stack.down(report)
    console.print("The stack is down.")


@contextmanager
def _errors() -> Iterator[None]:
    """A StackError ends the command with its sentence."""
    try:
        yield
    except stack.StackError as error:
        Console(stderr=True).print(str(error), style="red", markup=False, highlight=False)
        raise typer.Exit(1) from None


def report(part: str, event: str) -> None:
    """One line of progress."""
    console.print(f"[bold]{part:<9}[/] {event}", highlight=False)


if __name__ == "__main__":
    app()
