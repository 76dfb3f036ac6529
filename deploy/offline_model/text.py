"""Text in; sentences, word stems, key phrases and token counts out.

Everything that the offline model knows about language as such, and nothing about any subject. The
stemmer is deliberately mild: it joins "migrate", "migrating" and "migration", and leaves words
apart whose meanings drift ("customer", "custom").
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

WORD = re.compile(r"[^\W_]+(?:[.'’@&+-][^\W_]+)*[+#]?")
_TOKEN = re.compile(r"\w{1,6}|[^\w\s]{1,4}")
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=[\"'(\[]*[^\sa-z])")
_BULLET = re.compile(r"^\s*(?:[-*•–·>]+|\(?\d{1,2}[.)])\s+")
_ABBREVIATION = re.compile(
    r"(?:\b(?:mr|mrs|ms|dr|prof|inc|ltd|corp|co|st|no|vs|e\.g|i\.e|etc|approx|dept"
    r"|est|jr|sr)|\b[A-Z])\.$",
    re.IGNORECASE,
)

STOP = frozenset(
    """a an and are as at be been being but by can could did do does for from had has have he her
    him his how i if in into is it its just me may might more most much my of on or our ours out
    over own per please shall she should so some such than that the their them then there these
    they this those through to too under up us very was we were what when where which while who
    whom whose why will with would you your yours am about also any all each both between
    because during before after again further once here only same s t re ve ll d m etc via yet
    already now""".split()
)
# Words that fit almost any subject: they count, but little.
GENERIC = frozenset(
    """lead company customer case client user team person people thing clear good well new use make
    get give one two three kind type way item part time day work business need want look like
    real right full high low given data information detail details text value field number name
    record message request input output answer reply result entry content available relevant
    specific general main important possible several other another many few based include
    provide mention show say know see think help something someone anything""".split()
)
NEGATORS = frozenset(
    "no not without none never nothing nor neither lack lacks lacking nobody zero".split()
)
_CONTRACTIONS = {
    "can't": ("cannot",),
    "cant": ("cannot",),
    "won't": ("will", "not"),
    "let's": ("let", "us"),
    "dont": ("do", "not"),
    "doesnt": ("does", "not"),
    "isnt": ("is", "not"),
    "didnt": ("did", "not"),
    "havent": ("have", "not"),
    "im": ("i", "am"),
    "ive": ("i", "have"),
}
_ENDINGS = {"n't": "not", "'re": "are", "'ve": "have", "'ll": "will", "'m": "am", "'d": "would"}
_IRREGULAR = dict(
    pair.split("=")
    for pair in """
    production=production business=business news=news bought=buy paid=pay lost=lose sent=send
    broke=break broken=break ran=run running=run people=person men=man women=woman
    analyses=analysis analysis=analysis process=process access=access address=address
    series=series said=say told=tell left=leave went=go gone=go got=get hung=hang froze=freeze
    frozen=freeze grew=grow grown=grow fell=fall fallen=fall shrank=shrink rose=rise
    stolen=steal stole=steal driven=drive meeting=meeting during=during was=be is=be are=be
    were=be been=be has=have had=have""".split()
)


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The common beginning of a word's forms: "Migrations" → "migrat"."""
    word = word.lower()
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) <= 3 or not word.isalpha():
        return word
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix, rest in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= rest:
            word = word[: -len(suffix)]
            break
    if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiosl":
        word = word[:-1]
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word.removesuffix("e")


_SUFFIXES = (
    ("ization", 4),
    ("isation", 4),
    ("fulness", 4),
    ("ingly", 4),
    ("edly", 4),
    ("ement", 4),
    ("ment", 5),
    ("ness", 4),
    ("able", 4),
    ("ible", 4),
    ("ally", 5),
    ("ing", 3),
    ("ion", 5),
    ("ity", 5),
    ("ive", 5),
    ("ize", 4),
    ("ise", 5),
    ("ied", 3),
    ("ed", 3),
    ("ly", 4),
    ("ancy", 4),
    ("ance", 5),
    ("ency", 4),
    ("ence", 5),
    ("ant", 5),
    ("ent", 5),
    ("al", 5),
)


@lru_cache(maxsize=100_000)
def _expanded(word: str) -> tuple[str, ...]:
    word = word.replace("’", "'")
    if word in _CONTRACTIONS:
        return _CONTRACTIONS[word]
    for ending, meaning in _ENDINGS.items():
        if word.endswith(ending):
            return (word[: -len(ending)], meaning)
    return (word.removesuffix("'s"),)


