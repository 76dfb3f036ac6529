"""A reading in; reports, summaries, reasons, points and recommendations about it out.

A report says who and what, then the sentences of the data that answer what was asked, then the
remaining facts by source, then what could not be found. It adds nothing of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from deploy.offline_model.extracting import Party, party
from deploy.offline_model.perspective import about_them, as_sentence, to_they, upper_first
from deploy.offline_model.ranking import (
    asked_leaning,
    gives_orders,
    in_order,
    likeness,
    ranked,
    stem_set,
    worth,
)
from deploy.offline_model.reading import Fact, Reading
from deploy.offline_model.text import key_phrases, plain_key, sentences, stems

_COUNTS = {
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "ten": 10,
    "a": 1,
}
_COUNT = r"(\d{1,4}|one|two|three|four|five|six|seven|eight|ten)"
_HIDDEN_KEYS = re.compile(
    r"^(?:id|_id|.* id|uuid|key|hash|etag|version|found|ok|success|created at|updated at|headers?"
    r"|status code|http status"
    r"|ce .*|traceparent|attempt|token)$"
)
MAX_REPORT_FACTS = 14


def wanted_count(text: str, noun: str) -> int | None:
    """The number before a noun: "in two sentences", "at most 120 words", "three to five points"."""
    match = re.search(
        rf"\b{_COUNT}(?:\s*(?:-|–|to|or)\s*{_COUNT})?[\s-]+(?:[a-z-]+\s){{0,2}}?{noun}", text, re.I
    )
    if match is None:
        return None
    word = match.group(2) or match.group(1)
    return int(word) if word.isdigit() else _COUNTS[word.lower()]


def fits_words(text: str, most: int | None) -> str:
    """At most so many words, cut after a sentence where possible."""
    if most is None or len(text.split()) <= most:
        return text
    kept: list[str] = []
    used = 0
    for one in sentences(text):
        used += len(one.split())
        if used > most and kept:
            break
        kept.append(one)
    return " ".join(" ".join(kept).split()[:most])


def introduction(who: Party) -> str:
    """ "Jane Roe is VP of Data at Acme (acme.example)."; empty where nobody is known."""
    firm = who.company
    if firm and who.website:
        firm = f"{firm} ({who.website})"
    if who.name and who.title:
        article = (
            ""
            if re.match(
                r"(?:an? |the |[A-Z]{2,}\b|[A-Z]\w+ (?:of|and) )|head|chief|vp\b", who.title, re.I
            )
            else "the "
        )
        role = who.title if who.title[:2].isupper() else who.title[:1] + who.title[1:]
        return f"{who.name} is {article}{role}{f' at {firm}' if firm else ''}."
    if who.name and firm:
        return f"{who.name} is a contact at {firm}."
    if who.name:
        return f"The contact is {who.name}."
    return f"The company is {firm}." if firm else ""


def fact_phrases(reading: Reading, without: Iterable[str] = ()) -> list[tuple[str, str]]:
    """(source, "Industry: logistics") for each short fact worth telling, in order."""
    told = {text.strip().lower() for text in without if text}
    found: list[tuple[str, str]] = []
    for fact in reading.facts:
        phrase = _phrase(fact)
        value = str(fact.value).strip().lower()
        if phrase and value not in told:
            told.add(value) if len(value) > 3 else None
            found.append((fact.source, phrase))
    return found


def _phrase(fact: Fact) -> str:
    key, value = plain_key(fact.key), fact.value
    if fact.source != "user" and key in ("title", "url", "company name"):
        return ""
    if value is None or value == "" or not key or _HIDDEN_KEYS.match(key):
        return ""
    if isinstance(value, bool):
        return upper_first(f"{key}: {'yes' if value else 'no'}")
    if isinstance(value, str):
        if len(value) > 60 or len(value.split()) > 5 or worth(value) < -1:
            return ""
        return upper_first(f"{key}: {' '.join(value.split())}")
    return upper_first(
        f"{key}: {value:,}" if isinstance(value, int) and abs(value) > 9_999 else f"{key}: {value}"
    )


def report(reading: Reading, asked: str, long: bool = True) -> str:
    """What the data says on what was asked."""
    who = party(reading)
    most = wanted_count(asked, "sentences?") or (12 if long else 3)
    opening = introduction(who) if long or (most > 1 and who.title) else ""
    chosen = in_order(reading, ranked(reading, asked, most - bool(opening)))
    told = [opening] if opening else []
    told += [_told(one.text, one.source) for one in chosen if one.source == "user"]
    parts = [" ".join(told)] if told else []
    if long:
        parts += [
            _from_source(name, [p.text for p in group])
            for name, group in groupby(
                [p for p in chosen if p.source != "user"], key=lambda p: p.source
            )
        ]
        parts += _facts_by_source(reading, who, " ".join(parts))
        parts += _gaps(reading, asked)
        if any(gives_orders(one.text) for one in reading.passages):
            parts.append("The data also holds orders to its reader; they were not followed.")
        text = "\n\n".join(part for part in parts if part)
    else:
        told += [as_sentence(one.text) for one in chosen if one.source != "user"]
        text = " ".join(told[:most]) or "; ".join(p for _, p in fact_phrases(reading)[:6])
        text = text if text[-1:] in ".!?" or not text else text + "."
    text = text or "The data given holds nothing that could be reported."
    return fits_words(text, wanted_count(asked, "words?"))


def _told(text: str, source: str) -> str:
    return about_them(text) if source == "user" else as_sentence(text)


def _from_source(name: str, texts: list[str]) -> str:
    return f"From {spoken(name)}: " + " ".join(as_sentence(to_they(text)) for text in texts)


def spoken(name: str) -> str:
    """A tool's name as words: "look_up_account" → "look up account"."""
    return plain_key(name) or "the sources"


