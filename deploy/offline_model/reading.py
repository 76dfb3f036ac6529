"""The messages of a request in; what they say out: instructions, background, facts and passages.

Data is what the request is about: JSON, "key: value" lines, text under a heading such as "Lead:",
tool results, and prose where nothing else is there. Instructions are what it asks for. Words inside
data that look like instructions stay data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from deploy.offline_model.blocks import Block, blocks
from deploy.offline_model.evidence import Evidence
from deploy.offline_model.persona import Persona, persona
from deploy.offline_model.text import plain_key, sentences, words

MAX_FACTS = 3_000
MAX_PASSAGES = 1_500
MAX_DEPTH = 12
MAX_LINES = 400
MAX_LINE_CHARS = 4_000
Scalar = str | float | int | bool | None

IMPERATIVES = frozenset(
    """write use do don't return answer score give keep be make ensure choose classify reply produce
    include avoid never always mention summarise summarize analyse analyze research look call
    identify determine evaluate assess provide generate create consider respond decide pick select
    rate extract list read explain describe draft compose focus address personalise personalize
    refer stay follow review compare find recommend suggest prioritise prioritize assign set mark
    treat add subtract output base let sign start end begin please check rank label tag mind only
    apply report state say cite quote plan propose act remember think note judge grade route
    categorize categorise triage fill complete prepare submit must should deduct award""".split()
)
_ADDRESSED = re.compile(
    r"\b(?:you are|you're|your (?:task|job|goal|role|mission|answer|reply)|you (?:must|should|will|need to"
    r"|can|may)|each (?:e-?mail|score|point|item|answer)|the (?:e-?mail|score|reply|answer|report|"
    r"subject|body|summary)s? (?:must|should|is|has|have|are)"
    r"|the (?:first|second|third|fourth|last|final) (?:e-?mail|mail|message|one|letter|thanks|shares|is|asks))\b",
    re.I,
)
_SALUTATION = re.compile(
    r"^(?:hi|hello|hey|dear|good (?:morning|day|evening))(?: [\w.]+){0,3}[,!:]\s+(?=\S)", re.I
)
_TASK = re.compile(
    r"^(?:please |now |then )?(?:write|return|answer|reply|score|classify|produce|choose|decide|respond"
    r"|give|summari[sz]e|generate|create|draft|compose|evaluate|assess|extract|determine|use)\b",
    re.I,
)
_INSTRUCTION_HEADS = re.compile(
    r"instruct|rule|rubric|criteri|^(?:your )?tasks?$|guideline|output|format|responsibilit|requirements?$"
    r"|steps|scor|expected|tone|style|constraint|goals?$|how to|polic|definition|categor|levels?$|role$"
    r"|what to|persona|must|should|do not|never|always|important|when |e-?mails?$|process|meaning",
    re.I,
)
_DATA_HEADS = re.compile(
    r"^(?:the |this |incoming |new |current )?(?:lead|ticket|input|data|context|message|customer|incident"
    r"|record|document|article|application|candidate|report|transcript|memory|history|event|order)\b",
    re.I,
)
_DATA_VERB = re.compile(
    r"^(?:please )?(?:summari[sz]e|classify|analy[sz]e|extract|rate|score|evaluate|assess|translate|answer"
    r"|triage|review|label|categori[sz]e|judge|grade|proofread|rewrite)\b",
    re.I,
)
_TEMPLATE = re.compile(
    r"\b(?:return|respond|answer|reply|produce|output|format|schema|shape|structure|example|such as|must be)\b.{0,60}$"
    r"|\bjson\b[^:]{0,30}(?:like|of the form|with)",
    re.I,
)
_COMPLAINT = re.compile(
    r"schema|valid|json|required propert|is not of type|is not one of|does not match|try again|truncat"
    r"|additional propert|parse",
    re.I,
)
_ERROR = re.compile(r"^\s*(?:tool )?(?:error|failed|failure|exception|timeout|timed out)\b", re.I)


@dataclass(frozen=True)
class Fact:
    path: tuple[str, ...]
    value: Scalar
    source: str

    @cached_property
    def key(self) -> str:
        return next((part for part in reversed(self.path) if not part.isdigit()), "")


@dataclass(frozen=True)
class Passage:
    """One sentence of the data, the key of the value that it stands in, and where that came from."""

    text: str
    key: str
    source: str


@dataclass
class Reading:
    instructions: list[str] = field(default_factory=list)
    background: list[str] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    passages: list[Passage] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    called: set[str] = field(default_factory=set)
    schemas: list[dict[str, Any]] = field(default_factory=list)
    templates: list[dict[str, Any]] = field(default_factory=list)
    system_pairs: list[tuple[str, str]] = field(default_factory=list)
    question: str = ""
    persona: Persona = field(default_factory=Persona)
    memo: dict[object, Any] = field(default_factory=dict, init=False)

    @cached_property
    def evidence(self) -> Evidence:
        found = Evidence()
        for fact in self.facts:
            _count_fact(found, fact)
        for passage in self.passages:
            found.add(passage.text)
            found.add_numbers(passage.text, passage.key)
        return found

    @cached_property
    def by_key(self) -> dict[str, list[Fact]]:
        """Facts by their key in plain words."""
        found: dict[str, list[Fact]] = {}
        for fact in self.facts:
            found.setdefault(plain_key(fact.key), []).append(fact)
        return found

    @cached_property
    def instruction_text(self) -> str:
        return "\n".join(self.instructions)

    def texts(self) -> Iterable[str]:
        """All text values of the data, whole."""
        yield from (fact.value for fact in self.facts if isinstance(fact.value, str))
        yield from (p.text for p in self.passages if not p.key)


def _count_fact(found: Evidence, fact: Fact) -> None:
    key = plain_key(fact.key)
    value = fact.value
    if value is False:
        found.add(f"no {key}")
    elif value is True:
        found.add(key)
    elif isinstance(value, str) and value:
        if len(value) <= 120:
            found.add(value)
            found.add_numbers(value, key)
        if len(value.split()) <= 3:
            found.add(key, trust=0.3)
    elif isinstance(value, (int, float)):
        found.add(key if value else f"no {key}")
        found.add_numbers(f"{value:.12g}" if isinstance(value, float) else str(value), key)


def read(messages: Sequence[Mapping[str, Any]], labels: frozenset[str] = frozenset()) -> Reading:
    """What the messages say; `labels` are the schema's enum values, lower case, never data keys."""
    found = Reading()
    calls: dict[str, str] = {}
    complaint = _complaint_at(messages)
    tools_spoke = any(message.get("role") == "tool" for message in messages)
    for number, message in enumerate(messages):
        role, text = message.get("role"), content_text(message.get("content"))
        if role == "assistant":
            for call in message.get("tool_calls") or []:
                calls[str(call.get("id"))] = name = str(call.get("function", {}).get("name"))
                found.called.add(name)
        elif role == "tool":
            _read_tool(found, calls.get(str(message.get("tool_call_id")), "tool"), text)
        elif number not in complaint and text:
            _MessageReader(found, str(role), labels, tools_spoke).read(text)
    _adopt_background(found)
    _bound(found)
    found.persona = persona("\n".join([*found.instructions, *found.background]))
    return found


