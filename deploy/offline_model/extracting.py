"""A reading and what is asked for (name, description, format) in; a short text of the data out.

Nothing is invented: what the data does not hold comes back as None.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from deploy.offline_model.lexicon import ideas_of
from deploy.offline_model.patterns import compiled_pattern
from deploy.offline_model.reading import Fact, Reading
from deploy.offline_model.text import STOP, plain_key, stem, stems, words

EMAIL = re.compile(r"[\w.+'-]{1,64}@(?:[\w-]{1,63}\.)+[A-Za-z]{2,24}")
URL = re.compile(
    r"https?://[^\s<>\"'(){}\[\]]{3,400}|\bwww\.[\w-]+(?:\.[\w-]+)+[^\s<>\"'(){}\[\],]*"
)
DOMAIN = re.compile(r"\b(?:[a-z0-9-]{1,63}\.)+(?:[a-z]{2,24})\b", re.IGNORECASE)
_FORMATS = {
    "email": EMAIL,
    "idn-email": EMAIL,
    "uri": re.compile(r"https?://[^\s<>\"'(){}\[\]]{3,400}"),
    "url": URL,
    "date": re.compile(r"\b\d{4}-\d{2}-\d{2}\b"),
    "date-time": re.compile(
        r"\b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})?"
    ),
    "time": re.compile(r"\b\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?"),
    "uuid": re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"),
    "ipv4": re.compile(r"\b(?:\d{1,3}\.){3}\d{1,3}\b"),
    "hostname": DOMAIN,
}
_FORMATS["uri-reference"] = _FORMATS["iri"] = _FORMATS["uri"]
MAX_SCANNED_CHARS = 200_000
_PERSON = re.compile(
    r"^(?:(?:Dr|Mr|Mrs|Ms|Prof)\.? )?[^\W\d_][\w'’.-]*(?: [^\W\d_][\w'’.-]*){0,4}$"
)
_SIGNED = re.compile(
    r"(?:regards|best|thanks|thank you|cheers|sincerely"
    r"|greetings)[,!]?\s+((?:[A-Z][\w'’-]+ ?){1,3})$",
    re.I,
)
_I_AM = re.compile(
    r"\b(?:I am|I'm|my name is|this is) ((?:[A-Z][\w'’-]+ ?){1,3})(?=,|\.| from| at| and|$)"
)
_TO_WHOM = re.compile(
    r"\bto ([A-Z][\w'’-]+(?: [A-Z][\w'’-]+){1,2})"
    r"(?: (?:from|at|of) ([A-Z][\w&.-]*(?: [A-Z][\w&.-]*)*))?"
)
_FROM_COMPANY = re.compile(r"\b(?:from|at|for|with) ((?:[A-Z][\w&.-]*)(?: (?:[A-Z][\w&-]*|&))*)")
_IS_TITLE = re.compile(
    r"\b(?:I am|I'm)(?: the| an?)? ((?:[A-Za-z/&-]+ ){0,4}?(?:manager|director"
    r"|engineer|officer|lead|head of [\w ]+|VP[\w ]*|CTO|CEO|CIO|CFO|founder|owner"
    r"|analyst|student|developer|architect|administrator|consultant|teacher|nurse"
    r"|doctor))\b"
)


@dataclass(frozen=True)
class Party:
    """The person and company that the data is about."""

    name: str = ""
    title: str = ""
    company: str = ""
    email: str = ""
    website: str = ""

    @property
    def first_name(self) -> str:
        parts = [part for part in self.name.split() if part.rstrip(".") not in _TITLES]
        return parts[0] if parts else ""


_TITLES = frozenset("Dr Mr Mrs Ms Prof".split())
_ROLES: dict[str, tuple[str, ...]] = {
    "name": (
        "full name",
        "contact name",
        "lead name",
        "customer name",
        "person name",
        "candidate name",
        "applicant name",
        "name",
        "contact",
        "customer",
        "requester",
        "applicant",
        "candidate",
        "sender",
        "from",
        "author",
        "user",
        "person",
        "reporter",
        "lead",
    ),
    "title": ("job title", "title", "job role", "position", "role"),
    "company": (
        "company name",
        "company",
        "organisation",
        "organization",
        "organisation name",
        "organization name",
        "account name",
        "employer",
        "business",
        "firm",
        "account",
    ),
    "email": ("email", "e mail", "email address", "mail", "to", "from"),
    "website": ("company website", "website", "url", "homepage", "site", "web"),
}


def party(reading: Reading) -> Party:
    """Who the data is about, from its fields first and its prose second."""
    if "party" not in reading.memo:
        reading.memo["party"] = _party(reading)
    known: Party = reading.memo["party"]
    return known


def _party(reading: Reading) -> Party:
    found = {role: _by_role(reading, role, keys) for role, keys in _ROLES.items()}
    if not found["name"]:
        first, last = _exact(reading, "first name"), _exact(reading, "last name")
        found["name"] = " ".join(part for part in (first, last) if part)
    prose = [one.text for one in reading.passages if one.source == "user"][:60]
    for role, pattern in (
        ("name", _I_AM),
        ("name", _SIGNED),
        ("title", _IS_TITLE),
        ("company", _FROM_COMPANY),
    ):
        if not found[role]:
            match = next((m for text in prose if (m := pattern.search(text))), None)
            found[role] = match.group(1).strip(" .,") if match else ""
    if not found["name"] and (told := _TO_WHOM.search(reading.instruction_text[:4_000])):
        found["name"], found["company"] = told.group(1), found["company"] or told.group(2) or ""
    if not found["email"]:
        found["email"] = next(formatted(reading, "email"), "")
    return Party(**found)


def _by_role(reading: Reading, role: str, keys: tuple[str, ...]) -> str:
    for wanted in keys:
        for fact in reading.by_key.get(wanted, ()):
            if _plays(role, fact):
                return " ".join(str(fact.value).split())
    return ""


def _exact(reading: Reading, wanted: str) -> str:
    for fact in reading.by_key.get(wanted, ()):
        if isinstance(fact.value, str):
            return fact.value
    return ""


def _plays(role: str, fact: Fact) -> bool:
    value = fact.value
    if not isinstance(value, str) or not value.strip() or len(value) > 120:
        return False
    above = " ".join(plain_key(part) for part in fact.path[:-1])
    if role == "name":
        of_firm = re.search(r"compan|account|organi|product|firm|vendor", above)
        return not of_firm and _PERSON.match(value) is not None and "@" not in value
    if role == "email":
        return EMAIL.fullmatch(value.strip()) is not None
    if role == "website":
        return URL.search(value) is not None or DOMAIN.fullmatch(value.strip()) is not None
    if role == "title":
        return fact.source == "user" and len(value.split()) <= 10 and "?" not in value
    return len(value.split()) <= 8 and "@" not in value


def formatted(reading: Reading, kind: str) -> Iterator[str]:
    """Texts of the data that have a format ("email", "uri", "date", …), in order."""
    pattern = _FORMATS.get(kind)
    if pattern is None:
        return
    scanned = 0
    for text in reading.texts():
        scanned += len(text)
        if scanned > MAX_SCANNED_CHARS:
            return
        for match in pattern.finditer(text):
            yield match.group(0).rstrip(".,;:!?)")


def of_format(reading: Reading, kind: str, name: str, description: str) -> str | None:
    """The text of a format whose field's name fits best; None where the data has none."""
    pattern = _FORMATS.get(kind)
    if pattern is None:
        return None
    best, best_fit = None, -1.0
    for fact in reading.facts:
        if isinstance(fact.value, str) and (match := pattern.search(fact.value)):
            fit = key_fit(fact, name, description)
            if fit > best_fit:
                best, best_fit = match.group(0).rstrip(".,;:!?)"), fit
    return best or next(formatted(reading, kind), None)


