"""A declared Kafka table in, a guarded view of the same name out, and its dead letters.

The source reads raw bytes, `udfs.decode.Decode` checks them against the declaration. The view
shadows the table, so that scripts read it by the table's name.
"""

from pyflink.datastream import DataStream
from pyflink.table import Schema, StreamTableEnvironment

from jobs.errors import TidemillError
from jobs.tables import TableFacts, named
from jobs.topics import RAW_COLUMNS, raw_name
from jobs.uids import set_uids
from udfs.core.types import row_type
from udfs.decode import Decode
from udfs.flink_types import data_type, type_information
from udfs.side_outputs import dead_letters_tag


def guard_source(environment: StreamTableEnvironment, facts: TableFacts, job: str) -> DataStream:
    """Register the guarded view of a table whose raw source exists; returns its dead letters."""
    rowtime = facts.watermark[0] if facts.watermark else None
    _check(facts, rowtime)
    names = ", ".join(map(named, RAW_COLUMNS))
    extra = f", {named(rowtime)}" if rowtime else ""
    raw = environment.sql_query(f"SELECT {names}{extra} FROM {named(raw_name(facts.name))}")
    rows = row_type([(c.name, c.type) for c in facts.columns])
    decoded = (
        set_uids(environment.to_data_stream(raw), f"source-{facts.name}")
        .process(Decode(facts.topic, facts.columns, job), type_information(rows))
        .name(f"decode {facts.name}")
        .uid(f"decode-{facts.name}")
    )
    schema = Schema.new_builder()
    for column in facts.columns:
        schema.column(column.name, data_type(column.type))
    if rowtime:
        schema.watermark(rowtime, "SOURCE_WATERMARK()")
    environment.create_temporary_view(facts.name, decoded, schema.build())
    return decoded.get_side_output(dead_letters_tag())


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
