"""Trees of orchestrators, as `sql/hierarchy/nodes.sql` wires them: up, down, cancelled, cut off."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.udfs.core.orchestration_world import Event, World
from udfs.core.commands import Limits
from udfs.core.fold import Emitted

Json = dict[str, Any]
Tree = dict[str, Any]  # name → Tree for a node, or a leaf's fate: done, failed, silent


def joins(name: str, tree: Tree) -> list[Event]:
    """The registry of a tree, a node's members under the node's name."""
    found: list[Event] = []
    for member, below in tree.items():
        kind = "node" if isinstance(below, dict) else str(below)
        found.append((name, "joined", {"member": f"{name}.{member}", "kind": kind}, {}))
        if isinstance(below, dict):
            found += joins(f"{name}.{member}", below)
    return found


class Wired(World):
    """All nodes in one slot; `topics` is what is still to be heard, each topic in its order."""

    def __init__(self, tree: Tree, limits: Limits) -> None:
        super().__init__(limits)
        self.topics: dict[str, list[Event]] = {"nodes": joins("root", tree), "results": []}

    def ask(self, name: str) -> None:
        headers = {"ce_id": name.encode()}
        self.topics["nodes"].append(
            ("root", "objective", {"objective_id": name, "input": {"company": name}}, headers)
        )

    def cancel(self, name: str) -> None:
        self.topics["nodes"].append(("root", "cancelled", {"objective_id": name}, {}))

    def step(self, topic: str) -> None:
        for said in self.hear(self.topics[topic].pop(0)):
            self.route(said)

    def route(self, said: Emitted) -> None:
        """What the script's INSERTs do."""
        row = said.values
        told = {"command_id": row["command_id"], "attempt": row["attempt"]}
        if row["kind"] == "answer":
            if row["reply_to"]:
                told |= {n: row[n] for n in ("status", "result", "missing", "reason")}
                self.topics["results"].append((row["reply_to"], "result", told, said.headers))
        elif row["worker_kind"] == "node":
            kind = "objective" if row["kind"] == "command" else "cancelled"
            event = {"objective_id": row["command_id"], "input": row["input"]}
            event |= {"reply_to": row["reply_to"], "attempt": row["attempt"]}
            event |= {"deadline_s": row["timeout_s"]}
            self.topics["nodes"].append((row["worker"], kind, event, said.headers))
        elif row["kind"] == "command" and row["worker_kind"] != "silent":
            told |= {"status": row["worker_kind"], "result": {"leaf": row["worker"]}}
            self.topics["results"].append((row["reply_to"], "result", told, said.headers))

    def run(self) -> None:
        while any(self.topics.values()):
            self.step(next(topic for topic, events in self.topics.items() if events))

    def pass_time(self, seconds: int) -> None:
        for said in self.wait(seconds):
            self.route(said)


FATES = st.sampled_from(["done", "done", "failed", "silent"])
NAMES = st.sampled_from("abc")
TREES = st.dictionaries(
    NAMES,
    st.recursive(FATES, lambda below: st.dictionaries(NAMES, below, max_size=3), max_leaves=6),
    max_size=3,
)
LIMITS = Limits(plan="members", attempts=2, timeout_s=60, deadline_s=1_000)


def leaves(tree: Tree, fate: str) -> int:
    below = [b for b in tree.values() if isinstance(b, dict)]
    return sum(b == fate for b in tree.values()) + sum(leaves(b, fate) for b in below)


def found_leaves(result: Any) -> int:
    if not isinstance(result, dict):
        return 0
    return 1 if "leaf" in result else sum(found_leaves(part) for part in result.values())


@settings(max_examples=60, deadline=None)
@given(tree=TREES)
def test_all_that_leaves_found_comes_up_whatever_the_tree(tree: Tree) -> None:
    world = Wired(tree, LIMITS)
    world.ask("case")
    for _ in range(60):
        world.run()
        world.pass_time(4)
    (answer,) = [one for one in world.answers if one["objective_id"] == "case"]
    assert found_leaves(json.loads(answer["result"])) == leaves(tree, "done")
    broken = leaves(tree, "failed") + leaves(tree, "silent")
    complete = broken == 0 and answer["status"] == "complete"
    assert complete or answer["missing"] or answer["status"] == "failed"


@settings(max_examples=60, deadline=None)
@given(tree=TREES, data=st.data())
def test_a_cancelled_case_leaves_nothing_at_work_in_any_order(
    tree: Tree, data: st.DataObject
) -> None:
    world = Wired(tree, LIMITS)
    world.ask("case")
    cancelled = False
    while any(world.topics.values()) or not cancelled:
        if not cancelled and (not any(world.topics.values()) or data.draw(st.booleans())):
            world.cancel("case")
            cancelled = True
        ready = sorted(topic for topic, events in world.topics.items() if events)
        world.step(data.draw(st.sampled_from(ready)))
        if data.draw(st.booleans()):
            world.restart()
    answered = [one["objective_id"] for one in world.answers]
    assert answered.count("case") == 1
    assert len(answered) == len(set(answered))
    assert world.wait(100) == []  # nobody waits for anything
    at_work = {one["objective_id"] for one in world.rows("command")} - set(answered)
    assert at_work == set()


def test_a_branch_joins_while_a_case_is_at_work_and_gets_the_next_one() -> None:
    world = Wired({"a": {"x": "done"}}, LIMITS)
    world.ask("first")
    world.run()
    world.topics["nodes"] += [
        ("root", "joined", {"member": "root.b", "kind": "node"}, {}),
        ("root.b", "joined", {"member": "root.b.y", "kind": "done"}, {}),
        ("root", "left", {"member": "root.a"}, {}),
    ]
    world.ask("second")
    world.run()
    first, second = [one for one in world.answers if not one["reply_to"]]
    assert list(json.loads(first["result"])) == ["root.a"]
    assert json.loads(second["result"]) == {"root.b": {"root.b.y": {"leaf": "root.b.y"}}}


def test_a_node_without_members_is_told_above_as_missing() -> None:
    world = Wired({"a": {}, "b": {"x": "done"}}, LIMITS)
    world.ask("case")
    world.run()
    (answer,) = [one for one in world.answers if not one["reply_to"]]
    assert answer["status"] == "partial"
    assert [m["step"] for m in answer["missing"]] == ["root.a"]
    assert answer["missing"][0]["reason"].startswith("no_members")
