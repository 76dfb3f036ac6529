"""A request for a plan of searches, for questions or for cited claims in; an extractive answer out.

Told by the form that is asked for: lists of `query`; `questions` about a `text`; claims with
`chunk_id` and `quote`. It says nothing of its own: claims are whole sentences of the passages that
share the topic's words, quoted as they stand there, and questions are made around their phrases.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from deploy.offline_model import asking
from deploy.offline_model.prose import FIGURES, LIMITS, SUBJECT, YEAR, lowered, said, titled
from deploy.offline_model.relevance import Relevance, nearest
from deploy.offline_model.text import stems

Json = dict[str, Any]

QUERIES = 10
CLAIMS_PER_SECTION = 5
CLAIMS_OF_ANSWER, NEARLY = 3, 0.7
FEW_SOURCES = 30  # so few are about their topic as a whole; of more, what shares its words is
ON_TOPIC = 0.45
_BLOCK = re.compile(r"<data>\n(.*?)\n</data>", re.DOTALL)
_ASKS_FIGURE = re.compile(
    r"(?:how (?:many|much|old|long|far|often|big|large|deep)|when (?:was|were|did|will)|which year"
    r"|what .*(?:number|size|price|cost|length|age|limit|default|maximum|minimum))\b",
    re.I,
)
_NUMBER = re.compile(r"\b(?:two|three|four|five|six|seven|eight|nine|ten|eleven|twelve)\b", re.I)
_DEFINES = re.compile(
    r"^(?:an?|the)?\s*[\w' -]{2,60}?\s"
    r"(?:(?:is|are|was|were|becomes?)\s(?:an?|the|one)|means|refers to|describes)\b",
    re.I,
)
_ORDER = ("What it is", "What the sources tell", "Figures", "Limits and open points")
SOURCE_SHARE = 0.6  # what each further sentence of one source is worth beside others
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
            return {"questions": asking.mined(request.get("title") or "", request["text"])[:most]}
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
            for place, one in enumerate(listed if isinstance(listed, list) else []):
                if isinstance(one, dict) and isinstance(one.get("text"), str):
                    passages.setdefault(str(one.get("chunk_id")), {**one, "place": place})
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
    sources = [
        s for s in request.get("sources") or () if isinstance(s, dict) and titled(s.get("title"))
    ]
    first = [s["title"] for s in sources if s.get("url") in changed]
    others = [s["title"] for s in sources if s["title"] not in first]
    mined = list(map(str, request.get("mined_questions") or ()))
    wanted = [topic, *first, *(form.format(lowered(topic)) for form in _QUERY_ASPECTS)]
    if len(sources) > FEW_SOURCES:
        wanted += [*nearest(topic, others, ON_TOPIC), *nearest(topic, mined, ON_TOPIC)]
    else:
        wanted += [*others[:: max(1, len(others) // QUERIES)], *mined]
    return [query for query in dict.fromkeys(wanted) if query][:QUERIES]


def _cited(data: tuple[Json, list[Json]], properties: Json) -> Json:
    """Sections, claims and questions, for whichever of them the form has a place."""
    request, passages = data
    topic = str(request.get("question") or request.get("topic") or "")
    least = ON_TOPIC if len(request.get("sources") or ()) > FEW_SOURCES else 0.0
    ranked = _ranked(topic, passages, strict="question" in request, least=least)
    made: Json = {}
    for name, part in properties.items():
        inside = _item(part)
        if "claims" in inside:
            made[name] = _sections(ranked, topic)[: part.get("maxItems", 6)]
        elif "citations" in inside:
            made[name] = [_claim(one) for one in _answering(ranked)]
        elif "question" in inside:
            texts = [one.text for one in ranked]
            made[name] = asking.questions(request, texts, least)[: part.get("maxItems")]
        elif part.get("type") in ("string", ["string", "null"]):
            made[name] = "" if ranked else "The passages do not say."
        else:
            made[name] = [] if part.get("type") == "array" else None
    return made


class _Sentence:
    """A sentence of a passage that may be quoted."""

    def __init__(self, text: str, leans: bool, passage: Json) -> None:
        self.text, self.leans, self.place = text, leans, passage["place"]
        self.chunk_id, self.url = str(passage.get("chunk_id")), str(passage.get("url"))
        self.stems = frozenset(stems(text))
        self.score = 0.0


def _ranked(
    topic: str, passages: Sequence[Json], *, strict: bool, least: float = 0.0
) -> list[_Sentence]:
    """Sentences that share the topic's words, the most telling first, no two alike.

    `strict` is for a question: a sentence must share half of what it asks for. Else it, or the
    passage that it stands in, must share `least` of the topic.
    """
    found = [
        _Sentence(text, leans, passage)
        for passage in passages
        for text, leans in said(passage["text"])
    ]
    relevance = Relevance(topic, [p["text"] for p in passages])
    around = {str(p.get("chunk_id")): stems(p["text"]) for p in passages}
    for one in found:
        share = relevance.of(one.stems)
        length = min(len(one.stems), 18) / 18
        one.score = share + 0.15 * length - 0.01 * one.place + (strict and _suits(topic, one.text))
        one.score -= 0.2 * (strict and one.leans)
        on_topic = relevance.meets(around[one.chunk_id], least) and (share or not least)
        if share < 0.5 if strict else one.leans or not on_topic:
            one.score = 0.0
    kept: list[_Sentence] = []
    for one in sorted((s for s in found if s.score > 0), key=lambda s: (-s.score, s.text)):
        if all(_alike(one, other) < 0.6 for other in kept):
            kept.append(one)
    return kept


def _answering(ranked: Sequence[_Sentence]) -> list[_Sentence]:
    """The best sentence, and those that are nearly as good and stand alone."""
    near = [s for s in ranked[1:] if s.score >= NEARLY * ranked[0].score and not s.leans]
    return [*ranked[:1], *near][:CLAIMS_OF_ANSWER]


def _suits(question: str, text: str) -> float:
    """Whether a sentence is of the kind that a question asks for: what it is, or a figure."""
    if _ASKS_FIGURE.match(question):
        return 0.4 * bool(FIGURES.search(text) or _NUMBER.search(text))
    if re.match(r"what(?:'s| is| are)\b", question, re.I):
        return 0.4 * bool(SUBJECT.match(text))
    return 0.0


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
    wanted = set(stems(topic))
    for one in _by_turns(ranked):
        aspect = _aspect(one, wanted)
        if len(sections[aspect]) < CLAIMS_PER_SECTION:
            sections[aspect].append(one)
    made = [
        {"heading": heading, "claims": [_claim(one) for one in found]}
        for heading, found in sections.items()
        if found
    ]
    nothing = f"The passages that the searches returned say nothing about {topic}."
    return made or [{"heading": "Findings", "claims": [{"text": nothing, "citations": []}]}]


def _by_turns(ranked: Sequence[_Sentence]) -> list[_Sentence]:
    """The most telling first, where each further one of the same source counts for less."""
    taken: Counter[str] = Counter()
    worth: dict[_Sentence, float] = {}
    for one in ranked:
        worth[one] = one.score * SOURCE_SHARE ** taken[one.url]
        taken[one.url] += 1
    return sorted(ranked, key=lambda one: -worth[one])


def _aspect(one: _Sentence, topic: set[str]) -> str:
    defined = _DEFINES.match(one.text)
    if defined and topic & set(stems(defined[0])):
        return "What it is"
    if FIGURES.search(YEAR.sub("", one.text)):
        return "Figures"
    return "Limits and open points" if LIMITS.search(one.text) else "What the sources tell"
