"""Words of a command line in, lines for a person out: the `tidemill` command.

What Flink, Kafka or a file has against it is told in one sentence; `--debug` shows the traceback.
Imports of PyFlink wait until a command needs them.
"""

import os
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from deploy import commands as stack_commands
from deploy import stack
from deploy.stack import StackError
from jobs.errors import TidemillError

app = typer.Typer(
    name="tidemill",
    help="Teams of AI agents as Flink jobs over Kafka topics. A job is a SQL file.\n\n"
    "With `--debug`, any command that fails shows its traceback, too.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
console = Console(highlight=False, soft_wrap=True)
Job = Annotated[str, typer.Argument(help="A script: TEAM/JOB, as sdr/lead_scoring.")]
Options = Annotated[list[str] | None, typer.Option("-D", help="A Flink option: KEY=VALUE.")]


def _pairs(options: list[str] | None) -> dict[str, str]:
    pairs = [option.partition("=") for option in options or []]
    for key, equals, _ in pairs:
        if not equals:
            raise TidemillError(f"-D {key} has no value", "write -D key=value")
    return {key.strip(): value.strip() for key, _, value in pairs}


def _report(name: str, event: str) -> None:
    console.print(f"[bold]{name:<24}[/] ", end="")
    console.print(event, markup=False)


@app.command()
def run(job: Job, options: Options = None) -> None:
    """Run one script on a MiniCluster in this process, until it ends or Ctrl-C."""
    from jobs.submit import run_here

    console.print(f"{job} runs here until Ctrl-C (a MiniCluster in this process).")
    run_here(job, _pairs(options))


@app.command()
def submit(
    jobs: Annotated[list[str], typer.Argument(help="Scripts, TEAM/JOB, or TEAM for all of its.")],
    from_savepoint: Annotated[str | None, typer.Option(help="Go on from this savepoint.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what the job knew.")] = False,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="As --fresh, at the topics' first record.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Stop the running one with a savepoint first.")
    ] = False,
    wheel: Annotated[Path | None, typer.Option(help="The wheel for workers that lack it.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plain `flink run` and stop.")
    ] = False,
    options: Options = None,
) -> None:
    """Submit scripts to the cluster: each is one job, and goes on where it was."""
    from jobs import submit as submission
    from jobs.sql_dir import expand

    if dry_run:
        if replace or from_beginning:
            raise TidemillError(
                "--dry-run prints `flink run`, which neither replaces a job nor reads from the "
                "beginning",
                "leave --replace and --from-beginning out",
            )
        for name in expand(jobs):
            print(submission.command_line(name, wheel, from_savepoint, _pairs(options)))
        return
    names = expand(jobs) if replace else submission.without_running(jobs, report=_report)
    with console.status("planning …"):
        submission.submit(
            names,
            from_savepoint=from_savepoint,
            fresh=fresh,
            from_beginning=from_beginning,
            replace=replace,
            wheel=wheel,
            overrides=_pairs(options),
            report=_report,
        )


@app.command()
def stop(jobs: Annotated[list[str], typer.Argument(help="Scripts, TEAM/JOB, or TEAM.")]) -> None:
    """Stop running jobs with a savepoint; `submit` goes on from there."""
    from jobs.submit import stop_all

    stop_all(jobs, report=_report)


@app.command()
def check(
    jobs: Annotated[list[str] | None, typer.Argument(help="TEAM or TEAM/JOB; all if none.")] = None,
) -> None:
    """Plan scripts offline, and refuse what would hurt later."""
    from jobs.check import check_all

    problems = check_all(jobs or [], report=_report)
    for problem in problems:
        Console(stderr=True, highlight=False, soft_wrap=True).print(
            str(problem), style="red", markup=False
        )
    if problems:
        raise typer.Exit(1)


@app.command()
def test(
    jobs: Annotated[list[str] | None, typer.Argument(help="TEAM or TEAM/JOB; all if none.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the golden output.")] = False,
) -> None:
    """Run scripts on a MiniCluster against their golden output: straight, then stop and resume."""
    from jobs.golden import test_all

    if not test_all(jobs or [], update=update, report=_report):
        raise typer.Exit(1)


@app.command()
def status(
    team: Annotated[str | None, typer.Argument(help="A team, to see its events.")] = None,
) -> None:
    """Show what of the local stack runs; with a team, where its events are."""
    if team is None:
        with stack_commands.plain_errors():
            stack_commands.stack_status()
        return
    from jobs.balance import team_status

    team_status(team)


def _mount() -> None:
    """The commands that live in modules of their own."""
    from jobs.ask import ask
    from jobs.dead_letters import app as dead_letters_app
    from jobs.demo_research import demo_research
    from jobs.demos import app as demos_app
    from jobs.parked import app as parked_app
    from jobs.research import research
    from jobs.scale import scale
    from jobs.send import send
    from jobs.traces import trace

    for command in (
        stack_commands.up,
        stack_commands.down,
        stack_commands.logs,
        stack_commands.doctor,
        send,
        scale,
        trace,
        demo_research,
        research,
        ask,
    ):
        app.command()(command)
    app.add_typer(demos_app, name="demo")
    app.add_typer(dead_letters_app, name="dead-letters", help="What could not be handled, and why.")
    app.add_typer(parked_app, name="parked", help="Mails whose fate nobody knows.")


def main() -> None:
    """Run the command. Exit code 1 with a sentence for what a person can mend, 130 for Ctrl-C."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    debug = "--debug" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--debug"]
    try:
        _mount()
        os.environ.update(stack.environment())
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if debug:
            raise
        _tell(error)
        sys.exit(1)


def _tell(error: Exception) -> None:
    from connectors.kafka import KafkaError
    from connectors.mongodb import MongoError
    from udfs.core.definition import DefinitionError

    known = isinstance(
        error, TidemillError | DefinitionError | StackError | KafkaError | MongoError
    )
    sentence = str(error) if known else f"{type(error).__name__}: {str(error)[:500]}"
    advice = "" if known else "\nThis is a defect, or a service's fault: --debug shows all of it."
    Console(stderr=True, highlight=False, soft_wrap=True).print(
        sentence + advice, style="red", markup=False
    )


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
