"""A string's schema, its place in the reply and a reading in; the text for it out.

Chooses between copying a field, picking a phrase, and writing: a letter, a subject, a report, a
reason or an answer, by the property's name and description.
"""

from __future__ import annotations

import re

from deploy.offline_model.extracting import best_fact, domain, of_format, of_pattern, party
from deploy.offline_model.fitting import fitted_text, smallest
from deploy.offline_model.letters import Letter, is_letter, is_subject
from deploy.offline_model.perspective import as_sentence
from deploy.offline_model.place import Place
from deploy.offline_model.ranking import likeness, ranked
from deploy.offline_model.reading import Reading
from deploy.offline_model.reporting import (
    answer,
    because,
    points,
    report,
    topic_of,
    wanted_count,
)
from deploy.offline_model.schema import Schema, nullable
from deploy.offline_model.text import key_phrases, plain_key, shorten

_REASON = re.compile(
    r"\b(?:reason(?:ing)?|rationale|justification|explanation|why|because|motivation|evidence)\b"
)
_LONG = re.compile(
    r"\b(?:report|context|analysis|research|profile|assessment|overview|background"
    r"|findings|brief|narrative"
    r"|document|article|essay|content|dossier|insights)\b"
)
_SHORT_REPORT = re.compile(
    r"\b(?:summary|description|notes?|comments?|abstract|synopsis|conclusion|remarks?"
    r"|feedback|details|statement|situation|problem|need|review)\b"
)
_ANSWER = re.compile(r"\b(?:answer|reply|response|result|message|text|output)\b")
_QUESTION = re.compile(r"\b(?:question|query)\b")
_ACTION = re.compile(
    r"\b(?:recommendation|action|next step|advice|suggestion|task|step|plan|todo)\b"
)
_TOPIC = re.compile(
    r"\b(?:topic|theme|keyword|tag|title|headline|subject|label|name|product|feature"
    r"|area|category|type|kind)\b"
)
_KEYWORD = re.compile(r"\b(?:topic|theme|keyword|tag|category|type|kind|area)\b")
_TELLING = re.compile(
    r"\b(?:text|point|sentence|fact|detail|item|content|description|summary|title|task|step|action"
    r"|name|question|answer|reason|finding|claim|quote|body|message|note|headline|idea|what|value)\b"
)
_PARTY = {
    "name": (
        r"^(?:(?:full|contact|lead|customer|person|candidate|applicant)? ?name|contact"
        r"|person|recipient name)$"
    ),
    "first_name": r"^first name$",
    "title": r"^(?:job )?title$|^role$|^position$",
    "company": r"^(?:company|organi[sz]ation|account|employer|business|firm)(?: name)?$",
    "email": r"\be ?mail(?: address)?$|^to$|^recipient$",
    "website": r"^(?:company )?(?:website|url|homepage)$",
}
_IDENTIFIER = re.compile(r"(?:^|\s)(?:id|uuid|key|code|sku|iban|number|reference|ref|hash|token)$")
_WANTS_LONG = re.compile(
    r"\b(?:sentences?|paragraphs?|words|report|summar\w+|explain\w*|describ\w+|why)\b", re.I
)


def text(reading: Reading, schema: Schema, place: Place) -> str | None:
    """The text for a place; None where the data has nothing and null is allowed."""
    found = _found(reading, schema, place)
    if not found:
        if "default" in schema:
            return str(schema["default"])
        if nullable(schema):
            return None
        return str(smallest({**schema, "type": "string"}, {}))
    if "pattern" in schema and not re.search(schema["pattern"], found):
        return str(smallest({**schema, "type": "string"}, {}))
    return fitted_text(found, schema)


def _found(reading: Reading, schema: Schema, place: Place) -> str:
    name, told = plain_key(place.name), place.description
    if isinstance(kind := schema.get("format"), str) and kind not in ("textarea", "markdown"):
        return of_format(reading, kind, name, told) or ""
    if isinstance(pattern := schema.get("pattern"), str):
        return of_pattern(reading, pattern, name, told) or ""
    if echoed := _echoed(reading, schema, place):
        return echoed
    if is_letter(place.name, told, place.siblings):
        return Letter(reading, told, place.number, place.total).body()
    if is_subject(place.name, place.siblings):
        return Letter(reading, told, place.number, place.total).subject()
    if copied := _copied(reading, name, told):
        return copied
    return _written(reading, schema, place, name, told)


_SET_TO = re.compile(r"\bset `([\w.]+)` to the value of `([\w.]+)`", re.I)
_ID_OF = re.compile(r"\bid(?:entifier)? of (?:the |this |an? )?(\w+)", re.I)


def _echoed(reading: Reading, schema: Schema, place: Place) -> str:
    """A value that the instructions or the description say is to be copied from a named field."""
    names = [str(schema["x-echo"])] if "x-echo" in schema else []
    names += [
        match.group(2)
        for match in _SET_TO.finditer(reading.instruction_text)
        if match.group(1).rpartition(".")[2] == place.name
    ]
    if match := _ID_OF.search(place.description):
        names.append(f"{match.group(1)} id")
    for name in names:
        fact = best_fact(reading, name.rpartition(".")[2], "", least=0.95)
        if fact is not None and not isinstance(fact.value, bool):
            return str(fact.value)
    return ""


