"""Rows merged into documents of a real store: what is set, kept, deleted, refused and stamped."""

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from typing import Any

import pandas
import pytest
from bson.binary import Binary

from connectors.mongodb import client
from udfs.core.decode import Column
from udfs.core.types import parse_type
from udfs.mongodb_sink import MongoTarget
from udfs.mongodb_store import StoreRow, rounds, write

COLUMNS = {"id": "STRING", "place": "INT", "text": "STRING", "vector": "ARRAY<FLOAT>"}
Row = dict[str, Any]


def target(**options: Any) -> MongoTarget:
    columns = [Column(name, parse_type(kind), "value") for name, kind in COLUMNS.items()]
    given = {"delete_when_null": "place", **options}
    return MongoTarget("MONGODB_URI", None, "rows", columns, ["id"], **given)


@pytest.fixture
def rows(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    name = f"test_{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("MONGODB_DATABASE", name)
    with client() as mongo:
        yield mongo[name]["rows"]
        mongo.drop_database(name)


def store(*given: Row | str, **options: Any) -> list[str | None]:
    function = StoreRow(target(**options))
    function.open(None)  # type: ignore[arg-type]
    try:
        texts = [one if isinstance(one, str) else json.dumps(one) for one in given]
        return list(function.eval(pandas.Series(texts)))
    finally:
        function.close()


def test_a_row_sets_what_it_has_and_keeps_the_rest(rows: Any) -> None:
    assert store({"id": "a", "place": 1, "text": "t", "vector": [0.5]}) == [None]
    assert store({"id": "a", "place": 2, "text": None, "vector": None}) == [None]
    assert rows.find_one() == {"_id": "a", "id": "a", "place": 2, "text": "t", "vector": [0.5]}


def test_the_tables_column_of_null_deletes_and_a_replay_changes_nothing(rows: Any) -> None:
    given = [{"id": "a", "place": 1}, {"id": "b", "place": 1}, {"id": "a", "place": None}]
    for _ in range(2):
        assert store(*given) == [None] * 3
        assert [row["_id"] for row in rows.find()] == ["b"]


def test_a_row_without_key_writes_nothing_and_goes_on(rows: Any) -> None:
    assert store({"id": None, "place": 1}, {"id": "a", "place": 1}) == [None, None]
    assert rows.count_documents({}) == 1


def test_writes_of_one_id_are_made_in_their_order(rows: Any) -> None:
    many = [{"id": "a", "place": place, "text": str(place)} for place in (1, None, 2, None, 3)]
    others = [{"id": f"o{n}", "place": n} for n in range(5)]
    store(*(row for pair in zip(many, others, strict=True) for row in pair), max_rows=3)
    assert rows.find_one({"_id": "a"})["place"] == 3 and rows.count_documents({}) == 6


def test_what_can_never_be_stored_says_why_and_holds_up_nothing(rows: Any) -> None:
    huge = "x" * (16 * 1024 * 1024)
    found = store({"id": "a", "place": 1}, "no json", {"id": "b", "place": 2, "text": huge})
    assert found[0] is None and "not a document" in str(found[1]) and "16 MiB" in str(found[2])
    assert [row["_id"] for row in rows.find()] == ["a"]


def test_the_server_says_when_a_row_was_written(rows: Any) -> None:
    before = rows.database.command("isMaster")["localTime"]
    store({"id": "a", "place": 1}, current_date="text")
    assert rows.find_one()["text"] >= before.replace(tzinfo=dt.UTC)


def test_a_vector_is_bsons_own_where_the_server_takes_it() -> None:
    document = {"_id": "a", "id": "a", "place": 1, "text": None, "vector": [0.5, 1.0]}
    plain = write(document, target(), vectors=False)._doc["$set"]
    packed = write(document, target(), vectors=True)._doc["$set"]
    assert plain["vector"] == [0.5, 1.0]
    assert isinstance(packed["vector"], Binary) and packed["vector"].as_vector().data == [0.5, 1.0]


def test_rounds_keep_order_and_name_each_id_once() -> None:
    numbered = [(n, {"_id": f"{n % 3}"}) for n in range(10)]
    cut = rounds(numbered, 100)
    assert [one for batch in cut for one in batch] == numbered
    assert all(len({one["_id"] for _, one in batch}) == len(batch) for batch in cut)
    assert [len(batch) for batch in rounds([(n, {"_id": n}) for n in range(7)], 3)] == [3, 3, 1]
