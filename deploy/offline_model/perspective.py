"""Sentences in one grammatical person in; the same sentences told to or about that person out.

"We are replacing our warehouse" becomes (
        "you are replacing your warehouse"
) in a letter and "they are
replacing their warehouse" in a report.
"""

from __future__ import annotations

import re

from deploy.offline_model.text import STOP

_TO_YOU = {
    "we": "you",
    "i": "you",
    "our": "your",
    "ours": "yours",
    "us": "you",
    "my": "your",
    "mine": "yours",
    "me": "you",
    "myself": "yourself",
    "ourselves": "yourselves",
    "we're": "you are",
    "i'm": "you are",
    "we've": "you have",
    "i've": "you have",
    "we'll": "you will",
    "i'll": "you will",
    "we'd": "you would",
    "i'd": "you would",
    "your": "our",
    "yours": "ours",
    "you're": "we are",
    "you've": "we have",
}
_THEY_TO_YOU = {
    "they": "you",
    "their": "your",
    "theirs": "yours",
    "them": "you",
    "they're": "you are",
    "they've": "you have",
}
_TO_THEY = {
    "we": "they",
    "i": "they",
    "our": "their",
    "ours": "theirs",
    "us": "them",
    "my": "their",
    "mine": "theirs",
    "me": "them",
    "myself": "themselves",
    "ourselves": "themselves",
    "we're": "they are",
    "i'm": "they are",
    "we've": "they have",
    "i've": "they have",
    "we'll": "they will",
    "i'll": "they will",
    "we'd": "they would",
    "i'd": "they would",
}
_WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)?|[^A-Za-z]+")
_AFTER_THESE_US = frozenset("to with from for by about of help ask see contact tell hear".split())
_FIRST = re.compile(r"\b(?:we|i|our|my|us|we['’]\w+|i['’]\w+)\b", re.IGNORECASE)
_FINITE = re.compile(
    r"\b(?:is|are|was|were|am|has|have|had|will|would|can|cannot|could|do|does|did"
    r"|must|should|needs?|wants?"
    r"|plans?|uses?|runs?|wrote|asks?|asked|seems?|makes?|builds?|sells?|offers?"
    r"|provides?|works?|lost|got|went"
    r"|failed|stopped|started|\w{3,}(?:'re|'ve|'m|n't))\b",
    re.IGNORECASE,
)
_BASE_VERBS = frozenset(
    """need want require seek hope plan try wish intend have use run spend struggle would could
    cannot can't got tried received bought ordered had don't""".split()
)
_ADVERBS = re.compile(
    r"^(?:just|currently|still|now|also|mainly|actively|really|only|simply)\s+", re.I
)
_FACE = re.compile(r"\s*(?:[:;]-?[)(DP]|[\U0001F300-\U0001FAFF\u2600-\u27BF]+)\s*$")
_STATES = frozenset("interested keen curious ready unable eager open willing happy stuck".split())
_NOT_GERUND = frozenset(
    "during morning evening nothing something anything everything king spring string "
    "pricing billing marketing engineering building training meeting manufacturing "
    "banking".split()
)


def to_you(sentence: str) -> str:
    """The sentence as told to the people who said it, or whom it calls "they"."""
    if sentence[:5].lower() in ("they ", "they'", "they’", "their"):
        return _swapped(sentence, _THEY_TO_YOU)
    return _swapped(sentence, _TO_YOU)


def to_they(sentence: str) -> str:
    """The sentence as told about the people who said it."""
    return _swapped(sentence, _TO_THEY)


def in_first_person(sentence: str) -> bool:
    return _FIRST.search(sentence) is not None


