"""The journal against a real server of MongoDB's wire protocol, up and down."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import AsyncMongoClient
from pymongo.monitoring import (
    CommandFailedEvent,
    CommandListener,
    CommandStartedEvent,
    CommandSucceededEvent,
)

from connectors.journal import MongoJournal, OversizeEntry
from connectors.mongodb import MongoError, async_client
from deploy.offline_model import OfflineModel
from tests.connectors.conftest import KillableMongo


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillableMongo]:
    started = KillableMongo(tmp_path_factory.mktemp("mongodb"))
    started.start()
    yield started
    started.kill()


@pytest.fixture
def database(request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    return f"t{abs(hash(request.node.name))}"


def using(
    server: KillableMongo, database: str, work: Callable[..., Awaitable[Any]], journals: int = 1
) -> Any:
    async def used() -> Any:
        opened = [MongoJournal(async_client(server.uri), database) for _ in range(journals)]
        try:
            return await work(*opened)
        finally:
            for journal in opened:
                await journal.aclose()

    return asyncio.run(used())


def entry(call_id: str, content: Any = "hello", **changes: Any) -> dict[str, Any]:
    return {
        "_id": call_id,
        "event_id": "e-1",
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
        "agent": "scorer",
        "attempt": 1,
        "step": 1,
        "index": 0,
        "kind": "model",
        "name": "chat",
        "args_hash": "ab",
        "answer": {"content": content},
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "started_at": 1_700_000_000_000,
        "duration_ms": 200,
        **changes,
    }


def test_what_is_put_stands(server: KillableMongo, database: str) -> None:
    async def work(journal: MongoJournal) -> None:
        assert await journal.get("c-1") is None
        stands = await journal.put(entry("c-1"))
        found = await journal.get("c-1")
        assert found is not None
        for name, value in entry("c-1").items():
            assert stands[name] == found[name] == value
        assert "created_at" in found

    using(server, database, work)


def test_the_first_of_two_wins_for_both(server: KillableMongo, database: str) -> None:
    async def work(*journals: MongoJournal) -> None:
        for number in range(20):
            puts = [j.put(entry(f"c-{number}", i)) for i, j in enumerate(journals * 3)]
            contents = {stands["answer"]["content"] for stands in await asyncio.gather(*puts)}
            assert len(contents) == 1
            later = await journals[0].put(entry(f"c-{number}", "late"))
            assert {later["answer"]["content"]} == contents

    using(server, database, work, journals=2)


class Commands(CommandListener):
    """The commands that a client sent, by name."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def started(self, event: CommandStartedEvent) -> None:
        self.names.append(event.command_name)

    def succeeded(self, event: CommandSucceededEvent) -> None:
        pass

    def failed(self, event: CommandFailedEvent) -> None:
        pass


def test_what_gathers_goes_together(server: KillableMongo, database: str) -> None:
    sent = Commands()

    async def work() -> None:
        client: AsyncMongoClient[Any] = AsyncMongoClient(server.uri, event_listeners=[sent])
        journal = MongoJournal(client, database)
        try:
            await asyncio.gather(*(journal.put(entry(f"c-{n}")) for n in range(300)))
            found = await asyncio.gather(*(journal.get(f"c-{n}") for n in range(310)))
        finally:
            await journal.aclose()
        assert [f is None for f in found] == [False] * 300 + [True] * 10

    asyncio.run(work())
    assert sent.names.count("insert") == 1
    assert sent.names.count("find") == 1


@pytest.mark.parametrize("content", ["\ud800 half a character", 2**70, "ä" * 100_000, None])
def test_whatever_json_holds_comes_back(server: KillableMongo, database: str, content: Any) -> None:
    async def work(journal: MongoJournal) -> None:
        deep: Any = content
        for _ in range(300):
            deep = [deep]
        await journal.put(entry("c-1", deep))
        found = await journal.get("c-1")
        assert found is not None
        assert found["answer"] == {"content": deep}

    using(server, database, work)


def test_an_answer_that_no_document_holds_is_oversize_alone(
    server: KillableMongo, database: str
) -> None:
    async def work(journal: MongoJournal) -> None:
        large = journal.put(entry("c-1", "x" * 16_000_000))
        small = journal.put(entry("c-2"))
        refused, stored = await asyncio.gather(large, small, return_exceptions=True)
        assert isinstance(refused, OversizeEntry)
        assert refused.reason == "oversize"
        assert not isinstance(stored, BaseException)

    using(server, database, work)


