"""compose_brief and brief_of_nothing, with rows as PyFlink hands them over."""

from pyflink.common import Row

from udfs.brief_functions import _compose, _of_nothing

BUNDLE = Row("Tide mills", "Holt", None, 2, 3, 2)
TEXT = "A tide mill is a water mill driven by the tide."


def test_a_draft_becomes_a_typed_brief() -> None:
    claim = Row("Tides drive it.", [Row("c1", TEXT), Row("c9", "invented from nothing")])
    made = _compose(
        BUNDLE,
        [Row("http://m.example/", "Mills", "page")],
        [Row("http://m.example/b", "http_404")],
        [Row("http://m.example/", "changed")],
        ["What is slack water?", ""],
        [Row("What it is", [claim])],
        [Row("What is a tide mill?", "introduction")],
        [Row("c1", "http://m.example/", "Mills", TEXT)],
    )
    brief, questions, citations, coverage = made
    assert "- Tides drive it. [1]" in brief and "## New since version 1" in brief
    assert questions == ["What is a tide mill?", "What is slack water?"]
    assert [(c[0], c[5]) for c in citations] == [(1, True), (None, False)]
    assert coverage[0] == 2 and list(coverage[8]) == [Row("http://m.example/b", "http_404")]


def test_a_draft_of_nulls_is_a_brief_that_says_nothing() -> None:
    brief, questions, citations, _ = _compose(BUNDLE, None, None, None, None, None, None, None)
    assert "None of the sources could be read" in brief and questions == citations == []


def test_a_bundle_of_nothing_names_what_is_missing() -> None:
    brief, *_ = _of_nothing(BUNDLE, [Row("http://m.example/b", "robots_denied")])
    assert "(robots_denied)" in brief
