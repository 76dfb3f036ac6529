"""Nothing in, a due diligence by a tree of nodes out: `tidemill demo hierarchy`.

Three levels: a lead, its branches, their analysts. While the first case is at work a branch joins
and an analyst leaves; the second case goes to who is there then. A third is taken back. Nothing is
restarted, and Flink's own count says so.
"""

import json
import time
from collections import Counter
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.tree import Tree

from deploy import stack
from jobs import terminal
from jobs.cluster import Cluster, cluster
from jobs.demo_steps import start_stack, submitting
from jobs.sql_dir import sql_dir
from jobs.submission import Submission
from jobs.topic_watch import TopicWatch, send_rows, watch_until

TEAM = "hierarchy"
JOBS = ("nodes", "analysts")
EVENTS, ASSIGNMENTS, RESULTS = "node_events", "analyst_commands", "node_results"
ANSWERS = "case_answers"
BOUND_S = 240.0
_RISKS = {"low": "green", "medium": "yellow", "high": "red"}
Json = dict[str, Any]


def demo_hierarchy() -> None:
    """Have a company judged by a tree of nodes that join and leave while it works."""
    console = terminal.console()
    with submitting(TEAM, JOBS) as submission:
        run(console, submission)


def run(console: Console, submission: Submission) -> None:
    """The steps, one after the other."""
    start_stack(console)
    console.print("2. Two jobs: one for all nodes, one for all analysts", style="bold")
    submission.start(stack.environment())
    watch = TopicWatch([EVENTS, ASSIGNMENTS, RESULTS, ANSWERS])
    watch.prepare()
    watch.look()
    run_id = f"{time.time():.0f}"[-5:]
    first, second = [{**one, "objective_id": f"{one['objective_id']}-{run_id}"} for one in _cases()]
    technical = {"node_id": "lead", "kind": "left", "member_id": "technical"}
    registry = [*_sample("registry"), technical]  # as an earlier demo may have left it
    send_rows(EVENTS, "node_id", registry)
    send_rows(EVENTS, "node_id", [first])
    console.print(f"{EVENTS}: {len(registry)} of the registry, and a case", markup=False)
    console.print("3. The case goes down the tree", style="bold")
    names = [first["objective_id"]]
    _watched(console, watch, submission, names, lambda: _begun(watch, names[0]))
    later = _sample("later")
    send_rows(EVENTS, "node_id", later)
    told = ", ".join(f"{one['member_id']} {one['kind']} {one['node_id']}" for one in later)
    console.print(f"Meanwhile: {told}. The next case:", markup=False)
    withdrawn = {**second, "objective_id": f"withdrawn-{run_id}"}
    cancelled = {name: withdrawn[name] for name in ("node_id", "objective_id")}
    send_rows(EVENTS, "node_id", [second, withdrawn, {**cancelled, "kind": "cancelled"}])
    names += [second["objective_id"], withdrawn["objective_id"]]
    ended = _watched(console, watch, submission, names, lambda: set(names) <= set(answers(watch)))
    print_outcome(console, watch, names, ended)
    if not ended:
        raise typer.Exit(1)


def _sample(name: str) -> list[Json]:
    text = sql_dir().joinpath(TEAM).joinpath("sample").joinpath(f"{name}.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def _cases() -> list[Json]:
    return _sample("cases")


def _watched(
    console: Console, watch: TopicWatch, submission: Submission, names: list[str], ended: Any
) -> bool:
    return watch_until(console, watch, submission, lambda: progress(watch, names), ended, BOUND_S)


def _begun(watch: TopicWatch, name: str) -> bool:
    return any(row.value["command_id"].startswith(f"{name}/") for row in watch.of(ASSIGNMENTS))


def answers(watch: TopicWatch) -> dict[str, Json]:
    return {row.key: row.value for row in watch.of(ANSWERS)}


def progress(watch: TopicWatch, names: list[str]) -> Table:
    """Each case: what went down the tree, what came up."""
    down, up = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for row in watch.of(EVENTS):
        case, slash, _ = str(row.value.get("objective_id") or "").partition("/")
        if slash:
            down[case, str(row.value["kind"])] += 1
    for row in watch.of(ASSIGNMENTS):
        kind = "cancelled" if row.value["kind"] == "cancelled" else "analyst"
        down[row.value["command_id"].partition("/")[0], kind] += 1
    for row in watch.of(RESULTS):
        up[row.value["command_id"].partition("/")[0], row.value["status"]] += 1
    answered = answers(watch)
    table = Table(box=None)
    for title in ("case", "to nodes", "to analysts", "results", "cancelled", "answer"):
        table.add_column(title)
    for name in names:
        results = ", ".join(f"{n} {status}" for (of, status), n in up.items() if of == name)
        counts = [str(down[name, kind] or "") for kind in ("objective", "analyst")]
        status = answered.get(name, {}).get("status", "")
        table.add_row(name, *counts, results, str(down[name, "cancelled"] or ""), status)
    return table


def print_outcome(console: Console, watch: TopicWatch, names: list[str], ended: bool) -> None:
    """Each case as the tree that answered it, and what Flink says of restarts."""
    console.print("4. What came of it", style="bold")
    answered = answers(watch)
    for name in names:
        console.print(case_tree(name, answered.get(name)))
    target, _ = cluster()
    counts = {f"{TEAM}.{job}": restarts(target, f"{TEAM}.{job}") for job in JOBS}
    told = ", ".join(f"{job} {count}" for job, count in counts.items())
    console.print(f"Restarts, as Flink counts them: {told}.", markup=False)
    if not ended:
        console.print("Not all are answered: see `tidemill dead-letters hierarchy`.")


def case_tree(name: str, answer: Json | None) -> Tree:
    """An answer as a tree of its nodes' findings."""
    if answer is None:
        return Tree(f"{name}: no answer yet")
    tree = Tree(f"[bold]{name}[/]: {answer['status']}")
    missing = {m["step"]: m["reason"] for m in answer.get("missing") or ()}
    try:
        _branch(tree, json.loads(answer.get("result") or "{}"))
    except ValueError:
        tree.add("a result that is no JSON")
    for step, reason in missing.items():
        tree.add(f"[red]missing[/] {step}: {reason[:100]}")
    return tree


def _branch(tree: Tree, found: Json) -> None:
    for step, value in found.items():
        if isinstance(value, dict) and "finding" in value:
            risk = str(value.get("risk"))
            said = terminal.visible(str(value["finding"])[:160]).replace("[", "\\[")
            tree.add(f"{step} [{_RISKS.get(risk, 'dim')}]{risk}[/] {said}")
        elif isinstance(value, dict):
            _branch(tree.add(step), value)
        else:
            tree.add(f"{step}: {value}")


def restarts(target: Cluster, name: str) -> int | None:
    """How often Flink restarted a running job; None where it does not run or does not say."""
    running = target.running(name)
    return target.restarts(running.id) if running else None
