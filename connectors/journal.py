"""Call ids in, the entries that stand for them out; entries in, stored once each, the first wins.

One MongoDB collection, `journal`, outside Flink. What arrives while one bulk operation is under way
goes together in the next, so that a thousand calls a second are a few dozen round trips. A write is
acknowledged by a majority before `put` returns. While MongoDB is away both wait, for as long as it
takes; what was handed over is written even if who waits for it is cancelled.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pymongo import ASCENDING, AsyncMongoClient, ReadPreference
from pymongo.errors import BulkWriteError, OperationFailure, PyMongoError

from connectors.mongodb import (
    DUPLICATE_KEY,
    MAJORITY,
    Document,
    MongoError,
    async_client,
    until_available,
)
from connectors.settings import settings

JOURNAL = "journal"
RETENTION_S = 90 * 24 * 3600
ANSWER_BYTES_MAX = 15 * 1024 * 1024
BATCH_ENTRIES = 1_000
FLUSH_S = 5.0
TRACE_S = 10.0

Item = TypeVar("Item")
Result = TypeVar("Result")

_log = logging.getLogger(__name__)


class OversizeEntry(Exception):
    """An answer that is too large for any MongoDB document. `reason` is its dead letter's code."""

    reason = "oversize"


class MongoJournal:
    """The journal of one database, for one event loop. It owns its client: `aclose()` it."""

    def __init__(self, client: AsyncMongoClient[Document], database: str) -> None:
        self._client = client
        options: dict[str, Any] = {
            "write_concern": MAJORITY,
            "read_preference": ReadPreference.PRIMARY,
        }
        self._entries = client[database].get_collection(JOURNAL, **options)
        self._reads: _Batches[None, Document | None] = _Batches(self._find)
        self._writes: _Batches[Document, Document] = _Batches(self._insert)
        self._prepared = False

    @classmethod
    def from_settings(cls) -> "MongoJournal":
        """The journal that MONGODB_URI and MONGODB_DATABASE name. Raises `MongoError`."""
        return cls(async_client(), settings().mongodb_database)

    async def get(self, call_id: str) -> Document | None:
        """The entry of a call, or None where it was never completed."""
        stored = await self._reads.done(call_id, None)
        return stored and _read(stored)

    async def put(self, document: Mapping[str, Any]) -> Document:
        """Store an entry unless its `_id` is taken; returns the one that stands.

        Raises `OversizeEntry` for an answer of more than 15 MiB.
        """
        stored = {
            **document,
            "answer": _written(document["answer"]),
            "created_at": datetime.now(UTC),
        }
        return _read(await self._writes.done(stored["_id"], stored))

    async def calls_of(self, event_id: str) -> list[Document]:
        """All calls that an event made, of every agent and attempt, in their order."""
        return await self._listed({"event_id": event_id})

    async def calls_of_trace(self, trace_id: str) -> list[Document]:
        """All calls of a trace: of an event and of the events that came of it."""
        return await self._listed({"trace_id": trace_id})

    async def aclose(self) -> None:
        """Write what is still to be written, for some seconds, and close."""
        await self._writes.close(FLUSH_S)
        await self._reads.close(0)
        await self._client.close()

    async def _listed(self, condition: Document) -> list[Document]:
        try:
            async with asyncio.timeout(TRACE_S):
                found = await self._entries.find(condition).to_list()
        except (TimeoutError, PyMongoError) as error:
            raise MongoError(
                f"the journal at MONGODB_URI cannot be read ({type(error).__name__}): "
                "is MongoDB up? `tidemill status` tells"
            ) from error
        found.sort(key=lambda d: (d["started_at"], d["attempt"], d["step"], d["index"]))
        return [_read(document) for document in found]

    async def _find(self, wanted: Mapping[str, None]) -> dict[str, Document | None]:
        await self._prepare()
        condition = {"_id": {"$in": list(wanted)}}
        found = await until_available(
            "journal look-up", lambda: self._entries.find(condition).to_list()
        )
        by_id = {document["_id"]: document for document in found}
        return {call_id: by_id.get(call_id) for call_id in wanted}

    async def _insert(self, documents: Mapping[str, Document]) -> dict[str, Document]:
        """One unordered bulk insert; where an id is taken, the document that was there first."""

        async def insert() -> set[str]:
            try:
                await self._entries.insert_many(documents.values(), ordered=False)
                return set()
            except BulkWriteError as error:
                failed = error.details.get("writeErrors", [])
                other = [e for e in failed if e.get("code") != DUPLICATE_KEY]
                other += error.details.get("writeConcernErrors", [])
                if other:  # not a taken id: the server's trouble, waited for like its absence
                    raise OperationFailure(str(other[0].get("errmsg"))) from error
                ids = list(documents)
                return {ids[e["index"]] for e in failed}

        taken = await until_available("journal write", insert)
        stands = await self._find(dict.fromkeys(taken)) if taken else {}
        return {call_id: stands.get(call_id) or own for call_id, own in documents.items()}

    async def _prepare(self) -> None:
        """The indexes; one that ends old entries too, where the server has such."""
        if self._prepared:
            return
        for name in ("event_id", "trace_id"):
            await until_available("journal index", lambda n=name: self._index(n))  # type: ignore[misc]
        await until_available(
            "journal index", lambda: self._index("created_at", expireAfterSeconds=RETENTION_S)
        )
        self._prepared = True

    async def _index(self, name: str, **options: Any) -> None:
        try:
            await self._entries.create_index([(name, ASCENDING)], **options)
        except OperationFailure as error:
            _log.info("the journal goes without an index on %s: %s", name, error)


