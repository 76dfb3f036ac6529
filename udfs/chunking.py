"""A document's text in, an array of chunks out: `chunk_text(content, max_tokens, overlap_tokens)`.

    CROSS JOIN UNNEST(chunk_text(content, 200, 30)) AS c (text, start_char, end_char, …)

What a chunk is, `udfs.splitting` says.
"""

from typing import Any

from pyflink.common import Row
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from udfs.splitting import split

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


def chunk_text() -> Any:
    """The user-defined function."""
    row = DataTypes.ROW([DataTypes.FIELD(name, kind()) for name, kind in COLUMNS.items()])
    return udf(ChunkText(), result_type=DataTypes.ARRAY(row))
