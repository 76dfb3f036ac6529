"""A text in, its chunks out, each at most so many tokens of the embedding model.

Cut by semantic-text-splitter where the text itself has a break: paragraphs before sentences,
sentences before words. Tokens are those of the default embedding model. No Flink here: the process
of a keyed function needs none.
"""

import functools
from collections.abc import Callable, Sequence

from udfs.core.chunking import Chunk, Count, chunks

CHARS_PER_TOKEN = 20


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
