"""A message's blocks in; what they say, sorted into instructions, background and data, out.

Data is JSON, "key: value" lines, text under a heading such as "Lead:" or within a tag, tool
results, and prose where nothing else is there. Instructions are what is asked for. Words inside
data that look like instructions stay data.
"""

from __future__ import annotations

import re

from deploy.offline_model.blocks import Block, blocks
from deploy.offline_model.reading import Reading
from deploy.offline_model.text import sentences

MAX_SENTENCES = 6_000
IMPERATIVES = frozenset(
    """write use do don't return answer score give keep be make ensure choose classify reply
    produce include avoid never always mention summarise summarize analyse analyze research look
    call identify determine evaluate assess provide generate create consider respond decide pick
    select rate extract list read explain describe draft compose focus address personalise
    personalize refer stay follow review compare find recommend suggest prioritise prioritize
    assign set mark treat add subtract output base let sign start end begin please check rank
    label tag mind only apply report state say cite quote plan propose act remember think note
    judge grade route categorize categorise triage fill complete prepare submit must should
    deduct award""".split()
)
_ADDRESSED = re.compile(
    r"\b(?:you are|you're|your (?:task|job|goal|role|mission|answer|reply)|you "
    r"(?:must|should|will|need to"
    r"|can|may)|each (?:e-?mail|score|point|item|answer)|the (?:e-?mail|score|reply|answer|report|"
    r"subject|body|summary)s? (?:must|should|is|has|have|are)"
    r"|the (?:first|second|third|fourth|last|final) (?:e-?mail|mail|message|one"
    r"|letter|thanks|shares|is|asks))\b",
    re.I,
)
_TASK = re.compile(
    r"^(?:please |now |then )?(?:write|return|answer|reply|score|classify|produce"
    r"|choose|decide|respond"
    r"|give|summari[sz]e|generate|create|draft|compose|evaluate|assess|extract|determine|use)\b",
    re.I,
)
_INSTRUCTION_HEADS = re.compile(
    r"instruct|rule|rubric|criteri|^(?:your )?tasks?$|guideline|output|format"
    r"|responsibilit|requirements?$"
    r"|steps|scor|expected|tone|style|constraint|goals?$|how to|polic|definition"
    r"|categor|levels?$|role$"
    r"|what to|persona|must|should|do not|never|always|important|when |e-?mails?$|process|meaning",
    re.I,
)
_INSTRUCTION_KEYS = re.compile(
    r"instruct|rule|rubric|criteri|^tasks?$|guideline|^output|format$|^tone$|^style$|constraint|scoring"
    r"|important|^notes?$|must|do not|never|always|^goal$|^language$",
    re.I,
)
_DATA_HEADS = re.compile(
    r"^(?:the |this |incoming |new |current )?(?:lead|ticket|input|data|context"
    r"|message|customer|incident"
    r"|record|document|article|application|candidate|report|transcript|memory|history"
    r"|event|order)\b",
    re.I,
)
_DATA_VERB = re.compile(
    r"^(?:please )?(?:summari[sz]e|classify|analy[sz]e|extract|rate|score|evaluate"
    r"|assess|translate|answer"
    r"|triage|review|label|categori[sz]e|judge|grade|proofread|rewrite)\b",
    re.I,
)
_TEMPLATE = re.compile(
    r"\b(?:json|format|schema|shape|structure|example|template|of the form|like this|looks like)\b"
    r"[^.]{0,60}$",
    re.I,
)


class MessageReader:
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
        shown = _TEMPLATE.search(block.text) and not _DATA_HEADS.search(block.key)
        if self.role != "tool" and shown and isinstance(block.value, dict):
            self.found.templates.append(block.value)
            return
        before = len(self.found.facts)
        path = (block.key,) if block.key and not isinstance(block.value, dict) else ()
        self.found.take(block.value, path, self.source)
        if len(self.found.facts) > before:
            self.structured = True
            self.section = "data"

    def _pair(self, block: Block) -> None:
        sealed = self.section == "data" and (self.tagged or self.role == "tool")
        if not sealed and self._sets_a_task_on(block):
            self.found.instructions.append(f"{block.key}.")
            self.unmarked.extend(sentences(block.text))
            return
        instruction = not sealed and self._is_instruction_pair(block)
        if instruction or (self.role == "system" and self.section != "data"):
            self.found.instructions.append(f"{block.key}: {block.text}")
            if not instruction:
                self.found.system_pairs.append((block.key, block.text))
            return
        self.structured = True
        if block.key.lower() in ("question", "query"):
            self.found.question = block.text
            return
        self.section = self.section or "data"
        self.found.take_text(block.text.strip("\"'"), (block.key,), self.source)

    def _sets_a_task_on(self, block: Block) -> bool:
        """ "Summarise: The council met …": a task, and the text that it is for."""
        long = len(block.text.split()) > 4 and not self._names_label(block.text)
        return self.section != "data" and long and _DATA_VERB.match(block.key) is not None

    def _is_instruction_pair(self, block: Block) -> bool:
        if block.key.lower() in self.labels:
            return True
        if self.section == "data":
            return False
        heads = _INSTRUCTION_HEADS if self.role == "system" else _INSTRUCTION_KEYS
        return (
            self.section == "instructions"
            or block.key.split()[0].lower() in IMPERATIVES
            or heads.search(block.key) is not None
            or self._names_label(block.text)
        )

    def _prose(self, block: Block) -> None:
        line = block.text.strip()
        own = self.role != "tool" and not self.tagged
        leaves_data = own and self.after_gap and _TASK.match(line) is not None
        if self.section == "data" and not leaves_data:
            self._data(line)
        elif self.section == "instructions" and not (self.after_gap and self.role == "user"):
            self.found.instructions.append(line)
        else:
            self.section = "" if leaves_data else self.section
            self._free_prose(line)

    def _free_prose(self, line: str) -> None:
        """Prose in no section: orders are instructions, the rest is settled at the end."""
        parts = sentences(line)
        if len(parts) > 1 and any(self._names_label(one) for one in parts):
            parts = [line]
        for one in parts:
            if self.role != "system" and self._may_be_theirs(one):
                self.unmarked.append(one)
                self.doubtful.add(one)
            elif self._is_instruction(one):
                self.found.instructions.append(one)
            elif self.role == "system":
                self.found.background.append(one)
            else:
                self.unmarked.append(one)

    def _data(self, line: str) -> None:
        if len(self.found.passages) < MAX_SENTENCES:
            for one in sentences(line):
                self.found.take_sentence(one, self.heading, self.source)

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
        head = low.partition(":")[0].strip("-*• \"'`")
        return head in self.labels or any(len(one) > 3 and one in low for one in self.labels)

    def _settle(self) -> None:
        """Prose that nothing marked: background beside structured data, else the data itself."""
        if self.structured or self.tools_spoke:
            for one in self.unmarked:
                asked = one in self.doubtful
                (self.found.instructions if asked else self.found.background).append(one)
            return
        for one in self.unmarked:
            if one.endswith("?"):
                self.found.question = one
            self.found.take_sentence(one, "", self.source)
