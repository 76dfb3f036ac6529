"""Arrow batches of JSON rows in, merged into the documents of a `mongodb` table: `STORE_ROW`.

As `udfs.mongodb_sink`, but the row goes on: what a later view reads of it is in the store, and so
are the rows before it. A row sets the columns that are not null and leaves the others as they are;
the table says which column's null deletes the document ('sink.delete-when-null'), and which one
gets the server's time of the write ('sink.current-date'). A row without key writes nothing.
"""

from collections.abc import Sequence
from typing import Any

import bson
from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, udf

from udfs.mongodb_sink import MongoSink, MongoTarget, Numbered


class StoreRow(MongoSink):
    """Takes one column of JSON rows; returns for each null when the store has it, or why never."""

    number = float  # a row holds hundreds, and a Decimal takes more than twice as long

    def open(self, function_context: FunctionContext) -> None:
        from connectors.mongodb import takes_vectors

        super().open(function_context)
        self._takes_vectors = takes_vectors(self._collection.database)

    def _write(self, documents: list[Numbered], refused: list[str | None]) -> None:
        keyed = [numbered for numbered in documents if numbered[1]["_id"] is not None]
        for batch in rounds(keyed, self.target.max_rows):
            self._store(batch, refused)

    def _store(self, batch: Sequence[Numbered], refused: list[str | None]) -> None:
        from connectors.mongodb import bulk_write, unfit

        fit = []
        for place, document in batch:
            reason = unfit(document)
            if reason is None:
                fit.append((place, write(document, self.target, vectors=self._takes_vectors)))
            else:
                refused[place] = reason
        found = bulk_write(self._collection, [one for _, one in fit])
        for index, reason in found.items():
            refused[fit[index][0]] = reason[:300]


def rounds(documents: Sequence[Numbered], most: int) -> list[list[Numbered]]:
    """Documents in batches in which each id stands once, in their order: writes of a batch may come
    in any, and a chunk may be added by one version of a page and removed by the next."""
    batches: list[list[Numbered]] = []
    ids: set[bytes] = set()
    for numbered in documents:
        identity = bson.encode({"_id": numbered[1]["_id"]})
        if not batches or identity in ids or len(batches[-1]) == most:
            batches.append([])
            ids = set()
        batches[-1].append(numbered)
        ids.add(identity)
    return batches


def write(document: dict[str, Any], target: MongoTarget, *, vectors: bool) -> Any:
    """What is to be done to a document of the store."""
    from bson.binary import Binary, BinaryVectorDtype
    from pymongo import DeleteOne, UpdateOne

    identity = {"_id": document["_id"]}
    if target.delete_when_null and document[target.delete_when_null] is None:
        return DeleteOne(identity)
    fields = {n: v for n, v in document.items() if v is not None and n != "_id"}
    for column in target.columns:
        one = column.type
        if vectors and one.kind == "ARRAY" and one.items[0].kind == "FLOAT":
            if fields.get(column.name):
                dtype = BinaryVectorDtype.FLOAT32
                fields[column.name] = Binary.from_vector(fields[column.name], dtype)
    changes: dict[str, Any] = {"$set": fields}
    if target.current_date:
        changes["$currentDate"] = {target.current_date: True}
    return UpdateOne(identity, changes, upsert=True)


def store_row(target: MongoTarget) -> Any:
    """The user-defined function that merges into `target`."""
    return udf(
        StoreRow(target), result_type=DataTypes.STRING(), func_type="pandas", deterministic=False
    )
