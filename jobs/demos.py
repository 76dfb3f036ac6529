"""The name of a demo in, that demo run out: `tidemill demo [sdr | orchestration | …]`.

Without a name it is the SDR team's. A pattern's demo is one module with one function,
listed here.
"""

from importlib import import_module

import typer

from jobs.demo import demo as sdr_demo

# Name of the demo → module and function, and what it shows.
PATTERNS = {
    "blackboard": ("jobs.demo_blackboard", "Agents diagnose an incident on one board."),
    "orchestration": ("jobs.demo_orchestration", "Split objectives over workers, join results."),
    "hierarchy": ("jobs.demo_hierarchy", "A tree of orchestrators that nodes join and leave."),
    "market": ("jobs.demo_market", "Agents that buy and sell compute capacity."),
}

app = typer.Typer(add_completion=False, invoke_without_command=True)
app.command("sdr")(sdr_demo)


def _register(name: str, module: str, help_text: str) -> None:
    function = getattr(import_module(module), f"demo_{name}")
    app.command(name, help=help_text)(function)


@app.callback()
def of_the_sdr_team(
    context: typer.Context,
    leads: int | None = typer.Option(None, help="How many; all of the sample if none."),
    no_wait: bool = typer.Option(
        False, "--no-wait", help="Do not watch: end when all is submitted and sent."
    ),
) -> None:
    """Run a demo; without a name the SDR team on its sample leads."""
    if context.invoked_subcommand is None:
        sdr_demo(leads=leads, no_wait=no_wait)


for _name, (_module, _help) in PATTERNS.items():
    _register(_name, _module, _help)
