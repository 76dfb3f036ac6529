"""Texts in, the e-mail addresses and URLs in them out; so that invented ones can be told.

Compared in one spelling: lower case, without scheme, `www.` and the punctuation around it. A bare
domain counts where its ending is a usual one, because mail programs make a link of it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from udfs.core.reply_schema import Schema, type_of

_ENDINGS = frozenset(
    "com org net edu gov info biz io ai app dev co me us uk de eu fr nl ch ru cn example test xyz "
    "top site online store shop club link click live pro vip icu cloud page".split()
)
_BETWEEN = re.compile(r"[^\w.@:/?#%+&~$-]+")
_AFTER_HOST = re.compile(r"[/?#:]")
_WRAPPING = ".:/?#%+&~$_-"


def addresses(texts: Iterable[str]) -> set[str]:
    """All addresses in the texts, each in the one spelling."""
    pieces = (piece for text in texts for piece in _BETWEEN.split(text))
    return {found for piece in pieces if (found := _address(piece))}


def _address(piece: str) -> str | None:
    """The address that a piece of text without blanks is, if it is one."""
    _, scheme_mark, rest = piece.lower().rpartition("://")
    rest = rest.strip(_WRAPPING)
    if not scheme_mark and "@" in rest:
        before, _, host = rest.rpartition("@")
        return f"{before.rpartition(':')[2]}@{host}"
    host, _, ending = _AFTER_HOST.split(rest, maxsplit=1)[0].rpartition(".")
    if rest and (scheme_mark or (host and ending in _ENDINGS)):
        return rest.removeprefix("www.")
    return None


def grounded_texts(value: Any, schema: Schema, path: str = "$") -> Iterator[tuple[str, str]]:
    """(path, text) of each string in a reply that is declared `x-grounded`."""
    if value is None:
        return
    kind = type_of(schema)
    if schema.get("x-grounded"):
        for text in value if kind == "array" else (value,):
            if text is not None:
                yield path, text
    elif kind == "object":
        for name, inner in schema["properties"].items():
            yield from grounded_texts(value.get(name), inner, f"{path}.{name}")
    elif kind == "array":
        for index, inner in enumerate(value):
            yield from grounded_texts(inner, schema["items"], f"{path}[{index}]")


def texts_of(value: object) -> Iterator[str]:
    """Every string in a JSON value, keys left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from texts_of(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from texts_of(inner)
