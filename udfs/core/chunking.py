"""A document's text in, its chunks out: each with its place in characters, and a hash.

How to cut and how to count comes from outside, so that a chunk fits the embedding model.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

Split = Callable[[str], Iterable[tuple[int, str]]]
Count = Callable[[Sequence[str]], Sequence[int]]


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
        (start + begin, piece[begin : begin + chars_max])
        for start, piece in split(text)
        for begin in range(0, len(piece), chars_max)
    ]
    counts = count([piece for _, piece in pieces])
    return [
        Chunk(piece, start, start + len(piece), tokens, text_hash(piece))
        for (start, piece), tokens in zip(pieces, counts, strict=True)
    ]


def text_hash(text: str) -> str:
    """32 hex digits that stand for a chunk's text."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:32]
