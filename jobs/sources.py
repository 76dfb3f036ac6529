"""A declared Kafka table in, a guarded view of the same name out, and its dead letters.

    raw bytes ─▶ Guard ─▶ rows of the table: the view
                   └─ refused ─▶ Explain ─▶ dead letters, which say why

The view shadows the table, so that scripts read it by the table's name.
"""

from collections.abc import Sequence
from typing import Any

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StreamTableEnvironment, Table
from pyflink.util.java_utils import get_java_class

from jobs.errors import TidemillError
from jobs.java_operators import guarded
from jobs.tables import TableFacts, named, view_columns
from jobs.topics import raw_name
from jobs.uids import set_uids
from udfs.core.types import Type
from udfs.explain import explain
from udfs.flink_types import data_type


def guard_source(environment: StreamTableEnvironment, facts: TableFacts, job: str) -> Table:
    """Register the guarded view of a table whose raw source exists; returns its dead letters."""
    rowtime = facts.watermark[0] if facts.watermark else None
    _check(facts, rowtime)
    raw = row_stream(environment, environment.from_path(named(raw_name(facts.name))))
    set_uids(raw, f"source-{facts.name}")
    passed, refused = guarded(raw, facts.name, facts.topic, facts.columns)
    columns = [(column.name, column.type) for column in facts.columns]
    environment.create_temporary_view(facts.name, passed, _schema(columns, rowtime))
    return _explained(environment, refused, facts, job)


def _explained(
    environment: StreamTableEnvironment, refused: DataStream, facts: TableFacts, job: str
) -> Table:
    """The dead letters of what the guard refused."""
    came, function = f"{facts.name}__refused", f"{facts.name}__explain"
    columns = view_columns(environment, raw_name(facts.name))
    environment.create_temporary_view(came, refused, _schema(columns))
    environment.create_temporary_function(function, explain(facts.topic, facts.columns, job))
    return environment.sql_query(
        "SELECT record_key AS event_key, record_value AS payload, "
        f"{named(function)}(record_key, record_value, headers, `partition`, `offset`, "
        f"CAST(kafka_time AS STRING)) AS headers FROM {named(came)}"
    )


def _schema(columns: Sequence[tuple[str, Type]], rowtime: str | None = None) -> Schema:
    """With a rowtime, the source's watermarks, which are per partition, go on in this stream."""
    schema = Schema.new_builder()
    for name, declared in columns:
        schema.column(name, data_type(declared))
    if rowtime:
        schema.watermark(rowtime, "SOURCE_WATERMARK()")
    return schema.build()


def row_stream(environment: StreamTableEnvironment, table: Table) -> DataStream:
    """The table as a stream of Flink's own rows: nothing is converted, there or back."""
    own: Any = get_gateway().jvm.org.apache.flink.table.data.RowData
    rows = table._j_table.getResolvedSchema().toSourceRowDataType()
    bridged = rows.bridgedTo(get_java_class(own))
    return DataStream(environment._j_tenv.toDataStream(table._j_table, bridged))


def _check(facts: TableFacts, rowtime: str | None) -> None:
    by_name = {c.name: c for c in facts.columns}
    if facts.computed:
        raise TidemillError(
            f"table {facts.name} has a computed column {facts.computed[0]}",
            "compute it in a view of the script that needs it",
        )
    if rowtime and by_name[rowtime].source != "timestamp":
        raise TidemillError(
            f"the WATERMARK of table {facts.name} is on {rowtime}",
            "expected a column TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'",
        )
    if not any(c.source == "key" for c in facts.columns):
        raise TidemillError(
            f"table {facts.name} names no key", "set 'key.fields' to its key column"
        )
