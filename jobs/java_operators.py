"""Streams in, streams behind one of our Java operators out.

Their code is in the job graph as text, as the planner's own is: Flink compiles it on the workers.
"""

from collections.abc import Sequence
from typing import Any

from pyflink.common import Types
from pyflink.common.typeinfo import TypeInformation
from pyflink.datastream import DataStream, KeyedStream
from pyflink.java_gateway import get_gateway
from pyflink.table.types import _to_java_data_type
from pyflink.util.java_utils import to_jarray

from udfs import java_operators
from udfs.core.decode import Column
from udfs.core.types import Type, parse_type, row_type
from udfs.flink_types import data_type


def guarded(
    raw: DataStream, name: str, topic: str, columns: Sequence[Column]
) -> tuple[DataStream, DataStream]:
    """Records of a raw topic (`jobs.topics`), split: rows of the table, and what is none, as it
    came. Flink's own rows in and out."""
    flink = get_gateway().jvm.org.apache.flink
    rows = _internal(row_type([(c.name, c.type) for c in columns]))
    tag = flink.util.OutputTag("refused", raw._j_data_stream.getType())
    references = [java_operators.declaration(topic, columns), tag]
    passed = _operator(raw, java_operators.GUARD, f"guard of {name}", rows, references)
    passed.setUid(f"guard-{name}")
    refused = flink.streaming.api.transformations.SideOutputTransformation(passed, tag)
    return _stream(raw, passed), _stream(raw, refused)


def slotted(
    rows: DataStream, name: str, row: TypeInformation, labels: Sequence[int]
) -> KeyedStream:
    """Rows whose first field is their partition key, keyed by its slot's label."""
    pairs = Types.ROW([Types.INT(), row]).get_java_type_info()
    operator = _operator(rows, java_operators.SLOTS, f"slots of {name}", pairs, labels)
    operator.setUid(f"slots-{name}")
    return keyed(_stream(rows, operator), row)


def keyed(pairs: DataStream, row: TypeInformation) -> KeyedStream:
    """Pairs of an INT and a row of this type, keyed by the INT; the rows are what comes to Python.

    PyFlink's `key_by` is a Python operator that makes such pairs.
    """
    selector = get_gateway().jvm.KeyByKeySelector()
    key = Types.ROW([Types.INT()]).get_java_type_info()
    return KeyedStream(pairs._j_data_stream.keyBy(selector, key), row, pairs)


def keyed_rows(
    rows: DataStream, java: str, name: str, uid: str, result: Type, references: Sequence[Any]
) -> DataStream:
    """Flink's own rows, keyed by their first column, a STRING, through an operator with state."""
    jvm = get_gateway().jvm
    runtime = jvm.org.apache.flink.table.runtime
    key = _internal(row_type([("partition_key", parse_type("STRING"))]))
    projection = runtime.generated.GeneratedProjection(
        java_operators.FIRST_COLUMN,
        java_operators.code(java_operators.FIRST_COLUMN),
        to_jarray(jvm.Object, []),
    )
    selector = runtime.keyselector.GenericRowDataKeySelector(key, key.toRowSerializer(), projection)
    keyed_stream = DataStream(rows._j_data_stream.keyBy(selector, key))
    operator = _operator(keyed_stream, java, name, _internal(result), references)
    operator.setStateKeySelector(selector)
    operator.setStateKeyType(key)
    operator.setUid(uid)
    return _stream(rows, operator)


def _internal(declared: Type) -> Any:
    """The type of Flink's own rows."""
    internal = get_gateway().jvm.org.apache.flink.table.runtime.typeutils.InternalTypeInfo
    return internal.of(_to_java_data_type(data_type(declared)).getLogicalType())


def _operator(
    stream: DataStream, java: str, name: str, output: Any, references: Sequence[Any]
) -> Any:
    """The transformation of one of `udfs/java`."""
    jvm = get_gateway().jvm
    table = jvm.org.apache.flink.table.runtime
    settings = jvm.org.apache.flink.configuration.Configuration()
    settings.setString("table.generated-code.max-length", str(2**31 - 1))  # do not split it
    generated = table.generated.GeneratedOperator(
        java, java_operators.code(java), to_jarray(jvm.Object, references), settings
    )
    before = stream._j_data_stream
    return jvm.org.apache.flink.streaming.api.transformations.OneInputTransformation(
        before.getTransformation(),
        name,
        table.operators.CodeGenOperatorFactory(generated),
        output,
        before.getParallelism(),
        False,
    )


def _stream(before: DataStream, transformation: Any) -> DataStream:
    environment = before._j_data_stream.getExecutionEnvironment()
    java = get_gateway().jvm.org.apache.flink.streaming.api.datastream.DataStream
    return DataStream(java(environment, transformation))
