"""A MongoDB URI in, clients with one set of habits out; batches of documents in, upserts out.

Everything of ours that MongoDB holds (journal, ledger, sinks) is waited for while it is away, never
given up: `until_available` and its twin `until_available_sync` are that wait. What can never
succeed (a document that is too large, a client that was closed) is raised at once.
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import bson
from bson.binary import Binary, BinaryVectorDtype
from bson.errors import BSONError
from pymongo import (
    AsyncMongoClient,
    DeleteOne,
    MongoClient,
    ReplaceOne,
    UpdateOne,
    WriteConcern,
)
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    OperationFailure,
    PyMongoError,
    WriteConcernError,
)

from connectors.settings import settings

Document = dict[str, Any]
Write = ReplaceOne[Document] | UpdateOne | DeleteOne
T = TypeVar("T")

MAJORITY = WriteConcern("majority", wtimeout=10_000)
OPTIONS: Mapping[str, Any] = {
    "appname": "tidemill",
    "connectTimeoutMS": 5_000,
    "serverSelectionTimeoutMS": 5_000,
    "socketTimeoutMS": 20_000,
    "tz_aware": True,
    "uuidRepresentation": "standard",
}
HOPELESS = (
    BulkWriteError,
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
)
BACKOFF_FIRST_S, BACKOFF_LAST_S = 0.1, 10.0
DOCUMENT_BYTES = 16 * 1024 * 1024
DUPLICATE_KEY = 11_000

_log = logging.getLogger(__name__)
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, AsyncMongoClient[Document]]] = (
    WeakKeyDictionary()
)


class MongoError(Exception):
    """MongoDB cannot be used as configured, or was given what it cannot hold. One sentence."""


def mongodb_uri() -> str:
    """MONGODB_URI, or a `MongoError` that says what to do."""
    uri = settings().mongodb_uri
    if not uri:
        raise MongoError("MONGODB_URI is not set: run `tidemill up`, or name your own MongoDB.")
    return uri


def client(uri: str | None = None) -> MongoClient[Document]:
    """A blocking client (one per process and operator); options in the URI win over ours."""
    return MongoClient(uri or mongodb_uri(), **_options(uri or mongodb_uri()))


def async_client(uri: str | None = None) -> AsyncMongoClient[Document]:
    """A client for one event loop; whoever builds it awaits its `close()`."""
    return AsyncMongoClient(uri or mongodb_uri(), **_options(uri or mongodb_uri()))


def shared_database() -> AsyncDatabase[Document]:
    """The settings' database, over one client per running event loop, for tools and look-ups."""
    uri = mongodb_uri()
    clients = _shared.setdefault(asyncio.get_running_loop(), {})
    if uri not in clients:
        clients[uri] = async_client(uri)
    return clients[uri][settings().mongodb_database]


async def close_shared() -> None:
    """Close what `shared_database` opened on this loop."""
    for opened in _shared.pop(asyncio.get_running_loop(), {}).values():
        await opened.close()


def _options(uri: str) -> dict[str, Any]:
    """Our options without those that the URI sets itself."""
    named = {pair.split("=")[0].lower() for pair in uri.partition("?")[2].split("&")}
    return {name: value for name, value in OPTIONS.items() if name.lower() not in named}


async def until_available(what: str, operation: Callable[[], Awaitable[T]]) -> T:
    """Run `operation` until MongoDB has answered it. Repeats it after a lost connection, so it
    must bear being applied twice. Ends early only by cancellation or by a `HOPELESS` error."""
    for wait_s in _backoff():
        try:
            return await operation()
        except PyMongoError as error:
            _raise_or_tell(what, error, wait_s)
        await asyncio.sleep(wait_s)
    raise AssertionError("the back-off never ends")


def until_available_sync(what: str, operation: Callable[[], T]) -> T:
    """`until_available` for blocking clients (sinks)."""
    for wait_s in _backoff():
        try:
            return operation()
        except PyMongoError as error:
            _raise_or_tell(what, error, wait_s)
        time.sleep(wait_s)
    raise AssertionError("the back-off never ends")


def _backoff() -> Iterator[float]:
    """Seconds to wait: doubling, with jitter so that workers do not come back all at once."""
    longest = BACKOFF_FIRST_S
    while True:
        yield random.uniform(longest / 2, longest)
        longest = min(2 * longest, BACKOFF_LAST_S)