def _bound(found: Reading) -> None:
    """Keeps the work that follows in proportion: the first and last of what is too much."""
    if len(found.passages) > MAX_PASSAGES:
        found.passages[MAX_PASSAGES - 300 : -300] = []
    for lines in (found.instructions, found.background):
        if len(lines) > MAX_LINES:
            lines[MAX_LINES - 100 : -100] = []
        lines[:] = [line[:MAX_LINE_CHARS] for line in lines]


def content_text(content: Any) -> str:
    """A message's content as text, whether a string or a list of parts."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def _complaint_at(messages: Sequence[Mapping[str, Any]]) -> set[int]:
    """Numbers of the user messages that only complain about the answer before them."""
    return {
        number
        for number in range(1, len(messages))
        if messages[number].get("role") == "user"
        and messages[number - 1].get("role") == "assistant"
        and not messages[number - 1].get("tool_calls")
        and _COMPLAINT.search(content_text(messages[number].get("content"))[:4_000])
    }


def _read_tool(found: Reading, name: str, text: str) -> None:
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    if isinstance(value, dict) and value.get("error"):
        found.failures.append(f"{name}: {str(value['error'])[:300]}")
    elif isinstance(value, str) and (_ERROR.match(value) or not value.strip()):
        found.failures.append(f"{name}: {value.strip()[:300] or 'nothing found'}")
    elif value is None or value == [] or value == {}:
        found.failures.append(f"{name}: nothing found")
    elif isinstance(value, (dict, list)):
        take(found, value, (), name)
    else:
        reader = _MessageReader(found, "tool", frozenset(), True, source=name)
        reader.section = "data"
        reader.read(str(value))


def take(found: Reading, value: Any, path: tuple[str, ...], source: str) -> None:
    """Adds a JSON value's leaves as facts, and the sentences of its longer texts as passages."""
    if len(found.facts) >= MAX_FACTS or len(path) > MAX_DEPTH:
        return
    if isinstance(value, dict):
        if "properties" in value and ("type" in value or "$schema" in value):
            found.schemas.append(value)
            return
        for key, one in value.items():
            take(found, one, (*path, str(key)), source)
    elif isinstance(value, list):
        for number, one in enumerate(value):
            take(found, one, (*path, str(number)), source)
    elif isinstance(value, str):
        _take_text(found, value.strip(), path, source)
    elif value is None or isinstance(value, (bool, int, float)):
        found.facts.append(Fact(path, value, source))


