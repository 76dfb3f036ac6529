"""The outbox, one story after another: redelivery, crashes, opt-outs, retries, zombies, stops."""

import asyncio
import contextlib
import itertools
from dataclasses import replace

import pytest

from tests.udfs.core.effect_world import (
    Worker,
    World,
    assert_consistent,
    deliver,
    drive,
    intent,
    resolve_truly,
)
from udfs.core.effect import Outcome, address_hash
from udfs.core.outbox import FAILPOINTS, Stopping


def test_a_mail_is_sent_once_and_every_redelivery_says_so() -> None:
    world = World()
    first = deliver(world, intent())
    assert first is not None and (first.status, first.repeated) == ("sent", False)
    again = deliver(world, intent())
    assert again == replace(first, repeated=True)
    assert world.mailbox == [first.effect_id]


def test_a_person_with_two_leads_gets_one_mail_per_step() -> None:
    world = World()
    deliver(world, intent(event=0))
    second = deliver(world, intent(event=1))
    assert second is not None
    assert (second.status, second.reason) == ("duplicate", "already_mailed")
    assert len(world.mailbox) == 1


def test_many_deliveries_of_one_effect_in_one_worker_are_one_mail() -> None:
    world = World()
    worker = Worker(world)

    async def work() -> list[Outcome]:
        return await asyncio.gather(*(worker.outbox.deliver(intent()) for _ in range(10)))

    outcomes = drive(world, work)
    assert [o.status for o in outcomes] == ["sent"] * 10
    assert len(world.mailbox) == 1


@pytest.mark.parametrize("point", FAILPOINTS)
def test_a_crash_at_every_point_never_makes_two_mails(point: str) -> None:
    world = World()
    assert deliver(world, intent(), Worker(world, (point, 1))) is None
    outcome = deliver(world, intent())
    assert outcome is not None
    expected = {"before_claim": "sent", "after_sent": "sent"}.get(point, "parked")
    assert outcome.status == expected
    assert len(world.mailbox) == (0 if point == "after_claim" else 1)
    assert_consistent(world)


def test_an_opt_out_between_intent_and_send_is_respected() -> None:
    world = World(opt_outs={address_hash("person0@acme.example")})
    outcome = deliver(world, intent())
    assert outcome is not None and (outcome.status, outcome.dead) == ("opted_out", False)
    assert not world.mailbox


def test_a_mail_that_is_put_off_is_retried_and_then_given_up() -> None:
    world = World(faults=itertools.chain(["deferred"] * 3, itertools.repeat("none")))
    outcome = deliver(world, intent())
    assert outcome is not None and outcome.status == "sent"
    world = World(faults=itertools.repeat("deferred"))
    outcome = deliver(world, intent())
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.dead) == ("failed", "smtp_deferred", True)
    world.faults = itertools.repeat("none")
    assert deliver(world, intent()) == replace(outcome, repeated=True)
    driven = deliver(world, intent(attempt=2))
    assert driven is not None and driven.status == "sent"


def test_a_server_that_is_away_is_waited_for_until_the_intent_expires() -> None:
    world = World(faults=itertools.chain(["unavailable"] * 200, itertools.repeat("none")))
    outcome = deliver(world, intent())
    assert outcome is not None and outcome.status == "sent"
    world = World(faults=itertools.repeat("unavailable"))
    outcome = deliver(world, intent(valid_until_ms=world.clock.now_ms() + 60_000))
    assert outcome is not None
    assert (outcome.status, outcome.reason) == ("refused", "expired")


def test_an_expired_intent_that_was_sent_or_left_claimed_is_told_as_it_is() -> None:
    world = World()
    until_ms = world.clock.now_ms() + 10_000
    deliver(world, intent(0), Worker(world, ("after_claim", 1)))
    deliver(world, intent(1))
    drive(world, lambda: world.clock.sleep(60))
    lost = deliver(world, intent(0, valid_until_ms=until_ms))
    sent = deliver(world, intent(1, valid_until_ms=until_ms))
    assert lost is not None and lost.status == "parked"
    assert sent is not None and sent.status == "sent"


def test_a_mail_that_the_server_refuses_is_dead() -> None:
    world = World(faults=iter(["rejected"]))
    outcome = deliver(world, intent())
    assert outcome is not None
    assert (outcome.status, outcome.reason, outcome.dead) == ("refused", "smtp_rejected", True)
    assert deliver(world, intent()) == replace(outcome, repeated=True)


def test_who_was_taken_for_lost_corrects_the_ledger() -> None:
    world = World(faults=itertools.chain(["stall"], itertools.repeat("none")))
    zombie, heir = Worker(world), Worker(world)

    async def work() -> list[Outcome]:
        deliveries = (worker.outbox.deliver(intent()) for worker in (zombie, heir))
        return await asyncio.gather(*deliveries)

    assert [o.status for o in drive(world, work)] == ["sent", "parked"]
    assert world.status(intent()) == "sent"
    assert len(world.mailbox) == 1


@pytest.mark.parametrize(
    ("fault", "gate_off", "mails"),
    [("stall", False, 1), ("stall_in_flight", False, 1), ("stall", True, 2)],
)
def test_a_zombie_a_heir_and_a_human_make_one_mail(fault: str, gate_off: bool, mails: int) -> None:
    """Without the gate they make two: the world can show doubles, else it would prove nothing."""
    world = World(faults=itertools.chain([fault], itertools.repeat("none")), gate_off=gate_off)
    zombie, heir = Worker(world), Worker(world)

    async def heirs() -> None:
        await world.clock.sleep(1)
        if (await heir.outbox.deliver(intent())).status == "parked":
            resolve_truly(world, world.documents[intent().effect_id])
            assert (await heir.outbox.deliver(intent(attempt=2))).status == "sent"

    async def work() -> None:
        await asyncio.gather(zombie.outbox.deliver(intent()), heirs())

    drive(world, work)
    assert len(world.mailbox) == mails


def test_draining_finishes_what_is_being_sent_and_begins_nothing_more() -> None:
    world = World(faults=itertools.repeat("stall_in_flight"))
    worker = Worker(world)
    intents = [intent(n) for n in range(10)]

    async def work() -> list[Outcome | BaseException]:
        tasks = [asyncio.create_task(worker.outbox.deliver(i)) for i in intents]
        await world.clock.sleep(1)
        await worker.outbox.drain()
        return await asyncio.gather(*tasks, return_exceptions=True)

    results = drive(world, work)
    sent = [r for r in results if isinstance(r, Outcome)]
    assert len(sent) == len(world.mailbox) == worker.connections
    assert sum(isinstance(r, Stopping) for r in results) == 6
    assert {d["status"] for d in world.documents.values()} == {"sent"}


@pytest.mark.parametrize(("cancel_at_s", "status"), [(0.002, "waiting"), (15, "sent")])
def test_a_cancelled_delivery_is_held_back_or_recorded(cancel_at_s: float, status: str) -> None:
    world = World(faults=iter(["stall_in_flight"]))
    worker = Worker(world)

    async def work() -> None:
        task = asyncio.create_task(worker.outbox.deliver(intent()))
        await world.clock.sleep(cancel_at_s)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await worker.outbox.drain()

    drive(world, work)
    assert world.status(intent()) == status
    assert len(world.mailbox) == (status == "sent")
