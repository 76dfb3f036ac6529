"""Objectives, results, cancellations and time in any order: one right answer each."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.core.orchestration_world import Event, World, objective, result, run, steps
from udfs.core.commands import Limits, too_large
from udfs.core.fold import BadEvent

Json = dict[str, Any]
DEEP: Any = []
for _ in range(200):
    DEEP = [DEEP]
PLANNED = Limits(plan="plan", attempts=2, replans=1)


def told(world: World) -> list[Json]:
    """What counts of the answers."""
    return [
        {
            "objective": one["objective_id"],
            "status": one["status"],
            "result": json.loads(one["result"]),
            "missing": one["missing"],
        }
        for one in world.answers
    ]


def test_commands_go_out_once_and_their_results_come_back_as_one_answer() -> None:
    world = World()
    run(world, [objective(commands=steps("a", "b"))], result)
    assert [row["command_id"] for row in world.rows("command")] == ["o/a", "o/b"]
    assert told(world) == [
        {
            "objective": "o",
            "status": "complete",
            "result": {"a": {"of": "a"}, "b": {"of": "b"}},
            "missing": [],
        }
    ]


def test_the_same_objective_again_changes_nothing_and_another_under_its_id_is_refused() -> None:
    world = World()
    for _ in range(100):
        world.hear(objective(commands=steps("a")))
    assert len(world.said) == 1
    with pytest.raises(BadEvent, match="another input"):
        world.hear(objective(commands=steps("b")))


def test_a_second_result_and_a_late_one_are_no_ops() -> None:
    world = World()
    commands = world.hear(objective(commands=steps("a", "b")))
    for _ in range(3):
        world.hear(result(commands[0]))
    world.hear(result(commands[0], result="other"))
    world.hear(result(commands[1]))
    before = list(world.said)
    world.hear(result(commands[1], "failed"))
    assert world.said == before
    assert told(world)[0]["result"]["a"] == {"of": "a"}


def test_a_failed_command_is_given_again_with_an_id_of_its_own_until_it_is_missing() -> None:
    world = World(Limits(attempts=3))
    run(world, [objective(commands=steps("a", "b"))],
        lambda row: result(row, "failed" if row["step"] == "a" else "done"))  # fmt: skip
    assert [row["attempt"] for row in world.rows("command") if row["step"] == "a"] == [1, 2, 3]
    assert len({one.index for one in world.said}) == len(world.said)
    assert told(world)[0]["status"] == "partial"
    assert told(world)[0]["missing"] == [{"step": "a", "reason": "broken"}]


def test_a_command_that_nobody_answers_is_given_to_another_and_the_lost_one_may_still_answer() -> (
    None
):
    world = World(Limits(attempts=2, timeout_s=30))
    first = world.hear(objective(commands=steps("a")))[0]
    assert world.wait(29) == []
    (second,) = world.wait(2)
    assert (second.values["command_id"], second.values["attempt"]) == ("o/a", 2)
    world.hear(result(first))
    world.hear(result(second, result="other"))
    assert told(world)[0]["result"] == {"a": {"of": "a"}}
    assert len(world.answers) == 1


@pytest.mark.parametrize("status", ["failed", "done"])
def test_an_objective_that_is_given_again_numbers_its_attempts_on(status: str) -> None:
    """So that a node below, and workers, hear of new commands, and what is left of old is late."""
    world = World(Limits(attempts=2))
    old: list[Json] = []

    def work(row: Json) -> Event:
        old.append(row)
        return result(row, status)

    _, kind, event, _ = objective("o/n", commands=steps("a"), reply_to="k")
    for attempt in (1, 2):
        headers = {"ce_id": f"ce-{attempt}".encode(), "hops": b"1"}
        run(world, [("n", kind, {**event, "attempt": attempt}, headers)], work)
    given = [row["attempt"] for row in world.rows("command")]
    assert given == ([1, 2, 3, 4] if status == "failed" else [1, 3])
    assert [answer["attempt"] for answer in world.answers] == [1, 2]
    assert world.hear(result(old[0], "cancelled")) == []


def test_what_a_branch_found_fits_the_result_that_it_is() -> None:
    world = World()
    headers = {"ce_id": b"ce", "hops": b"1"}
    event = {"objective_id": "o/n", "commands": steps(*"abc"), "reply_to": "k"}
    run(world, [("n", "objective", event, headers)], lambda row: result(row, result="x" * 90_000))
    assert world.answers[0]["status"] == "partial"
    assert [m["step"] for m in world.answers[0]["missing"]] == ["c"]
    assert not too_large(world.answers[0]["result"])


def test_a_failure_of_an_attempt_that_was_given_up_is_no_failure() -> None:
    world = World(Limits(attempts=2, timeout_s=30))
    first = world.hear(objective(commands=steps("a")))[0]
    world.wait(31)
    assert world.hear(result(first, "failed")) == []


def test_at_the_deadline_the_answer_says_what_is_missing_and_the_rest_is_cancelled() -> None:
    world = World(Limits(deadline_s=100, timeout_s=1_000))
    commands = world.hear(objective(commands=steps("a", "b")))
    world.hear(result(commands[0]))
    world.wait(100)
    assert [row["command_id"] for row in world.rows("cancelled")] == ["o/b"]
    assert told(world)[0]["missing"] == [{"step": "b", "reason": "deadline"}]
    assert told(world)[0]["status"] == "partial"


def test_a_cancelled_objective_cancels_its_commands_and_answers_so() -> None:
    world = World()
    commands = world.hear(objective(commands=steps("a", "b")))
    world.hear(("o", "cancelled", {"objective_id": "o"}, {}))
    assert [row["step"] for row in world.rows("cancelled")] == ["a", "b"]
    assert [one["status"] for one in told(world)] == ["cancelled"]
    assert world.hear(result(commands[0])) == []
    assert world.hear(("o", "cancelled", {"objective_id": "o"}, {})) == []


def test_a_sub_objective_whose_parent_was_cancelled_before_it_came_gives_no_command() -> None:
    world = World()
    world.hear(("o", "cancelled", {"objective_id": "o"}, {}))
    world.restart()
    world.hear(objective(commands=steps("a")))
    assert world.rows("command") == []
    assert told(world)[0]["status"] == "cancelled"


def test_a_plan_is_asked_for_and_asked_for_again_when_a_branch_fails() -> None:
    def work(row: Json) -> Event:
        if row["worker_kind"] != "plan":
            return result(row, "failed" if row["step"] == "b" else "done")
        missing = json.loads(row["input"])["missing"]
        again = [{**one, "replaces": "b"} for one in steps("c")]
        return result(row, result={"commands": again if missing else steps("a", "b")})

    world = World(PLANNED)
    run(world, [objective()], work)
    given_steps = [row["step"] for row in world.rows("command")]
    assert given_steps == ["plan-1", "a", "b", "b", "plan-2", "c"]
    assert told(world)[0]["status"] == "complete"
    assert list(told(world)[0]["result"]) == ["a", "c"]


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (steps(*(str(n) for n in range(1001))), "fan_out"),
        ([], "empty_plan"),
        ([{"step": "a"}], "bad_command"),
        ([{"kind": "k", "step": "a/b"}], "bad_step"),
        ([{"kind": "k", "step": "plan-1"}], "bad_step"),
        ([{"kind": "k", "step": "a"}, {"kind": "k", "step": "a"}], "double_step"),
        ("[" * 10_000, "empty_plan"),
        ({"commands": "no"}, "empty_plan"),
    ],
)
def test_a_plan_that_cannot_be_followed_is_answered_with_its_reason(plan: Any, reason: str) -> None:
    world = World()
    world.hear(objective(commands=plan))
    assert world.rows("command") == []
    assert world.answers[0]["status"] == "failed"
    assert world.answers[0]["reason"].startswith(reason)
    planner = World(PLANNED)
    run(planner, [objective()], lambda row: result(row, result={"commands": plan}))
    assert [row["step"] for row in planner.rows("command")] == ["plan-1", "plan-1"]
    assert planner.answers[0]["status"] == "failed"


def test_a_plan_that_names_a_worker_whom_there_is_not_is_refused() -> None:
    world = World(Limits(kinds=("crm", "website")))
    world.hear(objective(commands=["crm", "rm_rf"]))
    assert world.rows("command") == []
    assert world.answers[0]["reason"].startswith("unknown_kind: nobody is a 'rm_rf'")


@pytest.mark.parametrize("fan_out", [1, 3])
def test_a_sub_task_that_spawns_itself_ends_at_the_limits(fan_out: int) -> None:
    limits = Limits(hops=5, commands=40, attempts=1)
    world = World(limits)
    commands = steps(*(f"s{n}" for n in range(fan_out)))
    waiting: list[Event] = [objective(commands=commands)]
    while waiting:
        for said in world.hear(waiting.pop(0)):
            row = said.values
            if row["kind"] == "command":  # every command comes back as an objective
                name = row["command_id"]
                again = {"objective_id": name, "input": {}, "commands": commands}
                again |= {"reply_to": row["reply_to"], "attempt": row["attempt"]}
                waiting.append((name, "objective", again, said.headers))
            elif row["kind"] == "answer" and row["reply_to"]:
                told_up = {n: row[n] for n in ("command_id", "attempt", "status", "reason")}
                told_up |= {"result": row["result"], "missing": row["missing"]}
                waiting.append((row["reply_to"], "result", told_up, said.headers))
    assert len(world.rows("command")) <= limits.commands
    (root,) = [one for one in world.answers if one["objective_id"] == "o"]
    assert root["status"] == "failed"
    assert ("hops" if fan_out == 1 else "fan_out") in root["reason"]


def test_members_join_and_leave_and_each_objective_goes_to_who_is_there() -> None:
    world = World(Limits(plan="members"))
    for name in ("legal", "finance"):
        world.hear(("n", "joined", {"member": name, "kind": "node", "about": name.upper()}, {}))
    _, kind, event, headers = objective("x")
    commands = world.hear(("n", kind, event, headers))
    assert [c.values["worker"] for c in commands] == ["finance", "legal"]
    assert json.loads(commands[0].values["input"]) == {"of": "x", "about": "FINANCE"}
    world.hear(("n", "joined", {"member": "tax", "kind": "node"}, {}))
    world.hear(result(commands[0]))
    world.hear(("n", "left", {"member": "legal"}, {}))
    assert told(world)[0]["missing"] == [{"step": "legal", "reason": "member_left"}]
    world.restart()
    _, kind, event, headers = objective("y")
    assert [c.values["step"] for c in world.hear(("n", kind, event, headers))] == ["finance", "tax"]


def test_what_a_branch_misses_is_told_up_with_its_path() -> None:
    world = World()
    command = world.hear(objective(commands=steps("a")))[0]
    missing = [{"step": "b/c", "reason": "broken"}]
    world.hear(result(command, "partial", missing=missing, result={"d": 1}))
    assert told(world)[0]["status"] == "partial"
    assert told(world)[0]["missing"] == [{"step": "a/b/c", "reason": "broken"}]


@pytest.mark.parametrize(
    ("kind", "event", "reason"),
    [
        ("objective", {"input": 1}, "no_objective"),
        ("objective", {"objective_id": "a/b"}, "bad_objective_id"),
        ("objective", {"objective_id": "x" * 513}, "no_objective"),
        ("result", {"status": "done"}, "no_command"),
        ("result", {"command_id": "o/a", "status": "great"}, "unknown_status"),
        ("joined", {"member": "a"}, "no_kind"),
        ("left", {}, "no_member"),
        ("joined", {"member": "Ann Lee", "kind": "node"}, "no_member"),
        ("joined", {"member": "plan-3", "kind": "node"}, "no_member"),
        ("joined", {"member": "a", "kind": "lawyer"}, "unknown_kind"),
        ("result", {"command_id": "o/a", "status": ["done"]}, "unknown_status"),
        ("bid", {}, "unknown_kind"),
        ("objective", {"objective_id": "o", "input": "\ud800"}, "invalid_event"),
        ("result", {"command_id": "o/a", "status": "done", "result": DEEP}, "invalid_event"),
    ],
)
def test_an_event_that_is_none_is_refused_and_changes_nothing(
    kind: str, event: Json, reason: str
) -> None:
    world = World(Limits(kinds=("node", "analyst")))
    with pytest.raises(BadEvent) as refused:
        world.hear(("k", kind, event, {}))
    assert refused.value.reason == reason
    assert world.store == {}


def test_an_answered_objective_is_known_for_a_while_and_then_forgotten() -> None:
    world = World(Limits(keep_s=60))
    run(world, [objective(commands=steps("a", "b"))], result)
    assert set(world.store) == {'k/["o","o/o"]'}
    world.wait(61)
    assert world.store == {}


def test_results_too_large_for_a_record_are_told_as_missing() -> None:
    world = World(Limits(attempts=1))

    def work(row: Json) -> Event:
        return result(row, result="x" * (250_000 if row["step"] == "a" else 190_000))

    run(world, [objective(commands=steps(*"abcdef"))], work)
    assert [m["step"] for m in told(world)[0]["missing"]] == ["a", "f"]
    assert len(world.answers[0]["result"]) < 1_000_000


def work_of(failing: frozenset[tuple[str, int]], dead: frozenset[str]) -> Any:
    """Workers: attempts that fail, and steps that nobody ever answers."""

    def work(row: Json) -> Event | None:
        if row["step"] in dead:
            return None
        failed = (row["step"], row["attempt"]) in failing
        return result(row, "failed" if failed else "done")

    return work


NAMES = "abcd"
FAILING = st.frozensets(st.tuples(st.sampled_from(NAMES), st.integers(1, 3)))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), failing=FAILING, restarts=st.booleans())
def test_any_order_of_topics_with_repeats_and_restarts_gives_the_same_answers(
    data: st.DataObject, failing: frozenset[tuple[str, int]], restarts: bool
) -> None:
    """What a log holds, read anew in any interleaving of its topics, is answered alike."""
    objectives = [objective(n, commands=steps(*NAMES)) for n in ("o", "p")]
    straight = World()
    results = run(straight, objectives, work_of(failing, frozenset()))
    topics = {"objectives": list(objectives), "results": list(results)}
    again = World()
    read: list[Event] = []
    while any(topics.values()):
        name = data.draw(st.sampled_from(sorted(n for n, events in topics.items() if events)))
        event = topics[name].pop(0)
        again.hear(event)
        read.append(event)
        if read and data.draw(st.booleans()):
            again.hear(data.draw(st.sampled_from(read[-3:])))  # read again after a restart
        if restarts:
            again.restart()
    by_objective = lambda one: one["objective"]  # noqa: E731
    assert sorted(told(again), key=by_objective) == sorted(told(straight), key=by_objective)
    assert set(emitted(again)) == set(emitted(straight))


def emitted(world: World) -> list[tuple[str, str]]:
    """What was said, as a reader of the topics knows it: by id, with its bytes."""
    return [
        (f"{one.headers['ce_id'].decode()}/{one.index}", json.dumps(one.values, sort_keys=True))
        for one in world.said
    ]


@settings(max_examples=60, deadline=None)
@given(dead=st.frozensets(st.sampled_from(NAMES)), failing=FAILING, cancel_at=st.integers(0, 12))
def test_every_objective_is_answered_once_whoever_is_lost_or_cancelled(
    dead: frozenset[str], failing: frozenset[tuple[str, int]], cancel_at: int
) -> None:
    world = World(Limits(deadline_s=300, timeout_s=60))
    work = work_of(failing, dead)
    waiting: list[Event] = [objective(commands=steps(*NAMES))]
    for beat in range(24):
        if beat == cancel_at:
            waiting.append(("o", "cancelled", {"objective_id": "o"}, {}))
        said = [one for event in waiting for one in world.hear(event)] + world.wait(20)
        answers = (work(one.values) for one in said if one.values["kind"] == "command")
        waiting = [answer for answer in answers if answer]
        world.restart()
    (answer,) = told(world)
    lost = {m["step"] for m in answer["missing"]}
    assert lost | set(answer["result"]) == set(NAMES) and not lost & set(answer["result"])
    if answer["status"] != "cancelled":
        broken = {s for s in NAMES if {(s, n) for n in (1, 2, 3)} <= failing}
        assert lost == dead | broken
    world.wait(4_000)
    assert world.store == {}


def test_a_planner_may_send_somebody_to_look_again() -> None:
    """The kind of a failed step, named again, stands in for that step."""

    def work(row: Json) -> Event:
        if row["worker_kind"] == "plan":
            return result(
                row, result=["crm", "website"] if row["step"] == "plan-1" else ["website"]
            )
        return result(row, "failed" if row["step"] == "website" else "done")

    world = World(PLANNED)
    run(world, [objective()], work)
    asked = [row for row in world.rows("command") if row["step"] == "plan-2"]
    assert json.loads(asked[0]["input"])["done"] == ["crm"]
    assert told(world)[0]["status"] == "complete"
    assert list(told(world)[0]["result"]) == ["crm", "website.2"]
