"""A reading and a place in a series in; an e-mail's subject and body out.

A letter takes up what the other side said, adds what the instructions tell of the sender's offer,
asks for one thing, and is signed by the persona. Letters of a series take up different facts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from deploy.offline_model.extracting import Party, party
from deploy.offline_model.lexicon import ideas_of
from deploy.offline_model.perspective import as_sentence, lower_first, opening, to_you, upper_first
from deploy.offline_model.ranking import likeness, ranked, worth
from deploy.offline_model.reading import Reading, is_report
from deploy.offline_model.reporting import fits_words, topic_of, wanted_count
from deploy.offline_model.text import key_phrases, plain_key, shorten

MOVES: dict[str, dict[str, str]] = {
    "introduce": {
        "subject": "{topic} at {firm}",
        "open": "Thank you for your interest.",
        "close": "Would you have twenty minutes next week to talk about {topic}?",
    },
    "educate": {
        "subject": "A thought on {topic}",
        "open": "I kept thinking about {topic} at {firm}.",
        "close": "If it helps, I will gladly send you more on this.",
    },
    "proof": {
        "subject": "How others go about {topic}",
        "open": "Teams with similar plans often ask us how others went about it.",
        "close": "Shall I send you an example that is close to your case?",
    },
    "invite": {
        "subject": "An invitation: {topic}",
        "open": "We would like to invite you to see this in practice.",
        "close": "Which day would suit you?",
    },
    "follow_up": {
        "subject": "Is {topic} still on your list, {name}?",
        "open": "I do not want to fill your inbox, so this is my last note for now.",
        "close": (
            "If the time is not right, a short reply is enough, and I will get back to you later."
        ),
    },
    "reply": {
        "subject": "Re: {topic}",
        "open": "Thank you for your message.",
        "close": "We are looking into it and will come back to you with an answer.",
    },
}
_MOVE_WORDS = (
    (
        "proof",
        (
            r"case study|customer story|success stor|reference|proof|example of|social proof"
            r"|testimonial"
        ),
    ),
    ("invite", r"invit|webinar|workshop|event|demo\b|trial|call to action|book"),
    ("follow_up", r"last|final|follow[ -]?up|check(?:ing)? in|break-?up|gentle|re-?engage|remind"),
    (
        "educate",
        (
            r"educat|tip|insight|resource|guide|article|useful|value|learn|best practice"
            r"|thought"
        ),
    ),
    ("introduce", r"introduc|welcome|first|thank|hello"),
)
_SERIES = ("introduce", "educate", "follow_up", "proof", "invite")
_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
_REPLYING = re.compile(
    r"support|customer service|help ?desk|ticket|complaint|success team|service agent"
    r"|reply to the (?:customer|message|ticket)",
    re.I,
)


_NOT_TOPICS = frozenset({"budget", "timeline", "purchase_intent", "early_stage"})


@dataclass
class Letter:
    """Letter `number` of `total`, about what the property's description asks."""

    reading: Reading
    asked: str
    number: int = 0
    total: int = 1

    @cached_property
    def who(self) -> Party:
        return party(self.reading)

    @cached_property
    def move(self) -> str:
        text = f"{self.reading.instruction_text[:6_000]}\n{self.asked}"
        told = _told_of(text, self.number) if self.total > 1 else ""
        for name, pattern in _MOVE_WORDS:
            if told and re.search(pattern, told, re.I):
                return name
        about = f"{self.reading.persona.role} {self.reading.persona.goal} {text}"
        if self.total == 1 and _REPLYING.search(about):
            return "reply"
        if self.total > 1 and self.number == self.total - 1:
            return "follow_up"
        return _SERIES[self.number % 2 if self.total > 2 else self.number % len(_SERIES)]

    @cached_property
    def taken_up(self) -> list[str]:
        """Sentences of the other side that letters may take up, best first."""
        key = ("taken up", self.asked)
        if key not in self.reading.memo:
            self.reading.memo[key] = self._from_them()
        known: list[str] = self.reading.memo[key]
        return known

    def _from_them(self) -> list[str]:
        from_them = [
            one.text
            for one in ranked(self.reading, f"project need problem {self.asked}", 12)
            if one.source == "user" and worth(one.text) > -0.4 and not is_report(one.key)
        ]
        from_them = [
            one
            for one in from_them
            if len(one.split()) > 3 and not re.match(r"no\b|not\b", one, re.I)
        ]
        from_them.sort(key=lambda one: 0.5 * ("budget" in ideas_of(one)) + 0.5 * one.endswith("?"))
        return from_them or [
            one.text
            for one in ranked(self.reading, self.asked, 6)
            if not re.search(r"\byou", one.text, re.I)
        ]

    @cached_property
    def topic(self) -> str:
        known = {word.lower() for word in f"{self.who.name} {self.who.company}".split()}
        phrases: list[str] = []
        for text in self.taken_up[:4]:
            for phrase in key_phrases(text)[:3]:
                if ideas_of(phrase) & _NOT_TOPICS:
                    continue
                fresh = phrase.lower() not in map(str.lower, phrases)
                if fresh and not {word.lower() for word in phrase.split()} <= known:
                    phrases.append(phrase)
        subject = next(
            (
                str(f.value)
                for f in self.reading.facts
                if plain_key(f.key) in ("subject", "topic") and f.source == "user"
            ),
            "",
        )
        if subject and self.number == 0:
            return shorten(subject, 60)
        if phrases:
            return phrases[self.number % min(len(phrases), 4)]
        return topic_of(self.reading, self.asked, self.number)

    @cached_property
    def told_topic(self) -> str:
        """The topic as it stands in a sentence to them: "your Oracle warehouse"."""
        if not self.topic:
            return ""
        theirs = re.compile(rf"\b(?:our|my|their)\s+{re.escape(self.topic)}\b", re.I)
        topic = lower_first(self.topic)
        return f"your {topic}" if any(theirs.search(text) for text in self.taken_up) else topic

    def subject(self) -> str:
        topic = re.sub(r"^re:\s*", "", self.topic, flags=re.I)
        firm = self.who.company
        pattern = MOVES[self.move]["subject"]
        if not topic:
            line = (
                f"{firm} and {self.reading.persona.organisation}"
                if firm and self.reading.persona.organisation
                else ""
            )
            line = line or (f"A question about {firm}" if firm else "Your message")
            return line if self.number == 0 else f"{line} ({self.number + 1})"
        if "{firm}" in pattern and (not firm or firm.lower() in topic.lower()):
            pattern = "About {topic}"
        name = self.who.first_name
        pattern = pattern if name else pattern.replace(", {name}", "")
        if not pattern.startswith("{topic}") and self.move != "reply":
            topic = lower_first(topic)
        return upper_first(pattern.format(topic=topic, firm=firm, name=name))

    def body(self) -> str:
        parts = [
            self._greeting(),
            self._first_paragraph(),
            self._middle(),
            self._close(),
            self._sign_off(),
        ]
        most = wanted_count(f"{self.asked} {self.reading.instruction_text[:4_000]}", "words?")
        if most:
            room = most - sum(len(parts[i].split()) for i in (0, 3, 4))
            parts[1] = fits_words(parts[1], max(room, 12))
            parts[2] = (
                fits_words(parts[2], room - len(parts[1].split()))
                if room - len(parts[1].split()) > 8
                else ""
            )
        return "\n\n".join(part for part in parts if part)

    def _greeting(self) -> str:
        return f"Hello {self.who.first_name}," if self.who.first_name else "Hello,"

    def _first_paragraph(self) -> str:
        move = MOVES[self.move]
        firm = self.who.company or "your side"
        topic = self.told_topic or "your plans"
        first = move["open"].format(topic=topic, firm=firm)
        ours = [text for text in (opening(one) for one in self._mine()) if text]
        if not ours and self.who.company and self.number == 0:
            ours = [f"I am writing to you because of your work at {self.who.company}."]
        ours = ours[: 2 if self.total == 1 else 1]
        if len(ours) == 2 and ours[0][:18] == ours[1][:18] == "You mentioned that":
            ours[1] = "You also wrote that" + ours[1][18:]
        return " ".join([first, *ours])

    def _mine(self) -> list[str]:
        """The sentences that this letter of the series takes up."""
        texts = self.taken_up
        if self.total == 1:
            return texts
        return texts[self.number :]

    def _middle(self) -> str:
        said = [as_sentence(text) for text in self._offer()]
        noted = self._points()
        if noted and self.move != "reply":
            said.append("I noted this for our talk:" if self.number == 0 else "One more note:")
            lines = noted[:3] if self.total == 1 else noted[self.number : self.number + 1]
            if not lines:
                return " ".join(said[:-1])
            return " ".join(said) + "\n" + "\n".join(f"- {line}" for line in lines)
        return " ".join(said)

    def _offer(self) -> list[str]:
        """What the instructions say of the sender's side, nearest to the other's need first."""
        need = " ".join(self.taken_up[:3])
        offer = [self.reading.persona.offer] if self.reading.persona.offer else []
        told = offer + [
            one
            for one in self.reading.background
            if 4 <= len(one.split()) <= 45
            and not one.endswith(("?", ":"))
            and not re.match(r"you\b|your\b", one, re.I)
        ]
        best = sorted(told, key=lambda one: -likeness(need, one))
        if not best:
            return []
        chosen = best[:2] if self.total == 1 else best[self.number : self.number + 1]
        house = self.reading.persona.organisation
        return [re.sub(r"^(?:It|This)\b", house or "It", one) for one in chosen]

    def _points(self) -> list[str]:
        found = []
        for fact in self.reading.facts:
            names = " ".join(plain_key(part) for part in fact.path)
            if re.search(r"\bpoints?\b|highlights?|hooks?\b", names) and isinstance(
                fact.value, str
            ):
                told = to_you(fact.value)
                about_person = self.who.name and self.who.name in told
                if (
                    not about_person
                    and "ask" not in told[:9]
                    and not any(likeness(told, text) > 0.6 for text in self.taken_up[:2])
                ):
                    found.append(as_sentence(told))
        return found

    def _close(self) -> str:
        topic = self.told_topic or "this"
        return MOVES[self.move]["close"].format(
            topic=topic, firm=self.who.company or "your company"
        )

    def _sign_off(self) -> str:
        signature = self.reading.persona.signature()
        return f"Best regards,\n{signature}" if signature else "Best regards"


