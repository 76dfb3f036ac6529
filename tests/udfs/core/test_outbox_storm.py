"""The outbox in storms that hypothesis makes: never two mails, nothing lost, whatever happens."""

import asyncio
import itertools
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.udfs.core.effect_world import (
    FAULTS,
    Worker,
    World,
    assert_consistent,
    deliver,
    drive,
    intent,
    resolve_truly,
)
from udfs.core.effect import address_hash
from udfs.core.outbox import FAILPOINTS

CRASHES = st.none() | st.tuples(st.sampled_from(FAILPOINTS), st.integers(1, 3))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    pauses_s=st.lists(st.sampled_from([0.0, 0.001, 0.1, 1.0, 40.0]), min_size=1, max_size=40),
    faults=st.lists(st.sampled_from((*FAULTS, "none", "none")), max_size=25),
    workers=st.lists(
        st.tuples(CRASHES, st.lists(st.tuples(st.integers(0, 2), st.integers(0, 1)), max_size=5)),
        min_size=1,
        max_size=4,
    ),
)
def test_workers_that_overlap_crash_and_stall_never_mail_twice(
    pauses_s: list[float],
    faults: list[str],
    workers: list[tuple[tuple[str, int] | None, list[tuple[int, int]]]],
) -> None:
    """Zombies included: all workers run at once on the same effects, in any interleaving, and a
    human resolves and re-drives what is parked. Then everything is delivered again by a healthy
    one: each effect is sent, refused or listed."""
    world = World(pause_s=itertools.cycle(pauses_s))
    world.faults = itertools.chain(faults, itertools.repeat("none"))

    async def overlap() -> None:
        tasks = []
        for crash_at, deliveries in workers:
            outbox = Worker(world, crash_at).outbox
            tasks += [
                asyncio.create_task(outbox.deliver(intent(*delivery))) for delivery in deliveries
            ]
        desk = Worker(world).outbox
        for _ in range(10 if tasks else 0):
            await world.clock.sleep(200)
            for document in [d for d in world.documents.values() if d["status"] == "parked"]:
                resolve_truly(world, document)
                effect, event = document["key"].split("-")[1:]
                redrive = intent(int(effect), int(event), attempt=document["attempt"] + 1)
                tasks.append(asyncio.create_task(desk.deliver(redrive)))
        await world.clock.sleep(3_000)
        assert all(t.done() or t.cancel() for t in tasks)

    drive(world, overlap)
    assert_consistent(world)
    world.pause_s = itertools.repeat(0.001)
    for _, deliveries in workers:
        for delivery in deliveries:
            outcome = deliver(world, intent(*delivery))
            assert outcome is not None
            assert outcome.status in ("sent", "duplicate", "refused", "failed", "parked")
    assert_consistent(world)
    assert "claimed" not in {document["status"] for document in world.documents.values()}


class Desk(RuleBasedStateMachine):
    """Deliveries, crashes, faults, opt-outs, re-drives and a human, one after another."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()

    @rule(
        effect=st.integers(0, 1),
        event=st.integers(0, 1),
        attempt=st.integers(1, 3),
        body=st.sampled_from(["one", "two"]),
        fault=st.sampled_from(("none", *FAULTS)),
        crash_at=CRASHES,
    )
    def deliver(
        self, effect: int, event: int, attempt: int, body: str, fault: str, crash_at: Any
    ) -> None:
        what = intent(effect, event, attempt=attempt, body=body)
        before = self.world.status(what)
        self.world.faults = itertools.chain([fault], itertools.repeat("none"))
        outcome = deliver(self.world, what, Worker(self.world, crash_at))
        if before in ("sent", "parked"):
            assert self.world.status(what) == before
            assert outcome is not None and outcome.status in (before, "duplicate", "refused")
        if outcome is not None and outcome.status not in ("duplicate", "refused"):
            assert outcome.status == self.world.status(what)

    @rule(effect=st.integers(0, 1))
    def opt_out(self, effect: int) -> None:
        self.world.opt_outs ^= {address_hash(f"person{effect}@acme.example")}

    @rule()
    def resolve(self) -> None:
        for document in list(self.world.documents.values()):
            if document["status"] == "parked":
                resolve_truly(self.world, document)

    @rule(seconds=st.integers(1, 200))
    def wait(self, seconds: int) -> None:
        drive(self.world, lambda: self.world.clock.sleep(seconds))

    @invariant()
    def nobody_is_mailed_twice(self) -> None:
        assert_consistent(self.world)


TestDesk = Desk.TestCase
TestDesk.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