def _take_text(found: Reading, text: str, path: tuple[str, ...], source: str) -> None:
    if text[:1] in "{[" and len(text) > 2:
        try:
            take(found, json.loads(text), path, source)
            return
        except (ValueError, RecursionError):
            pass
    fact = Fact(path, text, source)
    found.facts.append(fact)
    if len(text.split()) > 5 or len(text) > 60:
        key = fact.key
        found.passages.extend(_passage(one, key, source) for one in sentences(text))


def _passage(sentence: str, key: str, source: str) -> Passage:
    return Passage(_SALUTATION.sub("", sentence), key, source)


class _MessageReader:
    """Walks a message's blocks; knows whether it stands in data or in instructions."""

    def __init__(
        self,
        found: Reading,
        role: str,
        labels: frozenset[str],
        tools_spoke: bool,
        source: str = "user",
    ) -> None:
        self.found, self.role, self.labels, self.source = found, role, labels, source
        self.tools_spoke = tools_spoke
        self.section = ""
        self.heading = ""
        self.after_gap = False
        self.tagged = False
        self.unmarked: list[str] = []
        self.doubtful: set[str] = set()
        self.structured = False

    def read(self, text: str) -> None:
        for block in blocks(text):
            if block.kind == "gap":
                self.after_gap = True
                continue
            getattr(self, f"_{block.kind}")(block)
            self.after_gap = False
        self._settle()

    def _open(self, block: Block) -> None:
        self.tagged, self.heading = True, block.key
        self.section = "instructions" if _INSTRUCTION_HEADS.search(block.key) else "data"

    def _close(self, _: Block) -> None:
        self.tagged, self.section, self.heading = False, "", ""

    def _heading(self, block: Block) -> None:
        head = block.key
        self.heading = head
        if self.tagged and self.section == "data":
            return
        if (
            head.lower() in self.labels
            or _INSTRUCTION_HEADS.search(head)
            or self._is_instruction(head)
        ):
            self.section = "instructions"
            self.found.instructions.append(f"{head}:")
        elif self.role == "system" and not _DATA_HEADS.search(head):
            self.section = "background"
        else:
            self.section = "data"

    def _json(self, block: Block) -> None:
        shown = _TEMPLATE.search(block.text) or self.section == "instructions"
        if self.role != "tool" and shown and isinstance(block.value, dict):
            self.found.templates.append(block.value)
            return
        before = len(self.found.facts)
        path = (block.key,) if block.key and not isinstance(block.value, dict) else ()
        take(self.found, block.value, path, self.source)
        if len(self.found.facts) > before:
            self.structured = True
            self.section = "data"

    def _pair(self, block: Block) -> None:
        key_words = block.key.lower().split()
        instruction = (
            self.section == "instructions"
            or block.key.lower() in self.labels
            or key_words[0] in IMPERATIVES
            or _INSTRUCTION_HEADS.search(block.key)
            or any(label in block.text.lower() for label in self.labels if len(label) > 3)
            and self.section != "data"
        )
        if self.section != "data" and _DATA_VERB.match(block.key) and len(block.text.split()) > 4:
            if not self._names_label(block.text):
                self.found.instructions.append(f"{block.key}.")
                self.unmarked.extend(sentences(block.text))
                return
        inside_data = self.section == "data" and (self.tagged or self.role == "tool")
        if not inside_data and (instruction or (self.role == "system" and self.section != "data")):
            self.found.instructions.append(f"{block.key}: {block.text}")
            if not instruction:
                self.found.system_pairs.append((block.key, block.text))
            return
        self.structured = True
        self.section = self.section or "data"
        _take_text(self.found, block.text.strip("\"'"), (block.key,), self.source)

    def _prose(self, block: Block) -> None:
        line = block.text.strip()
        leaves_data = (
            self.after_gap and _TASK.match(line) and self.role != "tool" and not self.tagged
        )
        if self.section == "data" and not leaves_data:
            self._data(line)
        elif self.section == "instructions" and not (self.after_gap and self.role == "user"):
            self.found.instructions.append(line)
        else:
            if leaves_data:
                self.section = ""
            bullet = line[:1] in "-*•" or line[:1].isdigit()
            parts = sentences(line)
            if len(parts) > 1 and self._names_label(parts[0]):
                parts = [line]
            for one in parts:
                if self.role != "system" and self._may_be_theirs(one):
                    self.unmarked.append(one)
                    self.doubtful.add(one)
                elif self._is_instruction(one) or (bullet and self.section == "instructions"):
                    self.found.instructions.append(one)
                elif self.role == "system":
                    self.found.background.append(one)
                else:
                    self.unmarked.append(one)

    def _data(self, line: str) -> None:
        if len(self.found.passages) < 4 * MAX_PASSAGES:
            for one in sentences(line):
                self.found.passages.append(_passage(one, self.heading, self.source))

    def _is_instruction(self, sentence: str) -> bool:
        first = (sentence.split() or [""])[0].strip(",.:;*\"'").lower()
        if first in IMPERATIVES or _ADDRESSED.search(sentence):
            return True
        return self._names_label(sentence)

    def _may_be_theirs(self, sentence: str) -> bool:
        """An order that may as well be a request within the data: "Please refund one of them."."""
        if not self._is_instruction(sentence) or self._names_label(sentence):
            return False
        if _ADDRESSED.search(sentence):
            return False
        polite = sentence[:6].lower() == "please" and not self.after_gap and bool(self.unmarked)
        return polite or not _TASK.match(sentence)

    def _names_label(self, text: str) -> bool:
        low = text.lower()
        return any(len(label) > 3 and label in low for label in self.labels)

    def _settle(self) -> None:
        """Prose that nothing marked: background beside structured data, else the data itself."""
        if self.structured or self.tools_spoke:
            for one in self.unmarked:
                (self.found.instructions if one in self.doubtful else self.found.background).append(
                    one
                )
            return
        for one in self.unmarked:
            if one.endswith("?"):
                self.found.question = one
            self.found.passages.append(_passage(one, "", self.source))


def _adopt_background(found: Reading) -> None:
    """Where all stands in the system message, its own lines are the data."""
    if found.facts or found.passages:
        return
    for key, value in found.system_pairs:
        _take_text(found, value, (key,), "user")
    for one in found.background:
        found.passages.append(_passage(one, "", "user"))
    found.background.clear()