def _told_of(text: str, number: int) -> str:
    """What the instructions say of the letter with this number, if they do."""
    for pattern in (
        rf"\b(?:e-?mail|mail|message|letter|step) {number + 1}\b[:\s-]*([^\n.;]+)",
        rf"\b(?:the )?{_ORDINALS[min(number, 5)]}\b(?: e-?mail| mail| message| one| "
        rf"letter)?[:\s,]*([^\n.;,]+)",
        rf"^\s*{number + 1}[.)]\s+([^\n]+)",
    ):
        if match := re.search(pattern, text, re.I | re.M):
            return match.group(1)
    return ""


def is_letter(name: str, description: str, siblings: frozenset[str]) -> bool:
    """Whether a property asks for the text of an e-mail or letter."""
    plain = plain_key(name)
    if re.search(r"\b(?:body|e ?mail text|email|letter|message body|reply text|draft)\b", plain):
        return "format" not in description or "body" in plain
    mailing = re.search(
        r"e-?mail|letter|message to|reply to the (?:customer|person|lead)", description, re.I
    )
    if plain in ("message", "content", "text", "reply", "response", "draft reply"):
        return bool(mailing) or "subject" in siblings
    return False


def is_subject(name: str, siblings: frozenset[str]) -> bool:
    plain = plain_key(name)
    return plain in ("subject", "subject line", "email subject") or (
        plain == "title" and bool(siblings & {"body", "message"})
    )
