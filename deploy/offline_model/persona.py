"""Instructions in; who is speaking and what they are after out.

Read from plain phrases that people write ("You are Dana, an SDR at Stratus. Your goal is to …") and
from "Role: …" lines. What is not said stays empty.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_ROLE = re.compile(r"\byou(?:'re| are)(?: acting as)?(?: an?| the| our)?\s+([^.;:\n]{3,120})", re.I)
_GOAL = re.compile(
    r"\b(?:your|the) (?:goal|job|task|mission|aim) is(?: to)?\s+([^.\n]{3,200})", re.I
)
_NAMED = re.compile(r"\b[Yy]ou(?:'re| are) ((?:[A-Z][\w'’-]+ ?){1,3})(?:,| from | at | of )")
_NAME_IS = re.compile(r"\byour name is ((?:[A-Z][\w'’-]+ ?){1,3})", re.I)
_SIGN = re.compile(
    r"\bsign(?:ed|s)?(?: (?:it|off|e-?mails?|every|all|each|the|them|with|mails?|messages?|reply|replies)"
    r"){0,3} (?:as|with|by)[: ]+[\"“']?([A-Z][^.;\n\"”]{1,60})",
    re.I,
)
_AT = re.compile(r"\b(?:at|for|of|from|with) ((?:[A-Z][\w&.'-]*)(?: (?:[A-Z][\w&.'-]*))*)")
_HOUSE = re.compile(r"^(?:the )?([A-Z][\w&-]*(?: [A-Z][\w&-]*){0,2}),? (?:is|are|helps?|sells?|provides?|makes?|offers?|builds?|develops?)\b")  # fmt: skip
_LINE = re.compile(
    r"^[ \t*#-]{0,8}(role|goal|persona|name|company|organi[sz]ation|sender|signature)[ \t*]{0,4}[:=][ \t*]{0,4}(.+)$",
    re.I | re.M,
)


@dataclass(frozen=True)
class Persona:
    role: str = ""
    name: str = ""
    organisation: str = ""
    goal: str = ""

    def signature(self) -> str:
        """The lines under a letter; empty where nothing is known."""
        first = self.name or self.role
        lines = [first[:1].upper() + first[1:]] if first else []
        if self.name and self.role and self.name.lower() not in self.role.lower():
            lines.append(self.role[:1].upper() + self.role[1:])
        if self.organisation and self.organisation.lower() not in " ".join(lines).lower():
            lines.append(self.organisation)
        return "\n".join(lines)


def persona(instructions: str) -> Persona:
    """The persona that the instructions describe."""
    text = instructions[:20_000]
    lines = {m.group(1).lower(): m.group(2).strip(" *\"'") for m in _LINE.finditer(text)}
    role = lines.get("role") or lines.get("persona") or _role(text)
    goal_match = _GOAL.search(text)
    goal = lines.get("goal") or (goal_match.group(1).strip() if goal_match else "")
    name_match = _NAMED.search(text) or _NAME_IS.search(text)
    name = lines.get("name") or (name_match.group(1).strip() if name_match else "")
    sign = lines.get("signature") or lines.get("sender") or ""
    if not sign and (sign_match := _SIGN.search(text)):
        sign = sign_match.group(1).strip()
    if sign:
        name = re.split(r",| from | at | of ", sign)[0].strip()
    organisation = (
        lines.get("company") or lines.get("organisation") or lines.get("organization") or ""
    )
    organisation = (
        organisation or _after_preposition(sign) or _after_preposition(role) or _house(text)
    )
    if "," in role:
        role = _without_name(role, name)
    role = _ADJECTIVES.sub("", role)
    return Persona(role.strip(" .,"), name, organisation.strip(" .,"), goal.strip(" ."))


_ADJECTIVES = re.compile(r"^(?:(?:friendly|helpful|expert|experienced|careful|polite|professional|skilled|seasoned|world-class|top|diligent|concise)[ ,]+(?:and )?)+", re.I)  # fmt: skip


def _role(text: str) -> str:
    for match in _ROLE.finditer(text):
        role = match.group(1).strip()
        if not re.match(
            r"(?:to|not|going|given|asked|free|allowed|responsible|able|about)\b", role, re.I
        ):
            role = re.split(
                r"\s+(?:who|that|which|and (?:your|you)|responsible|with the goal)\b", role
            )[0]
            return role
    return ""


def _without_name(role: str, name: str) -> str:
    parts = [part.strip() for part in role.split(",")]
    if name and parts[0].lower().startswith(name.lower().split()[0]):
        return re.sub(r"^(?:an?|the|our) ", "", parts[1], flags=re.I) if len(parts) > 1 else ""
    return parts[0]


def _after_preposition(text: str) -> str:
    for match in _AT.finditer(text):
        found = match.group(1).strip()
        if found.split()[0].lower() not in {"data", "sales", "the", "a", "an", "your", "our"}:
            return found
    return ""


def _house(text: str) -> str:
    """A company that the instructions introduce: "Stratus is a data warehouse …"."""
    for line in re.split(r"(?<=[.!?])\s+|\n", text):
        match = _HOUSE.match(line.strip(" -*#"))
        if match and match.group(1).lower() not in _NOT_HOUSES:
            return match.group(1)
    return ""


_NOT_HOUSES = {"you", "it", "this", "he", "she", "we", "they", "there", "that", "what", "score", "here", "leads", "customers", "who", "which", "if", "your"}  # fmt: skip
