"""Dead letters in, what a person sees of them out: a list, a sum of many, or one with its run.

On a terminal these are tables and panels, side by side where it is wide; elsewhere plain lines, and
of a list every letter a line of tab-separated fields. What strangers wrote is shown and not obeyed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from connectors.kafka import KafkaRecord
from jobs.decisions import Decision
from jobs.desk import DeadLetter
from jobs.errors import one_line, shortened
from jobs.payload_edit import laid_out
from jobs.replay import Replay
from jobs.terminal import hexdump, utc_time, visible
from udfs.core.calls import Json, ModelAnswer

LISTED = 50  # more are summed up on a terminal, by job and reason
WIDE = 120
HEXDUMP_BYTES = 1024
TEXT_CHARS = 20_000


def print_letters(console: Console, team: str, letters: Sequence[DeadLetter]) -> None:
    """One a line."""
    if not console.is_terminal:
        for letter in letters:
            print("\t".join(_row(letter)))
        return
    wide = console.width >= WIDE
    table = Table(expand=True)
    table.add_column("no.", justify="right", no_wrap=True)
    table.add_column("when (UTC)", no_wrap=True)
    table.add_column("job", overflow="ellipsis", no_wrap=True, max_width=24 if wide else 14)
    table.add_column("key", overflow="ellipsis", no_wrap=True, max_width=36 if wide else 9)
    table.add_column("why", overflow="fold", ratio=1)
    for letter in letters:
        cells: list[str | Text] = [
            str(letter.number),
            utc_time(letter.timestamp_ms, short=not wide),
            one_line(letter.says["job"]).removeprefix(f"{team}."),
            shortened(letter.key, 64),
            _why(letter),
        ]
        table.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in cells))
    console.print(table)


def _row(letter: DeadLetter) -> list[str]:
    says = letter.says
    copies = f" (×{len(letter.numbers)})" if len(letter.numbers) > 1 else ""
    return [
        str(letter.number),
        utc_time(letter.timestamp_ms, short=False),
        one_line(says["job"]),
        one_line(says["stage"]),
        one_line(says["reason"]) + copies,
        shortened(says["message"], 160),
        shortened(letter.key, 64),
        _decided(letter),
    ]


def _why(letter: DeadLetter) -> Text:
    copies = f" (×{len(letter.numbers)})" if len(letter.numbers) > 1 else ""
    text = Text(one_line(letter.says["reason"]) + copies, style="bold")
    text.append(f"  {shortened(letter.says['message'], 160)}", style="not bold")
    return text.append(f" → {_decided(letter)}", style="green") if letter.decision else text


def _decided(letter: DeadLetter) -> str:
    return one_line(letter.decision.decision) if letter.decision else ""


@dataclass
class _Sum:
    newest: DeadLetter
    all: int = 0
    undecided: int = 0


def print_sums(console: Console, team: str, letters: Iterable[DeadLetter]) -> None:
    """How many of each job and reason, the largest first, with the newest message of each."""
    sums: dict[tuple[str, str], _Sum] = {}
    for letter in letters:
        one = sums.setdefault((letter.says["job"], letter.says["reason"]), _Sum(letter))
        one.all += 1
        one.undecided += letter.decision is None
        one.newest = max(one.newest, letter, key=lambda x: x.timestamp_ms)
    wide = console.width >= WIDE
    table = Table(expand=wide)
    for heading in ("all", "undecided"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("newest (UTC)", no_wrap=True)
    for heading in ("job", "reason"):
        table.add_column(heading, overflow="fold")
    if wide:
        table.add_column("message of the newest", overflow="fold", ratio=1)
    ordered = sorted(sums.items(), key=lambda item: (-item[1].undecided, -item[1].all, item[0]))
    for (job, reason), one in ordered:
        table.add_row(
            str(one.all),
            str(one.undecided),
            utc_time(one.newest.timestamp_ms, short=not wide),
            Text(one_line(job).removeprefix(f"{team}.")),
            Text(one_line(reason), style="bold"),
            *([Text(shortened(one.newest.says["message"], 160))] if wide else []),
        )
    console.print(table)


# --- one


@dataclass(frozen=True)
class Shown:
    """A dead letter and all that is known of it. `record` is the original while it is there, else
    what the dead letter kept; `row` what the function was given, where that is another thing."""

    letter: DeadLetter
    record: KafkaRecord
    is_there: bool
    row: bytes | None
    run: Replay | None


def print_letter(console: Console, team: str, shown: Shown) -> None:
    """One dead letter: event, prompt and replies side by side where there is room."""
    letter, says = shown.letter, shown.letter.says
    title = f"Dead letter {letter.number}: {one_line(says['reason'])}"
    console.print(Text(title, style="bold red"))
    _say(console, one_line(says["message"]))
    for line in _facts(shown):
        _say(console, line, "dim")
    parts: list[tuple[str, list[Text]]] = [(_event_title(shown), _event(shown))]
    if shown.run:
        parts.append((f"Prompt of {shown.run.agent}", _prompt(shown.run)))
        parts.append(("What came back", _answers(shown.run, says["message"])))
    _print_parts(console, parts)
    for note in shown.run.notes if shown.run else ():
        _say(console, f"Note: {one_line(note)}", "yellow")
    if letter.decision:
        _say(console, decision_line(letter.decision))
    if letter.decision is None or not letter.decision.drives:
        command, n = f"tidemill dead-letters {team} redrive {letter.number}", letter.number
        others = f"`… edit {n}` or `… discard {n} --because TEXT`"
        _say(console, f"Next: `{command}`" + (" after all." if letter.decision else f", {others}."))


def _say(console: Console, text: str, style: str = "") -> None:
    """A line; folded between words on a terminal only."""
    console.print(Text(text, style=style), soft_wrap=not console.is_terminal)


def decision_line(said: Decision) -> str:
    """What was decided, by whom, when and why, as one line."""
    line = f"It was {said.decision} by {said.by or 'somebody'} at {said.at[:19] or 'some time'}"
    line += f" as attempt {said.attempt}" if said.drives else ""
    return one_line(line + (f", because: {said.because}" if said.because else "."))


def _facts(shown: Shown) -> list[str]:
    letter, says = shown.letter, shown.letter.says
    stage = f"{says['job']}, stage {says['stage']}, attempt {letter.attempt}"
    copies = len(letter.numbers)
    stage += f", delivered {copies} times" if copies > 1 else ""
    when = utc_time(letter.timestamp_ms, short=False)
    return [one_line(stage), one_line(f"{when} UTC, event {letter.event_id}")]


def _event_title(shown: Shown) -> str:
    place = shown.letter.origin or "place not known"
    return one_line(f"Event {place}" + ("" if shown.is_there else " (is gone; this was kept)"))


def _print_parts(console: Console, parts: Sequence[tuple[str, list[Text]]]) -> None:
    if not console.is_terminal:
        for title, texts in parts:
            console.print(Text(f"\n== {title}"), *texts, sep="\n", soft_wrap=True)
        console.print()
        return
    if console.width < WIDE or len(parts) == 1:
        for title, texts in parts:
            console.print(_panel(title, texts))
        return
    grid = Table.grid(expand=True)
    for _ in parts:
        grid.add_column(ratio=1, overflow="fold")
    grid.add_row(*(_panel(title, texts) for title, texts in parts))
    console.print(grid)


def _panel(title: str, texts: list[Text]) -> RenderableType:
    return Panel(Group(*texts), title=Text(title), title_align="left")


def _event(shown: Shown) -> list[Text]:
    record = shown.record
    texts = [_heading("key"), Text(visible(_header(record.key))), _heading("value")]
    texts.append(_content(record.value))
    if shown.row is not None and shown.run is None:
        texts += [_heading("row that the job made of it"), _content(shown.row)]
    texts.append(_heading("headers"))
    for name, value in record.headers:
        texts.append(Text(f"{visible(name)}: {visible(_header(value))}"))
    return texts if record.headers else [*texts, Text("(none)")]


def _heading(text: str) -> Text:
    return Text(text, style="bold cyan")


def _header(value: bytes | None) -> str:
    if value is None:
        return "(null)"
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return f"{value[:64].hex(' ')}{' …' if len(value) > 64 else ''} ({len(value)} bytes)"


def _content(value: bytes | None) -> Text:
    if not value:
        return Text("(null)" if value is None else "(empty)")
    try:
        return _bounded(laid_out(value.decode("utf-8")))
    except UnicodeDecodeError:
        return Text(hexdump(value, HEXDUMP_BYTES))


def _bounded(text: str) -> Text:
    shown = visible(text)
    more = len(shown) - TEXT_CHARS
    return Text(shown[:TEXT_CHARS] + (f"\n… {more} more characters" if more > 0 else ""))


def _prompt(run: Replay) -> list[Text]:
    first = run.steps[0].sent if run.steps else ()
    texts = []
    for message in first:
        texts += [_heading(str(message["role"])), _bounded(str(message.get("content") or ""))]
    return texts or [Text("(not known)")]


def _answers(run: Replay, message: str) -> list[Text]:
    """Each raw answer, then what the model was told about it; last, why it was the last."""
    texts: list[Text] = []
    for number, step in enumerate(run.steps, 1):
        if number > 1:
            texts += [text for sent in step.sent for text in _told(sent)]
        texts.append(_heading(f"answer {number}{_by(step.answer)}"))
        texts += _answer(step.answer)
    if not run.steps:
        texts.append(Text("(nothing)"))
    return [*texts, Text(f"✗ {one_line(message)}", style="red")]


def _by(answer: ModelAnswer | None) -> str:
    facts = [answer.model, answer.finish_reason] if answer else []
    told = ", ".join(one_line(fact) for fact in facts if fact)
    return f" ({told})" if told else ""


def _answer(answer: ModelAnswer | None) -> list[Text]:
    if answer is None:
        return [Text("(none)", style="dim")]
    texts = [_bounded(answer.content)] if answer.content else []
    if answer.refusal:
        texts.append(_bounded(f"refuses: {answer.refusal}"))
    for call in answer.tool_calls:
        texts.append(_bounded(f"calls {call.name} {call.arguments}"))
    return texts or [Text("(empty)", style="dim")]


def _told(message: Json) -> list[Text]:
    if message["role"] == "tool":
        return [_heading("tool result"), _bounded(str(message["content"]))]
    if message["role"] == "user":
        return [Text(f"✗ {one_line(str(message['content']))}", style="red")]
    return []


def print_difference(console: Console, lines: Sequence[str]) -> None:
    """A diff, what goes in red and what comes in green."""
    colours = {"-": "red", "+": "green", "@": "cyan"}
    for line in lines:
        style = "bold" if line[:3] in ("---", "+++") else colours.get(line[:1], "")
        console.print(Padding(Text(visible(line), style=style), (0, 0, 0, 2), expand=False))