class _Batches(Generic[Item, Result]):
    """Items by key in, results out; one bulk operation at a time takes all that has gathered.

    The first item of a key wins within a batch. An operation's exception goes to all who wait.
    """

    def __init__(
        self, operation: Callable[[Mapping[str, Item]], Awaitable[Mapping[str, Result]]]
    ) -> None:
        self._operation = operation
        self._items: dict[str, Item] = {}
        self._waiting: dict[str, list[asyncio.Future[Result]]] = {}
        self._worker: asyncio.Task[None] | None = None

    async def done(self, key: str, item: Item) -> Result:
        """The result for an item, after the bulk operation that takes it."""
        result: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._items.setdefault(key, item)
        self._waiting.setdefault(key, []).append(result)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await result

    async def close(self, finish_s: float) -> None:
        """Let the operations end for up to `finish_s`, then cancel them and who waits."""
        if self._worker is not None and not self._worker.done():
            await asyncio.wait([self._worker], timeout=finish_s)
            self._worker.cancel()
            await asyncio.wait([self._worker])
        for waiting in self._waiting.values():
            for one in waiting:
                one.cancel()

    async def _work(self) -> None:
        while self._items:
            keys = list(self._items)[:BATCH_ENTRIES]
            items = {key: self._items.pop(key) for key in keys}
            waiting = {key: self._waiting.pop(key) for key in keys}
            try:
                results = await self._operation(items)
            except BaseException as error:
                for one in (w for waiters in waiting.values() for w in waiters):
                    if isinstance(error, asyncio.CancelledError):
                        one.cancel()
                    elif not one.done():
                        one.set_exception(error)
                if not isinstance(error, Exception):
                    raise
                continue
            for key, waiters in waiting.items():
                for one in waiters:
                    if not one.done():
                        one.set_result(results[key])


def _written(answer: object) -> str:
    """The answer as JSON text: BSON could hold neither its depth nor its integers."""
    text = json.dumps(answer, ensure_ascii=False, separators=(",", ":"))
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:  # half a character, which only its escape can name
        text = json.dumps(answer, separators=(",", ":"))
        size_bytes = len(text)
    if size_bytes > ANSWER_BYTES_MAX:
        raise OversizeEntry(f"an answer of {size_bytes} bytes is too large for the journal")
    return text


def _read(stored: Document) -> Document:
    return {**stored, "answer": json.loads(stored["answer"])}
