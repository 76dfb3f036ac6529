"""Long-term memory in a real store: by likeness, by key, once per event."""

import asyncio
from typing import Any

import pytest

from connectors.memories import Memories
from connectors.mongodb import close_shared
from udfs.core.calls import RunOutcome
from udfs.core.definition import LongTermMemory
from udfs.long_term import LongTerm, text_of

REFUND = "The customer wants the money back for a broken kettle."
TRAVEL = "The customer asks for a window seat on the night train."


pytestmark = pytest.mark.usefixtures("database")


def run(work: Any) -> Any:
    async def main() -> Any:
        try:
            return await work()
        finally:
            await close_shared()

    return asyncio.run(main())


async def remembered(agent: str = "support") -> Memories:
    memories = Memories(agent)
    await memories.remember("1", "ann", REFUND, {"n": 1}, 1)
    await memories.remember("2", "bob", "A refund for the broken kettle, please.", {"n": 2}, 2)
    await memories.remember("3", "ann", TRAVEL, {"n": 3}, 3)
    return memories


async def recalled(memories: Memories, key: str | None, **options: Any) -> list[int]:
    options = {"score_least": 0.4, "without": "", **options}
    query = "My kettle is broken, I want a refund."
    return [event["n"] for event in await memories.recall(key, query, 4, **options)]


def test_what_is_like_the_case_is_recalled_oldest_first() -> None:
    async def work() -> None:
        memories = await remembered()
        assert await recalled(memories, "ann") == [1]
        assert await recalled(memories, None) == [1, 2]
        assert await recalled(memories, "nobody") == []
        assert await recalled(memories, "ann", score_least=-1.0) == [1, 3]

    run(work)


def test_a_run_that_is_made_again_does_not_remember_itself(database: Any) -> None:
    async def work() -> None:
        memories = await remembered()
        assert await recalled(memories, "ann", without="1") == []
        await memories.remember("1", "ann", REFUND, {"n": 1}, 1)

    run(work)
    assert database["memories"].count_documents({}) == 3


def test_agents_share_no_memory() -> None:
    async def work() -> None:
        await remembered()
        assert await recalled(Memories("other"), None, score_least=-1.0) == []

    run(work)


@pytest.mark.parametrize(
    ("write", "reply", "kept"),
    [
        ("always", {}, 1),
        ("never", {}, 0),
        ("worth_it", {"worth_it": True}, 1),
        ("worth_it", {"worth_it": False}, 0),
    ],
)
def test_what_is_written_back_is_the_policys_choice(
    write: str, reply: dict[str, Any], kept: int
) -> None:
    async def work() -> list[dict[str, Any]]:
        memory = LongTerm("support", LongTermMemory(write=write))
        outcome = RunOutcome(reply, None, [], {"at_ms": 5, "input": {}, "reply": reply})
        await memory.write_back("e1", "ann", {"request": REFUND}, outcome)
        await memory.write_back("e2", "ann", {"request": REFUND}, RunOutcome(None, None, [], None))
        again = await memory.recall("e1", "ann", {"request": REFUND})
        assert again == []
        return await memory.recall("e9", "ann", {"request": REFUND})

    assert len(run(work)) == kept


def test_a_case_is_known_by_its_sentences() -> None:
    row = {"id": "a-1", "lead": {"name": "Ann", "text": "two words"}, "list": ["and more"], "n": 1}
    assert text_of(row) == "two words\nand more"
    assert text_of({"id": "a-1", "n": 1}) == "a-1" and text_of({"n": 1}) == ""
