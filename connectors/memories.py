"""What an agent went through in, what of it is like the present case out: long-term memory.

    memories   {_id, agent, key, at_ms, event, model, embedding}

The same search as for chunks: `$vectorSearch` where the server has it, else the exact one over the
newest memories of that agent and key. An event is one memory however often it is delivered.
"""

from typing import Any

from connectors import embedding
from connectors.mongodb import MAJORITY, shared_database, until_available
from connectors.vector_memory import numbers
from connectors.vectors import MEMORIES, memory_index

NEWEST = 2_000
Event = dict[str, Any]


class Memories:
    """The memories of one agent. On the running event loop."""

    def __init__(self, agent: str) -> None:
        self._agent = agent
        self._collection = shared_database()[MEMORIES]
        self._index = memory_index(shared_database())

    async def recall(
        self, key: str | None, text: str, k: int, *, score_least: float, without: str
    ) -> list[Event]:
        """The `k` events most like this text, of one key or (None) of all, oldest first. Not the
        one with the id `without`: a run that is made again must not remember itself."""
        vector = await _vector(text)
        if vector is None:
            return []
        wanted = {"agent": self._agent, "model": embedding.model_name()}
        if key is not None:
            wanted["key"] = key
        search = (
            self._by_index if await until_available("recall", self._index.ready) else self._exact
        )
        found = await until_available("recall", lambda: search(vector, wanted, k + 1))
        near = [one for one in found if one["_id"] != without and one["score"] >= score_least]
        return [
            one["event"] for one in sorted(near[:k], key=lambda one: (one["at_ms"], one["_id"]))
        ]

    async def remember(self, id_: str, key: str, text: str, event: Event, at_ms: int) -> None:
        """Store an event, under its id."""
        vector = await _vector(text)
        if vector is None:
            return
        memory = {
            "agent": self._agent,
            "key": key,
            "at_ms": at_ms,
            "event": event,
            "model": embedding.model_name(),
            "embedding": [float(number) for number in vector],
        }
        target = self._collection.with_options(write_concern=MAJORITY)
        await until_available(
            "remember", lambda: target.replace_one({"_id": id_}, memory, upsert=True)
        )

    async def _by_index(self, vector: Any, wanted: Event, k: int) -> list[Event]:
        return await self._index.nearest(vector, wanted, k, {"event": 1, "at_ms": 1})

    async def _exact(self, vector: Any, wanted: Event, k: int) -> list[Event]:
        shown = {"event": 1, "at_ms": 1, "embedding": 1}
        found = await self._collection.find(wanted, shown).sort("at_ms", -1).to_list(NEWEST)
        scored = [{**one, "score": float(numbers(one["embedding"]) @ vector)} for one in found]
        return sorted(scored, key=lambda one: (-one["score"], one["_id"]))[:k]


async def _vector(text: str) -> Any:
    """The vector of a text; None where there is nothing to embed."""
    return await embedding.vector_of(text) if text.strip() else None
