"""A vector and a filter in, the nearest documents of a collection out, where the server searches.

`$vectorSearch` exists on Atlas and on servers with mongot. What this server can do is asked once,
and again each minute while the index is missing or being built; one log line says which search it
is. Scores are cosines.
"""

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from pymongo.asynchronous.collection import AsyncCollection
from pymongo.errors import OperationFailure
from pymongo.operations import SearchIndexModel

PROBE_S = 60.0
CANDIDATES_PER_RESULT, CANDIDATES_LEAST = 20, 100

Document = dict[str, Any]
_log = logging.getLogger(__name__)


class VectorIndex:
    """The search index of one collection: field `embedding`, and the fields that filter."""

    def __init__(
        self, collection: AsyncCollection[Document], name: str, filters: Iterable[str]
    ) -> None:
        self._collection, self._name, self._filters = collection, name, list(filters)
        self._ready: bool | None = None
        self._probed_at: float | None = None

    async def ready(self) -> bool:
        """Whether the server can be asked."""
        now = time.monotonic()
        if self._ready or (self._probed_at is not None and now - self._probed_at < PROBE_S):
            return bool(self._ready)
        self._probed_at = now
        try:
            found = [one async for one in await self._collection.list_search_indexes(self._name)]
            ready = any(one.get("queryable") for one in found)
            why = "the index is being built" if found else "no index: run `tidemill research init`"
        except OperationFailure as error:
            ready, why = False, f"the server has no $vectorSearch: {reason(error)}"
        if ready != self._ready:
            how = f"$vectorSearch by {self._name}" if ready else f"exact cosine here ({why})"
            _log.warning("search in %s: %s", self._collection.full_name, how)
        self._ready = ready
        return ready

    async def create(self, dimension: int) -> str | None:
        """Make the index unless it is there. Why it cannot be made, or None."""
        vector = {"type": "vector", "path": "embedding", "numDimensions": dimension}
        filters = [{"type": "filter", "path": path} for path in self._filters]
        fields = {"fields": [{**vector, "similarity": "cosine"}, *filters]}
        try:
            listed = [one["name"] async for one in await self._collection.list_search_indexes()]
            if self._name not in listed:
                model = SearchIndexModel(fields, self._name, type="vectorSearch")
                await self._collection.create_search_index(model)
        except OperationFailure as error:
            return reason(error)
        return None

    async def nearest(
        self, vector: Iterable[float], wanted: Document, k: int, shown: Mapping[str, Any]
    ) -> list[Document]:
        """The `k` nearest documents, best first, with `score`."""
        stage = {
            "index": self._name,
            "path": "embedding",
            "queryVector": [float(number) for number in vector],
            "numCandidates": max(CANDIDATES_LEAST, k * CANDIDATES_PER_RESULT),
            "limit": k,
            "filter": wanted,
        }
        # The server's score of a cosine is (1 + cosine) / 2.
        score = {"$subtract": [{"$multiply": [{"$meta": "vectorSearchScore"}, 2]}, 1]}
        pipeline = [{"$vectorSearch": stage}, {"$project": {**shown, "score": score}}]
        return await (await self._collection.aggregate(pipeline)).to_list()


def reason(error: OperationFailure) -> str:
    """What the server said, in one line."""
    return str(error).partition(", full error")[0][:120]
