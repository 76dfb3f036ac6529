"""A source, or the sentences of many, in; the questions that they let somebody ask, out.

A question is made around a phrase or a sentence of a source, in a form that its words choose: the
same text gives the same questions, and texts that differ do not all ask alike.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.offline_model.prose import FIGURES, LIMITS, SUBJECT, YEAR, lowered, said, titled
from deploy.offline_model.relevance import nearest
from deploy.offline_model.text import NEGATORS, STOP, stem, stems, weight

Json = dict[str, Any]

QUESTIONS = 18
OF_A_KIND = 6
PER_FORM = 2  # questions of one form, as long as others can be asked
DEPTHS = ("introduction", "background", "detail", "depth")
SENTENCES_READ = 600
_OF_TITLES = (
    "What should a newcomer remember of “{}”?",
    "Why does “{}” matter?",
    "What would you add to “{}” today?",
    "What does “{}” leave out?",
)
_OF_FIGURES = (
    "What lies behind this figure: “{}”?",
    "“{}” How was that found out, and how sure is it?",
    "“{}” Is that much or little, and compared with what?",
    "“{}” What has made it so, and will it stay so?",
)
_OF_LIMITS = (
    "What would have to change for this not to hold: “{}”?",
    "“{}” How is that dealt with?",
    "“{}” What was tried against it, and what came of that?",
    "“{}” Who notices that first?",
)
_OF_STATEMENTS = (
    "“{}” When has that made a difference to you?",
    "“{}” How did it come to that?",
    "“{}” Can you give an example?",
    "“{}” What follows from it in practice?",
)
_OF_SUBJECTS = (
    "What should somebody know first about {}?",
    "What is often misunderstood about {}?",
)
_OF_PHRASES = (
    "What do those who work with it mean by “{}”?",
    "How has “{}” changed over the years?",
)
_INTRODUCES = re.compile(r"(?:what is|what are|who|what should (?:somebody|a newcomer))\b", re.I)
_GOES_DEEP = re.compile(
    r"\b(?:limit|wrong|fail|trade|risk|instead|would|leave out|misunderstood)|tried against"
    r"|dealt with|notices",
    re.I,
)
_QUOTED = re.compile(r"“.*”", re.DOTALL)


def mined(title: str, text: str) -> list[str]:
    """Questions around the phrases and figures of a source."""
    prose = [one for one, leans in said(text[:200_000]) if not leans][:SENTENCES_READ]
    subjects = [found[1] for one in prose if (found := SUBJECT.match(one)) and _names(found[1])]
    figures = [s for s in prose if FIGURES.search(YEAR.sub("", s)) and len(s) < 180]
    limits = [one for one in prose if LIMITS.search(one) and len(one) < 180 and one not in figures]
    made = [_asked(_OF_TITLES, title.partition(" | ")[0])] if titled(title) else []
    made += [_asked(_OF_SUBJECTS, lowered(one)) for one in subjects[:2]]
    made += [_asked(_OF_PHRASES, one) for one in _phrases(prose, 2)]
    made += [_asked(_OF_FIGURES, one) for one in figures[:1]]
    made += [_asked(_OF_LIMITS, one) for one in limits[:1]]
    return list(dict.fromkeys(made))


def questions(request: Json, sentences: Sequence[str], least: float = 0.0) -> list[Json]:
    """The mined questions by depth, with a few made around the topic before and after them.

    Of many sources, those count that have `least` of the topic; what is left is asked about the
    sentences that the brief is made of.
    """
    topic = lowered(str(request.get("topic") or "").strip().rstrip("?.!"))
    found = [str(question) for question in request.get("mined_questions") or ()]
    related = nearest(topic, found, least) if least else found
    limits = [one for one in sentences if LIMITS.search(one) and len(one) < 180]
    figures = [one for one in sentences if FIGURES.search(YEAR.sub("", one)) and len(one) < 180]
    subjects = [m[1] for one in sentences if (m := SUBJECT.match(one)) and _names(m[1])]
    more = [_asked(_OF_LIMITS, one) for one in limits[: OF_A_KIND if least else 2]]
    if least:
        more += [_asked(_OF_FIGURES, one) for one in figures[:OF_A_KIND]]
        more += [_asked(_OF_SUBJECTS, lowered(one)) for one in subjects[:OF_A_KIND]]
        others = [s for s in sentences if len(s) < 180 and s not in (*limits, *figures)]
        more += [_asked(_OF_STATEMENTS, one) for one in others[: 2 * OF_A_KIND]]
    made = {
        f"How would you explain {topic} to a newcomer?": 0,
        f"What made {topic} worth your time?": 0,
        f"What do most people get wrong about {topic}?": 1,
        f"What would have to happen for {topic} to look different in five years?": 3,
    }
    wanted = int(request.get("questions_wanted") or QUESTIONS)
    for question in [*_varied([*related, *more]), *found]:
        if len(made) < wanted:
            made.setdefault(question, _depth(question))
    kept = sorted(made.items(), key=lambda one: one[1])[:wanted]
    return [{"question": question, "depth": DEPTHS[depth]} for question, depth in kept]


def _varied(found: Iterable[str]) -> list[str]:
    """The same questions, those last whose form has been asked often or whose quote was asked."""
    first: list[str] = []
    later: list[str] = []
    forms: Counter[str] = Counter()
    quotes: set[str] = set()
    for question in dict.fromkeys(found):
        form = _QUOTED.sub("“”", question)
        quote = "".join(_QUOTED.findall(question))
        fresh = forms[form] < PER_FORM and quote not in quotes
        (first if fresh else later).append(question)
        forms[form] += fresh
        quotes.update([quote] if quote else [])
    return [*first, *later]


def _depth(question: str) -> int:
    """The place in DEPTHS of a question, by how it asks."""
    form = _QUOTED.sub("", question)
    if _INTRODUCES.match(form):
        return 0
    if _GOES_DEEP.search(form):
        return 3
    return 1 if re.match(r"why|what do\b|how has", form.strip(), re.I) else 2


def _asked(forms: Sequence[str], words: str) -> str:
    """A question about a sentence, the same for the same one."""
    return forms[sum(words.encode()) % len(forms)].format(words)


def _names(subject: str) -> bool:
    """Whether it is the name of a thing, and no half of a sentence."""
    first, *rest = subject.lower().split()
    return not (STOP | NEGATORS) & {*rest, *([first] if first not in ("a", "an", "the") else [])}


def _phrases(prose: Sequence[str], most: int) -> list[str]:
    """Phrases of two or three words that several sentences have, the most frequent first."""
    found: Counter[str] = Counter()
    for one in prose:
        words = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", one)
        for count in (2, 3):
            runs = zip(*(words[at:] for at in range(count)), strict=False)
            found.update({" ".join(run) for run in runs if all(map(_telling, run))})
    kept: list[str] = []
    for phrase, times in sorted(found.items(), key=lambda one: (-one[1], -len(one[0]), one[0])):
        told = set(stems(phrase))
        if times > 1 and not any(told & set(stems(other)) for other in kept):
            kept.append(phrase)
    return kept[:most]


def _telling(word: str) -> bool:
    low = word.lower()
    return (
        len(word) > 3
        and word == low
        and low not in STOP
        and low not in NEGATORS
        and weight(stem(low)) > 0.5
    )