def words(text: str) -> list[str]:
    """Lower-case words, contractions opened: "We don't" → we, do, not."""
    found: list[str] = []
    for word in WORD.findall(text.lower()):
        if "'" in word or "’" in word or word in _CONTRACTIONS:
            found.extend(_expanded(word))
        elif "@" in word or "-" in word or "&" in word or ("." in word and not word[0].isdigit()):
            parts = re.split(r"[@&.+-]+", word)
            found.append(word)
            found.extend(part for part in parts if part and part != word)
        else:
            found.append(word)
    return found


@lru_cache(maxsize=8_192)
def stems(text: str) -> tuple[str, ...]:
    """Stems of the words that carry meaning, in order."""
    return tuple(stem(w) for w in words(text) if w not in STOP and w not in NEGATORS)


@lru_cache(maxsize=4_096)
def weight(stem_: str) -> float:
    """How much a stem tells: little for words that fit any subject, more for long ones."""
    if stem_ in _GENERIC_STEMS:
        return 0.25
    return 1.0 if len(stem_) < 7 else 1.2


_GENERIC_STEMS = frozenset(stem(word) for word in GENERIC)


def sentences(text: str) -> list[str]:
    """Sentences and list items of a text, without bullets, in order."""
    found: list[str] = []
    for line in text.splitlines():
        line = _BULLET.sub("", line).strip()
        if not line:
            continue
        pending = ""
        for piece in _SENTENCE_END.split(line):
            pending = f"{pending} {piece}" if pending else piece
            if not _ABBREVIATION.search(pending):
                found.append(pending.strip())
                pending = ""
        if pending:
            found.append(pending.strip())
    return found


@lru_cache(maxsize=16_384)
def plain_key(key: str) -> str:
    """A field's name as words: "companyName", "company_name", "Company name" → company name."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", key)
    return re.sub(r"[\W_]+", " ", spaced).strip().lower()


_PHRASE_BREAK = re.compile(r"[^\w\s'’&/+#-]+|\s[-–—]\s")
_WEAK_WORDS = """need want look plan replace move migrate help try hope start get make like evaluate
    consider current currently still soon next last year month week today tomorrow quarter first
    second third explore option compare demo pricing price quote begin ask tell write send call
    contact say run go come take find build switch improve bring keep around within until least most
    quite really simple simply best better great possible cannot have be interest choose reduce cut
    grow growth spend lose expect must allow enable hello hi dear thank thanks regards unable
    several every since approve approved work let miss misses"""
_WEAK_IN_PHRASE = frozenset(stem(word) for word in _WEAK_WORDS.split())
_VERBS = frozenset(
    """report reports see sees reach reaches arrive arrives happen happens pass serves serve sells
    leads builds holds maps studied studies built crossed launch launches
    leak leaks fails fail follow follows breaks emit emits wants""".split()
)


def key_phrases(text: str) -> list[str]:
    """Phrases of one to four telling words, the most telling first."""
    scored: dict[str, float] = {}
    for position, run in enumerate(_runs(text)):
        run = run[-4:]
        value = sum(weight(stem(word)) for word in run) ** 0.8
        value += 0.5 * sum(word[0].isupper() or not word.isalpha() for word in run)
        if len(run) == 1 and run[0].islower():
            value *= 0.6
        phrase = " ".join(run)
        scored.setdefault(phrase, value - 0.05 * min(position, 20))
    return sorted(scored, key=lambda phrase: (-scored[phrase], phrase))


def _runs(text: str) -> Iterator[list[str]]:
    """Uninterrupted runs of telling words within a text."""
    for piece in _PHRASE_BREAK.split(text):
        run: list[str] = []
        for word in piece.split():
            word = word.strip("'’-/")
            low = word.lower()
            weak = not word or low in STOP or low in NEGATORS or low.replace("'", "’") != low
            weak = weak or low in _VERBS
            weak = weak or (low.isdigit() and not (run and run[-1][0].isupper()))
            if weak or stem(low) in _WEAK_IN_PHRASE or len(word) > 30:
                if run:
                    yield run
                run = []
            else:
                run.append(word)
        if run:
            yield run


def tokens(text: str) -> list[str]:
    """Pieces of at most six letters: a stand-in for a tokeniser, the same everywhere."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    return len(_TOKEN.findall(text))


def first_tokens(text: str, count: int) -> str:
    """The beginning of a text that holds `count` tokens."""
    for number, match in enumerate(_TOKEN.finditer(text), start=1):
        if number > count:
            return text[: match.start()].rstrip()
    return text


def shorten(text: str, most: int) -> str:
    """At most `most` characters, cut at a sentence or word where there is one."""
    if len(text) <= most:
        return text
    cut = text[: max(most, 0)]
    end = max(cut.rfind(". "), cut.rfind("\n"))
    if end > most * 0.6:
        return cut[: end + 1].rstrip()
    space = cut.rfind(" ")
    return (cut[:space] if space > most * 0.5 else cut).rstrip(" ,;:-")
