"""A sentence in; whether it may be quoted, whether it stands alone, and of what kind it is, out.

What briefs and questions have in common. Of pages and of transcripts it takes whole sentences of
prose: no menu, no code, no advertisement, and no order to whoever reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from deploy.offline_model.text import sentences

SUBJECT = re.compile(
    r"^((?:(?:An?|The)\s)?(?:[\w'’-]+\s){0,3}[\w'’-]+)\s(?:is|are)\s(?:an?|the|one)\s"
)
FIGURES = re.compile(r"\d\s*(?:%|percent)|\b\d[\d.,]+\b|\b(?:half|twice|million|billion)\b")
YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
LIMITS = re.compile(
    r"\b(?:but|however|although|unless|cannot|can't|limit\w*|risk\w*|problem\w*|danger\w*|fail\w*"
    r"|lack\w*|difficult\w*|costly|drawback\w*|must not|not enough|warning|the weakest)\b",
    re.I,
)
_BOILERPLATE = re.compile(
    r"(?:use|accept|set|manage)s? (?:of )?cookies|subscribe to|newsletter|all rights reserved"
    r"|sign (?:in|up) (?:to|for|now)|click here|privacy policy|terms of (?:use|service)|skip to"
    r"|table of contents|copyright ©",
    re.I,
)
_ORDERS = re.compile(
    r"ignore (?:all|any|the|your|previous|prior)|system prompt|you (?:are|must|should) (?:now|an? "
    r"(?:ai|assistant|model))|assistant:|as an ai|instructions?\b.{0,30}\b(?:ignore|follow|above)"
    r"|\bsend (?:an? )?e-?mail|forward (?:this|all)|!\[",
    re.I,
)
_SPEAKER = re.compile(r"^(?:(?:[A-Z][\w.'’-]*\s?){1,3}:|[\w.$]+ <[^<>]{1,60}>)\s+(?=[A-Z])")
_BULLET = re.compile(r"^\s*[-*+•]\s+")
_OPTION = re.compile(r"\bDefaults?: \S[^.]{0,60}\.?$")  # its description and default are one
_LEANS = re.compile(
    r"(?:its?|this|that|these|those|they|their|he|she|his|her|but|and|or|so|however|such|both|here"
    r"|[A-Za-z]+ed (?:at|by|in|from|on|for|to|with)|as (?:above|below|before|usual|such)|see"
    r"|there|then|also|for example|for instance|in addition|moreover|instead|therefore|thus|else"
    r"|otherwise|note that|similarly|likewise|(?:the|another) (?:following|above|latter|former)"
    r"|(?:yes|no|well|oh)[,.])\b",
    re.I,
)
_WRAPPED_CHARS = 50  # a line of so many that ends in no sentence goes on in the next
_BEGINS = re.compile(r"[-*+•>|#]\s|\d+[.)]\s|[`~]{3}|\|")
_FENCED = re.compile(r"^\s*(```|~~~).*?^\s*\1", re.DOTALL | re.MULTILINE)
_WHOLE = re.compile(r"^[\"“'(\[]?[A-Z0-9À-Þ].{30,340}[.!?][\"”')\]]*$", re.DOTALL)


def said(text: str) -> Iterator[tuple[str, bool]]:
    """Its sentences that may be quoted, each with whether it leans on the one before it.

    What comes after a question is its answer, and is seldom understood alone.
    """
    before = ""
    for line in unwrapped(text).splitlines():
        for one in [_BULLET.sub("", line)] if _OPTION.search(line) else sentences(line):
            sentence = _SPEAKER.sub("", one)
            if _quotable(sentence):
                yield sentence, _LEANS.match(sentence) is not None or before.endswith("?")
            before = sentence


def unwrapped(text: str) -> str:
    """The text without code blocks, its paragraphs a line each, however their lines were broken."""
    lines: list[str] = []
    last = ""
    for line in _FENCED.sub("", text).splitlines():
        line = line.strip()
        goes_on = line[:1].islower() or (len(last) >= _WRAPPED_CHARS and last[-1] not in ".!?:;")
        if last and _OPTION.search(line):
            goes_on = goes_on or _BULLET.match(lines[-1]) is not None
        if last and line and goes_on and not _BEGINS.match(line):
            lines[-1] += f" {line}"
        else:
            lines.append(line)
        last = line
    return "\n".join(lines)


def titled(title: object) -> bool:
    """Whether a title says something, and is no file's name."""
    return isinstance(title, str) and bool(title) and not re.search(r"\.\w{2,5}$", title)


def lowered(subject: str) -> str:
    """A sentence's subject as it stands inside another one; a name stays as it is."""
    first, _, rest = subject.partition(" ")
    plain = first in ("A", "An", "The") or (first[1:].islower() and (rest.islower() or not rest))
    return f"{first.lower()} {rest}".strip() if plain else subject


def _quotable(text: str) -> bool:
    signs = sum(not (c.isalnum() or c.isspace() or c in ".,;:'’\"“”()-–—%?!/`") for c in text)
    return bool(
        _WHOLE.match(text)
        and signs <= len(text) * 0.04
        and len(text.split()) >= 6
        and not _BOILERPLATE.search(text)
        and not _ORDERS.search(text)
        and not text.endswith("?")
    )
