"""Instructions and a letter's number in; what that letter is for, and its standing sentences, out.

A letter of a series introduces, shares a thought, gives proof, invites, or follows up; a single one
introduces or replies. The sentences are about no subject: topic and company are filled in.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Move:
    name: str
    words: str
    """A regular expression: words by which instructions ask for this kind of letter."""
    subject: str
    opening: str
    thought: str
    close: str


_ALL = (
    Move(
        "proof",
        r"case stud|customer stor|success stor|reference|proof|example of|testimonial",
        "How others go about {topic}",
        "Teams with similar plans often ask us how others went about it.",
        "What they have in common: they began with one small part, and measured it.",
        "Shall I send you an example that is close to your case?",
    ),
    Move(
        "invite",
        r"invit|webinar|workshop|event\b|demo\b|trial|call to action",
        "A small next step for {topic}",
        "I would like to suggest one small step on {topic}.",
        "It can be a call of twenty minutes, or a reply to one question: what would have to be "
        "true for this to be worth your time? It is fine to say no.",
        "Which would suit you better?",
    ),
    Move(
        "follow_up",
        r"\blast\b|final|follow[ -]?up|check(?:ing)? in|break-?up|gentle|re-?engage|remind",
        "Is {topic} still on your list, {name}?",
        "I do not want to fill your inbox, so this is my last note for now.",
        "If {topic} comes up again, the first question worth settling is who would notice the "
        "difference, and how soon.",
        "If the time is not right, a short reply is enough, and I will get back to you later.",
    ),
    Move(
        "educate",
        r"educat|\btips?\b|insight|resource|guide|article|useful|\bvalue\b|learn|best practice",
        "A thought on {topic}",
        "I kept thinking about {topic} at {firm}.",
        "The mistake that we see most often is to start with the largest part. It is easier to "
        "take one small part, watch it for a few weeks, and go on from what you learn.",
        "Would it help if I sent you more on this?",
    ),
    Move(
        "introduce",
        r"introduc|welcome|\bfirst\b|thank|hello",
        "{topic} at {firm}",
        "Thank you for your interest.",
        "One thought that may help in any case: write down what {topic} costs you today in hours "
        "or money. It makes every later choice easier.",
        "Would you have twenty minutes next week to talk about {topic}?",
    ),
    Move(
        "decline",
        r"reject|declin|turn(?:ing)? (?:them )?down|regret",
        "Your application",
        "Thank you for your interest, and for the time that you took.",
        "",
        "We are sorry that we cannot take this further now, and wish you all the best.",
    ),
    Move(
        "inform",
        r"inform|notif|announc|update|about|regarding|confirm",
        "{topic}",
        "I am writing to you about {topic}.",
        "",
        "Please let me know if you have any question.",
    ),
    Move(
        "reply",
        r"support|customer service|help ?desk|ticket|complaint|service agent"
        r"|reply to the (?:customer|message|ticket)",
        "Re: {topic}",
        "Thank you for your message.",
        "",
        "We are looking into it and will come back to you with an answer.",
    ),
)
MOVES = {move.name: move for move in _ALL}
_SINGLE_ONLY = ("reply", "decline", "inform")
_OF_A_SERIES = [move for move in _ALL if move.name not in _SINGLE_ONLY]
_OUTREACH = re.compile(
    r"sales|outreach|lead\b|leads\b|prospect|first call|meeting|marketing|partnership|win\b|invite"
    r"|first (?:e-?mail|message)",
    re.I,
)
_USUAL_ORDER = ("introduce", "educate", "invite", "proof")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")


def single(about: str) -> Move:
    """What a letter that stands alone is for."""
    for name in ("decline", "reply"):
        if re.search(MOVES[name].words, about, re.I):
            return MOVES[name]
    return MOVES["introduce"] if _OUTREACH.search(about) else MOVES["inform"]


def of_series(lines: Iterable[str], about: str, number: int, total: int) -> Move:
    """What letter `number` of `total` is for: as told, or in the usual order."""
    heads = [_asked(line.partition(":")[0]) for line in lines if ":" in line[:40]]
    named = [move for move in heads if move is not None]
    if len(named) == total and len({move.name for move in named}) == total:
        return named[number]
    told = _told_of(about, number)
    if told and (move := _asked(told)):
        return move
    if number == total - 1:
        return MOVES["follow_up"]
    return MOVES[_USUAL_ORDER[number % len(_USUAL_ORDER)]]


def _asked(text: str) -> Move | None:
    return next((move for move in _OF_A_SERIES if re.search(move.words, text, re.I)), None)


def _told_of(text: str, number: int) -> str:
    """What a text says of the letter with this number, if it does."""
    ordinal = _ORDINALS[min(number, len(_ORDINALS) - 1)]
    for pattern in (
        rf"\b(?:e-?mail|mail|message|letter|step) {number + 1}\b[:\s-]*([^\n.;]+)",
        rf"\b(?:the )?{ordinal}\b(?: e-?mail| mail| message| one| letter)?[:\s,]*([^\n.;,]+)",
        rf"^\s*{number + 1}[.)]\s+([^\n]+)",
    ):
        if match := re.search(pattern, text, re.I | re.M):
            return match.group(1)
    return ""
