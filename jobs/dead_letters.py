"""A team's dead letters in, what they say out; and what a person decides about each, once.

tidemill dead-letters sdr                          those that nobody has decided; many are summed up
tidemill dead-letters sdr list --reason R          those of a reason; also by job, key, time, text
tidemill dead-letters sdr show 3                   event, prompt and raw replies side by side
tidemill dead-letters sdr redrive 3                put its record back, as the next attempt
tidemill dead-letters sdr edit 3                   the same with another payload
tidemill dead-letters sdr discard 3 --because T    let it go
"""

import inspect
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.kafka import KafkaRecord, NewRecord
from jobs import desk_view, payload_edit
from jobs import redrive as decide
from jobs.desk import DeadLetter, Desk, Filter, moment_ms
from jobs.errors import TidemillError, one_line
from jobs.evidence import flat_headers
from jobs.redrive import Done, Refused
from jobs.replay import replay
from jobs.team_command import Asked, team_app
from udfs.core.decode import Rejected

app = team_app("What could not be handled, and why; drive it again, edit it, or let it go.")

_FILTER: dict[str, Any] = {
    "reason": Annotated[str | None, typer.Option(help="Only those with this reason.")],
    "job": Annotated[str | None, typer.Option(help="Only those of this job.")],
    "stage": Annotated[
        str | None, typer.Option(help="Only those of this stage: decode, agent, effect …")
    ],
    "key": Annotated[str | None, typer.Option(help="Only those of this key, as in lead-004.")],
    "text": Annotated[str | None, typer.Option(help="Only those with this in their message.")],
    "since": Annotated[str | None, typer.Option(help="Not before: 2h (ago), 2026-11-23T10:00.")],
    "until": Annotated[str | None, typer.Option(help="Before: 2h (ago), 2026-11-23T10:00.")],
    "limit": Annotated[int | None, typer.Option(min=1, help="The oldest N of them.")],
}
Numbers = Annotated[list[int] | None, typer.Argument(help="Their numbers in the list.")]
All = Annotated[bool, typer.Option("--all", help="All that nobody has decided.")]
Because = Annotated[str, typer.Option(help="Why, for who reads the decision later.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


def filtered(command: Callable[..., None]) -> Callable[..., None]:
    """The command with the filter's options; it takes them as one `wanted`."""

    def with_options(**given: Any) -> None:
        said = {name: given.pop(name) for name in _FILTER}
        for name in ("since", "until"):
            text = said.pop(name)
            said[f"{name}_ms"] = moment_ms(text) if text else None
        command(wanted=Filter(**said), **given)

    own = [p for p in inspect.signature(command).parameters.values() if p.name != "wanted"]
    kind = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, kind, default=None, annotation=annotation)
        for name, annotation in _FILTER.items()
    ]
    parameters = [*(p.replace(kind=kind) for p in own), *options]
    with_options.__name__, with_options.__doc__ = command.__name__, command.__doc__
    with_options.__annotations__ = {p.name: p.annotation for p in parameters}
    with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return with_options


@app.command("list")
@filtered
def list_letters(
    context: typer.Context,
    wanted: Filter,
    decided: Annotated[
        bool, typer.Option("--decided", help="Those too that are decided already.")
    ] = False,
) -> None:
    """List those that wait for a decision, the oldest first; many are summed up."""
    asked: Asked = context.obj
    desk = Desk(asked.team)
    if not desk.letters:
        asked.say(f"Team {asked.name} has no dead letters.")
        return
    everything = replace(wanted, decided=True)
    found = desk.select(everything if decided else wanted)
    if not found:
        rest = len(desk.select(replace(everything, limit=None)))
        asked.say(
            f"None waits for a decision. Decided: {rest}; `list --decided` shows them."
            if rest
            else f"None of {len(desk.letters)} dead letters of team {asked.name} is one of these."
        )
    elif asked.console.is_terminal and len(found) > desk_view.LISTED and not wanted.limit:
        desk_view.print_sums(asked.console, asked.name, desk.select(everything))
        asked.say(
            f"{len(found)} {'in all' if decided else 'undecided'}. "
            "Next: `--reason R` lists those of a reason, `--limit N` the oldest."
        )
    else:
        desk_view.print_letters(asked.console, asked.name, found)
        if asked.console.is_terminal:
            n = found[-1].number
            asked.say(f"Next: `tidemill dead-letters {asked.name} show {n}`.")


@app.command()
def show(
    context: typer.Context, number: Annotated[int, typer.Argument(help="Its number in the list.")]
) -> None:
    """Show one: its event, the prompt that the model was given, and its raw replies."""
    asked: Asked = context.obj
    desk = Desk(asked.team)
    letter = desk.letter(number)
    whole, original = desk.whole(letter), desk.original(letter)
    script = next((s for s in asked.team.scripts if s.job_name == letter.says["job"]), None)
    run = replay(letter, whole.value, flat_headers(whole), script)
    row = whole.value if letter.says["stage"] != "decode" else None
    shown = desk_view.Shown(letter, original or whole, original is not None, row, run)
    desk_view.print_letter(asked.console, asked.name, shown)


@app.command()
@filtered
def redrive(
    context: typer.Context,
    wanted: Filter,
    numbers: Numbers = None,
    all_: All = False,
    because: Because = "",
    yes: Yes = False,
) -> None:
    """Put original records on their topics again, as the next attempt; each attempt once."""
    asked: Asked = context.obj
    desk = Desk(asked.team)
    letters = _chosen(asked, desk, "redrive", numbers, wanted, all_)
    _confirm(asked, "Drive", letters, bool(numbers) or yes)
    _tell(asked, decide.redrive(desk, letters, because, named=bool(numbers)))


