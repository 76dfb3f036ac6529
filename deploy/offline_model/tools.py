"""The tools of a request and a reading in; the calls that are worth making now out.

A tool is called at most once in a conversation, and only when every required argument can be filled
from the data. A tool that only reads is called when it can be; one that acts, only when the
instructions speak of it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from deploy.offline_model.answering import Answerer
from deploy.offline_model.extracting import best_fact, domain, of_format, of_pattern, party
from deploy.offline_model.fitting import fitted_text
from deploy.offline_model.judging import Judge
from deploy.offline_model.place import Place
from deploy.offline_model.reading import Reading
from deploy.offline_model.reporting import topic_of
from deploy.offline_model.schema import Compiled, Schema, compiled, nullable, type_of
from deploy.offline_model.text import plain_key, stems

_READS = re.compile(
    r"\b(?:look ?up|lookup|get|fetch|search|find|list|query|read|check|retrieve|load"
    r"|show|describe|browse"
    r"|research|recall|view|scrape|crawl|calculate|compute|count|verify|validate"
    r"|enrich|firmographics)\b"
)
_MISSING = object()
_PERSONAL = re.compile(r"\b(?:contact|person|lead|customer|user|candidate|recipient)\b")


@dataclass(frozen=True)
class Call:
    name: str
    arguments: dict[str, Any]

    def as_json(self, number: int) -> dict[str, Any]:
        text = json.dumps(self.arguments, ensure_ascii=False)
        mark = hashlib.sha256(f"{self.name}\0{text}\0{number}".encode()).hexdigest()[:24]
        return {
            "id": f"call_{mark}",
            "type": "function",
            "function": {"name": self.name, "arguments": text},
        }


def calls(
    reading: Reading,
    tools: Sequence[Mapping[str, Any]],
    choice: Any = "auto",
    parallel: bool = True,
) -> list[Call]:
    """The calls to make now; none when an answer is due."""
    functions = [tool["function"] for tool in tools if isinstance(tool.get("function"), Mapping)]
    if choice == "none" or not functions:
        return []
    named = choice.get("function", {}).get("name") if isinstance(choice, Mapping) else None
    if named:
        wanted = [one for one in functions if one.get("name") == named]
        return [_forced(reading, one) for one in wanted[:1]]
    found = []
    for one in functions:
        if one.get("name") not in reading.called and _worth_calling(reading, one):
            arguments = filled(reading, one.get("parameters") or {})
            if arguments is not None:
                found.append(Call(str(one["name"]), arguments))
    if not found and choice == "required":
        fresh = [one for one in functions if one.get("name") not in reading.called]
        found = [_forced(reading, (fresh or functions)[0])]
    return found if parallel else found[:1]


def _worth_calling(reading: Reading, function: Mapping[str, Any]) -> bool:
    name = plain_key(str(function.get("name", "")).rpartition(".")[2])
    if _READS.search(name):
        return True
    asked = "\n".join([reading.instruction_text, *reading.background])
    if str(function.get("name")) in asked or name in asked.lower():
        return True
    own = set(stems(name))
    return bool(own) and own <= set(stems(asked[:20_000]))


def filled(reading: Reading, parameters: Schema) -> dict[str, Any] | None:
    """Arguments from the data; None if a required one is not there."""
    schema = compiled(parameters)
    required = set(parameters.get("required", ()))
    found: dict[str, Any] = {}
    for name, part in parameters.get("properties", {}).items():
        part = schema.resolve(part)
        value = _argument(reading, schema, name, part, name in required)
        if value is not _MISSING:
            found[name] = value
        elif name in required:
            if not nullable(part):
                return None
            found[name] = None
    return found if schema.valid(found) else None


def _argument(reading: Reading, schema: Compiled, name: str, part: Schema, required: bool) -> Any:
    """One argument; `_MISSING` where the data does not hold it."""
    if "const" in part:
        return part["const"]
    for key in ("anyOf", "oneOf"):
        if branches := part.get(key):
            full = [one for one in branches if type_of(schema.resolve(one)) != "null"]
            rest = {k: v for k, v in part.items() if k != key}
            if full:
                return _argument(
                    reading, schema, name, {**rest, **schema.resolve(full[0])}, required
                )
    told = str(part.get("description", ""))
    kind = type_of(part) or "string"
    if part.get("enum"):
        return _option(reading, name, told, part) if required else _MISSING
    if kind == "string":
        text = _text_argument(reading, name, told, part, required)
        return _MISSING if text is None else fitted_text(text, part)
    fact = best_fact(reading, name, told, least=0.75)
    if kind in ("integer", "number") and fact and isinstance(fact.value, (int, float)):
        return int(fact.value) if kind == "integer" else fact.value
    if kind == "boolean" and fact and isinstance(fact.value, bool):
        return fact.value
    if not required or "default" in part:
        return part.get("default", _MISSING) if required else _MISSING
    if kind == "array" and (texts := Answerer(reading, schema).value(part, Place(name, told))):
        return texts
    return _MISSING


def _option(reading: Reading, name: str, told: str, part: Schema) -> Any:
    options = [one for one in part["enum"] if isinstance(one, str)]
    return Judge(reading).choose(options, name, told).label if options else part["enum"][0]


def _text_argument(
    reading: Reading, name: str, told: str, part: Schema, required: bool
) -> str | None:
    plain, kind = plain_key(name), part.get("format")
    if isinstance(kind, str):
        return of_format(reading, kind, plain, told)
    if isinstance(part.get("pattern"), str):
        return of_pattern(reading, part["pattern"], plain, told)
    by_role = _by_role(reading, plain, told)
    if by_role is not None:
        return by_role or None
    fact = best_fact(reading, plain, told, least=0.72 if required else 0.85)
    if fact is not None and not isinstance(fact.value, bool):
        return str(fact.value)
    if not required:
        return None
    if re.search(r"\b(?:query|question|keywords?|search|topic|terms?|text|prompt)\b", plain):
        who = party(reading)
        parts = [who.company, topic_of(reading, f"{plain} {told}")]
        text = " ".join(one for one in parts if one) or reading.question
        return text or None
    return None


def _by_role(reading: Reading, name: str, told: str) -> str | None:
    """A person's or company's attribute by the parameter's name; "" if it is one and is unknown."""
    who = party(reading)
    if re.search(r"\be ?mail\b", name):
        return who.email
    if name == "domain" or re.search(r"\bdomain\b", name):
        return domain(reading) or ""
    if re.search(r"\b(?:url|website|web ?page|homepage|link|uri|page|site|address)\b", name):
        known = of_format(reading, "uri", name, told)
        if not known and re.search(r"site|home", name):
            known = who.website
        if known or not re.search("address", name):
            return known or ""
    if re.search(r"\b(?:company|organi[sz]ation|account|employer|firm|business)(?: name)?$", name):
        fact = best_fact(reading, name, told, least=0.9)
        return str(fact.value) if fact and name.endswith("id") else who.company
    if name == "name":
        if re.search(r"compan|organi|account|firm|business", told, re.I):
            return who.company
        return who.name if _PERSONAL.search(told.lower()) or not who.company else who.company
    return None


def _forced(reading: Reading, function: Mapping[str, Any]) -> Call:
    """A call that the request insists on: what is not in the data is made as for a reply."""
    parameters = dict(function.get("parameters") or {"type": "object", "properties": {}})
    arguments = filled(reading, parameters)
    if arguments is None:
        value = Answerer(reading, compiled({"type": "object", **parameters})).answer()
        arguments = value if isinstance(value, dict) else {}
    return Call(str(function.get("name")), arguments)
