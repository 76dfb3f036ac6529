"""A search in a real store: what it finds, what it notices, and what it says of the server."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import numpy
import pytest
from bson.binary import Binary, BinaryVectorDtype

from connectors import vectors
from connectors.embedding import embed, model_name
from connectors.mongodb import client, close_shared, shared_database, takes_vectors
from connectors.vector_memory import numbers

TEXTS = {
    "broker": "A broker keeps the log, and readers remember how far they have read.",
    "state": "After a crash the job restores its state from the last checkpoint.",
    "bread": "Bread needs flour, water, salt and time.",
}


pytestmark = pytest.mark.usefixtures("database")


def put(database: Any, bundle: str, url: str, texts: list[str], **other: Any) -> None:
    """A document as the index job stores it: chunks first, then the document."""
    database["chunks"].delete_many({"bundle_id": bundle, "url": url})
    for index, (text, vector) in enumerate(zip(texts, embed(texts), strict=True)):
        row = {
            "_id": f"{bundle}/{url}/{text}",
            "bundle_id": bundle,
            "url": url,
            "title": url.title(),
        }
        place = {"chunk_index": index, "start_char": 0, "end_char": len(text), "text": text}
        numbers = {"model": model_name(), "embedding": [float(number) for number in vector]}
        database["chunks"].insert_one({**row, **place, **numbers, **other})
    ids = [f"{bundle}/{url}/{text}" for text in texts]
    fields = {"bundle_id": bundle, "url": url, "chunk_ids": ids}
    document = {"$set": fields, "$currentDate": {"stored_at": True}}
    database["documents"].update_one({"_id": f"{bundle}/{url}"}, document, upsert=True)


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        try:
            return await work()
        finally:
            await close_shared()

    return asyncio.run(main())


def found(bundle: str, query: str, k: int = 8) -> list[dict[str, Any]]:
    return run(lambda: vectors.search(bundle, query, k))


def test_the_nearest_chunk_comes_first_with_all_that_a_citation_needs(database: Any) -> None:
    put(database, "b", "streams", [TEXTS["broker"], TEXTS["state"]])
    put(database, "b", "kitchen", [TEXTS["bread"]])
    best = found("b", "How does a job recover?", 2)
    assert [one["text"] for one in best][0] == TEXTS["state"] and len(best) == 2
    assert best[0]["url"] == "streams" and best[0]["title"] == "Streams"
    assert best[0]["chunk_index"] == 1 and best[0]["end_char"] == len(TEXTS["state"])
    assert 1 >= best[0]["score"] > best[1]["score"]


def test_another_bundle_and_another_model_are_never_found(database: Any) -> None:
    put(database, "b", "one", [TEXTS["bread"]])
    put(database, "other", "two", [TEXTS["state"]])
    put(database, "b", "old", [TEXTS["broker"]], model="another")
    assert [one["text"] for one in found("b", "How does a job recover?")] == [TEXTS["bread"]]


def test_an_empty_bundle_finds_nothing() -> None:
    assert found("nobody", "anything") == []


def test_a_change_is_noticed_by_a_warm_search(database: Any) -> None:
    put(database, "b", "one", [TEXTS["bread"]])
    put(database, "b", "two", [TEXTS["broker"]])

    async def work() -> list[list[str]]:
        seen = []
        for change in (None, [TEXTS["state"]], []):
            if change is not None:
                put(database, "b", "one", change)
            best = await vectors.search("b", "How does a job recover?")
            seen.append(sorted(one["text"] for one in best))
        return seen

    assert run(work) == [
        sorted([TEXTS["bread"], TEXTS["broker"]]),
        sorted([TEXTS["state"], TEXTS["broker"]]),
        [TEXTS["broker"]],
    ]


def test_two_documents_of_one_millisecond_are_both_noticed(database: Any) -> None:
    """A look that saw one of them must not take the other for known."""
    put(database, "b", "one", [TEXTS["bread"]])
    at = database["documents"].find_one({"_id": "b/one"})["stored_at"]

    async def work() -> int:
        await vectors.search("b", "bread")
        put(database, "b", "two", [TEXTS["state"]])
        database["documents"].update_one({"_id": "b/two"}, {"$set": {"stored_at": at}})
        return len(await vectors.search("b", "bread"))

    assert run(work) == 2


def test_the_search_is_exact(database: Any) -> None:
    """Against every cosine, one by one."""
    texts = [f"Text {n} speaks of {' and '.join(TEXTS)} number {n * 7 % 31}." for n in range(60)]
    put(database, "b", "many", texts)
    question = "Which text speaks of number 21?"
    cosines = embed(texts) @ embed([question])[0]
    best = [texts[place] for place in numpy.argsort(-cosines)[:10]]
    assert [one["text"] for one in found("b", question, 10)] == best


def test_one_chunk_is_read_by_its_id_and_bundle(database: Any) -> None:
    put(database, "b", "one", [TEXTS["bread"]])
    name = f"b/one/{TEXTS['bread']}"
    assert run(lambda: vectors.chunk("b", name))["text"] == TEXTS["bread"]
    assert run(lambda: vectors.chunk("other", name)) is None


def test_how_it_searches_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        for _ in range(3):
            await vectors.search("b", "anything")

    with caplog.at_level(logging.WARNING, "connectors.vector_index"):
        run(work)
    said = [record.getMessage() for record in caplog.records if "search in" in record.getMessage()]
    assert len(said) == 1 and "exact cosine" in said[0] and "$vectorSearch" in said[0]


def test_init_makes_indexes_and_says_how_it_searches(database: Any) -> None:
    for _ in range(2):
        assert "exact search" in run(vectors.init_store)
    assert any("bundle_id" in str(one["key"]) for one in database["chunks"].list_indexes())


def test_the_local_server_takes_no_vectors_and_goes_on(database: Any) -> None:
    for _ in range(2):
        assert takes_vectors(database) is False
    assert database.command("ping")["ok"] == 1


def test_a_stored_vector_is_read_in_either_form() -> None:
    vector = [0.25, -1.5, 3.0]
    assert numbers(Binary.from_vector(vector, BinaryVectorDtype.FLOAT32)).tolist() == vector
    assert numbers(vector).tolist() == vector


def test_a_search_waits_while_the_store_is_away(
    killable_mongo: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONGODB_URI", killable_mongo.uri)
    with client() as mongo:
        put(mongo[shared_name()], "b", "one", [TEXTS["bread"]])

    async def work() -> int:
        await vectors.search("b", "bread")
        killable_mongo.kill()
        searching = asyncio.create_task(vectors.search("b", "bread"))
        await asyncio.sleep(1)
        assert not searching.done()
        await asyncio.to_thread(killable_mongo.start)
        return len(await searching)

    assert run(work) == 1


def shared_name() -> str:
    async def name() -> str:
        return shared_database().name

    return str(run(name))


def test_a_warm_search_reads_no_vector_again(database: Any) -> None:
    put(database, "b", "one", [TEXTS["bread"]])

    async def work() -> int:
        await vectors.search("b", "bread")
        database["chunks"].update_many({}, {"$unset": {"embedding": 1}})
        return len(await vectors.search("b", "bread"))

    assert run(work) == 1