def test_calls_of_an_event_and_of_a_trace_are_listed_in_order(
    server: KillableMongo, database: str
) -> None:
    async def work(journal: MongoJournal) -> None:
        await journal.put(entry("c-3", step=2, started_at=1_700_000_000_900))
        await journal.put(entry("c-2", index=1, kind="tool"))
        await journal.put(entry("c-1"))
        await journal.put(entry("c-4", event_id="e-2", started_at=1_700_000_001_000))
        assert [c["_id"] for c in await journal.calls_of("e-1")] == ["c-1", "c-2", "c-3"]
        traced = await journal.calls_of_trace("0af7651916cd43dd8448eb211c80319c")
        assert [c["_id"] for c in traced] == ["c-1", "c-2", "c-3", "c-4"]
        assert traced[0]["answer"] == {"content": "hello"}
        assert await journal.calls_of("e-9") == []

    using(server, database, work)


def test_a_cancelled_put_is_written_all_the_same(server: KillableMongo, database: str) -> None:
    async def work(journal: MongoJournal) -> None:
        put = asyncio.create_task(journal.put(entry("c-1")))
        others = [asyncio.create_task(journal.put(entry(f"c-{n}"))) for n in range(2, 9)]
        await asyncio.sleep(0)
        put.cancel()
        await asyncio.gather(*others)
        found = await journal.get("c-1")
        assert found is not None

    using(server, database, work)


def test_closing_writes_what_was_handed_over(server: KillableMongo, database: str) -> None:
    async def hand_over(journal: MongoJournal) -> None:
        task = asyncio.create_task(journal.put(entry("c-1")))
        await asyncio.sleep(0)
        task.cancel()

    async def look(journal: MongoJournal) -> None:
        assert await journal.get("c-1") is not None

    using(server, database, hand_over)
    using(server, database, look)


def test_it_waits_while_the_server_is_away_and_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = KillableMongo(tmp_path)
    server.start()

    async def work(journal: MongoJournal) -> None:
        await journal.put(entry("c-1"))
        server.kill()
        with caplog.at_level(logging.WARNING):
            got = asyncio.create_task(journal.get("c-1"))
            put = asyncio.create_task(journal.put(entry("c-2")))
            given_up = asyncio.create_task(journal.get("c-3"))
            done, _ = await asyncio.wait([got, put], timeout=1.5)
            assert not done
            given_up.cancel()
            with pytest.raises(MongoError, match="the journal at MONGODB_URI cannot be read"):
                await journal.calls_of("e-1")
        await asyncio.to_thread(server.start)
        found = await got
        assert found is not None
        assert (await put)["_id"] == "c-2"
        assert given_up.cancelled()

    try:
        using(server, "outage", work)
    finally:
        server.kill()
    assert "MongoDB does not answer" in caplog.text


def test_closing_while_the_server_is_away_ends(tmp_path: Path) -> None:
    server = KillableMongo(tmp_path)  # never started

    async def work() -> None:
        journal = MongoJournal(async_client(server.uri), "outage")
        waiting = [asyncio.create_task(journal.get("c-1")) for _ in range(3)]
        await asyncio.sleep(0.1)
        await journal.aclose()
        await asyncio.wait(waiting, timeout=5)
        assert all(task.cancelled() for task in waiting)

    asyncio.run(work())


def test_one_http_request_for_the_same_call_however_often_it_is_replayed(
    server: KillableMongo, database: str
) -> None:
    from connectors.model import OpenAIModel
    from tests.udfs.core.agent_world import agent, request
    from udfs.core.agent_loop import run

    definition, tools = agent()

    async def once(journal: MongoJournal, url: str) -> Any:
        model = OpenAIModel(url, "k", "gpt-4o-mini")
        try:
            return await run(definition, request(), model, journal, tools)
        finally:
            await model.aclose()

    async def twice(journal: MongoJournal) -> Any:
        return [await once(journal, offline.url), await once(journal, offline.url)]

    with OfflineModel() as offline:
        offline.misbehave(["nonce"])
        first, second = using(server, database, twice)
        third = using(server, database, twice)[0]
        assert len(offline.requests) == 1
    assert first.reply is not None
    assert first.reply == second.reply == third.reply
    assert third.spans[1].attributes["journal"] == "hit"
