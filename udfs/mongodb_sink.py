"""Arrow batches of JSON rows in, one unordered bulk upsert a batch out: the `mongodb` connector.

A vectorised function, because PyFlink finishes an Arrow batch before a checkpoint's barrier:
what was read before the checkpoint is written, so at-least-once is real. `_id` comes from the
primary key, so a replayed batch rewrites the same documents.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyflink.table import DataTypes
from pyflink.table.udf import FunctionContext, ScalarFunction, udf

from udfs.core.decode import Column
from udfs.core.types import Type, decode

OPTIONS = frozenset({"connector", "uri", "database", "collection", "sink.buffer-flush.max-rows"})
MAX_ROWS = 1000


@dataclass(frozen=True)
class MongoTarget:
    """Where rows go. `uri_variable` names the worker's environment variable, never an address."""

    uri_variable: str
    database: str | None
    collection: str
    columns: Sequence[Column]
    primary_key: Sequence[str]
    max_rows: int = MAX_ROWS

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
    if declared.kind in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return decode(str(value).replace(" ", "T", 1), declared)
    return value


class MongoSink(ScalarFunction):
    """Takes one column of JSON rows, returns for each row true when it is written."""

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

        from connectors.mongodb import bulk_upsert

        documents = [self.target.document(json.loads(row)) for row in rows]
        for start in range(0, len(documents), self.target.max_rows):
            bulk_upsert(self._collection, documents[start : start + self.target.max_rows])
        return pandas.Series([True] * len(documents))


def mongodb_sink(target: MongoTarget) -> Any:
    """The user-defined function that writes to `target`."""
    return udf(
        MongoSink(target), result_type=DataTypes.BOOLEAN(), func_type="pandas", deterministic=False
    )
