"""A declared Kafka table in, a guarded view of the same name out, and its dead letters.

The source reads raw bytes, `udfs.decode.Decode` checks them against the declaration. The view
shadows the table, so that scripts read it by the table's name.
"""

from typing import Any

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import DataTypes, Schema, StreamTableEnvironment, Table
from pyflink.util.java_utils import get_java_class

from jobs.errors import TidemillError
from jobs.tables import TableFacts, named
from jobs.topics import RAW_COLUMNS, raw_name
from jobs.uids import set_uids
from udfs.decode import REJECTED, decode, decoded_type
from udfs.side_outputs import DEAD_LETTER_ROW

# PyFlink's coder cannot hold a time beyond 2038; none is a bad timestamp to the guard, too.
_KAFKA_TIME = (
    "CASE WHEN kafka_time BETWEEN TO_TIMESTAMP_LTZ(0, 3) AND TO_TIMESTAMP_LTZ(2000000000000, 3)"
    " THEN kafka_time END"
)


def guard_source(environment: StreamTableEnvironment, facts: TableFacts, job: str) -> Table:
    """Register the guarded view of a table whose raw source exists; returns its dead letters."""
    rowtime = facts.watermark[0] if facts.watermark else None
    _check(facts, rowtime)
    function, decoded = f"{facts.name}__decode", f"{facts.name}__decoded"
    environment.create_temporary_function(function, decode(facts.topic, facts.columns, job))
    arguments = ", ".join([*map(named, RAW_COLUMNS[:-1]), _KAFKA_TIME])
    extra = f", {named(rowtime)}" if rowtime else ""
    raw = environment.sql_query(
        f"SELECT {named(function)}({arguments}) AS found{extra} FROM {named(raw_name(facts.name))}"
    )
    # Made a stream of, so that the planner calls the function once for all who read the view.
    schema = Schema.new_builder().column("found", decoded_type(facts.columns))
    if rowtime:
        schema.column(rowtime, DataTypes.TIMESTAMP_LTZ(3))
        schema.watermark(rowtime, "SOURCE_WATERMARK()")
    stream = set_uids(_stream(environment, raw), f"source-{facts.name}")
    environment.create_temporary_view(decoded, stream, schema.build())
    rows, letters = (
        environment.sql_query(f"SELECT {columns} FROM {named(decoded)} WHERE {condition}")
        for columns, condition in (
            (_columns(facts, rowtime), f"found IS NOT NULL AND found.{REJECTED} IS NULL"),
            (_dead_letter_columns(), f"found.{REJECTED} IS NOT NULL"),
        )
    )
    environment.create_temporary_view(facts.name, rows)
    return letters


def _columns(facts: TableFacts, rowtime: str | None) -> str:
    names = [named(column.name) for column in facts.columns]
    own = rowtime and named(rowtime)
    return ", ".join(n if n == own else f"found.{n} AS {n}" for n in names)


def _dead_letter_columns() -> str:
    names = (named(name) for name, _ in DEAD_LETTER_ROW.fields)
    return ", ".join(f"found.{REJECTED}.{n} AS {n}" for n in names)


def _stream(environment: StreamTableEnvironment, table: Table) -> DataStream:
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
