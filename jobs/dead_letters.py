"""A team's dead letters in, what they say out; and their records on their topics again, once each.

tidemill dead-letters sdr                       list them: what, when, where, why
tidemill dead-letters sdr show 3                one in full
tidemill dead-letters sdr redrive 3             put its record back, as the next attempt
tidemill dead-letters sdr redrive --reason R    the same for all with one reason
"""

import json
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from connectors.kafka import KafkaRecord
from jobs.errors import TidemillError, one_line
from jobs.redrive import DeadLetter, Desk, redrive_all
from jobs.team_topics import team_topics
from jobs.terminal import hexdump, visible

HEXDUMP_BYTES = 1024
TEXT_CHARS = 20_000

app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
console = Console(highlight=False, soft_wrap=True)
Reason = Annotated[str | None, typer.Option(help="Only those with this reason.")]


@dataclass(frozen=True)
class _Asked:
    team: str
    reason: str | None

    def desk(self, reason: str | None = None) -> Desk:
        return Desk(team_topics(self.team), reason or self.reason)


@app.callback(
    invoke_without_command=True,
    context_settings={
        "allow_interspersed_args": True
    },  # `sdr --reason R` as well as `--reason R sdr`
)
def dead_letters(
    context: typer.Context,
    team: Annotated[str, typer.Argument(help="The team, as in sdr.")],
    reason: Reason = None,
) -> None:
    """List what could not be handled, and why; show one; put records back."""
    context.obj = _Asked(team, reason)
    if context.invoked_subcommand is None:
        list_letters(context)


@app.command("list")
def list_letters(context: typer.Context) -> None:
    """List them, the oldest first."""
    asked: _Asked = context.obj
    desk = asked.desk()
    if not desk.letters:
        console.print(f"Team {asked.team} has no dead letters.", markup=False)
        return
    if console.is_terminal:
        console.print(_table(desk))
    else:
        for letter in desk.letters:
            print("\t".join(_row(desk, letter)))
    console.print(
        f"Next: `tidemill dead-letters {asked.team} show {desk.letters[-1].number}`, "
        f"and `… redrive N` when the cause is mended.",
        markup=False,
    )


def _table(desk: Desk) -> Table:
    table = Table(expand=True)
    for heading in ("n", "when", "job", "stage", "reason", "message", "key", "again"):
        table.add_column(heading, justify="right" if heading == "n" else "left", overflow="fold")
    for letter in desk.letters:
        table.add_row(*(cell.replace("[", r"\[") for cell in _row(desk, letter)))
    return table


def _row(desk: Desk, letter: DeadLetter) -> list[str]:
    says = letter.says
    message = one_line(says["message"])
    copies = f" (×{letter.copies})" if letter.copies > 1 else ""
    return [
        str(letter.number),
        one_line(says["at"])[:19].replace("T", " "),
        one_line(says["job"]),
        one_line(says["stage"]),
        one_line(says["reason"]) + copies,
        message if len(message) <= 160 else message[:159] + "…",
        one_line(letter.key)[:64],
        "driven" if letter.origin in desk.origins_driven else "",
    ]


@app.command()
def show(
    context: typer.Context, number: Annotated[int, typer.Argument(help="Its number in the list.")]
) -> None:
    """Show one in full: headers, and the bytes that came, made safe for a terminal."""
    desk = context.obj.desk()
    letter = desk.letter(number)
    record = desk.whole(letter)
    what = f"{letter.says['reason']}: {letter.says['message']}"
    console.print(f"Dead letter {number}: {one_line(what)}", markup=False)
    original = desk.original(letter)
    there = "is still there" if original else "is gone; the dead letter keeps what follows"
    place = one_line(letter.origin) or "a place that is not known"
    console.print(f"Its record came from {place}, and {there}.", markup=False)
    shown = original or record
    table = Table("header", "value", show_lines=False)
    for name, value in (*shown.headers, *_ours(record, shown)):
        table.add_row(*(visible(t).replace("[", r"\[") for t in (name, _text(value))))
    console.print(table)
    console.print(f"Key: {visible(_text(shown.key))}", markup=False)
    _print_value(shown.value)
    team = context.obj.team
    if letter.origin in desk.origins_driven:
        console.print("It was driven again.", markup=False)
    else:
        console.print(f"Next: `tidemill dead-letters {team} redrive {number}`.", markup=False)


def _ours(record: KafkaRecord, shown: KafkaRecord) -> list[tuple[str, bytes | None]]:
    """The headers that say why, where the original is shown, which has none of them."""
    if shown is record:
        return []
    return [(name, value) for name, value in record.headers if name.startswith("dlq_")]


def _text(value: bytes | None) -> str:
    if value is None:
        return "(null)"
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return f"{value[:64].hex(' ')}{' …' if len(value) > 64 else ''} ({len(value)} bytes)"


def _print_value(value: bytes | None) -> None:
    if not value:
        console.print("Value: " + ("(null)" if value is None else "(empty)"), markup=False)
        return
    console.print(f"Value, {len(value)} bytes:", markup=False)
    try:
        text = value.decode("utf-8")
    except UnicodeDecodeError:
        console.print(hexdump(value, HEXDUMP_BYTES), markup=False)
        return
    shown = visible(_indented(text))
    more = len(shown) - TEXT_CHARS
    console.print(
        shown[:TEXT_CHARS] + (f"\n… {more} more characters" if more > 0 else ""), markup=False
    )


def _indented(text: str) -> str:
    """JSON in lines; anything else, and JSON that would not come back the same, as it is."""
    try:
        return json.dumps(json.loads(text, object_pairs_hook=_pairs), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


@app.command()
def redrive(
    context: typer.Context,
    number: Annotated[int | None, typer.Argument(help="Its number in the list.")] = None,
    reason: Reason = None,
) -> None:
    """Put the original record on its topic again, with the next attempt; once for each attempt."""
    asked: _Asked = context.obj
    reason = reason or asked.reason
    if (number is None) == (reason is None):
        raise TidemillError(
            "say which dead letters are to be driven again",
            f"`tidemill dead-letters {asked.team} redrive N`, or `… redrive --reason R`",
        )
    desk = asked.desk(reason)
    letters = [desk.letter(number)] if number is not None else desk.letters
    done = redrive_all(desk, letters)
    for topic, count in sorted(done.driven.items()):
        console.print(f"{count} driven again, to {topic}.", markup=False)
    if done.already:
        console.print(
            f"{done.already} already driven with this attempt: nothing to do.", markup=False
        )
    for letter, why in done.refused:
        console.print(f"Dead letter {letter.number} is not driven: {one_line(why)}.", markup=False)
    if done.driven:
        console.print(f"Next: `tidemill status {asked.team}`.", markup=False)
    if done.refused:
        raise typer.Exit(1)