def _facts_by_source(reading: Reading, who: Party, already: str) -> list[str]:
    listed = fact_phrases(reading, without=(who.name, who.title, who.company, who.website))
    found = []
    for source, group in groupby(listed, key=lambda one: one[0]):
        phrases = [phrase for _, phrase in group if not _is_told(phrase, already)]
        phrases = phrases[:MAX_REPORT_FACTS]
        if phrases:
            head = "" if source == "user" else f"From {spoken(source)}: "
            found.append(f"{head}{'; '.join(phrases)}.")
    return found


_ANY_TOPIC = re.compile(
    r"\b(?:background|overview|needs?|profile|pains?|information|context|company|lead"
    r"|facts?|summary|person|help)\b",
    re.I,
)


def _is_told(phrase: str, already: str) -> bool:
    value = phrase.partition(": ")[2]
    return len(value.split()) > 1 and value in already


_RELATION = re.compile(r"\b(?:history|relationship|dealings)\b|\bwith us\b", re.I)
_RECORDS = re.compile(r"\b(?:account|crm|customer|history|record)s?\b")


def _gaps(reading: Reading, asked: str) -> list[str]:
    records = any(_RECORDS.search(spoken(fact.source)) for fact in reading.facts)
    keys = {one for key in reading.by_key for one in stems(key)}
    missing = [
        one
        for one in topics(asked)
        if reading.evidence.text(one) < 0.15
        and not _ANY_TOPIC.search(one)
        and not keys & set(stems(one))
        and not (records and _RELATION.search(one))
    ]
    found = []
    if missing:
        found.append(f"Not stated: {', '.join(missing)}.")
    if reading.failures:
        found.append(
            "Not available: "
            + "; ".join(
                f"{spoken(f.partition(':')[0])} ({f.partition(': ')[2]})"
                for f in reading.failures[:5]
            )
            + "."
        )
    return found


