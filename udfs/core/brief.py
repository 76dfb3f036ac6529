"""A version of a bundle, what an agent wrote of it and the passages it was given in; the brief out.

The agent writes sections of claims with citations, and questions; the Markdown is made here. So the
numbers in it stand for checked citations and nothing else, what could not be checked says so, and
no text of a model or of a page becomes a link, an image or HTML.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from udfs.core.citations import Claim, Passage, checked_claim, plain

Json = dict[str, Any]

DEPTHS = ("introduction", "background", "detail", "depth")
QUESTIONS_LEAST, QUESTIONS_MOST = 1, 40
QUESTIONS_WANTED = 18
QUOTE_CHARS = 320
UNUSED_SHOWN = 12
_TITLES = {
    "introduction": "To begin with",
    "background": "Background",
    "detail": "In detail",
    "depth": "In depth",
}
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://\S+|\bwww\.\S+")
_MARKUP = re.compile(r"!?\[([^\]\n]*)\]\([^)\n]*\)")
_SPECIAL = re.compile(r"[\\`*\[<]|(?<!\w)_|_(?!\w)|~~|^[#>+-]|(?<=^\d)[.)]|(?<=^\d\d)[.)]")


@dataclass(frozen=True)
class Version:
    """What `complete_bundle` says, as plain values."""

    topic: str
    guest_name: str | None
    company: str | None
    version: int
    questions_wanted: int | None
    expected: int
    sources: Sequence[Json]
    missing: Sequence[Json]
    changes: Sequence[Json]
    mined_questions: Sequence[str]


def compose(
    version: Version, sections: Sequence[Json], questions: Sequence[Json], passages: Sequence[Json]
) -> Json:
    """`brief`, `questions`, `citations` and `coverage` of one version."""
    known = {one["chunk_id"]: Passage.of(one) for one in passages if one.get("chunk_id")}
    checked = [(s.get("heading") or "", _claims(s, known)) for s in sections]
    checked = [(heading, claims) for heading, claims in checked if claims]
    claims = [claim for _, found in checked for claim in found]
    numbers = _numbers(claims)
    asked = _questions(version, questions)
    coverage = _coverage(version, claims, known)
    lines = [
        *_head(version, coverage),
        *_changes(version),
        *_sections(checked, numbers),
        *_question_lines(asked),
        *_source_lines(claims, numbers, known),
        *_coverage_lines(version, coverage, numbers, known),
    ]
    return {
        "brief": "\n".join(lines) + "\n",
        "questions": [text for _, text in asked],
        "citations": _citations(claims, numbers, known),
        "coverage": coverage,
    }


def nothing_read(version: Version) -> Json:
    """The brief of a bundle of which no source could be read: it says that, and why."""
    return compose(version, (), (), ())


def safe(text: str, known_urls: Iterable[str] = ()) -> str:
    """A text of a model or a page as Markdown that shows it and does nothing else.

    Links and images become their words; an address that is no source of the bundle is taken out.
    """
    allowed = set(known_urls)
    text = _MARKUP.sub(r"\1", _visible(" ".join(text.split())))
    text = _URL.sub(lambda m: m[0] if m[0].rstrip(".,;:!?)") in allowed else "(link removed)", text)
    return _SPECIAL.sub(r"\\\g<0>", text)


def _visible(text: str) -> str:
    """The text without characters that act and are not seen: escapes, directions, halves."""
    return "".join(c for c in text if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cs"))


def _claims(section: Json, passages: Mapping[str, Passage]) -> list[Claim]:
    return [
        checked_claim(
            claim["text"],
            [(c.get("chunk_id"), c.get("quote")) for c in claim.get("citations") or ()],
            passages,
        )
        for claim in section.get("claims") or ()
        if (claim.get("text") or "").strip()
    ]


def _numbers(claims: Iterable[Claim]) -> dict[str, int]:
    """The number of each passage that proves something, in the order of the text."""
    proven = dict.fromkeys(citation.chunk_id for claim in claims for citation in claim.proven)
    return {chunk_id: number for number, chunk_id in enumerate(proven, 1)}


def _questions(version: Version, written: Sequence[Json]) -> list[tuple[str, str]]:
    """(depth, text), from introduction to depth: what the agent wrote, then what was mined."""
    wanted = version.questions_wanted or QUESTIONS_WANTED
    wanted = max(QUESTIONS_LEAST, min(wanted, QUESTIONS_MOST))
    found: dict[str, tuple[str, str]] = {}
    for one in written:
        text = " ".join((one.get("question") or "").split())
        depth = one.get("depth") if one.get("depth") in DEPTHS else "detail"
        if text:
            found.setdefault(plain(text).casefold().rstrip("?! ."), (str(depth), text))
    for question in version.mined_questions:
        text = " ".join(question.split())
        if text and len(found) < wanted:
            found.setdefault(plain(text).casefold().rstrip("?! ."), ("detail", text))
    kept = list(found.values())[:wanted]
    return sorted(kept, key=lambda one: DEPTHS.index(one[0]))


def _coverage(version: Version, claims: Sequence[Claim], passages: Mapping[str, Passage]) -> Json:
    cited = {passages[c.chunk_id].url for claim in claims for c in claim.proven}
    return {
        "expected": version.expected,
        "arrived": len(version.sources),
        "cited": len(cited),
        "claims": len(claims),
        "claims_proven": sum(bool(claim.proven) and not claim.doubts for claim in claims),
        "claims_doubtful": sum(bool(claim.proven) and bool(claim.doubts) for claim in claims),
        "claims_without_source": sum(not claim.proven for claim in claims),
        "citations_dropped": sum(len(c.citations) - len(c.proven) for c in claims),
        "missing": [{"url": m["url"], "reason": m["reason"]} for m in version.missing],
    }


def _citations(
    claims: Sequence[Claim], numbers: Mapping[str, int], passages: Mapping[str, Passage]
) -> list[Json]:
    """All that was cited: what holds with its number, then what does not, with none."""
    dropped = dict.fromkeys(c for claim in claims for c in claim.citations if c.problem)
    rows = []
    proven = dict.fromkeys(citation for claim in claims for citation in claim.proven)
    for citation in [*proven, *dropped]:
        passage = passages.get(citation.chunk_id)
        rows.append(
            {
                "number": None if citation.problem else numbers[citation.chunk_id],
                "url": passage.url if passage else None,
                "title": passage.title if passage else None,
                "chunk_id": citation.chunk_id,
                "quote": citation.quote,
                "verified": citation.problem is None,
            }
        )
    return rows


def _head(version: Version, coverage: Json) -> Iterator[str]:
    yield f"# {safe(version.topic) or 'Research brief'}"
    yield ""
    people = " of ".join(safe(who) for who in (version.guest_name, version.company) if who)
    told = [f"Version {version.version}", f"{coverage['arrived']} of {version.expected} sources"]
    yield f"*{' · '.join([*told, *([f'for a talk with {people}'] if people else [])])}*"
    yield ""
    if not version.sources:
        yield "None of the sources could be read, so there is nothing to report."
        yield ""
    elif version.missing:
        count = len(version.missing)
        what = "1 source is" if count == 1 else f"{count} sources are"
        yield f"**This brief is partial:** {what} missing; see *Coverage*."
        yield ""


def _changes(version: Version) -> Iterator[str]:
    if version.changes:
        yield f"## New since version {version.version - 1}"
        yield ""
        titles = {source["url"]: source.get("title") for source in version.sources}
        for change in version.changes:
            yield f"- {change['what']}: {_named(change['url'], titles.get(change['url']))}"
        yield ""


def _sections(
    sections: Sequence[tuple[str, list[Claim]]], numbers: Mapping[str, int]
) -> Iterator[str]:
    for heading, claims in sections:
        yield f"## {safe(heading) or 'Findings'}"
        yield ""
        for claim in claims:
            marks = " ".join(
                f"[{n}]" for n in dict.fromkeys(numbers[c.chunk_id] for c in claim.proven)
            )
            if not claim.proven:
                dropped = "the source that it named does not bear it out"
                marks = f"*({dropped if claim.citations else 'no source'})*"
            elif claim.doubts:
                marks += f" *({'; '.join(map(safe, claim.doubts))})*"
            yield f"- {safe(claim.text)} {marks}"
        yield ""


def _question_lines(questions: Sequence[tuple[str, str]]) -> Iterator[str]:
    if not questions:
        return
    yield "## Questions, from introduction to depth"
    yield ""
    last = None
    for number, (depth, text) in enumerate(questions, 1):
        if depth != last:
            if last is not None:
                yield ""
            yield f"**{_TITLES[depth]}**"
            yield ""
            last = depth
        yield f"{number}. {safe(text)}"
    yield ""


def _source_lines(
    claims: Sequence[Claim], numbers: Mapping[str, int], passages: Mapping[str, Passage]
) -> Iterator[str]:
    """Each passage's source, with what was quoted of it, unless that is the statement itself."""
    if not numbers:
        return
    yield "## Sources"
    yield ""
    said = {plain(claim.text) for claim in claims}
    quoted: dict[str, dict[str, None]] = {chunk_id: {} for chunk_id in numbers}
    for citation in (citation for claim in claims for citation in claim.proven):
        if plain(citation.quote) not in said:
            quoted[citation.chunk_id].setdefault(plain(citation.quote))
    for chunk_id, number in numbers.items():
        passage = passages[chunk_id]
        quotes = "; ".join(f"“{safe(_shortened(quote))}”" for quote in quoted[chunk_id])
        yield f"{number}. {_named(passage.url, passage.title)}{f': {quotes}' if quotes else ''}"
    yield ""


