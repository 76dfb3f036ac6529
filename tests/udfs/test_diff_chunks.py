"""What diff_chunks says of versions of a document, from its memory and from the store."""

import asyncio
from typing import Any

import pytest

from connectors.embedding import model_name
from connectors.mongodb import close_shared
from udfs.core.chunk_diff import document_id
from udfs.core.slot import Entry
from udfs.core.types import Type
from udfs.diff_chunks import TAKES, DiffChunks
from udfs.keyed_function import BadCall, Result

TEXT = "\n\n".join(
    f"# Part {n}\n\n" + f"What part {n} says, it says at length. " * 12 for n in range(4)
)
COLUMNS = [(name, Type(kind)) for name, kind in TAKES.items()]


def ran(row: dict[str, Any], memory: dict[str, Any] | None, max_tokens: int = 100) -> Result:
    whole = {"bundle_id": "b", "url": "u", "status": "document", "title": "T", "content": None}
    entry = Entry(0, "k", {**whole, "content_hash": None, **row}, {}, 0)

    async def main() -> Result:
        function = DiffChunks(max_tokens, 10)
        await function.open()
        try:
            return await function.run(entry, [memory] if memory else [])
        finally:
            await close_shared()

    return asyncio.run(main())


def kinds(result: Result) -> list[str]:
    assert result.values is not None
    return [change["change"] for change in result.values["changes"]]


def store(database: Any, result: Result) -> None:
    """What the job writes of a result; the vectors say whose they are."""
    assert result.values is not None
    for number, change in enumerate(result.values["changes"][:-1]):
        row = {"model": model_name(), **change, "embedding": [float(number), 0.5]}
        database["chunks"].replace_one({"_id": change["chunk_id"]}, row, upsert=True)
    ids = result.values["changes"][-1]["chunk_ids"]
    name = document_id("b", "u")
    document = {"title": "T", "content_hash": "1", "chunk_ids": ids}
    database["documents"].replace_one({"_id": name}, document, upsert=True)


def vectors(result: Result) -> list[Any]:
    assert result.values is not None
    return [one["embedding"] for one in result.values["changes"] if one["change"] == "added"]


def test_the_same_content_is_not_even_cut(database: Any) -> None:
    first = ran({"content": TEXT, "content_hash": "1"}, None)
    assert len(kinds(first)) > 4 and first.remember
    again = ran({"content": "not what the hash says", "content_hash": "1"}, first.remember)
    assert kinds(again) == ["done"] and again.values and not again.values["is_changed"]
    assert again.values["chunk_count"] == len(kinds(first)) - 1
    assert again.remember == first.remember


def test_other_sizes_of_chunks_cut_the_same_content_again(database: Any) -> None:
    first = ran({"content": TEXT, "content_hash": "1"}, None)
    assert len(kinds(ran({"content": TEXT, "content_hash": "1"}, first.remember, 60))) > 1


def test_a_status_of_unchanged_needs_no_content(database: Any) -> None:
    first = ran({"content": TEXT, "content_hash": "1"}, None)
    again = ran({"status": "unchanged", "title": None}, first.remember)
    assert kinds(again) == ["done"] and again.remember == first.remember


def test_a_document_that_is_gone_loses_all_of_its_chunks(database: Any) -> None:
    first = ran({"content": TEXT, "content_hash": "1"}, None)
    gone = ran({"status": "removed"}, first.remember)
    assert set(kinds(gone)) == {"removed", "done"} and gone.values
    assert gone.values["chunk_count"] == 0 and gone.values["is_changed"]
    back = ran({"content": TEXT, "content_hash": "1"}, gone.remember)
    assert kinds(back) == kinds(first)


def test_a_job_that_began_anew_writes_all_again_and_embeds_nothing(database: Any) -> None:
    first = ran({"content": TEXT, "content_hash": "1"}, None)
    assert set(map(type, vectors(first))) == {type(None)}
    store(database, first)
    for row in ({"content": TEXT, "content_hash": "1"}, {"status": "unchanged"}):
        again = ran(row, None)
        assert kinds(again) == kinds(first)
        assert vectors(again) == [[float(number), 0.5] for number in range(len(vectors(first)))]
    removed = ran({"status": "removed"}, None)
    assert removed.values and removed.values["removed_count"] == len(vectors(first))


def test_what_was_stored_before_a_crash_is_written_again_with_its_vector(database: Any) -> None:
    """The state is that of the checkpoint, the store is further; events may have been lost."""
    before = ran({"content": "", "content_hash": "0"}, None)
    first = ran({"content": TEXT, "content_hash": "1"}, before.remember)
    store(database, first)
    again = ran({"content": TEXT, "content_hash": "1"}, before.remember)
    assert kinds(again) == kinds(first) and None not in vectors(again)


def test_another_model_embeds_what_is_stored_even_without_content(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = ran({"content": TEXT, "content_hash": "1"}, None)
    store(database, first)
    monkeypatch.setenv("TIDEMILL_EMBEDDING_MODEL", "openai:another")
    for memory in (first.remember, None):
        again = ran({"status": "unchanged"}, memory)
        assert again.values and again.values["model"] == "openai:another"
        assert kinds(again) == kinds(first) and set(map(type, vectors(again))) == {type(None)}
        texts = {change["text"] for change in again.values["changes"]}
        assert texts == {change["text"] for change in (first.values or {})["changes"]}


def test_vectors_of_another_model_are_not_taken(database: Any) -> None:
    first = ran({"content": TEXT, "content_hash": "1"}, None)
    store(database, first)
    database["chunks"].update_one({}, {"$set": {"model": "another"}})
    assert vectors(ran({"content": TEXT, "content_hash": "1"}, None)).count(None) == 1


def test_an_empty_page_has_no_chunks_and_is_done(database: Any) -> None:
    found = ran({"content": "", "content_hash": "e"}, None)
    assert kinds(found) == ["done"] and found.values and found.values["chunk_count"] == 0


@pytest.mark.parametrize("row", [{"bundle_id": ""}, {"bundle_id": None}, {"url": ""}])
def test_a_document_of_no_bundle_or_url_is_a_dead_letter(row: dict[str, Any]) -> None:
    assert ran(row, {"model": "m"}).reason == "no_document"


@pytest.mark.parametrize(
    ("arguments", "place"),
    [
        ({"agent": "a"}, "agent"),
        ({"max_tokens": 255}, "max_tokens"),
        ({"max_tokens": "200"}, "max_tokens"),
        ({"max_tokens": 100, "overlap_tokens": 100}, "overlap_tokens"),
        ({"overlap_tokens": -1}, "overlap_tokens"),
    ],
)
def test_a_wrong_call_is_told_at_its_place(arguments: dict[str, Any], place: str) -> None:
    with pytest.raises(BadCall) as error:
        DiffChunks.plan(arguments, COLUMNS, None)  # type: ignore[arg-type]
    assert error.value.argument == place


def test_an_input_that_lacks_a_column_is_told() -> None:
    with pytest.raises(BadCall, match="content_hash nowhere"):
        DiffChunks.plan({}, COLUMNS[:-1], None)  # type: ignore[arg-type]
