"""Instructions and descriptions in; the criteria that they set for labels out.

Understands what people write: "Nurture when there is interest but no budget", "70 or more →
Actively Engage", a label as a heading over bullets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from deploy.offline_model.lexicon import Unit, units
from deploy.offline_model.text import NEGATORS, weight

NUMBER = r"(-?\d+(?:[.,]\d+)?)\s*(k|m|%|million|thousand)?"
_MORE = r"(?:more|above|higher|over|up|greater|better)"
_LESS = r"(?:less|below|lower|under|fewer|worse)"
_COMPARISONS = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (rf"\b(?:between|from)\s+{NUMBER}\s+(?:and|to)\s+{NUMBER}", "range"),
        (rf"{NUMBER}\s*(?:-|–|—|\.\.|\bto\b)\s*{NUMBER}", "range"),
        (rf"(?:>=|≥|\bat least|\bminimum(?: of)?|\bno less than|\bfrom)\s*{NUMBER}", "least"),
        (rf"(?:>|\bover|\b{_MORE} than|\babove|\bexceed\w*)\s*[$€£]?{NUMBER}", "above"),
        (rf"(?:<=|≤|\bat most|\bmaximum(?: of)?|\bno more than|\bup to)\s*[$€£]?{NUMBER}", "most"),
        (rf"\bwithin\s*{NUMBER}", "most"),
        (rf"(?:<|\bbelow|\bunder|\b{_LESS} than)\s*[$€£]?{NUMBER}", "below"),
        (rf"{NUMBER}\s*(?:\+|(?:\w+ )?(?:or|and) {_MORE})", "least"),
        (rf"{NUMBER}\s*(?:\w+ )?(?:or|and) {_LESS}", "most"),
    )
)
_SCORE_WORD = re.compile(r"\b(?:scor(?:e|es|ed|ing)|points?|rating|rated)\b", re.I)
_NEGATIVE = re.compile(
    r"\b(?:no|not|without|lacks?|lacking|missing|never|none|neither|absent|unrelated "
    r"to|irrelevant to"
    r"|outside|isn't|aren't|doesn't|don't|hasn't|haven't|unclear|insufficient|nobody)\b",
    re.I,
)
_REST = re.compile(
    r"\b(?:otherwise|everything else|anything else|all others?|any other|every other|the rest|else"
    r"|none of (?:the )?(?:above|these|others)|not covered|catch.?all|in all other cases|by default"
    r"|does not fit|nothing else)\b",
    re.I,
)
_REST_LABELS = frozenset(
    "other others unknown none general misc miscellaneous unclear undetermined rest "
    "n/a default".split()
)
_SPLIT_LIST = re.compile(
    r"[,;]\s+(?:and\s+|or\s+)?|\s+or\s+(?!more\b|above|higher|over|up\b|greater|better"
    r"|less|below|lower|under|fewer"
    r"|worse)|\s+and\s+(?!\d|above|over|up\b|below|under)(?:a |an |the )?|/(?=[a-z]{3})| & ",
    re.I,
)
_CONTRAST = re.compile(r"\s*(?:,|;)?\s*\b(?:but|although|though|while|however|yet)\b\s*", re.I)
_EXAMPLES = re.compile(r"\((?:e\.g\.|for example|such as|like)?:?\s*([^)]*)\)")
_UNLESS = re.compile(r"\b(?:unless|except(?: for| when| if)?)\b", re.I)


@dataclass(frozen=True)
class Condition:
    """A number within bounds; `of_score` when it is about the score in the same reply."""

    low: float
    high: float
    of_score: bool


@dataclass(frozen=True)
class Clause:
    """One thing that should hold (or, `negative`, should not)."""

    text: str
    units: tuple[Unit, ...]
    negative: bool
    conditions: tuple[Condition, ...]


@dataclass(frozen=True)
class Criterion:
    """A sentence about a label: clauses of which one (`any_`) or all should hold."""

    clauses: tuple[Clause, ...]
    any_: bool
    rest: bool
    text: str
    heads: int = 0
    """How many clauses at the beginning only name what the others spell out."""


@lru_cache(maxsize=4_096)
def criterion(text: str) -> Criterion:
    """A piece of rubric as clauses."""
    head, colon, spelled_out = text.partition(": ")
    if colon and len(head.split()) <= 8 and re.search(r"[,;]|\bor\b", spelled_out):
        heading, rest_of_it = criterion(head), criterion(spelled_out)
        clauses = heading.clauses + rest_of_it.clauses
        return Criterion(clauses, True, rest_of_it.rest, text, len(heading.clauses))
    found: list[Clause] = []
    rest = _REST.search(text) is not None
    any_ = False
    for number, side in enumerate(_UNLESS.split(text)):
        side = _EXAMPLES.sub(r", \1, or ", side)
        any_ = any_ or re.search(r"\bor\b|/| such as | like ", side) is not None
        for part in _CONTRAST.split(side):
            negative = False
            for piece in _SPLIT_LIST.split(_REST.sub(" ", part)):
                own = _NEGATIVE.search(piece) is not None
                negative = own or (negative and not re.search(r"\bwith\b|\bhas\b|\bis\b", piece))
                clause = _clause(piece, negative != (number > 0))
                if clause is not None:
                    found.append(clause)
    return Criterion(tuple(found[:24]), any_, rest, text.strip())


def _clause(piece: str, negative: bool) -> Clause | None:
    conditions, remaining = [], piece
    set_phrases = [u for u in units(piece) if len(u.stems) > 1 and NEGATORS & set(u.stems)]
    if set_phrases:
        negative = False
    for pattern, kind in _COMPARISONS:
        for match in pattern.finditer(remaining):
            conditions.append((_bounds(kind, match.groups()), match.end()))
        remaining = pattern.sub(" ", remaining)
    words_left = tuple(
        unit
        for unit in units(
            _SCORE_WORD.sub(" ", remaining if set_phrases else _NEGATIVE.sub(" ", remaining))
        )
        if not unit.stems[0].isdigit()
    )
    if not words_left and not conditions:
        return None
    telling = any(weight(one) > 0.3 for unit in words_left for one in unit.stems)
    of_score = _SCORE_WORD.search(piece) is not None or not telling
    return Clause(
        piece.strip(),
        words_left,
        negative and not conditions,
        tuple(Condition(low, high, of_score) for (low, high), _ in conditions),
    )


def _bounds(kind: str, groups: Sequence[str | None]) -> tuple[float, float]:
    first = number_of(groups[0], groups[1])
    if kind == "range":
        second = number_of(groups[2], groups[3])
        return min(first, second), max(first, second)
    infinity, step = float("inf"), 1e-9
    return {
        "least": (first, infinity),
        "above": (first + step, infinity),
        "most": (-infinity, first),
        "below": (-infinity, first - step),
    }[kind]


def number_of(digits: str | None, scale: str | None) -> float:
    value = float((digits or "0").replace(",", "."))
    return value * {"k": 1e3, "thousand": 1e3, "m": 1e6, "million": 1e6}.get(
        (scale or "").lower(), 1.0
    )


def label_criteria(labels: Sequence[str], lines: Iterable[str]) -> dict[str, list[Criterion]]:
    """For each label the criteria that the lines set for it."""
    return {
        label: list(found)
        for label, found in zip(labels, _criteria(tuple(labels), tuple(lines)), strict=True)
    }


@lru_cache(maxsize=512)
def _criteria(labels: tuple[str, ...], lines: tuple[str, ...]) -> tuple[tuple[Criterion, ...], ...]:
    found: dict[str, list[Criterion]] = {label: [] for label in labels}
    patterns = {label: _label_pattern(label) for label in labels}
    under = ""
    for line in lines:
        heading = line.strip(" *#-•:|`\"'").lower()
        named = next((label for label in labels if _same_words(heading, label)), "")
        if named:
            under = named
            continue
        pieces = list(_labelled_pieces(line, patterns))
        if pieces:
            under = ""
            for label, piece in pieces:
                found[label].append(criterion(piece))
        elif under and not line.rstrip().endswith(":"):
            found[under].append(criterion(line))
        else:
            under = ""
    return tuple(tuple(found[label]) for label in labels)


def _same_words(one: str, other: str) -> bool:
    return re.sub(r"[\W_]+", " ", one).strip() == re.sub(r"[\W_]+", " ", other.lower()).strip()


def _label_pattern(label: str) -> re.Pattern[str]:
    body = r"[\s_-]+".join(re.escape(word) for word in re.split(r"[\s_-]+", label) if word)
    flags = re.NOFLAG if label.isupper() and len(label) <= 3 else re.IGNORECASE  # IT is not "it"
    return re.compile(rf"(?<![\w-]){body}(?![\w-])", flags)


_BEFORE = re.compile(
    r"(?:^|[;.:|(\[,]|→|->|=>|=|\b(?:then|choose|use|pick|is|as|be|to|mark|set|select"
    r"|and|or|means?|answer"
    r"|say|return|it|them|otherwise|else|for|next_step|route|classify|assign|call"
    r"|status|label|level"
    r"|priority|severity))[\s\"'`*“(|]*$",
    re.I,
)
_AFTER = re.compile(
    r"^[\"'`*”)]*\s*(?:[:—–=(|→]|-+>?\s|=>|\b(?:if|when|where|whenever|unless|means"
    r"|for|is for|only|covers|is"
    r"|applies|in case|leads?|those|any|all|everything|every|who|without|with|at|from"
    r"|below|above|under"
    r"|over|score|covers?|includes?)\b)",
    re.I,
)
_POINTS_BACK = re.compile(
    r"(?:→|->|=>|\bthen|\bis|\bas|\bbe|\bto|\bare|\bmeans|=|:|,)[\s\"'`*“]*$", re.I
)
_LEAD_IN = re.compile(
    r"^[^:]{0,60}\b(?:next.?step|choose|one of|either|label|category|status|decide"
    r"|set)\b[^:]{0,40}:?\s*$",
    re.I,
)


def _labelled_pieces(line: str, patterns: dict[str, re.Pattern[str]]) -> Iterable[tuple[str, str]]:
    """Pieces of a line with the label that each is about."""
    under = ""
    for sentence in re.split(r"(?<=[.;])\s+(?=[A-Z\"'`*\d])|;\s*", line):
        mentions = _mentions(sentence, patterns)
        if not mentions:
            if under:
                yield under, sentence
            continue
        leads = len(mentions) == 1 and not re.sub(r"\W", "", sentence[: mentions[0][1]])
        under = mentions[0][0] if leads else ""
        if _labels_come_last(sentence, mentions):
            start = 0
            for label, begin, end in mentions:
                yield label, sentence[start:begin]
                start = end
            continue
        for number, (label, _, end) in enumerate(mentions):
            until = mentions[number + 1][1] if number + 1 < len(mentions) else len(sentence)
            piece = sentence[end:until]
            if number == 0 and mentions[0][1] > 0 and len(mentions) == 1:
                before = sentence[: mentions[0][1]]
                piece = piece if _LEAD_IN.match(before) else f"{before}, {piece}"
            if piece.strip(" ,:;.-–—\"'`*|()or"):
                yield label, piece.strip(" ,:;-–—\"'`*|=>")


def _mentions(sentence: str, patterns: dict[str, re.Pattern[str]]) -> list[tuple[str, int, int]]:
    found: list[tuple[str, int, int]] = []
    for label, pattern in patterns.items():
        for match in pattern.finditer(sentence):
            before, after = sentence[: match.start()].rstrip(" "), sentence[match.end() :]
            quoted = before[-1:] in "\"'`*“" and after[:1] in "\"'`*”" and bool(before)
            if quoted or _BEFORE.search(sentence[: match.start()]) or _AFTER.match(after):
                found.append((label, match.start(), match.end()))
                break
    found.sort(key=lambda one: (one[1], -one[2]))
    return [one for n, one in enumerate(found) if n == 0 or one[1] >= found[n - 1][2]]


def _labels_come_last(sentence: str, mentions: list[tuple[str, int, int]]) -> bool:
    before = sentence[: mentions[0][1]]
    after = sentence[mentions[-1][2] :].strip(" .;,\"'`*)|")
    if not re.sub(r"[^\w]", "", before) or _LEAD_IN.match(before):
        return False
    if re.search(r"(?:→|->|=>)[\s\"'`*]*$", before):
        return True
    return len(after) < 4 and _POINTS_BACK.search(before) is not None


def is_rest_label(label: str) -> bool:
    return label.lower().strip() in _REST_LABELS
