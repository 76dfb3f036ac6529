"""A name in a script in, the function that it calls out.

child_headers(headers, step, index)           headers of the index-th event that a script makes
dead_letter_headers(headers, reason, message) headers of a dead letter that a script routes
chunk_text(content, max_tokens, overlap)      a text as an array of chunks
AI_EMBEDDING(text)                            the vector of a text
compose_brief(…), brief_of_nothing(…)         see `udfs.brief_functions`
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

from pyflink.table import DataTypes
from pyflink.table.udf import udf

from udfs.brief_functions import BRIEF_FUNCTIONS
from udfs.chunking import chunk_text
from udfs.core import events
from udfs.core.dead_letter import dead_letter_headers
from udfs.embedding import ai_embedding

_HEADERS = DataTypes.MAP(DataTypes.STRING(), DataTypes.BYTES())


def _child_headers(headers: dict[str, Any] | None, step: str, index: int) -> dict[str, bytes]:
    return events.child_headers(_bytes(headers), step, index)


def _bytes(headers: dict[str, Any] | None) -> dict[str, bytes]:
    return {name: bytes(value or b"") for name, value in (headers or {}).items()}


def functions(job: str) -> dict[str, Callable[[], Any]]:
    """Name → a maker of the function, for the runner to register where it is called."""

    def of_dead_letter(headers: dict[str, Any] | None, reason: str, message: str) -> Any:
        return dead_letter_headers(
            _bytes(headers),
            reason=reason or "unknown",
            message=message or "",
            stage="script",
            job=job,
            at=dt.datetime.now(dt.UTC),
        )

    return {
        "ai_embedding": ai_embedding,
        "chunk_text": chunk_text,
        "child_headers": lambda: udf(_child_headers, result_type=_HEADERS),
        "dead_letter_headers": lambda: udf(
            of_dead_letter, result_type=_HEADERS, deterministic=False
        ),
        **BRIEF_FUNCTIONS,
    }
