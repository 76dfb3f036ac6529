"""What a visit comes to: by what was found, and by what the bundle knew before."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from udfs.core import ingest
from udfs.core.ingest import Known, Outcome, Source, found, not_found, recalled, refusal, remembered
from udfs.core.types import decode, row_type
from udfs.ingest import IngestSource


@dataclass(frozen=True)
class Item:
    url: str
    kind: str = "page"
    title: str | None = None
    published_at: str | None = None


@dataclass(frozen=True)
class Read:
    text: str | None = None
    title: str | None = None
    published_at: str | None = None
    entries: list[Item] = field(default_factory=list)
    total: int = 0


def source(**given: Any) -> Source:
    row = {
        "bundle_id": "b1",
        "url": "https://a.example/x",
        "asked_kind": None,
        "parent_url": None,
        "listed_title": None,
        "listed_at": None,
        "depth": 0,
    }
    return Source.of({**row, **given})


def visit(text: str, known: Known | None = None, **given: Any) -> Outcome:
    return found(source(**given), known, "page", Read(text), {"etag": '"1"', "kind": "page"})


def test_a_text_that_is_new_to_the_bundle_is_a_document() -> None:
    outcome = found(
        source(), None, "page", Read("Mills.", "Mills", "2026-03-02T00:00:00Z"), {"etag": "x"}
    )
    values = outcome.values
    assert (values["status"], values["content"], values["title"]) == ("document", "Mills.", "Mills")
    assert values["published_at"] == "2026-03-02T00:00:00.000Z"
    assert outcome.known and outcome.known.content_hash == values["content_hash"]


def test_every_outcome_fits_the_columns_that_the_function_declares() -> None:
    columns = row_type(IngestSource().output_columns())
    entry = Item("https://a.example/1", "page", "One", "2026-02-30T00:00:00Z")
    for outcome in (
        visit("x"),
        found(source(), None, "feed", Read(entries=[entry], total=3), {}),
        not_found(source(), None, "http_404", "gone", True),
        found(source(), Known({}, "h"), "page", None, {}),
    ):
        assert len(decode(outcome.values, columns)) == len(columns.fields)


def test_a_page_without_title_and_date_has_those_of_its_listing() -> None:
    listed = {"listed_title": "From the feed", "listed_at": "2026-01-31T10:00:00+01:00"}
    values = visit("x", **listed).values
    assert values["title"] == "From the feed"
    assert values["published_at"] == "2026-01-31T09:00:00.000Z"


def test_the_same_text_again_is_unchanged_and_has_no_content() -> None:
    first = visit("Mills.")
    again = visit("Mills.", first.known)
    assert (again.values["status"], again.values["content"]) == ("unchanged", None)
    assert again.values["content_hash"] == first.values["content_hash"]


def test_what_the_site_says_has_not_changed_is_unchanged() -> None:
    known = visit("Mills.").known
    outcome = found(source(), known, "page", None, {"etag": '"2"'})
    assert outcome.values["status"] == "unchanged" and outcome.values["content"] is None
    assert outcome.known and outcome.known.noted == {"etag": '"2"'}


def test_another_text_is_a_document_and_another_event() -> None:
    first = visit("Mills.")
    second = visit("Mills and tides.", first.known)
    assert second.values["status"] == "document"
    assert second.values["edition"] != first.values["edition"]
    assert visit("Mills.").values["edition"] == first.values["edition"]


def test_another_bundle_gets_the_text_of_an_address_that_one_has_read() -> None:
    memory = [remembered([], "b1", visit("Mills.").known)]
    assert recalled(memory, "b2") is None
    memory = [remembered(memory, "b2", visit("Mills.").known)]
    assert recalled(memory, "b1") == recalled(memory, "b2") == visit("Mills.").known


def test_memory_is_json_and_bounded() -> None:
    memory: list[dict[str, Any]] = []
    for number in range(ingest.BUNDLES_MAX + 5):
        memory = [json.loads(json.dumps(remembered(memory, f"b{number}", Known({"etag": "x"}))))]
    assert recalled(memory, "b4") is None
    assert recalled(memory, "b5") == Known({"etag": "x"})


def test_a_page_that_is_gone_is_removed_once_then_failed() -> None:
    known = visit("Mills.").known
    gone = not_found(source(), known, "http_410", "it is gone", True)
    assert gone.values["status"] == "removed" and gone.known is None
    again = not_found(source(), None, "http_410", "it is gone", True)
    assert (again.values["status"], again.values["reason"]) == ("failed", "http_410")


def test_a_page_that_is_only_away_stays_known() -> None:
    known = visit("Mills.").known
    away = not_found(source(), known, "http_503", "busy", False)
    assert away.values["status"] == "failed" and away.known == known


def test_a_listing_gives_its_entries_in_order_and_says_what_it_leaves_out() -> None:
    entries = [Item(f"https://a.example/{n}") for n in range(3)]
    outcome = found(source(), None, "feed", Read(entries=entries, total=10_000), {})
    values = outcome.values
    assert values["status"] == "listing"
    assert values["found_urls"] == [entry.url for entry in entries]
    assert len({entry["number"] for entry in values["entries"]}) == 3
    assert values["message"] == "the first 3 of its 10000 entries are taken"
    # An entry's number does not depend on its place: a feed that grew gives the same event again.
    grown = found(source(), None, "feed", Read(entries=[Item("https://a/0"), *entries]), {})
    assert grown.values["entries"][1:] == values["entries"]


def test_a_listing_never_makes_a_row_that_is_too_large() -> None:
    entries = [
        Item("https://a.example/" + "x" * 2_000 + str(n), title="t" * 300) for n in range(999)
    ]
    values = found(source(), None, "feed", Read(entries=entries, total=999), {}).values
    assert len(json.dumps(values)) < 1_000_000
    assert values["message"] and len(values["found_urls"]) < 999


def test_a_vanished_file_is_visited_again_though_it_is_listed_no_more() -> None:
    outcome = found(
        source(url="file:///d"),
        None,
        "folder",
        Read(entries=[Item("file:///d/a")], total=1),
        {},
        [Item("file:///d/b", "file")],
    )
    assert outcome.values["found_urls"] == ["file:///d/a"]
    assert [e["url"] for e in outcome.values["entries"]] == ["file:///d/a", "file:///d/b"]


def test_a_listing_at_the_last_level_is_not_followed() -> None:
    outcome = found(source(depth=2), None, "feed", Read(entries=[Item("https://a/1")], total=1), {})
    assert (outcome.values["status"], outcome.values["reason"]) == ("failed", "too_deep")


@pytest.mark.parametrize("text", ["x" * 3_000_000, "ы" * 400_000, "😀" * 200_000, '"\\' * 600_000])
def test_a_long_text_is_cut_to_fit_a_record_and_says_so(text: str) -> None:
    values = visit(text).values
    assert 700_000 < len(json.dumps(values)) < 1_000_000
    assert text.startswith(values["content"])
    left_out = len(text) - len(values["content"])
    assert values["message"] == f"{left_out} characters at its end are left out"


def test_half_a_character_is_replaced() -> None:
    assert visit("a\ud800b").values["content"] == "a\ufffdb"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"bundle_id": None}, "no_bundle"),
        ({"bundle_id": "x" * 600}, "no_bundle"),
        ({"url": None}, "odd_url"),
        ({"url": "https://a.example/" + "x" * 3_000}, "odd_url"),
        ({"asked_kind": "database"}, "unknown_kind"),
        ({"depth": 3}, "too_deep"),
        ({"depth": -1}, "too_deep"),
        ({"parent_url": "https://a/feed", "url": "file:///etc/passwd"}, "scheme"),
        ({"parent_url": "https://a/feed", "url": "gopher://a/"}, "scheme"),
        ({"parent_url": "", "url": "file:///etc/passwd"}, "scheme"),
    ],
)
def test_what_is_not_even_visited(given: dict[str, Any], reason: str) -> None:
    refused = refusal(source(**given))
    assert refused and refused[0] == reason


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"url": "file:///d", "asked_kind": "folder"},
        {"url": "file:///d/a.md", "parent_url": "file:///d", "depth": 1},
        {"parent_url": "https://a/feed", "depth": 1},
    ],
)
def test_what_is_visited(given: dict[str, Any]) -> None:
    assert refusal(source(**given)) is None
