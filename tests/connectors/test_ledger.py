"""The ledger against a real MongoDB-wire server: one claim wins, nothing acknowledged is lost."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import pytest

from connectors.ledger import LedgerError, MongoLedger, new_owner
from connectors.mongodb import async_client, client

T = TypeVar("T")


def document(effect: str = "e1", claim: str = "c1", **changes: Any) -> dict[str, Any]:
    made = {
        "_id": effect,
        "status": "claimed",
        "claim": claim,
        "owner": "o1",
        "claimed_at": 1_000,
        "job": "sdr.send_email",
    }
    return {**made, **changes}


@pytest.fixture
def database(stack: dict[str, str]) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:8]}"
    yield name
    with client() as mongo:
        mongo.drop_database(name)


def run(uri: str, database: str, work: Callable[[MongoLedger], Awaitable[T]]) -> T:
    async def main() -> T:
        async with async_client(uri) as mongo:
            ledger = MongoLedger(mongo[database])
            await ledger.prepare()
            return await work(ledger)

    return asyncio.run(main())


@pytest.fixture
def in_ledger(stack: dict[str, str], database: str) -> Callable[..., Any]:
    return lambda work: run(stack["MONGODB_URI"], database, work)


def test_one_of_many_claims_wins(in_ledger: Callable[..., Any]) -> None:
    async def work(ledger: MongoLedger) -> None:
        claims = [document(claim=f"c{n}") for n in range(50)]
        stand = await asyncio.gather(*map(ledger.claim, claims))
        assert len({one["claim"] for one in stand}) == 1
        assert await ledger.get("e1") == stand[0]

    in_ledger(work)


def test_a_swap_needs_the_claim_and_the_status_that_it_knows(in_ledger: Callable[..., Any]) -> None:
    async def work(ledger: MongoLedger) -> None:
        claimed = await ledger.claim(document())
        sent = {**claimed, "status": "sent", "sent_at": 5}
        assert not await ledger.swap({**claimed, "claim": "other"}, {**sent, "claim": "other"})
        assert not await ledger.swap({**claimed, "status": "parked"}, {**sent, "status": "failed"})
        assert await ledger.get("e1") == claimed
        assert await ledger.swap(claimed, sent)
        assert await ledger.swap(claimed, sent), "the same swap again is no failure"
        assert not await ledger.swap(claimed, {**claimed, "status": "parked"})
        assert await ledger.get("e1") == sent
        assert await ledger.get("nothing") is None

    in_ledger(work)


def test_one_of_many_swaps_wins(in_ledger: Callable[..., Any]) -> None:
    async def work(ledger: MongoLedger) -> None:
        waiting = await ledger.claim(document(status="waiting"))
        claims = [document(claim=f"taken-{n}") for n in range(20)]
        won = await asyncio.gather(*(ledger.swap(waiting, claim) for claim in claims))
        assert sum(won) == 1

    in_ledger(work)


def test_a_lost_answer_to_a_claim_does_not_make_it_somebody_elses(
    lossy_mongo: Any, database: str
) -> None:
    async def work(ledger: MongoLedger) -> None:
        lossy_mongo.loses = b"insert"
        mine = await ledger.claim(document(claim="mine"))
        theirs = await ledger.claim(document(claim="theirs"))
        assert (mine["claim"], theirs["claim"]) == ("mine", "mine")

    run(lossy_mongo.uri, database, work)
    assert lossy_mongo.lost == 1


def test_a_lost_answer_to_a_swap_is_found_out(lossy_mongo: Any, database: str) -> None:
    async def work(ledger: MongoLedger) -> None:
        claimed = await ledger.claim(document())
        lossy_mongo.loses = b"update"
        assert await ledger.swap(claimed, {**claimed, "status": "sent"})

    run(lossy_mongo.uri, database, work)
    assert lossy_mongo.lost == 1


def test_the_ledger_waits_for_a_killed_server_and_finds_all_it_was_told(
    killable_mongo: Any,
) -> None:
    async def work(ledger: MongoLedger) -> None:
        told = [await ledger.claim(document(f"e{n}")) for n in range(50)]
        await ledger.opt_out("somebody")
        killable_mongo.kill()
        waits = asyncio.gather(ledger.claim(document("new")), ledger.opted_out(("somebody",)))
        await asyncio.sleep(0.5)
        assert not waits.done()
        await asyncio.to_thread(killable_mongo.start)
        assert await waits == [document("new"), True]
        for one in told:
            assert await ledger.get(one["_id"]) == one

    run(killable_mongo.uri, "test", work)


def test_a_cancelled_claim_stops_waiting(killable_mongo: Any) -> None:
    async def work(ledger: MongoLedger) -> None:
        killable_mongo.kill()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ledger.claim(document()), 1)

    run(killable_mongo.uri, "test", work)


def test_opt_outs_are_found_in_any_spelling(in_ledger: Callable[..., Any]) -> None:
    async def work(ledger: MongoLedger) -> None:
        await ledger.opt_out("hash-1")
        await ledger.opt_out("hash-1")
        assert await ledger.opted_out(("hash-0", "hash-1"))
        assert not await ledger.opted_out(("hash-0", "hash-2"))

    in_ledger(work)


def parked(effect: str, **changes: Any) -> dict[str, Any]:
    return document(effect, status="parked", parked_at=2_000, reason="no_answer", **changes)


def test_the_desk_lists_what_is_parked_in_its_team(in_ledger: Callable[..., Any]) -> None:
    async def work(ledger: MongoLedger) -> None:
        await ledger.claim(parked("late", claimed_at=9_000))
        await ledger.claim(parked("early"))
        await ledger.claim(document("sent", status="sent"))
        await ledger.claim(parked("other", job="sdr_two.send_email"))
        await ledger.claim(parked("dotless", job="sdrXsend_email"))
        assert [one["_id"] for one in await ledger.parked("sdr")] == ["early", "late"]
        assert await ledger.counts("sdr") == {"parked": 2, "sent": 1}

    in_ledger(work)


def test_claims_that_nobody_came_back_to_are_parked(in_ledger: Callable[..., Any]) -> None:
    async def work(ledger: MongoLedger) -> None:
        for effect, at in (("old", 1_000), ("new", 5_000)):
            await ledger.claim(document(effect, claimed_at=at))
        assert await ledger.park_abandoned("sdr", claimed_before_ms=2_000, now_ms=9_000) == 1
        [old] = await ledger.parked("sdr")
        assert (old["_id"], old["reason"], old["parked_at"]) == ("old", "abandoned", 9_000)

    in_ledger(work)


@pytest.mark.parametrize(("decision", "status"), [("sent", "sent"), ("not_sent", "failed")])
def test_a_human_decides_once(in_ledger: Callable[..., Any], decision: str, status: str) -> None:
    async def work(ledger: MongoLedger) -> None:
        await ledger.claim(parked("e1"))
        for _ in range(2):
            resolved = await ledger.resolve_parked("e1", decision, by="Mara")
            assert (resolved["status"], resolved["detail"]) == (status, "decided by Mara")
        assert await ledger.parked("sdr") == []

    in_ledger(work)


def test_only_the_word_that_a_mail_is_not_there_is_taken_back(
    in_ledger: Callable[..., Any],
) -> None:
    async def work(ledger: MongoLedger) -> None:
        await ledger.claim(parked("e1"))
        assert (await ledger.resolve_parked("e1", "not_sent"))["status"] == "failed"
        assert [one["_id"] for one in await ledger.said_not_sent("sdr")] == ["e1"]
        assert (await ledger.resolve_parked("e1", "sent"))["status"] == "sent"
        assert await ledger.said_not_sent("sdr") == []
        with pytest.raises(LedgerError, match="is sent"):
            await ledger.resolve_parked("e1", "not_sent")
        failed = document("e2", status="failed", reason="smtp_450")
        await ledger.claim(failed)
        with pytest.raises(LedgerError, match="is failed"):
            await ledger.resolve_parked("e2", "sent")

    in_ledger(work)


def test_effects_are_found_by_how_their_ids_begin(in_ledger: Callable[..., Any]) -> None:
    async def work(ledger: MongoLedger) -> None:
        for effect, job in (
            ("ab1", "sdr.a"),
            ("ab2", "sdr.b"),
            ("ab3", "other.a"),
            ("a.c", "sdr.a"),
        ):
            await ledger.claim(document(effect, job=job))
        found = [one["_id"] for one in await ledger.beginning_with("sdr", "ab", 9)]
        assert sorted(found) == ["ab1", "ab2"]
        assert len(await ledger.beginning_with("sdr", "ab", 1)) == 1
        assert await ledger.beginning_with("sdr", "a.1", 9) == []

    in_ledger(work)


@pytest.mark.parametrize(
    ("effect", "decision", "message"),
    [("e1", "perhaps", "expected one of"), ("e1", "sent", "is claimed"), ("e2", "sent", "unknown")],
)
def test_only_a_parked_effect_is_decided(
    in_ledger: Callable[..., Any], effect: str, decision: str, message: str
) -> None:
    async def work(ledger: MongoLedger) -> None:
        await ledger.claim(document())
        with pytest.raises(LedgerError, match=message):
            await ledger.resolve_parked(effect, decision)

    in_ledger(work)


def test_no_two_starts_have_the_same_owner() -> None:
    owners = {new_owner("sdr.send_email") for _ in range(100)}
    assert len(owners) == 100
    assert all(owner.startswith("sdr.send_email@") for owner in owners)