def topics(asked: str) -> list[str]:
    """The subjects that a description lists: "covering size, industry and needs"."""
    match = re.search(
        r"\b(?:cover(?:s|ing)?|includ(?:es?|ing)|about|on|with|of"
        r"|:)\s+((?:[^.;:]+,\s*)+[^.;:]+)",
        asked,
        re.I,
    )
    if match is None:
        return []
    listed = re.split(r",\s*(?:and |or )?|\s+and\s+", match.group(1))
    cleaned = [
        re.sub(
            r"^(?:the|their|its|an?|any|and|how|what|who)\s+|\s+etc\.?$",
            "",
            one.strip(),
            flags=re.I,
        )
        for one in listed
    ]
    return [
        one
        for one in cleaned
        if 0 < len(one.split()) <= 4 and not re.search(r"\b(?:is|are|they|do|does)\b", one)
    ][:8]


def points(reading: Reading, asked: str, count: int, without: Iterable[str] = ()) -> list[str]:
    """Short statements about the data, the most telling first."""
    lean = asked_leaning(asked)
    found = [
        about_them(one.text) if one.source == "user" else as_sentence(to_they(one.text))
        for one in ranked(reading, asked, count, without, lean=lean)
    ]
    if lean:
        return found
    told = [*without, *found]
    who = party(reading)
    extras = [
        introduction(Party(who.name, who.title, who.company))
        if who.name and (who.title or who.company)
        else ""
    ]
    extras += [
        f"{phrase}."
        for _, phrase in sorted(
            fact_phrases(reading, without=(who.name, who.title, who.company, who.email)),
            key=lambda one: -likeness(asked, one[1]),
        )
        if not _CONTACT.match(phrase)
    ]
    if not found and not any(extras):
        extras.append(introduction(who))
    for extra in extras:
        if len(found) >= count:
            break
        if extra and not any(stem_set(extra) <= stem_set(text) for text in told):
            found.append(extra)
            told.append(extra)
    return found[:count]


_CONTACT = re.compile(r"(?:[\w ]*(?:website|url|e-?mail|phone|address|mobile|source)\w*):", re.I)


def because(reading: Reading, verdicts: Iterable[str], asked: str) -> str:
    """A reason for what was decided, from the sentences that speak for it."""
    decided = ", ".join(verdicts)
    count = max((wanted_count(asked, "sentences?") or 3) - 1, 1)
    grounds = points(reading, f"{asked} {decided}", min(count, 3))
    decided = upper_first(decided)
    if not grounds:
        return as_sentence(f"{decided or 'Undecided'}: the data gives little to go by")
    text = " ".join(grounds)
    return fits_words(f"{decided}: {text}" if decided else text, wanted_count(asked, "words?"))


def answer(reading: Reading, question: str, most: int = 4) -> str:
    """The passages and facts of the data that answer a question, as a paragraph."""
    near = ranked(reading, question, most, skip=reading.question)
    likes = {one.text: likeness(question, one.text) for one in near}
    enough = max(0.12, 0.6 * max(likes.values(), default=0.0))
    best = [one for one in near if likes[one.text] >= enough]
    told = [as_sentence(one.text) for one in in_order(reading, best)]
    facts = [phrase for _, phrase in fact_phrases(reading) if likeness(question, phrase) > 0.25]
    if facts:
        told.append("; ".join(facts[:4]) + ".")
    if told:
        return " ".join(told)
    if near and not question:
        return " ".join(as_sentence(one.text) for one in in_order(reading, near))
    return "The text that I was given holds no answer to that."


def topic_of(reading: Reading, asked: str, number: int = 0) -> str:
    """A short phrase for what the data is about; other numbers give other phrases."""
    found: list[str] = []
    for passage in ranked(reading, asked, 5):
        if passage.source == "user" or not found:
            found += [
                p for p in key_phrases(passage.text)[:3] if p.lower() not in map(str.lower, found)
            ]
    who = party(reading)
    known = stem_set(f"{who.name} {who.company} {who.title}")
    found = [one for one in found if not stem_set(one) <= known]
    return found[number % len(found)] if found else ""
