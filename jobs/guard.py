"""A stream of raw Kafka records in, a stream of the table's rows out, and one of what it refused.

The operator is `udfs/Guard.java`, in the job graph as text: Flink compiles it on the workers.
"""

from collections.abc import Sequence

from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table.types import _to_java_data_type
from pyflink.util.java_utils import to_jarray

from udfs import guard
from udfs.core.decode import Column
from udfs.core.types import row_type
from udfs.flink_types import data_type


def guarded(
    raw: DataStream, name: str, topic: str, columns: Sequence[Column]
) -> tuple[DataStream, DataStream]:
    """Flink's own rows in and out: `raw` has the columns of the tables of `jobs.topics`."""
    jvm = get_gateway().jvm
    flink, table = jvm.org.apache.flink, jvm.org.apache.flink.table
    stream, transformations = flink.streaming.api, flink.streaming.api.transformations
    came = raw._j_data_stream
    tag = flink.util.OutputTag("refused", came.getType())
    settings = flink.configuration.Configuration()
    settings.setString("table.generated-code.max-length", str(2**31 - 1))  # do not split it
    operator = table.runtime.operators.CodeGenOperatorFactory(
        table.runtime.generated.GeneratedOperator(
            guard.CLASS_NAME,
            guard.code(),
            to_jarray(jvm.Object, [guard.declaration(topic, columns), tag]),
            settings,
        )
    )
    row = _to_java_data_type(data_type(row_type([(c.name, c.type) for c in columns])))
    passed = transformations.OneInputTransformation(
        came.getTransformation(),
        f"guard of {name}",
        operator,
        table.runtime.typeutils.InternalTypeInfo.of(row.getLogicalType()),
        came.getParallelism(),
        False,
    )
    passed.setUid(f"guard-{name}")
    refused = transformations.SideOutputTransformation(passed, tag)
    environment = came.getExecutionEnvironment()
    return tuple(
        DataStream(stream.datastream.DataStream(environment, transformation))
        for transformation in (passed, refused)
    )