def _shortened(quote: str) -> str:
    return quote if len(quote) <= QUOTE_CHARS else quote[: QUOTE_CHARS - 1] + "…"


def _coverage_lines(
    version: Version,
    coverage: Json,
    numbers: Mapping[str, int],
    passages: Mapping[str, Passage],
) -> Iterator[str]:
    yield "## Coverage"
    yield ""
    told = "{arrived} of {expected} sources were read, {cited} are cited."
    yield f"- {told.format_map(coverage)}"
    if coverage["claims"]:
        yield (
            f"- {coverage['claims_proven']} of {coverage['claims']} statements have a quote that "
            "was found, word for word, in their source."
        )
    for name, told in (
        ("claims_doubtful", "say more than their quote does, and are marked"),
        ("claims_without_source", "have no source that holds, and are marked"),
        ("citations_dropped", "citations did not hold and were dropped"),
    ):
        if coverage[name]:
            yield f"- {coverage[name]} {told}."
    cited = {passages[chunk_id].url for chunk_id in numbers}
    unused = [source for source in version.sources if source["url"] not in cited]
    if unused and coverage["claims"]:
        shown = unused[:UNUSED_SHOWN]
        named = [safe(source.get("title") or source["url"]) for source in shown]
        more = [f"{len(unused) - UNUSED_SHOWN} more"] if len(unused) > UNUSED_SHOWN else []
        yield f"- Read and not cited: {'; '.join([*named, *more])}."
    for missing in version.missing:
        yield f"- Missing: {_named(missing['url'], None)} ({safe(missing['reason'] or 'unknown')})"


def _named(url: str, title: str | None) -> str:
    """A source's title and address, the address as a link that only it can be."""
    shown = re.sub(r"[<>\s\\]", lambda m: f"%{ord(m[0]):02X}", _visible(url))
    link = f"<{shown}>" if re.match(r"https?://", shown) else f"`{shown}`"
    words = safe(title or "")
    return f"{words}, {link}" if words and title != url else link
