"""What changes in the store when a document changes: by hand, and for any two versions."""

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from udfs.core.chunk_diff import (
    CHANGE_COLUMNS,
    Difference,
    Stored,
    compare,
    document_id,
    identified,
)

TARGET = Stored("m", "T", "h")


def chunks(*texts: str) -> list[dict[str, Any]]:
    start, found = 0, []
    for text in texts:
        row = {"text": text, "start_char": start, "end_char": start + len(text)}
        found.append(
            {**row, "token_count": 1, "chunk_hash": hashlib.md5(text.encode()).hexdigest()}
        )
        start += len(text)
    return found


def difference(stored: Stored, *texts: str, target: Stored = TARGET) -> Difference:
    return compare(identified("b", "u", chunks(*texts)), target, stored)


def kinds(found: Difference) -> list[str]:
    return [change["change"] for change in found.changes]


def test_a_new_document_adds_all_of_its_chunks_and_says_when_it_is_done() -> None:
    found = difference(Stored(), "one", "two")
    assert kinds(found) == ["added", "added", "done"]
    assert [change["text"] for change in found.changes] == ["one", "two", None]
    assert all(set(change) == set(CHANGE_COLUMNS) for change in found.changes)
    assert found.changes[-1]["chunk_id"] is None and found.is_changed
    assert found.changes[-1]["chunk_ids"] == list(found.stored.chunks)


def test_the_same_again_changes_nothing() -> None:
    stored = difference(Stored(), "one", "two").stored
    again = difference(Stored(**stored.to_json()), "one", "two")
    assert kinds(again) == ["done"] and not again.is_changed and again.stored == stored


def test_a_chunk_that_only_moves_keeps_its_vector() -> None:
    stored = difference(Stored(), "one", "two").stored
    found = difference(stored, "new", "one", "two")
    assert kinds(found) == ["added", "moved", "moved", "done"]
    assert all(change["text"] is None for change in found.changes if change["change"] == "moved")
    assert [change["chunk_index"] for change in found.changes] == [0, 1, 2, None]


def test_a_chunk_that_is_gone_is_removed() -> None:
    stored = difference(Stored(), "one", "two").stored
    found = difference(stored, "one")
    assert kinds(found) == ["removed", "done"]
    assert found.changes[0]["chunk_index"] is None and found.count("removed") == 1


def test_another_model_embeds_everything_anew_under_the_same_ids() -> None:
    stored = difference(Stored(), "one", "two").stored
    found = difference(stored, "one", "two", target=Stored("other", "T", "h"))
    assert kinds(found) == ["added", "added", "done"]
    assert set(found.stored.chunks) == set(stored.chunks) and found.stored.model == "other"


def test_another_title_reaches_all_chunks_without_a_vector() -> None:
    stored = difference(Stored(), "one", "two").stored
    found = difference(stored, "one", "two", target=Stored("m", "Renamed", "h"))
    assert kinds(found) == ["moved", "moved", "done"]


def test_a_text_that_stands_there_twice_is_two_chunks() -> None:
    found = difference(Stored(), "same", "same")
    assert kinds(found) == ["added", "added", "done"] and len(found.stored.chunks) == 2


def test_ids_do_not_collide_over_bundles_and_urls() -> None:
    pairs = [("a", "bc"), ("ab", "c"), ('a","b', "c"), ("a", 'b","c')]
    assert len({document_id(*pair) for pair in pairs}) == len(pairs)
    found = [next(iter(identified(*pair, chunks("x")))) for pair in pairs]
    assert len(set(found)) == len(pairs)


def applied(held: dict[str, list[int]], found: Difference) -> dict[str, list[int]]:
    """A store that does what it is told. A chunk is moved only where it is, added where not."""
    for change in found.changes:
        name, place = (
            change["chunk_id"],
            [change[k] for k in ("chunk_index", "start_char", "end_char")],
        )
        if change["change"] == "removed":
            del held[name]
        elif change["change"] != "done":
            assert (name in held) == (change["change"] == "moved")
            held[name] = place
    return held


@given(st.lists(st.lists(st.sampled_from(["a", "b", "cc", "ddd"]), max_size=8), max_size=6))
def test_the_store_is_what_the_last_version_alone_would_have_made(
    versions: list[list[str]],
) -> None:
    held: dict[str, list[int]] = {}
    stored = Stored()
    for texts in versions:
        found = difference(stored, *texts)
        held, stored = applied(held, found), Stored(**found.stored.to_json())
    last = versions[-1] if versions else []
    assert held == applied({}, difference(Stored(), *last))