def _swapped(sentence: str, table: dict[str, str]) -> str:
    found: list[str] = []
    last = ""
    for token in _WORD.findall(sentence):
        low = token.lower().replace("’", "'")
        new = token
        if low in table and token != "US":
            new = table[low]
        elif low == "you" and table is _TO_YOU:
            new = "us" if last in _AFTER_THESE_US else "we"
        elif low in ("am", "was") and last == "i":
            new = "are" if low == "am" else "were"
        if new != token and token[:1].isupper() and not found:
            new = upper_first(new)
        found.append(new)
        last = low if low.strip() else last
    return "".join(found)


def lower_first(text: str) -> str:
    """Lower-cases the first letter of an ordinary word; names and acronyms keep theirs."""
    first = re.split(r"[\s'’]", text, maxsplit=1)[0]
    if is_ordinary(first) and (first == "A" or first[1:].islower()):
        return text[:1].lower() + text[1:]
    return text


def is_ordinary(word: str) -> bool:
    """Whether a word is surely no name, so that it may lose its capital letter."""
    low = re.split(r"['’]", word.lower())[0].strip(",.:;")
    return low in STOP or low.endswith(("ing", "ed")) or low in _COMMON or word[:1].islower()


_COMMON = frozenset(
    """need want require looking current new several many some all please currently today last next
    every our company customers users people data project migration migrate team budget no there
    since replace replacement moving cannot unable interested evaluation request question
    problem help support""".split()
)


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


def as_sentence(text: str) -> str:
    """Capital letter first, a full stop last."""
    text = _FACE.sub("", text.strip()).rstrip(" ,;:-–—")
    if not text:
        return ""
    return upper_first(text) + ("" if text[-1] in '.!?”"' else ".")


def opening(sentence: str) -> str:
    """A sentence of the other side, taken up in a letter to them: "You mentioned that you …"."""
    plain = _FACE.sub("", sentence.strip()).rstrip(".! ")
    if plain.startswith(("http://", "https://")) or not plain:
        return ""
    words = plain.split()
    first = _first_word(plain)
    rest = to_you(plain)
    if plain.endswith("?"):
        return f"You asked: “{plain}”"
    if first in ("hi", "hello", "hey", "dear") or len(words) > 45:
        return ""
    if first in ("please", "kindly"):
        return as_sentence(f"You asked us: “{plain}”")
    if first.endswith("ing") and len(first) > 4 and first not in _NOT_GERUND:
        return as_sentence(f"You mentioned that you are {lower_first(rest)}")
    if first in _BASE_VERBS:
        return as_sentence(f"You mentioned that you {lower_first(rest)}")
    if first in _STATES:
        return as_sentence(f"You mentioned that you are {lower_first(rest)}")
    clause = _FINITE.search(plain) or (in_first_person(plain) and len(words) > 6)
    if not is_ordinary(words[0]) or (not clause and ("," in plain or len(words) > 10)):
        return f"You wrote: “{plain}.”"
    if in_first_person(plain) and (clause or first in ("i", "we")):
        return as_sentence(f"You mentioned that {lower_first(rest)}")
    if clause:
        return as_sentence(f"I understand that {lower_first(rest)}")
    return as_sentence(f"Thank you for telling us about {lower_first(rest)}")


def _first_word(sentence: str) -> str:
    """The first word that is no adverb: "Just exploring options" → exploring."""
    return (_ADVERBS.sub("", sentence).split() or [""])[0].lower().strip(",'\"")


def about_them(sentence: str) -> str:
    """A sentence of the other side, as a line of notes about them."""
    plain = sentence.strip()
    if not plain:
        return ""
    if plain.endswith("?") or re.match(r"(?:please|kindly)\b", plain, re.I):
        return f"They ask: “{plain}”"
    first = _first_word(plain)
    if first.endswith("ing") and len(first) > 4 and first not in _NOT_GERUND:
        return as_sentence(f"They are {lower_first(to_they(plain))}")
    if first in _BASE_VERBS:
        return as_sentence(f"They {lower_first(to_they(plain))}")
    if first in _STATES:
        return as_sentence(f"They are {lower_first(to_they(plain))}")
    return as_sentence(to_they(plain))
