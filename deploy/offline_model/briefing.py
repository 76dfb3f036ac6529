"""A request for a plan of searches, for questions or for cited claims in; an extractive answer out.

Told by the form that is asked for: lists of `query`; `questions` about a `text`; claims with
`chunk_id` and `quote`. It says nothing of its own: claims are whole sentences of the passages that
share the topic's words, quoted as they stand there, and questions are made around their phrases.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.offline_model.text import NEGATORS, STOP, sentences, stem, stems, weight

Json = dict[str, Any]

QUERIES = 10
CLAIMS_PER_SECTION = 5
CLAIMS_OF_ANSWER = 3
QUESTIONS = 18
_BLOCK = re.compile(r"<data>\n(.*?)\n</data>", re.DOTALL)
_BOILERPLATE = re.compile(
    r"cookie|subscribe|newsletter|all rights reserved|sign (?:in|up)|log in|click here|privacy "
    r"policy|terms of (?:use|service)|skip to|table of contents|copyright ©",
    re.I,
)
_ORDERS = re.compile(
    r"ignore (?:all|any|the|your|previous|prior)|system prompt|you (?:are|must|should) (?:now|an? "
    r"(?:ai|assistant|model))|assistant:|as an ai|instructions?\b.{0,30}\b(?:ignore|follow|above)"
    r"|\bsend (?:an? )?e-?mail|forward (?:this|all)|!\[",
    re.I,
)
_SPEAKER = re.compile(r"^(?:[A-Z][\w.'’-]*\s?){1,3}:\s+(?=[A-Z])")
_LEANS = re.compile(
    r"(?:its?|this|that|these|those|they|their|he|she|his|her|but|and|or|so|however|such|both|here"
    r"|[A-Za-z]+ed (?:at|by|in|from|on|for|to|with)"
    r"|there|then|also|for example|for instance|in addition|moreover|instead|therefore|thus)\b",
    re.I,
)
_ASKS_FIGURE = re.compile(
    r"(?:how (?:many|much|old|long|far|often|big|large|deep)|when|which year)\b", re.I
)
_SUBJECT = re.compile(
    r"^((?:(?:An?|The)\s)?(?:[\w'’-]+\s){0,3}[\w'’-]+)\s(?:is|are)\s(?:an?|the|one)\s"
)
_WHOLE = re.compile(r"^[\"“'(\[]?[A-Z0-9À-Þ].{30,340}[.!?][\"”')\]]*$", re.DOTALL)
_OF_FIGURES = (
    "What lies behind this figure: “{}”?",
    "“{}” How was that found out, and how sure is it?",
    "“{}” Is that much or little, and compared with what?",
)
_OF_LIMITS = (
    "What would have to change for this not to hold: “{}”?",
    "“{}” Who pays for that, and who would rather not?",
    "“{}” What was tried against it, and what came of that?",
)
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_FIGURES = re.compile(r"\d\s*(?:%|percent)|\b\d[\d.,]+\b|\b(?:half|twice|million|billion)\b")
_LIMITS = re.compile(
    r"\b(?:but|however|although|unless|cannot|can't|not|never|only|limit\w*|risk\w*|problem\w*"
    r"|fail\w*|lack\w*|difficult\w*|costly|drawback\w*|must not|warning)\b",
    re.I,
)
_ASPECTS: Sequence[tuple[str, re.Pattern[str]]] = (
    ("Figures", _FIGURES),
    ("Limits and open points", _LIMITS),
    (
        "What it is",
        re.compile(
            r"^(?:an?|the)?\s*[\w' -]{2,60}?\s"
            r"(?:(?:is|are|was|were|becomes?)\s(?:an?|the|one)|means|refers to|describes)\b",
            re.I,
        ),
    ),
)
_ORDER = ("What it is", "How it works", "Figures", "Limits and open points")
_QUERY_ASPECTS = ("what is {}", "how {} works", "why {} matters", "limits and problems of {}")


def reply(messages: Sequence[Mapping[str, Any]], schema: Json) -> Json | None:
    """The answer, where the schema asks for one of these forms; else None."""
    properties = schema.get("properties") or {}
    if properties and all("query" in _item(part) for part in properties.values()):
        return _plan(_data(messages), properties)
    if set(properties) == {"questions"} and _item(properties["questions"]) == {}:
        request, _ = _data(messages)
        if isinstance(request.get("text"), str):
            most = properties["questions"].get("maxItems", 8)
            return {"questions": _mined(request.get("title") or "", request["text"])[:most]}
        return None
    if _cites(schema):
        return _cited(_data(messages), properties)
    return None


def _item(part: Json) -> Json:
    items = part.get("items") if isinstance(part.get("items"), dict) else {}
    return (items or {}).get("properties") or {}


def _cites(schema: Any) -> bool:
    """Whether somewhere in the schema an object has `chunk_id` and `quote`."""
    if isinstance(schema, dict):
        found = schema.get("properties")
        if isinstance(found, dict) and {"chunk_id", "quote"} <= found.keys():
            return True
        return any(_cites(part) for part in schema.values())
    return False


def _data(messages: Sequence[Mapping[str, Any]]) -> tuple[Json, list[Json]]:
    """The first object in the messages' data, and the passages in all lists after it."""
    request: Json = {}
    passages: dict[str, Json] = {}
    for message in messages:
        for block in _BLOCK.findall(str(message.get("content") or "")):
            try:
                value = json.loads(block)
            except (ValueError, RecursionError):
                continue
            if isinstance(value, dict) and not request:
                request = value
            listed = value if isinstance(value, list) else value.get("passages", [])
            for one in listed if isinstance(listed, list) else []:
                if isinstance(one, dict) and isinstance(one.get("text"), str):
                    passages.setdefault(str(one.get("chunk_id")), one)
    return request, list(passages.values())


