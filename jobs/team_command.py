"""A group of commands about one team in, the team's files read when the first of them asks out.

`tidemill dead-letters sdr` is `… sdr list`. Nothing is read before a command runs, so that
`… sdr show --help` needs no stack.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from jobs import terminal
from jobs.team_topics import TeamTopics, team_topics

Team = Annotated[str, typer.Argument(help="The team, as in sdr.")]


class ListByDefault(TyperGroup):
    """`sdr` and `sdr --reason R` are `sdr list` and `sdr list --reason R`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and not args[0].startswith("-"):
            if args[1:2] == ["--help"]:
                args = ["--help"]
            elif len(args) == 1 or args[1].startswith("-"):
                args = [args[0], "list", *args[1:]]
        return super().parse_args(ctx, args)


@dataclass(frozen=True)
class Asked:
    """The team that a command is about."""

    name: str
    console: Console

    @cached_property
    def team(self) -> TeamTopics:
        return team_topics(self.name)

    def say(self, text: str) -> None:
        self.console.print(text, markup=False, soft_wrap=True)


def team_app(help_: str) -> typer.Typer:
    """A group whose first word is a team; its commands find an `Asked` in their context."""
    app = typer.Typer(cls=ListByDefault, pretty_exceptions_enable=False, add_completion=False)

    @app.callback(help=help_)
    def asked(context: typer.Context, team: Team) -> None:
        context.obj = Asked(team, terminal.console())

    return app
