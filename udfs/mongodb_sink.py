"""Arrow batches of JSON rows in, one unordered bulk upsert a batch out: the `mongodb` connector.

A vectorised function, because PyFlink finishes an Arrow batch before a checkpoint's barrier:
what was read before the checkpoint is written, so at-least-once is real. `_id` comes from the
primary key, so a replayed batch rewrites the same documents. A row that MongoDB can never hold is a
dead letter.
"""

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, ClassVar

from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from udfs.core.dead_letter import dead_letter_headers
from udfs.core.decode import Column
from udfs.core.types import Type, decode
from udfs.flink_types import HEADERS, data_type

DELETE, STAMP = "sink.delete-when-null", "sink.current-date"
OPTIONS = frozenset(
    {"connector", "uri", "database", "collection", "sink.buffer-flush.max-rows", DELETE, STAMP}
)
MAX_ROWS = 1000
Numbered = tuple[int, dict[str, Any]]  # the place in its batch, and a document


@dataclass(frozen=True)
class MongoTarget:
    """Where rows go. `uri_variable` names the worker's environment variable, never an address."""

    uri_variable: str
    database: str | None
    collection: str
    columns: Sequence[Column]
    primary_key: Sequence[str]
    max_rows: int = MAX_ROWS
    delete_when_null: str | None = None
    current_date: str | None = None

    def document(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """A row of plain values as a document; nested rows become sub-documents."""
        document = {c.name: _value(row.get(c.name), c.type) for c in self.columns}
        keys = [document[name] for name in self.primary_key]
        document["_id"] = (
            keys[0] if len(keys) == 1 else dict(zip(self.primary_key, keys, strict=True))
        )
        return document


def _value(value: Any, declared: Type) -> Any:
    if value is None:
        return None
    if declared.kind == "ROW":
        return {name: _value(value.get(name), inner) for name, inner in declared.fields}
    if declared.kind == "ARRAY":
        return [_value(item, declared.items[0]) for item in value]
    if declared.kind == "MAP":
        return {name: _value(item, declared.items[1]) for name, item in value.items()}
    if declared.kind == "DECIMAL":
        from bson.decimal128 import Decimal128

        return Decimal128(str(value))
    if declared.kind in ("FLOAT", "DOUBLE"):
        return float(value)
    if declared.kind in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return decode(str(value).replace(" ", "T", 1), declared)
    return value


class MongoSink(ScalarFunction):
    """Takes one column of JSON rows; returns for each row null when it is written, or why it never
    can be. While MongoDB is away it waits."""

    number: ClassVar[type] = Decimal  # for what is written with a point

    def __init__(self, target: MongoTarget) -> None:
        self.target = target

    def is_deterministic(self) -> bool:
        return False

    def open(self, function_context: FunctionContext) -> None:
        import os

        from connectors.mongodb import client
        from connectors.settings import settings

        self._client = client(os.environ.get(self.target.uri_variable))
        database = self.target.database or settings().mongodb_database
        self._collection = self._client[database][self.target.collection]

    def close(self) -> None:
        self._client.close()

    def eval(self, rows: Any) -> Any:
        import pandas

        refused: list[str | None] = [None] * len(rows)
        documents: list[Numbered] = []
        for place, row in enumerate(rows):
            try:
                values = json.loads(row, parse_float=self.number)
                documents.append((place, self.target.document(values)))
            except (ArithmeticError, ValueError, RecursionError) as error:
                refused[place] = f"not a document: {type(error).__name__}: {error}"[:300]
        self._write(documents, refused)
        return pandas.Series(refused, dtype="object")

    def _write(self, documents: list[Numbered], refused: list[str | None]) -> None:
        """Write them; why one is refused goes to its place."""
        for start in range(0, len(documents), self.target.max_rows):
            self._upsert(documents[start : start + self.target.max_rows], refused)

    def _upsert(self, documents: list[Numbered], refused: list[str | None]) -> None:
        from connectors.mongodb import bulk_upsert

        def rejected(document: dict[str, Any], reason: str) -> None:
            for place, one in documents:
                if one is document or one == document:
                    refused[place] = reason[:300]

        bulk_upsert(self._collection, (document for _, document in documents), rejected)


def mongodb_sink(target: MongoTarget) -> Any:
    """The user-defined function that writes to `target`."""
    return udf(
        MongoSink(target), result_type=DataTypes.STRING(), func_type="pandas", deterministic=False
    )


def refused_headers(job: str, collection: str) -> Any:
    """The function from why a row was refused to the headers of its dead letter."""

    def headers(reason: str) -> Any:
        return dead_letter_headers(
            None,
            reason="unfit_document",
            message=f"{collection}: {reason}",
            stage="sink",
            job=job,
            at=dt.datetime.now(dt.UTC),
        )

    return udf(headers, result_type=data_type(HEADERS), deterministic=False)