def _raise_or_tell(what: str, error: PyMongoError, wait_s: float) -> None:
    if isinstance(error, HOPELESS):
        raise error
    reason = str(error).partition(", Timeout:")[0][:300]
    _log.warning("%s: MongoDB does not answer (%s); again in %.1f s", what, reason, wait_s)


def unfit(document: Document) -> str | None:
    """Why MongoDB can never hold this document, or None: no `_id`, no BSON, above 16 MiB."""
    if document.get("_id") is None:
        return "it has no `_id`"
    try:
        size_bytes = len(bson.encode(document))
    except (BSONError, OverflowError, UnicodeEncodeError) as error:
        return f"it cannot be written as BSON ({error})"
    return f"its {size_bytes} bytes are above 16 MiB" if size_bytes > DOCUMENT_BYTES else None


def bulk_upsert(
    collection: Collection[Document],
    documents: Iterable[Document],
    rejected: Callable[[Document, str], None] | None = None,
) -> int:
    """Replace or insert each document by its `_id`, in one unordered bulk write; returns how many.

    The last document of an `_id` wins, so that a replayed batch leaves the same documents. Waits
    while MongoDB is away. A document that is `unfit`, or that the server refuses for itself (by a
    validator of the collection), goes to `rejected` with the reason while the others are written;
    without `rejected` it raises `MongoError`, an unfit one before anything is written.
    """
    last: dict[bytes, Document] = {}
    for document in documents:
        reason = unfit(document)
        if reason is None:
            last[bson.encode({"_id": document["_id"]})] = document
        elif rejected is not None:
            rejected(document, reason)
        else:
            raise MongoError(f"{collection.full_name}: document {document.get('_id')!r}: {reason}")
    fit = list(last.values())
    upserts = [ReplaceOne({"_id": one["_id"]}, one, upsert=True) for one in fit]
    refused = bulk_write(collection, upserts)
    for place, reason in refused.items():
        if rejected is None:
            raise MongoError(f"{collection.full_name}: {reason}")
        rejected(fit[place], reason)
    return len(fit) - len(refused)


def bulk_write(collection: Collection[Document], writes: Sequence[Write]) -> dict[int, str]:
    """Make writes that are about different documents, in one unordered bulk write; the places of
    those that the server refuses, and why. Waits while MongoDB is away."""
    if not writes:
        return {}
    target = collection.with_options(write_concern=MAJORITY)
    what = f"write into {collection.full_name}"
    return dict(until_available_sync(what, lambda: _write(target, list(writes))))


def _write(target: Collection[Document], writes: list[Write]) -> list[tuple[int, str]]:
    """One bulk write, tried again where writers raced for a new `_id` or a majority was slow."""
    try:
        target.bulk_write(writes, ordered=False)
    except BulkWriteError as error:
        failed = error.details.get("writeErrors", [])
        if not failed:
            raise WriteConcernError(str(error.details.get("writeConcernErrors"))) from error
        others = [one for one in failed if one.get("code") != DUPLICATE_KEY]
        if not others:
            target.bulk_write(writes, ordered=False)
        elif len(others) < len(failed):
            refused = {one["index"] for one in others}
            _write(target, [w for place, w in enumerate(writes) if place not in refused])
        return [(int(one["index"]), str(one.get("errmsg"))) for one in others]
    return []


def takes_vectors(database: Database[Document]) -> bool:
    """Whether the server takes BSON's vectors (binary subtype 9). Waits while it is away.

    A ping that carries one in its comment: a server that does not know them cannot read it.
    """
    ping = {"ping": 1, "comment": Binary.from_vector([1.0], BinaryVectorDtype.FLOAT32)}
    until_available_sync("ping", lambda: database.command("ping"))
    try:
        database.command(ping)
    except (OperationFailure, AutoReconnect, BSONError):
        return False
    return True


def load_jsonl(
    collection: Collection[Document], path: Path, key: str | Callable[[Document], str]
) -> int:
    """Upsert a file of one JSON object per line; `_id` is the field `key`, or what `key` makes.

    The file is read whole before anything is written. Raises `MongoError` with `file:line`.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise MongoError(
            f"{path}: expected a readable UTF-8 file of JSON lines ({error})"
        ) from error
    documents = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            documents.append({**row, "_id": key(row) if callable(key) else row[key]})
        except (ValueError, KeyError, TypeError) as error:
            wanted = "" if callable(key) else f" with the field `{key}`"
            raise MongoError(
                f"{path}:{number}: expected a JSON object{wanted} ({type(error).__name__}: {error})"
            ) from error
    return bulk_upsert(collection, documents)
