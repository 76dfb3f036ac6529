"""The vectors of one bundle in, the nearest of them out: an exact search that notices changes.

A matrix of float32, one row per chunk, made anew where a document was stored since the last look.
Which those are, `documents.stored_at` says, by the server's own clock. A write that was under way
at that look may have an earlier time, so a look goes back ten seconds and compares what it finds.
"""

import asyncio
import datetime as dt
import time
from typing import Any

from bson.binary import Binary
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure

OVERLAP = dt.timedelta(seconds=10)
CLOCK_S = 2.0  # how long the server's time of a look serves the looks after it
IDS_PER_READ = 500


def numbers(stored: Any) -> Any:
    """A stored vector, BSON's or an array, as float32."""
    import numpy

    if isinstance(stored, Binary):
        return numpy.frombuffer(stored, numpy.dtype("<f4"), offset=2)
    return numpy.asarray(stored, numpy.float32)


class BundleVectors:
    """All chunks of a bundle that one model embedded."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]], bundle_id: str, model: str) -> None:
        self._database, self._bundle_id, self._model = database, bundle_id, model
        self._stamps: dict[str, Any] = {}
        self._since: dt.datetime | None = None
        self._timed_at = -CLOCK_S
        self._blocks: dict[str, tuple[list[str], Any]] = {}
        self._ids: list[str] = []
        self._matrix: Any = None
        self._lock = asyncio.Lock()

    @property
    def size_bytes(self) -> int:
        return 0 if self._matrix is None else int(self._matrix.nbytes)

    def nearest(self, vector: Any, k: int) -> list[tuple[str, float]]:
        """Ids and cosines of the `k` nearest chunks."""
        import numpy

        if self._matrix is None or not len(self._ids) or len(vector) != self._matrix.shape[1]:
            return []
        scores = self._matrix @ vector
        best = range(len(scores)) if len(scores) <= k else numpy.argpartition(-scores, k)[:k]
        return [(self._ids[row], float(scores[row])) for row in best]

    async def refresh(self) -> None:
        """Read what was stored since the last time."""
        async with self._lock:
            timed_at, now = time.monotonic(), None
            if timed_at - self._timed_at >= CLOCK_S:
                now = await self._server_time()
            wanted: dict[str, Any] = {"bundle_id": self._bundle_id}
            if self._since:
                wanted["stored_at"] = {"$gte": self._since}
            shown = {"stored_at": 1}
            found = await self._database["documents"].find(wanted, shown).to_list()
            changed = [one for one in found if self._stamps.get(one["_id"]) != one["stored_at"]]
            if changed:
                await self._read([one["_id"] for one in changed])
                self._stamps.update({one["_id"]: one["stored_at"] for one in changed})
            if now is not None:
                self._since, self._timed_at = now - OVERLAP, timed_at

    async def _server_time(self) -> dt.datetime:
        """By a greeting: `hello`, or what older servers call it."""
        try:
            answer = await self._database.command("hello")
        except OperationFailure:
            answer = await self._database.command("isMaster")
        at: dt.datetime = answer["localTime"]
        return at

    async def _read(self, documents: list[str]) -> None:
        """Read these documents' chunks anew, by the ids that each names in its own last write, and
        by nothing else: the local server has no other index, and scans for what it has none for."""
        owners: dict[str, str] = {}
        for start in range(0, len(documents), IDS_PER_READ):
            wanted: dict[str, Any] = {"_id": {"$in": documents[start : start + IDS_PER_READ]}}
            async for one in self._database["documents"].find(wanted, {"chunk_ids": 1}):
                owners.update(dict.fromkeys(one.get("chunk_ids") or (), one["_id"]))
        blocks: dict[str, tuple[list[str], list[Any]]] = {name: ([], []) for name in documents}
        ids = list(owners)
        for at in range(0, len(ids), IDS_PER_READ):
            wanted = {"_id": {"$in": ids[at : at + IDS_PER_READ]}}
            shown = {"embedding": 1, "model": 1}
            async for one in self._database["chunks"].find(wanted, shown):
                if one.get("embedding") and one.get("model") == self._model:
                    names, rows = blocks[owners[one["_id"]]]
                    names.append(one["_id"])
                    rows.append(numbers(one["embedding"]))
        self._blocks.update(blocks)
        self._join()

    def _join(self) -> None:
        """One matrix of all blocks, and the blocks as views into it."""
        import numpy

        full = {name: block for name, block in self._blocks.items() if block[0]}
        self._ids = [one for ids, _ in full.values() for one in ids]
        parts = [numpy.asarray(rows, numpy.float32) for _, rows in full.values()]
        self._matrix = numpy.concatenate(parts) if parts else None
        start = 0
        for name, (ids, _) in full.items():
            assert self._matrix is not None
            self._blocks[name] = ids, self._matrix[start : start + len(ids)]
            start += len(ids)
