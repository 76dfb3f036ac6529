"""A document's text in, an array of chunks out: `chunk_text(content, max_tokens, overlap_tokens)`.

    CROSS JOIN UNNEST(chunk_text(content, 200, 30)) AS c (text, start_char, end_char, …)

Cut where the text itself has a break: chapters before paragraphs, paragraphs before sentences.
Tokens are those of the default embedding model.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from udfs.core.chunking import Chunk, Count, chunks

CHARS_PER_TOKEN = 20
COLUMNS = {
    "text": DataTypes.STRING,
    "start_char": DataTypes.INT,
    "end_char": DataTypes.INT,
    "token_count": DataTypes.INT,
    "chunk_hash": DataTypes.STRING,
}


class ChunkText(ScalarFunction):
    """(content, most tokens of a chunk, tokens that it repeats of the one before) → its chunks."""

    def eval(self, content: str | None, max_tokens: int, overlap_tokens: int) -> list[Row] | None:
        if content is None:
            return None
        return [
            Row(c.text, c.start_char, c.end_char, c.token_count, c.chunk_hash)
            for c in split(content, max_tokens, overlap_tokens)
        ]


def split(content: str, max_tokens: int, overlap_tokens: int = 0) -> list[Chunk]:
    """The chunks of a text, as `chunk_text` makes them."""
    cut, count = _splitter(max_tokens, overlap_tokens)
    return chunks(content, cut, count, max_tokens * CHARS_PER_TOKEN)


@functools.cache
def _splitter(
    max_tokens: int, overlap_tokens: int
) -> tuple[Callable[[str], Sequence[tuple[int, str]]], Count]:
    """How a text is cut and its tokens counted. Raises EmbeddingError, at the first text."""
    from connectors.embedding import INSTALL, EmbeddingError, tokenizer

    loaded = tokenizer()
    try:
        from semantic_text_splitter import TextSplitter
    except ModuleNotFoundError as error:
        raise EmbeddingError(f"{error.name} is not installed: {INSTALL}") from None
    # The two marks that the tokenizer puts around every text are part of its count.
    splitter = TextSplitter.from_huggingface_tokenizer(
        loaded, max_tokens + 2, overlap=overlap_tokens
    )

    def count(texts: Sequence[str]) -> list[int]:
        encoded = loaded.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(one.ids) for one in encoded]

    return splitter.chunk_indices, count


def chunk_text() -> Any:
    """The user-defined function."""
    row = DataTypes.ROW([DataTypes.FIELD(name, kind()) for name, kind in COLUMNS.items()])
    return udf(ChunkText(), result_type=DataTypes.ARRAY(row))
