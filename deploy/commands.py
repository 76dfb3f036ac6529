"""`tidemill up | down | status | logs | doctor` in, the local stack and lines for a person out.

`jobs/cli.py` mounts `app`; `python -m deploy.commands up` works without it.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connectors.settings import settings
from deploy import stack
from deploy.parts import PARTS

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
console = Console(highlight=False)

Parts = Annotated[list[str] | None, typer.Argument(help="Parts; all if none is named.")]
_COLOURS = {"running": "green", "yours": "cyan", "stopped": "dim"}


@app.command()
def up(
    parts: Parts = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Stop it first, wipe its data.")] = False,
) -> None:
    """Start the local stack, or mend it; data is kept between runs."""
    begun = time.monotonic()
    with plain_errors(), progress() as report:
        stack.up(parts or None, fresh=fresh, report=report)
    console.print(f"The stack is up after {time.monotonic() - begun:.1f} s.")


@app.command()
def down() -> None:
    """Stop the local stack; its data stays."""
    with plain_errors(), progress() as report:
        stack.down(report)
    console.print("The stack is down; its data stays (`tidemill up --fresh` wipes it).")


@app.command()
def status() -> None:
    """Show what of the local stack runs."""
    with plain_errors():
        stack_status()


@app.command()
def logs(
    part: Annotated[str | None, typer.Argument(help="A part or one of its processes.")] = None,
    lines: Annotated[int, typer.Option("--lines", "-n", help="How many of the last.")] = 40,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as they grow.")] = False,
) -> None:
    """Print the end of the logs of the local stack."""
    folder = settings().home.expanduser().resolve() / "logs"
    files = [file for file in sorted(folder.glob("*.log")) if _belongs(file, part)]
    if not files:
        known = ", ".join(sorted(PARTS))
        _fail(f"There is no log of {part or 'anything'} in {folder}: expected a part of {known}.")
    for file in files:
        if len(files) > 1:
            console.rule(file.name)
        for line in _tail(file, lines):
            console.print(line, markup=False, soft_wrap=True)
    if follow:
        _follow(files)


@app.command()
def doctor() -> None:
    """Check Python, Java, jars, ports, memory, disk and every configured service."""
    from deploy.doctor import diagnose

    checks = diagnose()
    if console.is_terminal:
        table = Table("Check", "Found", "What to do")
        for check in checks:
            mark = "green" if check.is_fine else "red"
            table.add_row(check.name, f"[{mark}]{_escape(check.found)}[/]", _escape(check.advice))
        console.print(table)
    else:
        for check in checks:
            state = "ok " if check.is_fine else "BAD"
            advice = f" -> {check.advice}" if check.advice else ""
            print(f"{state} {check.name}: {check.found}{advice}")
    if not all(check.is_fine for check in checks):
        raise typer.Exit(1)


def stack_status() -> None:
    """Print one line for each part: state, address, memory."""
    table = Table("Part", "State", "Address", "Memory", "What it is", box=None)
    total = 0
    for part in stack.status():
        total += part.memory_bytes
        memory = f"{part.memory_bytes / 1e6:.0f} MB" if part.memory_bytes else ""
        colour = _COLOURS.get(part.state, "red")
        table.add_row(part.name, f"[{colour}]{part.state}[/]", part.address, memory, part.what)
    table.add_row("", "", "", f"{total / 1e6:.0f} MB" if total else "", "")
    console.print(table)


@contextmanager
def progress() -> Iterator[stack.Report]:
    """Progress on the screen: a live line for what goes on, plain lines without a terminal."""
    if not console.is_terminal:
        yield lambda part, event: print(f"{part:<9} {event}", flush=True)
        return
    with console.status("") as live:

        def report(part: str, event: str) -> None:
            if part == "jars":
                live.update(f"{part} {event}")
            else:
                console.print(f"[bold]{part:<9}[/] {_escape(event)}")
                live.update("waiting until every part answers")

        yield report


@contextmanager
def plain_errors() -> Iterator[None]:
    """Errors of the stack end the command with their sentence, without a traceback."""
    try:
        yield
    except stack.StackError as error:
        _fail(str(error))


def _fail(sentence: str) -> None:
    Console(stderr=True, highlight=False).print(sentence, style="red", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _belongs(file: Path, part: str | None) -> bool:
    return part is None or file.stem == part or file.stem.startswith(f"{part}-")


def _tail(file: Path, lines: int) -> list[str]:
    from deploy.processes import last_lines

    return last_lines(file, lines).splitlines()


def _follow(files: list[Path]) -> None:
    """Print what is appended, until Ctrl-C."""
    handles = [file.open(errors="replace") for file in files]
    for handle in handles:
        handle.seek(0, 2)
    try:
        while True:
            for file, handle in zip(files, handles, strict=True):
                for line in handle:
                    sys.stdout.write(f"{file.stem}: {line}" if len(files) > 1 else line)
            sys.stdout.flush()
            time.sleep(0.2)
    except KeyboardInterrupt:
        pass
    finally:
        for handle in handles:
            handle.close()


if __name__ == "__main__":
    app()
