"""Nothing in, questions about accounts, split, answered and joined, out: demo orchestration.

A planner chooses the sources for each question, workers of three kinds look there, the orchestrator
joins what they found, and a writer tells it. One question is taken back on its way.
"""

import json
import time
from collections import Counter
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from deploy import stack
from jobs import terminal
from jobs.demo import seed
from jobs.demo_steps import start_stack, submitting
from jobs.sql_dir import sql_dir
from jobs.submission import Submission
from jobs.topic_watch import Row, TopicWatch, send_rows, watch_until

TEAM = "orchestration"
JOBS = ("research_accounts", "plan_account", "look_up_records", "read_website", "write_report")
COMMANDS = ("planning_commands", "record_commands", "website_commands")
RESULTS, ANSWERS, REPORTS = "command_results", "account_answers", "account_reports"
OBJECTIVES = "account_objectives"
STEPS = ("plan-1", "crm", "firmographics", "website", "plan-2")
BOUND_S = 240.0
_STYLES = {"complete": "green", "partial": "yellow", "failed": "red", "cancelled": "dim"}
Json = dict[str, Any]


def demo_orchestration() -> None:
    """Split questions about accounts over workers, and join what they find."""
    console = terminal.console()
    with submitting(TEAM, JOBS) as submission:
        run(console, submission)


def run(console: Console, submission: Submission) -> None:
    """The steps, one after the other."""
    start_stack(console)
    console.print(
        "2. An orchestrator, three kinds of workers and a writer: five jobs", style="bold"
    )
    submission.start(stack.environment())
    for collection, documents in seed():
        console.print(f"{collection}: {documents} documents in MongoDB", markup=False)
    watch = TopicWatch([OBJECTIVES, *COMMANDS, RESULTS, ANSWERS, REPORTS])
    watch.prepare()
    watch.from_here()
    asked = send_sample(f"{time.time():.0f}"[-5:])
    console.print(f"{OBJECTIVES}: {len(asked)} questions, the last is taken back", markup=False)
    console.print("3. Commands on their way, results coming back", style="bold")
    names = [row["objective_id"] for row in asked]
    ended = watch_until(
        console,
        watch,
        submission,
        lambda: progress(watch, names),
        lambda: all_told(watch, names),
        BOUND_S,
    )
    print_outcome(console, watch, asked, ended)
    if not ended:
        raise typer.Exit(1)


def send_sample(run_id: str) -> list[Json]:
    """Ask the sample's questions under ids of this run, and take one back."""
    text = sql_dir().joinpath(TEAM).joinpath("sample").joinpath("objectives.jsonl").read_text()
    asked = [json.loads(line) for line in text.splitlines()]
    for row in asked:
        row["objective_id"] += f"-{run_id}"
    taken_back = {**asked[0], "objective_id": f"taken-back-{run_id}"}
    asked.append(taken_back)
    cancelled = {"objective_id": taken_back["objective_id"], "cancelled": True}
    send_rows(OBJECTIVES, "objective_id", [*asked, cancelled])
    return asked


def answers(watch: TopicWatch) -> dict[str, Json]:
    return {row.key: row.value for row in watch.of(ANSWERS)}


def reports(watch: TopicWatch) -> dict[str, str]:
    return {row.key: str(row.value.get("report")) for row in watch.of(REPORTS)}


def commands_of(watch: TopicWatch, topic: str) -> list[Row]:
    return [row for row in watch.of(topic) if row.value.get("kind") == "command"]


def all_told(watch: TopicWatch, names: list[str]) -> bool:
    """Whether each question is answered, and each answer that found anything is told."""
    answered, told = answers(watch), reports(watch)
    return all(
        name in answered and (name in told or answered[name]["status"] in ("failed", "cancelled"))
        for name in names
    )


def progress(watch: TopicWatch, names: list[str]) -> Table:
    """Where each question is: its steps, its answer, its report."""
    given, came = Counter[str](), Counter[tuple[str, str]]()
    for topic in COMMANDS:
        given.update(one.value["command_id"] for one in commands_of(watch, topic))
    for row in watch.of(RESULTS):
        came[row.value["command_id"], row.value["status"]] += 1
    answered, told = answers(watch), reports(watch)
    table = Table(box=None)
    for title in ("question", *STEPS, "answer", "report"):
        table.add_column(title)
    for name in names:
        cells = [_cell(f"{name}/{step}", given, came) for step in STEPS]
        status = answered.get(name, {}).get("status", "")
        style = _STYLES.get(status, "")
        written = "written" if name in told else ""
        table.add_row(name, *cells, f"[{style}]{status}[/]" if style else status, written)
    return table


def _cell(command_id: str, given: Counter[str], came: Counter[tuple[str, str]]) -> str:
    if came[command_id, "done"]:
        return "[green]done[/]"
    failed = came[command_id, "failed"]
    if failed:
        return f"[red]failed ×{failed}[/]"
    return "sent" if given[command_id] else ""


def print_outcome(console: Console, watch: TopicWatch, asked: list[Json], ended: bool) -> None:
    """What was found, for each question, and what was missing."""
    console.print("4. What came of it", style="bold")
    answered, told = answers(watch), reports(watch)
    for row in asked:
        name = row["objective_id"]
        answer = answered.get(name)
        console.print(f"{row['company_name']}: {row['question']}", style="cyan", markup=False)
        if answer is None:
            console.print("  no answer yet", markup=False)
            continue
        missing = ", ".join(f"{m['step']} ({m['reason'][:80]})" for m in answer["missing"] or ())
        console.print(
            f"  {answer['status']}{'; missing: ' + missing if missing else ''}", markup=False
        )
        if name in told:
            console.print("  " + terminal.visible(told[name][:500]), markup=False)
    count = sum(len(commands_of(watch, topic)) for topic in COMMANDS)
    results = len(watch.of(RESULTS))
    console.print(f"{count} commands, {results} results, {len(answered)} answers.", markup=False)
    if not ended:
        console.print("Not all are answered: see `tidemill dead-letters orchestration`.")
    console.print(
        "Next: `tidemill scale orchestration.look_up_records 2` gives it a second worker while it "
        "runs; `tidemill send orchestration FILE` asks your own questions.",
        markup=False,
    )
