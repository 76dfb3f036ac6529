"""A draft's claims and the passages that its searches returned in; what is proven of it out.

A citation holds where its passage came back from a search of this run (and searches see one bundle)
and where its quote stands in that passage, word for word, whatever spaces, quotation marks and
hyphens it is set with. What does not hold gets no number. A claim that is left without a number, or
that tells a figure or a quotation which none of its passages has, is marked.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

QUOTE_CHARS_LEAST = 12
QUOTATION_CHARS_LEAST = 20

_SAME = str.maketrans(
    {
        **dict.fromkeys("“”„‟«»″〝〞", '"'),
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("‐‑‒–—―−", "-"),
        **dict.fromkeys("\u00ad\u200b\u200c\u200d\u2060\ufeff", None),
    }
)
_ELIDED = re.compile(r"\s*(?:\[\s*)?(?:…|\.\.\.)(?:\s*\])?\s*")
_QUOTATION = re.compile(r'"([^"]+)"')
_FIGURE = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Passage:
    """A chunk that a search returned."""

    chunk_id: str
    url: str
    title: str
    text: str

    @classmethod
    def of(cls, chunk: Mapping[str, Any]) -> "Passage":
        """What a search returned; a source without a title is called by its address."""
        url = chunk.get("url") or ""
        return cls(chunk["chunk_id"], url, chunk.get("title") or url, chunk.get("text") or "")


@dataclass(frozen=True)
class Citation:
    """What a claim names as its source. `problem` is None where it holds."""

    chunk_id: str
    quote: str
    problem: str | None


@dataclass
class Claim:
    """One checked statement. `doubts` are sentences about what its passages do not bear out."""

    text: str
    citations: list[Citation]
    doubts: list[str] = field(default_factory=list)

    @property
    def proven(self) -> list[Citation]:
        return [citation for citation in self.citations if citation.problem is None]


def plain(text: str) -> str:
    """The text in one spelling of spaces, quotation marks, hyphens and compatible letters."""
    return " ".join(unicodedata.normalize("NFKC", text).translate(_SAME).split())


def stands_in(quote: str, text: str) -> bool:
    """Whether each part of a quote (`…` leaves something out) stands in the text, in order."""
    within, at = plain(text), 0
    for part in _ELIDED.split(plain_elisions(quote)):
        part = plain(part).strip("\"' ")
        found = within.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return True


def plain_elisions(quote: str) -> str:
    """The quote without an elision at its ends, where it says nothing."""
    return re.sub(r"^(?:\s|…|\.{3}|\[…\])+|(?:\s|…|\.{3}|\[…\])+$", "", quote)


def checked_citation(
    chunk_id: str | None, quote: str | None, passages: Mapping[str, Passage]
) -> Citation:
    """One citation, with what is wrong with it."""
    chunk_id, quote = (chunk_id or "").strip(), (quote or "").strip()
    passage = passages.get(chunk_id)
    problem = None
    if passage is None:
        problem = "no search of this run returned this passage"
    elif len(plain(quote)) < QUOTE_CHARS_LEAST and plain(quote) != plain(passage.text):
        problem = "its quote is too short to prove anything"
    elif not stands_in(quote, passage.text):
        problem = "its quote does not stand in the passage"
    return Citation(chunk_id, quote, problem)


def checked_claim(
    text: str, cited: Iterable[tuple[str | None, str | None]], passages: Mapping[str, Passage]
) -> Claim:
    """A claim with its citations checked, and its own quotations and figures."""
    found = dict.fromkeys(checked_citation(chunk_id, quote, passages) for chunk_id, quote in cited)
    claim = Claim(" ".join(text.split()), list(found))
    bearing = [passages[citation.chunk_id].text for citation in claim.proven]
    if bearing:
        claim.doubts += _doubts(claim.text, bearing)
    return claim


def _doubts(text: str, bearing: Sequence[str]) -> list[str]:
    doubts = []
    for quotation in _QUOTATION.findall(plain(text)):
        long_enough = len(quotation) >= QUOTATION_CHARS_LEAST
        if long_enough and not any(stands_in(quotation, one) for one in bearing):
            doubts.append("a quotation in it does not stand in its source")
            break
    known = {figure for one in bearing for figure in _figures(one)}
    if unknown := [figure for figure in _figures(text) if figure not in known]:
        doubts.append(f"not in its source: {', '.join(dict.fromkeys(unknown))}")
    return doubts


def _figures(text: str) -> list[str]:
    """Numbers in one spelling: 1,200 and 1200 are the same."""
    return [found.replace(",", "") for found in _FIGURE.findall(plain(text))]
