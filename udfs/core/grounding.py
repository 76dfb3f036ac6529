"""Texts in, the e-mail addresses and URLs in them out; so that invented ones can be told.

Compared in one spelling: lower case, without scheme, `www.`, closing slash and the punctuation that
ends a sentence. A bare domain counts where its ending is a usual one, because mail programs make a
link of it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from udfs.core.reply_schema import Schema, type_of

_ENDINGS = "com|org|net|edu|gov|info|biz|io|ai|app|dev|co|me|us|uk|de|eu|example|test"
_ADDRESS = re.compile(
    r"[a-z0-9._%+'-]{1,64}@[a-z0-9.-]{1,255}"  # an e-mail address
    r"|[a-z][a-z0-9+.-]{1,20}://[^\s<>\"'`{}|\\^\]]+"  # a URL with its scheme
    rf"|(?<![\w@.-])(?:[a-z0-9-]{{1,63}}\.){{1,8}}(?:{_ENDINGS})\b"  # a domain …
    r"(?:[/?#:][^\s<>\"'`{}|\\^\]]*)?",  # … with its path
    re.IGNORECASE,
)
_WRAPPING = ".,;:!?)('\"*_>-"


def addresses(texts: Iterable[str]) -> set[str]:
    """All addresses in the texts, each in the one spelling."""
    return {_spelling(match[0]) for text in texts for match in _ADDRESS.finditer(text)}


def _spelling(address: str) -> str:
    _, scheme_mark, rest = address.lower().partition("://")
    address = (rest if scheme_mark else address.lower()).strip(_WRAPPING)
    return address.removeprefix("www.").rstrip("/").strip(_WRAPPING)


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
