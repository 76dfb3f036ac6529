"""Texts in, vectors out, from an OpenAI-compatible `/embeddings` endpoint.

An endpoint that is away, or busy, is waited for: a store with holes is worse than a late one. A
text that it refuses has a row of nan. A key or a model that it does not know is a configuration
error, and is raised.
"""

import logging
import random
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from connectors.embedding import EmbeddingError
from connectors.model_errors import Refused, Retryable, redacted, sorted_out
from connectors.settings import settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

TEXTS_PER_CALL = 128
CALL_S = 60.0
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.25, 30.0

_log = logging.getLogger(__name__)


class Endpoint:
    """One embedding model behind an API. For use by several threads."""

    def __init__(self, base_url: str | None, api_key: str, model: str) -> None:
        import openai

        self._model, self._key = model, api_key
        self._client = openai.OpenAI(
            base_url=base_url, api_key=api_key, max_retries=0, timeout=CALL_S
        )

    @classmethod
    def from_settings(cls, model: str) -> "Endpoint":
        """The endpoint that OPENAI_BASE_URL and OPENAI_API_KEY name. Raises EmbeddingError."""
        values = settings()
        key = values.openai_api_key.get_secret_value() if values.openai_api_key else ""
        if not key and not values.openai_base_url:
            raise EmbeddingError(
                f"TIDEMILL_EMBEDDING_MODEL is openai:{model}, and neither OPENAI_API_KEY nor "
                "OPENAI_BASE_URL is set: set the key, or the address of your own server"
            )
        return cls(values.openai_base_url, key or "none", model)

    def embed(self, texts: Sequence[str]) -> "NDArray[Any]":
        import numpy

        found: list[list[float] | None] = []
        for start in range(0, len(texts), TEXTS_PER_CALL):
            found += self._call(list(texts[start : start + TEXTS_PER_CALL]))
        dimension = next((len(vector) for vector in found if vector), 1)
        nothing = [float("nan")] * dimension
        vectors = numpy.asarray([vector or nothing for vector in found], numpy.float32)
        lengths = numpy.linalg.norm(vectors, axis=1, keepdims=True)
        lengths[lengths == 0] = numpy.nan
        unit: NDArray[Any] = vectors / lengths
        return unit

    def _call(self, texts: list[str]) -> list[list[float] | None]:
        """One vector per text. Where one text spoils a call, each is sent alone."""
        longest_s = BACKOFF_FIRST_S
        while True:
            try:
                return self._ask(texts)
            except Refused as refused:
                if refused.status in (400, 413, 422) or refused.reason in ("oversize", "refusal"):
                    if len(texts) == 1:
                        return [None]
                    return [vector for text in texts for vector in self._call([text])]
                raise EmbeddingError(
                    f"the embedding model {self._model} refuses "
                    f"({redacted(str(refused), self._key)}): see OPENAI_BASE_URL, OPENAI_API_KEY "
                    "and TIDEMILL_EMBEDDING_MODEL"
                ) from None
            except Retryable as error:
                wait_s = max(error.retry_after_s or 0.0, random.uniform(0.01, longest_s))
                told = redacted(str(error), self._key)
                _log.warning("embedding: %s; again in %.1f s", told, wait_s)
                time.sleep(min(wait_s, 600.0))
                longest_s = min(2 * longest_s, BACKOFF_LAST_S)

    def _ask(self, texts: list[str]) -> list[list[float] | None]:
        try:
            answer = self._client.embeddings.create(
                input=texts, model=self._model, encoding_format="float"
            )
        except Exception as error:
            raise sorted_out(error) from None
        try:
            by_place = {one.index: [float(n) for n in one.embedding] for one in answer.data}
        except (AttributeError, TypeError, ValueError):
            raise Retryable("model_unavailable", "answered what is no list of vectors") from None
        if sorted(by_place) != list(range(len(texts))):
            raise Retryable(
                "model_unavailable", f"{len(by_place)} vectors came for {len(texts)} texts"
            )
        return [by_place[place] for place in range(len(texts))]
