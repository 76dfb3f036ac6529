"""Type trees of `udfs.core.types` in, PyFlink's types and value converters out.

PyFlink hands a function `Row` and `Instant`; the pure logic takes tuples and `datetime`. The
converters are built once per operator, and leave alone what needs no change.
"""

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

from pyflink.common import Instant, Row, Types
from pyflink.common.typeinfo import TypeInformation
from pyflink.table import DataTypes
from pyflink.table.types import DataType

from udfs.core.types import Type

_TYPE_INFORMATION: dict[str, Callable[[], TypeInformation]] = {
    "STRING": Types.STRING,
    "BOOLEAN": Types.BOOLEAN,
    "TINYINT": Types.BYTE,
    "SMALLINT": Types.SHORT,
    "INT": Types.INT,
    "BIGINT": Types.LONG,
    "FLOAT": Types.FLOAT,
    "DOUBLE": Types.DOUBLE,
    "DECIMAL": Types.BIG_DEC,
    "DATE": Types.SQL_DATE,
    "TIME": Types.SQL_TIME,
    "TIMESTAMP": Types.SQL_TIMESTAMP,
    "TIMESTAMP_LTZ": Types.INSTANT,
    "BYTES": lambda: Types.PRIMITIVE_ARRAY(Types.BYTE()),
}
_DATA_TYPES: dict[str, Callable[[], DataType]] = {
    "STRING": DataTypes.STRING,
    "BOOLEAN": DataTypes.BOOLEAN,
    "TINYINT": DataTypes.TINYINT,
    "SMALLINT": DataTypes.SMALLINT,
    "INT": DataTypes.INT,
    "BIGINT": DataTypes.BIGINT,
    "FLOAT": DataTypes.FLOAT,
    "DOUBLE": DataTypes.DOUBLE,
    "DATE": DataTypes.DATE,
    "TIME": DataTypes.TIME,
    "BYTES": DataTypes.BYTES,
}
Converter = Callable[[Any], Any]
HEADERS = Type("MAP", items=(Type("STRING"), Type("BYTES")))


def type_information(declared: Type) -> TypeInformation:
    """The DataStream type of a value."""
    if declared.kind == "ROW":
        return Types.ROW_NAMED(
            [name for name, _ in declared.fields],
            [type_information(inner) for _, inner in declared.fields],
        )
    if declared.kind == "ARRAY":
        return Types.OBJECT_ARRAY(type_information(declared.items[0]))
    if declared.kind == "MAP":
        return Types.MAP(*(type_information(inner) for inner in declared.items))
    return _TYPE_INFORMATION[declared.kind]()


def data_type(declared: Type) -> DataType:
    """The Table API's type of a value; always nullable, for a stream cannot promise more."""
    if declared.kind == "ROW":
        return DataTypes.ROW([DataTypes.FIELD(n, data_type(t)) for n, t in declared.fields])
    if declared.kind == "ARRAY":
        return DataTypes.ARRAY(data_type(declared.items[0]))
    if declared.kind == "MAP":
        return DataTypes.MAP(*(data_type(inner) for inner in declared.items))
    if declared.kind == "DECIMAL":
        return DataTypes.DECIMAL(*(declared.parameters or (10, 0)))
    if declared.kind == "TIMESTAMP":
        return DataTypes.TIMESTAMP(*(declared.parameters or (6,)))
    if declared.kind == "TIMESTAMP_LTZ":
        return DataTypes.TIMESTAMP_LTZ(*(declared.parameters or (6,)))
    return _DATA_TYPES[declared.kind]()


def _same(value: Any) -> Any:
    return value


def _instant_to_datetime(value: Any) -> Any:
    if value is None or isinstance(value, dt.datetime):
        return value
    return dt.datetime.fromtimestamp(value.seconds, dt.UTC) + dt.timedelta(
        microseconds=value.nanos // 1000
    )


def _datetime_to_instant(value: Any) -> Any:
    if value is None:
        return None
    seconds = int(value.timestamp() // 1)
    return Instant(seconds, value.microsecond * 1000)


def _rows(convert: Sequence[Converter], make: Callable[[list[Any]], Any]) -> Converter:
    changed = [(place, f) for place, f in enumerate(convert) if f is not _same]

    def whole(value: Any) -> Any:
        if value is None:
            return None
        fields = list(value)
        for place, f in changed:
            fields[place] = f(fields[place])
        return make(fields)

    return whole


def _arrays(convert: Converter) -> Converter:
    if convert is _same:
        return _same
    return lambda value: None if value is None else [convert(v) for v in value]


def _maps(key: Converter, item: Converter) -> Converter:
    if key is _same and item is _same:
        return _same
    return lambda value: None if value is None else {key(k): item(v) for k, v in value.items()}


def _converter(
    declared: Type, leaf: dict[str, Converter], row: Callable[[list[Any]], Any]
) -> Converter:
    inner = [_converter(t, leaf, row) for t in declared.items]
    if declared.kind == "ROW":
        return _rows([_converter(t, leaf, row) for _, t in declared.fields], row)
    if declared.kind == "ARRAY":
        return _arrays(inner[0])
    if declared.kind == "MAP":
        return _maps(*inner)
    return leaf.get(declared.kind, _same)


def from_flink(declared: Type) -> Converter:
    """A function that turns what PyFlink hands over into what `udfs.core` takes."""
    return _converter(declared, {"TIMESTAMP_LTZ": _instant_to_datetime, "BYTES": _bytes}, tuple)


def to_flink(declared: Type) -> Converter:
    """A function that turns a value of `udfs.core` into what PyFlink can send on."""
    return _converter(declared, {"TIMESTAMP_LTZ": _datetime_to_instant}, lambda v: Row(*v))


def _bytes(value: Any) -> Any:
    return None if value is None else bytes(value)
