"""A document's text in, its chunks out: each with its place in characters, and a hash.

How to cut and how to count comes from outside, so that a chunk fits the embedding model.
"""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

Split = Callable[[str], Iterable[tuple[int, str]]]
Count = Callable[[Sequence[str]], Sequence[int]]
LINE_CHARS = 10_000
_LONG_LINE = re.compile(rf"[^\n]{{{LINE_CHARS + 1},}}")


@dataclass(frozen=True)
class Chunk:
    """`text` stands in the document from `start_char` up to `end_char`."""

    text: str
    start_char: int
    end_char: int
    token_count: int
    chunk_hash: str


def chunks(text: str, split: Split, count: Count, chars_max: int) -> list[Chunk]:
    """The chunks of a text, none longer than `chars_max`: a word of a million letters is one token
    to a tokenizer, and still no chunk that anybody could read."""
    pieces = [
        (origin + start + begin, piece[begin : begin + chars_max])
        for origin, part in _parts(text)
        for start, piece in split(part)
        for begin in range(0, len(piece), chars_max)
    ]
    counts = count([piece for _, piece in pieces])
    return [
        Chunk(piece, start, start + len(piece), tokens, text_hash(piece))
        for (start, piece), tokens in zip(pieces, counts, strict=True)
        if tokens  # else nothing that a model could read
    ]


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The text as it is, but cut within lines of more than 10,000 characters: the time of a
    splitter grows faster than a line in which it finds no place to cut."""
    cuts = [
        at
        for line in _LONG_LINE.finditer(text)
        for at in range(line.start() + LINE_CHARS, line.end(), LINE_CHARS)
    ]
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        yield start, text[start:end]


def text_hash(text: str) -> str:
    """32 hex digits that stand for a chunk's text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
