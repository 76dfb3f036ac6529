"""Instructions and descriptions in; the bands and points that they set for a score out.

"80-100: a clear project" is a band; "+20 for a decision maker" is a rule of points.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from deploy.offline_model.rubric import NUMBER, Criterion, criterion, number_of


@dataclass(frozen=True)
class Band:
    low: float
    high: float
    criterion: Criterion


@dataclass(frozen=True)
class Points:
    """Points that a criterion gives or, below 0, takes."""

    points: float
    criterion: Criterion


_BAND = re.compile(
    rf"^\W*(?:score |a |an )?{NUMBER}(?:\s*(?:-|–|—|to|\.\.)\s*{NUMBER})?\s*"
    r"(\+|(?:points )?(?:or|and) (?:more|above|higher|up|over)|(?:or|and) (?:less|below|lower))?\s*"
    r"(?:points?|stars?)?\s*"
    r"(?::|=|—|–|-|→|\bis\b|\bmeans\b|\bif\b|\bwhen\b|\bfor\b|\()\s*(.+)$",
    re.I,
)


def bands(lines: Iterable[str], low: float, high: float) -> list[Band]:
    """Bands such as "80-100: a clear project"; none unless at least two lie within the bounds."""
    found: list[Band] = []
    for line in lines:
        for piece in re.split(r"[;,]\s+(?=\d)|(?<=[.])\s+(?=\d)|\(\s*(?=\d+\s*=)", line):
            match = _BAND.match(piece)
            if match is None:
                continue
            first = number_of(match.group(1), None)
            last = number_of(match.group(3), None) if match.group(3) else first
            tail = (match.group(5) or "").lower()
            if tail:
                first, last = (low, first) if re.search("less|below|lower", tail) else (first, high)
            if low <= first <= last <= high:
                found.append(Band(first, last, criterion(match.group(6))))
    return found if len({band.low for band in found}) >= 2 else []


_FOR = r"(?:for|if|when|where)"
_PTS = r"(?:points?|pts)"
_POINTS = tuple(
    (re.compile(pattern, re.IGNORECASE), sign)
    for pattern, sign in (
        (rf"^\W*(?:add|award|give|plus)?\s*\+?\s*(?:up to )?(\d+)\s*{_PTS}?\s*{_FOR}\s+(.+)$", 1),
        (rf"^\W*\+\s?(\d+)\b\W*{_PTS}?\W*{_FOR}?\s*(.+)$", 1),
        (rf"^\W*(?:subtract|deduct|minus|take)\D{{0,12}}(\d+)\s*{_PTS}?\s*{_FOR}?\s*(.+)$", -1),
        (rf"^\W*[-−]\s?(\d+)\b\s*{_PTS}?\s*(?:{_FOR}|:)\s*(.+)$", -1),
    )
)
_POINTS_AFTER = re.compile(
    rf"^(.+?)[\s:(=–-]+(?:up to |max(?:imum)? |\+)?(\d{{1,3}})\s*(?:{_PTS}|%)\)?\W*(.*)$", re.I
)
_NEXT_RULE = re.compile(
    r"[;,.]\s+(?=(?:\+|-|−|add|award|subtract|deduct|minus)\s*\d|(?:add|subtract|deduct|and|then)\b)",
    re.I,
)


def points(lines: Iterable[str]) -> list[Points]:
    """Point rules such as "+20 for a decision maker"; none unless there are at least two."""
    found: list[Points] = []
    for line in lines:
        for piece in _NEXT_RULE.split(line):
            piece = re.sub(r"^(?:and|then)\s+", "", piece.strip(), flags=re.I)
            rule = _points_rule(piece)
            if rule is not None:
                found.append(rule)
    return found if len(found) >= 2 else []


def _points_rule(piece: str) -> Points | None:
    for pattern, sign in _POINTS:
        if match := pattern.match(piece):
            return Points(sign * float(match.group(1)), criterion(match.group(2)))
    if match := _POINTS_AFTER.match(piece):
        return Points(
            float(match.group(2)), criterion(f"{match.group(1)}, {match.group(3)}".strip(", "))
        )
    return None