@app.command()
@filtered
def discard(
    context: typer.Context,
    wanted: Filter,
    because: Annotated[str, typer.Option(help="Why. It stands in the decision.")],
    numbers: Numbers = None,
    all_: All = False,
    yes: Yes = False,
) -> None:
    """Let dead letters go: nothing is driven, nobody is asked again. `redrive N` takes it back."""
    asked: Asked = context.obj
    if not because.strip():
        raise TidemillError("--because says nothing", "say why, for who reads it later")
    desk = Desk(asked.team)
    letters = _chosen(asked, desk, "discard", numbers, wanted, all_)
    _confirm(asked, "Discard", letters, bool(numbers) or yes)
    _tell(asked, decide.discard(desk, letters, because))


def _chosen(
    asked: Asked,
    desk: Desk,
    command: str,
    numbers: Sequence[int] | None,
    wanted: Filter,
    all_: bool,
) -> list[DeadLetter]:
    """The dead letters that a command is about; of a filter those too that are decided, so that
    they are counted."""
    is_filter = wanted != Filter()
    if sum((bool(numbers), all_ or is_filter)) != 1:
        raise TidemillError(
            "say which dead letters, by number or by a filter",
            f"`tidemill dead-letters {asked.name} {command} 3 7`, `… --reason R` or `… --all`",
        )
    if numbers:
        return list({desk.letter(n).number: desk.letter(n) for n in numbers}.values())
    return desk.select(wanted if wanted.limit else replace(wanted, decided=True))


def _confirm(asked: Asked, verb: str, letters: Sequence[DeadLetter], sure: bool) -> None:
    """Ask, where several go at a word and somebody is there to answer."""
    many = sum(letter.decision is None for letter in letters)
    if asked.console.is_terminal and many > 1 and not sure:
        desk_view.print_sums(asked.console, asked.name, letters)
        typer.confirm(f"{verb} {many}?", abort=True)


def _tell(asked: Asked, done: Done) -> None:
    for topic, count in sorted(done.driven.items()):
        asked.say(f"{count} driven again, to {topic}.")
    if done.discarded:
        asked.say(f"{done.discarded} discarded; `redrive N` takes one back.")
    if done.already:
        asked.say(f"{done.already} decided so already: nothing to do.")
    if done.left:
        asked.say(f"{done.left} decided otherwise before: left as they are.")
    for letter, why in done.refused:
        asked.say(f"Dead letter {letter.number} is not driven: {one_line(why)}.")
    if not (done.driven or done.discarded or done.already or done.left or done.refused):
        asked.say("None is one of these: nothing to do.")
    if done.driven:
        asked.say(f"Next: `tidemill status {asked.name}`.")
    if done.refused:
        raise typer.Exit(1)


@app.command()
def edit(
    context: typer.Context,
    number: Annotated[int, typer.Argument(help="Its number in the list.")],
    sets: Annotated[
        list[str] | None,
        typer.Option("--set", help="PATH=VALUE, as in lead_data.email=ada@example.org."),
    ] = None,
    file: Annotated[Path | None, typer.Option(help="A file with the whole new value.")] = None,
    because: Because = "",
    yes: Yes = False,
) -> None:
    """Edit the payload in your EDITOR, see what has changed, and drive it as the next attempt."""
    asked: Asked = context.obj
    if sets and file:
        raise TidemillError("--set and --file exclude each other", "use one of them")
    desk = Desk(asked.team)
    letter = desk.letter(number)
    if letter.decision and letter.decision.drives and not (sets or file):
        asked.say(desk_view.decision_line(letter.decision))  # before anybody types
        return
    record = _editable(desk, letter)
    declared = asked.team.by_name(record.topic)
    if declared is None:
        raise TidemillError(
            f"no table of team {asked.name} declares topic {record.topic}",
            "its record cannot be checked, and so not be edited",
        )
    if file:
        edited = payload_edit.from_file(record, file)
    elif sets:
        edited = payload_edit.with_values(record, declared, sets)
    else:
        edited = payload_edit.from_editor(record)
    changes = payload_edit.difference(record, edited)
    if not changes:
        asked.say(
            f"Nothing was changed, and nothing driven; `redrive {number}` drives it as it is."
        )
        return
    try:
        decide.check(replace(record, key=edited.key, value=edited.value), declared)
    except Rejected as rejected:
        raise _unfit(record.topic, rejected, edited, typed=not (sets or file)) from None
    decide.refuse_another(letter.number, letter.decision, edited)
    desk_view.print_difference(asked.console, changes)
    if asked.console.is_terminal and not yes:
        typer.confirm("Drive this?", abort=True)
    _tell(asked, decide.edit(desk, letter, record, edited, because))


def _editable(desk: Desk, letter: DeadLetter) -> KafkaRecord:
    """The record that a person edits: the original, else what is left of it."""
    try:
        original = desk.original(letter)
        return original or decide.kept(desk.team, letter, desk.whole(letter), as_it_is=True)
    except Refused as refused:
        raise TidemillError(
            f"dead letter {letter.number} cannot be edited: {refused}",
            f"`discard {letter.number} --because TEXT` lets it go",
        ) from None


def _unfit(topic: str, rejected: Rejected, edited: NewRecord, typed: bool) -> TidemillError:
    """What is wrong with an edit; what was typed is kept in a file of its own."""
    what = f"{topic} does not take this ({rejected.reason}): {rejected}"
    if not typed:
        return TidemillError(what, "nothing was driven")
    with tempfile.NamedTemporaryFile(prefix="dead-letter-", suffix=".json", delete=False) as kept:
        kept.write(edited.value or b"")
    return TidemillError(what, f"nothing was driven; mend {kept.name} and use --file {kept.name}")
