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
from deploy.offline_model.moves import Move, of_series, single
from deploy.offline_model.perspective import as_sentence, lower_first, opening, to_you, upper_first
from deploy.offline_model.ranking import likeness, ranked, stem_set, worth
from deploy.offline_model.reading import Reading, is_report
from deploy.offline_model.reporting import fits_words, topic_of, wanted_count
from deploy.offline_model.text import key_phrases, plain_key, shorten, weight

_WISH = re.compile(r"\b(?:want|need|plan|replace|looking for|would like|must|hope)\w*", re.I)
_ABOUT = re.compile(r"\b(?:about|regarding|concerning) ([^.\n]{4,80})")
_GERUND = re.compile(r"\w+ing")
_POINTS = re.compile(r"\bpoints?\b|highlights?|hooks?\b")
_NOT_TOPICS = frozenset(
    {"budget", "timeline", "purchase_intent", "early_stage", "employees", "person"}
)


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
    def move(self) -> Move:
        told = self.reading.instruction_text[:6_000]
        if self.total > 1:
            lines = self.reading.instructions
            return of_series(lines, f"{told}\n{self.asked}", self.number, self.total)
        speaker = self.reading.persona
        return single(f"{speaker.role} {speaker.goal} {told} {self.asked}")

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
        """What this letter is about, in a few words of the other side."""
        if self.number == 0 and (subject := self._their_subject()):
            return shorten(subject, 60)
        phrases = self._phrases()
        if phrases:
            return phrases[self.number % min(len(phrases), 4)]
        return topic_of(self.reading, self.asked, self.number)

    def _their_subject(self) -> str:
        """The subject of what they wrote, or what the instructions say that the letter is about."""
        for key in ("subject", "topic"):
            for fact in self.reading.by_key.get(key, ()):
                if fact.source == "user" and isinstance(fact.value, str):
                    return fact.value
        told = _ABOUT.search(self.reading.instruction_text[:6_000])
        return told.group(1) if told and not self.taken_up else ""

    def _phrases(self) -> list[str]:
        """Key phrases of what letters take up: longer ones, and those of wishes, first."""
        known = stem_set(f"{self.who.name} {self.who.company}")
        valued: dict[str, float] = {}
        for place, text in enumerate(self.taken_up[:4]):
            wish = 0.6 if _WISH.search(text) else 0.0
            for rank, phrase in enumerate(key_phrases(text)[:3]):
                telling = sum(weight(one) for one in stem_set(phrase))
                if (
                    telling < 0.9
                    or _GERUND.fullmatch(phrase)
                    or ideas_of(phrase) & _NOT_TOPICS
                    or stem_set(phrase) <= known
                ):
                    continue
                value = min(len(phrase.split()), 3) * 0.5 + wish - 0.25 * place - 0.2 * rank
                valued[phrase] = max(valued.get(phrase, -9.0), value)
        ordered = sorted(valued, key=lambda one: -valued[one])
        return [
            one
            for number, one in enumerate(ordered)
            if not any(stem_set(one) <= stem_set(other) for other in ordered[:number])
        ]

    @cached_property
    def told_topic(self) -> str:
        """The topic as it stands in a sentence to them: "your Oracle warehouse"."""
        if not self.topic:
            return ""
        theirs = re.compile(rf"\b(?:our|my|their|the|an?)\s+{re.escape(self.topic)}\b", re.I)
        topic = lower_first(self.topic)
        return f"your {topic}" if any(theirs.search(text) for text in self.taken_up) else topic

    def subject(self) -> str:
        topic = re.sub(r"^re:\s*", "", self.topic, flags=re.I)
        firm, name, pattern = self.who.company, self.who.first_name, self.move.subject
        if "{topic}" not in pattern:
            return pattern
        if not topic:
            pattern = f"A question about {firm}" if firm else "Your message"
            return pattern if self.number == 0 else f"{pattern} ({self.number + 1})"
        if "{firm}" in pattern and (not firm or firm.lower() in topic.lower()):
            pattern = "About {topic}"
        if not name:
            pattern = pattern.replace(", {name}", "")
        if not pattern.startswith("{topic}") and self.move.name != "reply":
            topic = lower_first(topic)
        line = upper_first(pattern.format(topic=topic, firm=firm, name=name))
        most = wanted_count(self.asked, "words?")
        return " ".join(line.split()[:most]) if most and most > 2 else line

    def body(self) -> str:
        greeting = f"Hello {self.who.first_name}," if self.who.first_name else "Hello,"
        close, sign_off = self._filled(self.move.close), self._sign_off()
        first, middle = self._first_paragraph(), self._middle()
        most = wanted_count(f"{self.asked} {self.reading.instruction_text[:4_000]}", "words?")
        if most:
            room = most - len(f"{greeting} {close} {sign_off}".split())
            first = fits_words(first, max(room, 12))
            left = room - len(first.split())
            middle = fits_words(middle, left) if left > 8 else ""
        return "\n\n".join(part for part in (greeting, first, middle, close, sign_off) if part)

    def _filled(self, pattern: str) -> str:
        return pattern.format(
            topic=self.told_topic or "your plans",
            firm=self.who.company or "your company",
            name=self.who.first_name,
        )

    def _first_paragraph(self) -> str:
        texts = self.taken_up if self.total == 1 else self.taken_up[self.number :]
        theirs = [told for told in map(opening, texts) if told]
        if not theirs and self.who.company and self.move.name == "introduce":
            theirs = [f"I am writing to you because of your work at {self.who.company}."]
        theirs = theirs[: 2 if self.total == 1 else 1]
        for again, instead in (
            ("You mentioned that", "You also wrote that"),
            ("You wrote:", "And:"),
        ):
            if len(theirs) == 2 and all(told.startswith(again) for told in theirs):
                theirs[1] = f"{instead}{theirs[1].removeprefix(again)}"
        return " ".join([self._filled(self.move.opening), *theirs])

    def _middle(self) -> str:
        said = [as_sentence(text) for text in self._offer()]
        if self.total > 1 and self.move.thought:
            said.insert(0, self._filled(self.move.thought))
        noted = self._points()
        noted = noted[:3] if self.total == 1 else noted[self.number : self.number + 1]
        if noted and self.move.name != "reply":
            said.append("I noted this for our talk:" if self.number == 0 else "One more note:")
            return " ".join(said) + "\n" + "\n".join(f"- {line}" for line in noted)
        return " ".join(said)

    def _offer(self) -> list[str]:
        """What the instructions say of the sender's side, nearest to the other's need first."""
        speaker = self.reading.persona
        house = speaker.organisation
        told = [one for one in self.reading.background if self._is_offer(one, house)]
        if speaker.offer:
            told.insert(0, speaker.offer)
        need = " ".join(self.taken_up[:3])
        told.sort(key=lambda one: -likeness(need, one))
        chosen = told[:2] if self.total == 1 else told[self.number : self.number + 1]
        return [re.sub(r"^(?:It|This)\b", house or "It", one) for one in chosen]

    def _is_offer(self, text: str, house: str) -> bool:
        if not 4 <= len(text.split()) <= 45 or text.endswith(("?", ":")):
            return False
        ours = re.match(r"(?:we|our|it|this)\b", text, re.I) is not None
        return ours or house in text if house else not re.match(r"you\b|your\b", text, re.I)

    def _points(self) -> list[str]:
        """Talking points of the data, as told to the other side."""
        found = []
        for fact in self.reading.facts:
            names = " ".join(plain_key(part) for part in fact.path)
            if not isinstance(fact.value, str) or not _POINTS.search(names):
                continue
            told = to_you(fact.value)
            theirs = told.startswith(("You ", "Your ")) and not told.startswith("You ask")
            if theirs and not any(likeness(told, one) > 0.6 for one in self.taken_up[:2]):
                found.append(as_sentence(told))
        return found

    def _sign_off(self) -> str:
        signature = self.reading.persona.signature()
        return f"Best regards,\n{signature}" if signature else "Best regards"


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