def _plan(data: tuple[Json, list[Json]], properties: Json) -> Json:
    """Searches for the topic, one aspect each; none once there are passages to write of."""
    request, passages = data
    queries = [] if passages else _queries(request)
    return {
        name: [_arguments(_item(part), query) for query in queries[: part.get("maxItems", QUERIES)]]
        for name, part in properties.items()
    }


def _arguments(properties: Json, query: str) -> Json:
    return {name: query if name == "query" else None for name in properties}


def _queries(request: Json) -> list[str]:
    topic = str(request.get("topic") or request.get("question") or "").strip()
    changed = {c.get("url") for c in request.get("changes") or () if isinstance(c, dict)}
    sources = [s for s in request.get("sources") or () if isinstance(s, dict) and _titled(s)]
    first = [s["title"] for s in sources if s.get("url") in changed]
    others = [s["title"] for s in sources if s["title"] not in first]
    step = max(1, len(others) // QUERIES)
    wanted = [topic, *first, *(form.format(_lowered(topic)) for form in _QUERY_ASPECTS)]
    wanted += [*others[::step], *map(str, request.get("mined_questions") or ())]
    return [query for query in dict.fromkeys(wanted) if query][:QUERIES]


def _titled(source: Json) -> bool:
    """Whether a source has a title that says something, and is no file's name."""
    title = source.get("title")
    return isinstance(title, str) and bool(title) and not re.search(r"\.\w{2,5}$", title)


def _cited(data: tuple[Json, list[Json]], properties: Json) -> Json:
    """Sections, claims and questions, for whichever of them the form has a place."""
    request, passages = data
    topic = str(request.get("question") or request.get("topic") or "")
    ranked = _ranked(topic, passages, strict="question" in request)
    made: Json = {}
    for name, part in properties.items():
        inside = _item(part)
        if "claims" in inside:
            made[name] = _sections(ranked, topic)[: part.get("maxItems", 6)]
        elif "citations" in inside:
            made[name] = [_claim(one) for one in ranked[:CLAIMS_OF_ANSWER]]
        elif "question" in inside:
            made[name] = _questions(request, ranked)[: part.get("maxItems", QUESTIONS)]
        elif part.get("type") in ("string", ["string", "null"]):
            made[name] = "" if ranked else "The passages do not say."
        else:
            made[name] = [] if part.get("type") == "array" else None
    return made


class _Sentence:
    """A sentence of a passage that may be quoted."""

    def __init__(self, text: str, passage: Json, place: int) -> None:
        self.text, self.place = text, place
        self.chunk_id, self.url = str(passage.get("chunk_id")), str(passage.get("url"))
        self.stems = frozenset(stems(text))
        self.score = 0.0

    @property
    def is_part(self) -> bool:
        """Whether it leans on the sentence before it, and so cannot stand alone."""
        return _LEANS.match(self.text) is not None


def _ranked(topic: str, passages: Sequence[Json], *, strict: bool) -> list[_Sentence]:
    """Sentences that share the topic's words, the most telling first, no two alike.

    Words that few passages have count more. `strict` is for a question: a sentence must share half
    of what it asks for.
    """
    wanted = dict.fromkeys(stems(topic))
    found = [
        _Sentence(text, passage, place)
        for place, passage in enumerate(passages)
        for text in (_SPEAKER.sub("", one) for one in sentences(passage["text"]))
        if _quotable(text)
    ]
    in_passages = Counter(s for p in passages for s in set(stems(p["text"])))
    rarity = {
        s: math.log(1 + len(passages) / (1 + in_passages[s])) + 0.3 if in_passages[s] else 0.4
        for s in wanted
    }
    value = {s: weight(s) * rarity[s] for s in wanted}
    most = sum(value.values()) or 1.0
    in_topic = {
        str(p.get("chunk_id")): bool(value.keys() & set(stems(p["text"]))) for p in passages
    }
    for one in found:
        share = sum(value[s] for s in wanted if s in one.stems) / most
        length = min(len(one.stems), 18) / 18
        one.score = share + 0.15 * length - 0.01 * one.place + (strict and _suits(topic, one.text))
        one.score -= 0.2 * (strict and one.is_part)
        if share < 0.5 if strict else one.is_part or not (in_topic[one.chunk_id] or share):
            one.score = 0.0
    kept: list[_Sentence] = []
    for one in sorted((s for s in found if s.score > 0), key=lambda s: (-s.score, s.text)):
        if all(_alike(one, other) < 0.6 for other in kept):
            kept.append(one)
    return kept


def _suits(question: str, text: str) -> float:
    """Whether a sentence is of the kind that a question asks for: what it is, or a figure."""
    if re.match(r"what(?:'s| is| are)\b", question, re.I):
        return 0.4 * bool(_SUBJECT.match(text))
    if _ASKS_FIGURE.match(question):
        return 0.4 * bool(_FIGURES.search(text))
    return 0.0


def _quotable(text: str) -> bool:
    """Whether it is a whole sentence of prose: no menu, no code, no order to whoever reads it."""
    signs = sum(not (c.isalnum() or c.isspace() or c in ".,;:'’\"“”()-–—%?!/") for c in text)
    return bool(
        _WHOLE.match(text)
        and signs <= len(text) * 0.04
        and len(text.split()) >= 6
        and not _BOILERPLATE.search(text)
        and not _ORDERS.search(text)
        and not text.endswith("?")
    )


def _alike(one: _Sentence, other: _Sentence) -> float:
    return len(one.stems & other.stems) / (len(one.stems | other.stems) or 1)


def _claim(one: _Sentence) -> Json:
    return {
        "text": one.text,
        "citations": [{"chunk_id": one.chunk_id, "quote": one.text}],
    }


def _sections(ranked: Sequence[_Sentence], topic: str) -> list[Json]:
    """Claims by aspect, from what it is to where its limits are; no source takes it all."""
    sections: dict[str, list[_Sentence]] = {name: [] for name in _ORDER}
    by_source: Counter[str] = Counter()
    sources = len({one.url for one in ranked}) or 1
    share = max(3, math.ceil(len(_ORDER) * CLAIMS_PER_SECTION / sources) + 1)
    for one in ranked:
        aspect = next((name for name, form in _ASPECTS if form.search(one.text)), "How it works")
        if len(sections[aspect]) < CLAIMS_PER_SECTION and by_source[one.url] < share:
            sections[aspect].append(one)
            by_source[one.url] += 1
    made = [
        {"heading": heading, "claims": [_claim(one) for one in found]}
        for heading, found in sections.items()
        if found
    ]
    nothing = f"The passages that the searches returned say nothing about {topic}."
    return made or [{"heading": "Findings", "claims": [{"text": nothing, "citations": []}]}]


def _questions(request: Json, ranked: Sequence[_Sentence]) -> list[Json]:
    """The mined questions by depth, with a few made around the topic before and after them."""
    topic = _lowered(str(request.get("topic") or "").strip().rstrip("?.!"))
    mined = [str(question) for question in request.get("mined_questions") or ()]
    limits = [one.text for one in ranked if _LIMITS.search(one.text) and len(one.text) < 200]
    made = [
        (f"How would you explain {topic} to somebody who hears of it for the first time?", 0),
        (f"What made {topic} worth your time?", 0),
        *((question, _depth(question)) for question in mined),
        (f"What do most people get wrong about {topic}?", 1),
        *((_asked(_OF_LIMITS, text), 3) for text in limits[:2]),
        (f"What would have to happen for {topic} to look different in five years?", 3),
    ]
    wanted = int(request.get("questions_wanted") or QUESTIONS)
    names = ("introduction", "background", "detail", "depth")
    quota = max(2, wanted // 3)
    kept: dict[str, int] = {}
    for question, depth in made:
        if sum(d == depth for d in kept.values()) < quota or depth == 2:
            kept.setdefault(question, depth)
    last = sorted(kept.items(), key=lambda one: one[1])
    spare = max(0, len(last) - wanted)
    middle = [one for one in last if one[1] == 2]
    dropped = {question for question, _ in middle[len(middle) - spare :]} if spare else set()
    return [{"question": q, "depth": names[d]} for q, d in last if q not in dropped][:wanted]


def _depth(question: str) -> int:
    low = question.lower()
    if re.match(r"(?:what is|what are|who|what should somebody know first)\b", low):
        return 0
    if re.search(r"\b(?:limit|wrong|fail|trade|risk|instead|would|notice)|tried against", low):
        return 3
    return 1 if re.match(r"why|what do\b", low) else 2


def _mined(title: str, text: str) -> list[str]:
    """Questions around the phrases and figures of a source."""
    said = [_SPEAKER.sub("", one) for one in sentences(text)[:600]]
    prose = [one for one in said if _quotable(one) and not _LEANS.match(one)]
    subjects = [found[1] for one in prose if (found := _SUBJECT.match(one))]
    figures = [s for s in prose if _FIGURES.search(_YEAR.sub("", s)) and len(s) < 180]
    limits = [one for one in prose if _LIMITS.search(one) and len(one) < 200 and one not in figures]
    made = [f"What is the essence of “{title}”?"] if _titled({"title": title}) else []
    made += [f"What should somebody know first about {_lowered(one)}?" for one in subjects[:2]]
    made += [f"What do those who work with it mean by “{one}”?" for one in _phrases(prose, 2)]
    made += [_asked(_OF_FIGURES, one) for one in figures[:1]]
    made += [_asked(_OF_LIMITS, one) for one in limits[:1]]
    return list(dict.fromkeys(made))


def _asked(forms: Sequence[str], sentence: str) -> str:
    """A question about a sentence, the same for the same one."""
    return forms[sum(sentence.encode()) % len(forms)].format(sentence)


def _lowered(subject: str) -> str:
    """A sentence's subject as it stands inside another one; a name stays as it is."""
    first, _, rest = subject.partition(" ")
    plain = first in ("A", "An", "The") or (first[1:].islower() and (rest.islower() or not rest))
    return f"{first.lower()} {rest}".strip() if plain else subject


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