def of_pattern(reading: Reading, pattern: str, name: str, description: str) -> str | None:
    """A value or word of the data that matches a regular expression."""
    expression = compiled_pattern(pattern)
    if expression is None:
        return None
    fact = best_fact(reading, name, description, least=0.5)
    candidates = [str(fact.value)] if fact else []
    candidates += [text for text in reading.texts() if len(text) <= 200][:200]
    for text in candidates:
        if expression.search(text):
            return text
    for text in candidates[:60] + [p.text for p in reading.passages[:100]]:
        for word in text[:400].split():
            bare = word.strip(".,;:!?()\"'")
            if bare and expression.search(bare) and expression.search("") is None:
                return bare
    return None


def key_fit(fact: Fact, name: str, description: str) -> float:
    """How well a fact's key answers to a property's name and description, 0 to about 1.2."""
    fit = _name_fit(plain_key(fact.key), plain_key(name))
    if fit < 0.95 and len(fact.path) > 1:
        whole = " ".join(plain_key(part) for part in fact.path[-2:] if not part.isdigit())
        fit = max(fit, _name_fit(whole, plain_key(name)) * 0.98)
    told = set(stems(description[:300]))
    around = {one for part in fact.path for one in stems(plain_key(part))}
    fit += 0.15 * min(len(told & around), 2) / 2
    return fit + (0.05 if fact.source == "user" else 0.0)


@lru_cache(maxsize=65_536)
def _name_fit(key: str, name: str) -> float:
    if key == name:
        return 1.0
    ours, theirs = set(_name_stems(name)), set(_name_stems(key))
    if not ours or not theirs:
        return 0.0
    if ours == theirs:
        return 0.97
    if ours < theirs:
        return 0.9 - 0.1 * (len(theirs) - len(ours))
    if theirs < ours:
        return 0.8 - 0.15 * (len(ours) - len(theirs)) if not theirs <= _VAGUE else 0.3
    if ideas_of(key) & ideas_of(name):
        return 0.6
    return 0.35 * len(ours & theirs) / len(ours | theirs)


_VAGUE = frozenset(stem(w) for w in "name type text value id number date title".split())
_SHORT_NAMES = {"no": "number", "nr": "number", "num": "number", "qty": "quantity", "tel": "phone"}


def _name_stems(key: str) -> tuple[str, ...]:
    return tuple(stem(_SHORT_NAMES.get(word, word)) for word in words(key) if word not in STOP)


def best_fact(reading: Reading, name: str, description: str, least: float = 0.6) -> Fact | None:
    """The fact whose key answers best to a property; None below `least`."""
    best, best_fit = None, least - 1e-9
    for fact in reading.facts:
        if fact.value is None or fact.value == "":
            continue
        fit = key_fit(fact, name, description)
        if fit > best_fit:
            best, best_fit = fact, fit
    return best


def domain(reading: Reading) -> str | None:
    """The host name of the website in the data, else of a business e-mail address."""
    found = party(reading)
    if found.website:
        host = re.sub(r"^https?://", "", found.website).split("/")[0].split(":")[0]
        return host.removeprefix("www.")
    host = found.email.rpartition("@")[2]
    return host if host and "free_mail" not in ideas_of(host) else None
