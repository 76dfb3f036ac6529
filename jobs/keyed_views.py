"""A keyed call of a script in, the view that it makes out, with its dead letters and traces.

The stream is keyed by slot (see `udfs.core.slot`): labels are chosen so that Flink's hash spreads
the slots evenly over the key groups, and so over the subtasks, whatever the parallelism.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pyflink.common import Types
from pyflink.datastream import DataStream
from pyflink.java_gateway import get_gateway
from pyflink.table import Schema, StreamTableEnvironment, Table

from jobs.heartbeats import heartbeats
from jobs.java_operators import keyed_rows, slotted
from jobs.script import KeyedCall
from jobs.sources import row_stream
from jobs.tables import named, view_columns
from jobs.uids import set_uids
from udfs.core.types import Type, row_type
from udfs.flink_types import data_type, type_information
from udfs.fold import Folding
from udfs.keyed import Continuation
from udfs.keyed_function import AnyFunction, BadCall, Columns, JavaFunction, StateFunction
from udfs.side_outputs import dead_letters_tag, traces_tag

SLOTS = 8
MAX_PARALLELISM = 128


@dataclass(frozen=True)
class SideStreams:
    """What an operator emits beside its rows."""

    dead_letters: DataStream | None = None
    traces: DataStream | None = None


def slot_labels(slots: int) -> list[tuple[int, float]]:
    """For each slot the smallest number that Flink puts in the middle of its key groups.

    With it the place of that key group among all, from 0 to 1: times the parallelism, cut to a
    whole number, it is the index of the subtask (Flink's computeOperatorIndexForKeyGroup).
    """
    jvm = get_gateway().jvm
    assignment = jvm.org.apache.flink.runtime.state.KeyGroupRangeAssignment
    wanted = [(2 * slot + 1) * MAX_PARALLELISM // (2 * slots) for slot in range(slots)]
    found: dict[int, int] = {}
    label = 0
    while not set(wanted) <= set(found):
        key = jvm.org.apache.flink.types.Row(1)
        key.setField(0, label)
        found.setdefault(assignment.assignToKeyGroup(key, MAX_PARALLELISM), label)
        label += 1
    return [(found[group], group / MAX_PARALLELISM) for group in wanted]


def partition_key(columns: Columns, names: Sequence[str]) -> str:
    """SQL for a row's partition key as text: one STRING as it is, all else as a JSON array."""
    array = f"JSON_ARRAY({', '.join(map(named, names))} NULL ON NULL)"
    if len(names) == 1 and dict(columns)[names[0]].kind == "STRING":
        return f"COALESCE({named(names[0])}, {array})"
    return array


def keyed_view(
    environment: StreamTableEnvironment,
    call: KeyedCall,
    function: AnyFunction,
    job: str,
    *,
    endless: bool,
) -> SideStreams:
    """Register `call.view_name`; its columns are as the function says, given those of the input.

    `endless` says whether the job goes on for ever; its heartbeats then do so too.
    """
    columns = view_columns(environment, call.input_view)
    step = f"{job}.{call.view_name}"
    if isinstance(function, JavaFunction):
        return _java_view(environment, call, function, columns, step)
    labels = slot_labels(int(call.arguments.get("slots") or SLOTS))
    slots = [label for label, _ in labels]
    rows = _with_partition_key(environment, call, columns)
    names = ["partition_key", *(name for name, _ in columns)]
    row = Types.ROW_NAMED(names, [Types.STRING(), *(type_information(t) for _, t in columns)])
    events = slotted(environment.to_data_stream(rows), call.view_name, row, slots)
    result = row_type(function.view_columns(columns))
    beats = heartbeats(environment, call.view_name, slots, endless=endless)
    operator = (
        Folding(function, columns, job, step)
        if isinstance(function, StateFunction)
        else Continuation(function, columns, job, step, labels)
    )
    view = (
        events.connect(beats)
        .process(operator, output_type=type_information(result))
        .name(f"{call.function} {call.view_name}")
        .uid(f"{call.function}-{call.view_name}")
    )
    environment.create_temporary_view(call.view_name, view, _schema(result))
    traces = None if isinstance(function, StateFunction) else view.get_side_output(traces_tag())
    return SideStreams(view.get_side_output(dead_letters_tag()), traces)


def _java_view(
    environment: StreamTableEnvironment,
    call: KeyedCall,
    function: JavaFunction,
    columns: Columns,
    step: str,
) -> SideStreams:
    rows = row_stream(environment, _with_partition_key(environment, call, columns))
    result = row_type(function.view_columns(columns))
    view = keyed_rows(
        set_uids(rows, f"rows-{call.view_name}"),
        function.java,
        f"{call.function} {call.view_name}",
        f"{call.function}-{call.view_name}",
        result,
        function.references(columns, step),
    )
    environment.create_temporary_view(call.view_name, view, _schema(result))
    return SideStreams()


def _with_partition_key(
    environment: StreamTableEnvironment, call: KeyedCall, columns: Columns
) -> Table:
    """The input's rows, each behind its partition key as text."""
    text = partition_key(columns, call.partition_by)
    return environment.sql_query(
        f"SELECT {text} AS partition_key__, {', '.join(named(name) for name, _ in columns)} "
        f"FROM {named(call.input_view)}"
    )


def _schema(result: Type) -> Schema:
    schema = Schema.new_builder()
    for name, declared in result.fields:
        schema.column(name, data_type(declared))
    return schema.build()


def check_columns(call: KeyedCall, columns: Columns, function: AnyFunction) -> None:
    """What must be true of input and output. Raises BadCall."""
    names = {name for name, _ in columns}
    for column in call.partition_by:
        if column not in names:
            raise BadCall("partition_by", f"{call.input_view} has no column {column}", _list(names))
    headers = dict(columns).get("headers")
    if headers is None or headers.kind != "MAP":
        expected = "headers MAP<STRING, BYTES>, passed through from the topic"
        raise BadCall("input", f"{call.input_view} has no column headers", expected)
    made = [name for name, _ in function.view_columns(columns)]
    for name in made:
        if made.count(name) > 1:
            what = f"{call.function} returns a column {name}, which its input has too"
            raise BadCall("input", what, f"another name for {name} in {call.input_view}")


def _list(names: set[str]) -> str:
    return "one of " + ", ".join(sorted(names))
