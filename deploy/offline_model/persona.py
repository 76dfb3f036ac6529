"""Instructions in; who is speaking, for whom, and what they are after out.

Read from plain phrases that people write ("You are Dana, an SDR at Stratus. Your goal: …") and from
"Role: …" lines. What is not said stays empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from deploy.offline_model.text import WORD

MAX_CHARS = 20_000
_NAME = r"((?:[A-Z][\w'’-]+ ?){1,3})"
_ROLE = re.compile(r"\byou(?:'re| are)(?: acting as)?(?: an?| the| our)?\s+([^.;:\n]{3,240})", re.I)
_GOAL = re.compile(
    r"\b(?:your|the) (?:goal|job|task|mission|aim)(?: is(?: to)?|:)\s+([^.\n]{3,300})", re.I
)
_NAMED = re.compile(rf"\b[Yy]ou(?:'re| are) {_NAME}(?:,| from | at )|\b[Yy]our name is {_NAME}")
_SIGN = re.compile(
    r"\b[Ss]ign(?:ed|s)?(?: \w[\w-]*){0,4}? (?:as|with|by)[: ]+"
    r"(?:[\"“']([^\"”'\n]{2,80})[\"”']|([A-Z][^.;\n\"]{1,60}))"
)
_AT = re.compile(r"\b(?:at|for|of|from|with) ((?:[A-Z][\w&.'-]*)(?: (?:[A-Z][\w&.'-]*))*)")
_HOUSE = re.compile(
    r"^(?:the )?([A-Z][\w&-]*(?: [A-Z][\w&-]*){0,2}),? (?:is|are|helps?|sells?"
    r"|provides?|makes?|offers?|builds?|develops?)\b"
)
_LINE = re.compile(
    r"^[ \t*#-]{0,8}(role|goal|persona|name|company|organi[sz]ation|sender"
    r"|signature)[ \t*]{0,4}[:=][ \t*]{0,4}(.+)$",
    re.I | re.M,
)
_ADJECTIVES = re.compile(
    r"^(?:(?:friendly|helpful|expert|experienced|careful|polite|professional|skilled"
    r"|seasoned|world-class|top|diligent|concise)[ ,]+(?:and )?)+",
    re.I,
)
_NO_ROLE = re.compile(
    r"(?:to|not|going|given|asked|free|allowed|responsible|able|about)\b", re.IGNORECASE
)
_ROLE_END = re.compile(r",|\s+(?:who|that|which|and (?:your|you)|responsible|with the goal)\b")
_JOBS = frozenset(
    """agent analyst assistant chief clerk consultant coordinator designer developer director editor
    engineer expert head investigator lead lawyer manager marketer nurse officer planner
    president professional representative researcher reviewer sales scientist scout senior
    specialist strategist support teacher technician triage vice writer""".split()
)
_NOT_HOUSES = frozenset(
    """you it this he she we they there that what score here leads customers who which if
    your""".split()
)


@dataclass(frozen=True)
class Persona:
    """`sign` is how letters are to be signed, word for word; `offer` what the house does."""

    role: str = ""
    name: str = ""
    organisation: str = ""
    goal: str = ""
    sign: str = ""
    offer: str = ""

    def signature(self) -> str:
        """The lines under a letter; empty where nothing is known."""
        if self.sign:
            return self.sign
        first = self.name or self.role
        lines = [first[:1].upper() + first[1:]] if first else []
        if self.name and self.role and self.name.lower() not in self.role.lower():
            lines.append(self.role[:1].upper() + self.role[1:])
        if self.organisation and self.organisation.lower() not in " ".join(lines).lower():
            lines.append(self.organisation)
        return "\n".join(lines)


def persona(instructions: str) -> Persona:
    """The persona that the instructions describe."""
    text = instructions[:MAX_CHARS]
    lines = {m.group(1).lower(): m.group(2).strip(" *\"'") for m in _LINE.finditer(text)}
    told = lines.get("role") or lines.get("persona") or _role(text)
    sign = _first(_SIGN, text) or lines.get("signature") or lines.get("sender") or ""
    name = lines.get("name") or _name(text)
    role = _ADJECTIVES.sub("", _plain_role(told, name))
    if sign:
        name = re.split(r",| from | at | of ", sign)[0].strip()
    organisation = next(
        (lines[key] for key in ("company", "organisation", "organization") if key in lines), ""
    )
    organisation = (
        organisation
        or _after_preposition(sign)
        or _after_comma(sign)
        or _after_preposition(role)
        or _house(text)
    ).strip(" .,")
    goal = lines.get("goal") or _first(_GOAL, text)
    offer = _offer(organisation, told) or _offer(organisation, text)
    return Persona(role.strip(" .,"), name, organisation, goal.strip(" ."), sign, offer)


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return next((group.strip() for group in match.groups() if group), "") if match else ""


def _role(text: str) -> str:
    """What follows "you are", unless it names no role ("you are given …")."""
    roles = (match.group(1).strip() for match in _ROLE.finditer(text))
    return next((role for role in roles if not _NO_ROLE.match(role)), "")


def _plain_role(told: str, name: str) -> str:
    """The role without the name before it and the clause behind it."""
    if name and told.lower().startswith(name.lower().split()[0]):
        _, _, told = told.partition(",")
        told = re.sub(r"^(?:an?|the|our) ", "", told.strip(), flags=re.I)
    return _ROLE_END.split(told)[0]


def _name(text: str) -> str:
    """A person's name after "you are"; a job title ("You are Head of …") is none."""
    name = _first(_NAMED, text)
    return "" if {word.lower() for word in WORD.findall(name)} & _JOBS else name


def _after_preposition(text: str) -> str:
    for match in _AT.finditer(text):
        found = match.group(1).strip()
        if found.split()[0].lower() not in {"data", "sales", "the", "a", "an", "your", "our"}:
            return found
    return ""


def _after_comma(sign: str) -> str:
    return sign.rpartition(",")[2].strip() if "," in sign else ""


def _house(text: str) -> str:
    """A company that the instructions introduce: "Stratus is a data warehouse …"."""
    for line in re.split(r"(?<=[.!?])\s+|\n", text):
        match = _HOUSE.match(line.strip(" -*#"))
        if match and match.group(1).lower() not in _NOT_HOUSES:
            return match.group(1)
    return ""


def _offer(house: str, text: str) -> str:
    """What a house does, from "…, which moves companies to event streams"."""
    if not house:
        return ""
    match = re.search(rf"\b{re.escape(house)}, (?:which|who|that) ([^.;\n]{{8,240}})", text)
    return f"{house} {match.group(1).strip()}." if match else ""