def _copied(reading: Reading, name: str, told: str) -> str:
    if name == "domain":
        return domain(reading) or ""
    for role, pattern in _PARTY.items():
        if re.search(pattern, name) and (found := getattr(party(reading), role)):
            return str(found)
    long = _LONG.search(name) or _REASON.search(name) or _ACTION.search(name)
    fact = best_fact(
        reading, name, told, least=0.97 if long or _SHORT_REPORT.search(name) else 0.72
    )
    if fact is None or isinstance(fact.value, bool):
        return ""
    if (long or _SHORT_REPORT.search(name)) and len(str(fact.value)) > 600:
        return ""
    return str(fact.value)


def _written(reading: Reading, schema: Schema, place: Place, name: str, told: str) -> str:
    asked = f"{name}. {told}"
    if _REASON.search(name):
        verdicts = [
            f"{plain_key(k)} {v}" if not isinstance(v, str) else v
            for k, v in place.verdicts.items()
            if not isinstance(v, bool)
        ]
        return because(reading, verdicts, told)
    if _IDENTIFIER.search(name):
        return ""
    if place.total > 1:
        return _turn(reading, place, asked)
    if _ANSWER.search(name):
        return answer(reading, f"{reading.question or _task(reading)} {told}")
    if _ACTION.search(name):
        return _action(reading, told)
    if _QUESTION.search(name):
        topic = topic_of(reading, asked, place.number)
        return f"What can you tell us about {topic}?" if topic else ""
    if _LONG.search(name):
        return report(reading, asked)
    if _SHORT_REPORT.search(name) or (
        _WANTS_LONG.search(told) and schema.get("maxLength", 200) >= 120
    ):
        return report(reading, asked, long=False)
    if _TOPIC.search(name):
        return topic_of(reading, asked, place.number)
    if schema.get("maxLength", 1_000) >= 300 and len(told.split()) >= 12:
        return report(reading, asked, long=False)
    return _phrase(reading, asked)


def _task(reading: Reading) -> str:
    return " ".join(one for one in reading.instructions[-6:] if len(one) < 400)


def _turn(reading: Reading, place: Place, asked: str) -> str:
    """A text for one item of a list: each turn is about another passage."""
    name = plain_key(place.name)
    if _KEYWORD.search(name):
        return topic_of(reading, asked, place.number)
    if not _TELLING.search(name) and len(place.description.split()) < 4:
        return ""
    chosen = ranked(reading, "", place.number + 1, least=-1.0)[place.number :]
    if not chosen:
        return ""
    if _TOPIC.search(name) or _ACTION.search(name):
        return shorten(chosen[0].text, 80).rstrip(".")
    return as_sentence(chosen[0].text)


def _action(reading: Reading, told: str) -> str:
    who = party(reading)
    topic = topic_of(reading, told)
    whom = " at ".join(part for part in (who.name, who.company) if part)
    if whom and topic:
        return f"Contact {whom} about {topic}."
    if topic:
        return f"Look into {topic}."
    return f"Contact {whom}." if whom else ""


def _phrase(reading: Reading, asked: str) -> str:
    """The phrase of the data that is nearest to what is asked; empty if none is near."""
    best = ranked(reading, asked, 1)
    if not best or likeness(asked, best[0].text) < 0.15:
        return ""
    phrases = key_phrases(best[0].text)
    return max(phrases[:6], key=lambda one: likeness(asked, one), default="")


def listed(reading: Reading, schema: Schema, item: Schema, place: Place, count: int) -> list[str]:
    """Texts for a list of strings: copied from a list of the data, key phrases, or points."""
    name, told = plain_key(place.name), place.description
    own = [
        str(fact.value)
        for fact in reading.facts
        if isinstance(fact.value, str)
        and len(fact.path) > 1
        and fact.path[-1].isdigit()
        and plain_key(fact.path[-2]).rstrip("s") == name.rstrip("s")
    ]
    if own:
        return [fitted_text(one, item) for one in own[: schema.get("maxItems", len(own))]]
    most = item.get("maxLength", 1_000)
    words = wanted_count(told, "words?")
    if re.search(r"\b(?:keyword|tag|topic|skill|technolog|product|entit|term)", name) or most < 30:
        phrases = [
            p for one in ranked(reading, f"{name} {told}", 6) for p in key_phrases(one.text)[:3]
        ]
        made = list(dict.fromkeys(phrases))[:count]
    elif re.search(r"\bquestions?\b", name):
        made = [
            f"What can you tell us about {topic_of(reading, told, n)}?"
            for n in range(count)
            if topic_of(reading, told, n)
        ]
        made = list(dict.fromkeys(made))
    else:
        made = points(reading, f"{name} {told}", count, without=place.used)
    return [fitted_text(" ".join(one.split()[:words]) if words else one, item) for one in made]
