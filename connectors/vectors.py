"""A question in, the chunks of a bundle that are nearest to it out.

    chunks     {_id, bundle_id, url, title, text, chunk_index, start_char, …, model, embedding}
    documents  {_id, bundle_id, url, title, content_hash, chunk_count, chunk_ids, model, stored_at}

Where the server has `$vectorSearch` and the index that `init_store` makes, it is used (see
`connectors.vector_index`). Elsewhere the search is exact: the vectors of a bundle stand in memory
(1.5 KB each), and each search looks whether a document was stored since (`vector_memory`). Only
vectors of the question's own model are compared. Everything here waits while MongoDB is away.
"""

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from pymongo.asynchronous.database import AsyncDatabase

from connectors import embedding
from connectors.mongodb import shared_database, until_available
from connectors.vector_index import VectorIndex
from connectors.vector_memory import BundleVectors, numbers

CHUNKS, DOCUMENTS, MEMORIES = "chunks", "documents", "memories"
SPARE = 8  # nearest chunks beyond k, in place of those that were removed meanwhile
MEMORY_BYTES_MAX = 512 << 20
SHOWN = ("_id", "url", "title", "chunk_index", "text", "start_char", "end_char", "token_count")

Found = list[dict[str, Any]]
_stores: WeakKeyDictionary[asyncio.AbstractEventLoop, "Store"] = WeakKeyDictionary()


async def search(bundle_id: str, query: str, k: int = 8) -> Found:
    """The `k` chunks of a bundle that are nearest to the query, best first, each with `score`, the
    cosine. Raises EmbeddingError."""
    vector = await embedding.vector_of(query)
    if vector is None:
        return []
    return await _store().nearest(bundle_id, vector, k)


async def chunk(bundle_id: str, chunk_id: str) -> dict[str, Any] | None:
    """One chunk of a bundle."""
    wanted = {"_id": chunk_id, "bundle_id": bundle_id}
    found = await _read_chunks(wanted, dict.fromkeys(SHOWN, 1))
    return _shown(found[0]) if found else None


async def document(document_id: str) -> dict[str, Any]:
    """What is known of a document; nothing where it was never stored."""
    documents = shared_database()[DOCUMENTS]
    wanted = {"_id": document_id}
    return await until_available("read a document", lambda: documents.find_one(wanted)) or {}


async def chunks(ids: list[str]) -> Found:
    """These chunks, as far as they are there, without their vectors, in the order of the ids."""
    found = await _read_chunks({"_id": {"$in": ids}}, {"embedding": 0})
    by_id = {one["_id"]: one for one in found}
    return [by_id[name] for name in ids if name in by_id]


async def vectors(ids: list[str], model: str) -> dict[str, list[float]]:
    """The vectors that this model made of these chunks, as far as they are there."""
    shown = {"embedding": 1, "model": 1}
    found = await _read_chunks({"_id": {"$in": ids}}, shown)
    return {
        one["_id"]: [float(number) for number in numbers(one["embedding"])]
        for one in found
        if one.get("model") == model and one.get("embedding")
    }


async def _read_chunks(wanted: dict[str, Any], shown: dict[str, int]) -> Found:
    collection = shared_database()[CHUNKS]

    async def read() -> Found:
        return await collection.find(wanted, shown).to_list()

    return await until_available("read chunks", read)


async def init_store() -> str:
    """Make the indexes, and say how a search will be made. Costs nothing a second time."""
    database = shared_database()
    await database[CHUNKS].create_index([("bundle_id", 1), ("url", 1)])
    await database[DOCUMENTS].create_index([("bundle_id", 1), ("stored_at", 1)])
    await database[MEMORIES].create_index([("agent", 1), ("key", 1), ("at_ms", -1)])
    dimension = len((await asyncio.to_thread(embedding.embed, ["how long is a vector?"]))[0])
    trouble = [await chunk_index(database).create(dimension)]
    trouble.append(await memory_index(database).create(dimension))
    if trouble[0]:
        return f"exact search in memory: the server has no $vectorSearch ({trouble[0]})"
    return "$vectorSearch, as soon as the server has built its index"


def chunk_index(database: AsyncDatabase[dict[str, Any]]) -> VectorIndex:
    return VectorIndex(database[CHUNKS], "chunks_by_meaning", ("bundle_id", "model"))


def memory_index(database: AsyncDatabase[dict[str, Any]]) -> VectorIndex:
    return VectorIndex(database[MEMORIES], "memories_by_meaning", ("agent", "key", "model"))


def _store() -> "Store":
    """One per event loop, as the clients are."""
    database = shared_database()
    return _stores.setdefault(asyncio.get_running_loop(), Store(database))


class Store:
    """The chunks of one database, to be searched."""

    def __init__(self, database: AsyncDatabase[dict[str, Any]]) -> None:
        self._database = database
        self._index = chunk_index(database)
        self._bundles: dict[tuple[str, str], BundleVectors] = {}

    async def nearest(self, bundle_id: str, vector: Any, k: int) -> Found:
        """The `k` nearest chunks to a vector of the worker's own model."""
        search = (
            self._by_index if await until_available("search", self._index.ready) else self._exact
        )
        return await until_available("search", lambda: search(bundle_id, vector, k))

    async def _by_index(self, bundle_id: str, vector: Any, k: int) -> Found:
        wanted = {"bundle_id": bundle_id, "model": embedding.model_name()}
        found = await self._index.nearest(vector, wanted, k, dict.fromkeys(SHOWN, 1))
        return [_shown(one, one["score"]) for one in found]

    async def _exact(self, bundle_id: str, vector: Any, k: int) -> Found:
        bundle = await self._vectors(bundle_id)
        scores = dict(bundle.nearest(numbers(vector), k + SPARE))
        wanted = {"_id": {"$in": list(scores)}}
        found = await self._database[CHUNKS].find(wanted, dict.fromkeys(SHOWN, 1)).to_list()
        shown = [_shown(one, scores[one["_id"]]) for one in found]
        return sorted(shown, key=lambda one: (-one["score"], one["chunk_id"]))[:k]

    async def _vectors(self, bundle_id: str) -> BundleVectors:
        """The bundle's vectors as the store has them now."""
        key = bundle_id, embedding.model_name()
        bundle = self._bundles.pop(key, None) or BundleVectors(self._database, *key)
        self._bundles[key] = bundle  # the last used stands last
        await bundle.refresh()
        while len(self._bundles) > 1 and self._size() > MEMORY_BYTES_MAX:
            del self._bundles[next(iter(self._bundles))]
        return bundle

    def _size(self) -> int:
        return sum(one.size_bytes for one in self._bundles.values())


def _shown(found: dict[str, Any], score: float | None = None) -> dict[str, Any]:
    chunk_id = found["_id"]
    rest = {name: found.get(name) for name in SHOWN if name != "_id"}
    return {"chunk_id": chunk_id, **rest, **({} if score is None else {"score": float(score)})}
