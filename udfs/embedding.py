"""Arrow batches of texts in, their vectors out: `AI_EMBEDDING(text)`.

A vectorised function: all texts of a batch are embedded together, sorted by length. The model is
that of the worker (`connectors.embedding`), one per process, loaded at the first text. A null text
has no vector, and costs nothing; a text that the model refuses has none either.
"""

from typing import Any

from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf


class AiEmbedding(ScalarFunction):
    """(text) → its vector of length 1, or null."""

    def is_deterministic(self) -> bool:
        return False

    def eval(self, texts: Any) -> Any:
        import numpy
        import pandas

        vectors: list[Any] = [None] * len(texts)
        places = [place for place, text in enumerate(texts) if text is not None]
        if places:
            from connectors.embedding import embed

            found = embed([texts.iloc[place] for place in places])
            for place, vector in zip(places, found, strict=True):
                vectors[place] = None if numpy.isnan(vector).any() else vector
        return pandas.Series(vectors, dtype="object")


def ai_embedding() -> Any:
    """The user-defined function. Not deterministic, or the planner would call it per column."""
    return udf(
        AiEmbedding(),
        result_type=DataTypes.ARRAY(DataTypes.FLOAT()),
        func_type="pandas",
        deterministic=False,
    )
