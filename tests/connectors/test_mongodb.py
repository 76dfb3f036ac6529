"""Upserts, seeds and clients against a real MongoDB-wire server, also while it is away."""

import asyncio
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo.collection import Collection

from connectors import mongodb
from connectors.mongodb import (
    MongoError,
    async_client,
    bulk_upsert,
    client,
    close_shared,
    load_jsonl,
    shared_database,
    until_available,
)

Rows = Collection[dict[str, Any]]


@pytest.fixture
def collection(stack: dict[str, str]) -> Iterator[Rows]:
    with client() as mongo:
        database = mongo[f"test_{uuid.uuid4().hex[:8]}"]
        yield database["rows"]
        mongo.drop_database(database.name)


def test_the_last_document_of_an_id_wins_and_a_replay_changes_nothing(collection: Rows) -> None:
    batch = [{"_id": n % 10, "value": n} for n in range(1_000)]
    for _ in range(2):
        assert bulk_upsert(collection, batch) == 10
        assert {row["_id"]: row["value"] for row in collection.find()} == {
            n: 990 + n for n in range(10)
        }


def test_an_id_keeps_its_type_and_may_have_fields(collection: Rows) -> None:
    ids: list[Any] = [1, "1", "a_b", "a|b", {"team": "sdr", "n": 1}, {"team": "sdr", "n": 2}]
    assert bulk_upsert(collection, [{"_id": one} for one in ids]) == len(ids)
    found = [row["_id"] for row in collection.find()]
    assert sorted(map(repr, found)) == sorted(map(repr, ids))


def test_a_document_is_replaced_whole(collection: Rows) -> None:
    bulk_upsert(collection, [{"_id": 1, "old": True}])
    bulk_upsert(collection, [{"_id": 1, "new": True}])
    assert list(collection.find()) == [{"_id": 1, "new": True}]


def test_no_documents_are_no_write(collection: Rows) -> None:
    assert bulk_upsert(collection, []) == 0


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"value": 1}, "no `_id`"),
        ({"_id": None}, "no `_id`"),
        ({"_id": 1, "value": 2**63}, "BSON"),
        ({"_id": 1, "value": "half \ud800"}, "BSON"),
        ({"_id": 1, "value": object()}, "BSON"),
        ({"_id": 1, "value": "x" * (16 * 1024 * 1024)}, "16 MiB"),
    ],
)
def test_a_document_that_cannot_be_held_is_told_and_does_not_stop_the_others(
    collection: Rows, document: dict[str, Any], reason: str
) -> None:
    batch = [{"_id": "good"}, document]
    with pytest.raises(MongoError, match=reason):
        bulk_upsert(collection, batch)
    assert collection.count_documents({}) == 0
    rejected: list[str] = []
    assert bulk_upsert(collection, batch, lambda row, why: rejected.append(why)) == 1
    assert len(rejected) == 1 and reason in rejected[0]


def test_many_writers_of_one_id_do_not_fail(collection: Rows) -> None:
    def write() -> None:
        for _ in range(20):
            bulk_upsert(collection, [{"_id": n} for n in range(20)])

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collection.count_documents({}) == 20


def test_an_upsert_waits_while_the_server_is_away(killable_mongo: Any) -> None:
    with client(killable_mongo.uri) as mongo:
        rows = mongo["test"]["rows"]
        bulk_upsert(rows, [{"_id": "before"}])
        killable_mongo.kill()
        writer = threading.Thread(target=bulk_upsert, args=(rows, [{"_id": "after"}]))
        writer.start()
        writer.join(1)
        assert writer.is_alive()
        killable_mongo.start()
        writer.join(30)
        assert sorted(row["_id"] for row in rows.find()) == ["after", "before"]


def test_a_wait_ends_when_it_is_cancelled(killable_mongo: Any) -> None:
    async def main() -> None:
        killable_mongo.kill()
        async with async_client(killable_mongo.uri) as mongo:
            ping = until_available("test", lambda: mongo["test"]["rows"].find_one())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ping, 1)

    asyncio.run(main())


def test_each_loop_shares_one_client(stack: dict[str, str]) -> None:
    async def main() -> tuple[bool, str]:
        first, second = shared_database(), shared_database()
        await first["rows"].find_one()
        await close_shared()
        return first.client is second.client, first.name

    assert asyncio.run(main()) == asyncio.run(main()) == (True, "tidemill")


def test_a_missing_address_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONGODB_URI", raising=False)
    with pytest.raises(MongoError, match="tidemill up"):
        client()


def test_options_of_the_uri_win() -> None:
    uri = "mongodb://127.0.0.1:1/?appName=mine&serverSelectionTimeoutMS=77"
    options = mongodb._options(uri)
    assert "appname" not in options and "serverSelectionTimeoutMS" not in options
    assert options["uuidRepresentation"] == "standard"
    with client(uri) as mongo:
        assert mongo.options.server_selection_timeout == 0.077


def test_seeds_are_loaded_by_field_or_by_function(collection: Rows, tmp_path: Path) -> None:
    path = tmp_path / "seed.jsonl"
    path.write_text(
        '{"name": "A", "n": 1}\n\n{"name": "B", "t": "x\u2028y"}\n{"name": "A", "n": 2}\n'
    )
    assert load_jsonl(collection, path, "name") == 2
    assert collection.find_one({"_id": "A"}) == {"_id": "A", "name": "A", "n": 2}
    assert load_jsonl(collection, path, lambda row: row["name"].lower()) == 2
    assert collection.count_documents({}) == 4


@pytest.mark.parametrize("line", ["{", "[1]", "7", '{"other": 1}', '{"name": 1} {"name": 2}'])
def test_a_broken_seed_is_told_with_its_line_and_loads_nothing(
    collection: Rows, tmp_path: Path, line: str
) -> None:
    path = tmp_path / "seed.jsonl"
    path.write_text(f'{{"name": "A"}}\n{line}\n')
    with pytest.raises(MongoError, match=r"seed\.jsonl:2: expected a JSON object"):
        load_jsonl(collection, path, "name")
    assert collection.count_documents({}) == 0


def test_a_seed_that_is_not_there_is_told(collection: Rows, tmp_path: Path) -> None:
    with pytest.raises(MongoError, match="nothing.jsonl"):
        load_jsonl(collection, tmp_path / "nothing.jsonl", "name")
