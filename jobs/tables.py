"""Flink's catalog in, the facts that the runner needs of a table out; and DDL from facts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment
from pyflink.util.java_utils import to_jarray

from udfs.core.decode import Column
from udfs.core.types import Type, parse_type


@dataclass(frozen=True)
class TableFacts:
    """A declared table. Metadata columns carry their Kafka name in `Column.source`."""

    name: str
    options: Mapping[str, str]
    columns: Sequence[Column]
    primary_key: Sequence[str] = ()
    watermark: tuple[str, str] | None = None
    virtual: frozenset[str] = field(default_factory=frozenset)
    computed: Sequence[str] = ()
    comment: str = ""

    @property
    def connector(self) -> str:
        return self.options.get("connector", "")

    @property
    def topic(self) -> str:
        return self.options.get("topic", self.name)

    @property
    def external(self) -> bool:
        """Written by someone outside: declared by a COMMENT that begins with `external`."""
        return self.comment.lower().startswith("external")

    @property
    def physical(self) -> list[Column]:
        return [c for c in self.columns if c.source in ("key", "value")]


def table_facts(environment: StreamTableEnvironment, name: str) -> TableFacts:
    """What Flink knows of the table `name`, after its DDL was executed."""
    schema = environment.from_path(f"`{name}`")._j_table.getResolvedSchema()
    j_environment = environment._j_tenv
    manager = j_environment.getCatalogManager()
    identifier = manager.qualifyIdentifier(_unresolved(name))
    table = manager.getTable(identifier).get().getTable()
    options = dict(table.getOptions())
    keys = set(filter(None, options.get("key.fields", "").split(";")))
    columns, virtual, computed = [], set(), []
    for j_column in schema.getColumns():
        column = j_column.getName()
        declared = parse_type(_type_string(j_column.getDataType().getLogicalType()))
        if j_column.isPhysical():
            columns.append(Column(column, declared, "key" if column in keys else "value"))
        elif _is_metadata(j_column):
            source = j_column.getMetadataKey().orElse(column)
            columns.append(Column(column, declared, source))
            if not j_column.isPersisted():
                virtual.add(column)
        else:
            computed.append(column)
    specs = list(schema.getWatermarkSpecs())
    watermark = None
    if specs:
        expression = specs[0].getWatermarkExpression().asSerializableString()
        watermark = (specs[0].getRowtimeAttribute(), expression)
    primary_key = schema.getPrimaryKey()
    return TableFacts(
        name=name,
        options=options,
        columns=columns,
        primary_key=list(primary_key.get().getColumns()) if primary_key.isPresent() else [],
        watermark=watermark,
        virtual=frozenset(virtual),
        computed=computed,
        comment=table.getComment() or "",
    )


def _is_metadata(j_column: Any) -> bool:
    """Whether a non-physical column is a METADATA column (the other kind is computed)."""
    return str(j_column.getClass().getSimpleName()) == "MetadataColumn"


def _unresolved(name: str) -> Any:
    return get_gateway().jvm.org.apache.flink.table.catalog.UnresolvedIdentifier.of(
        to_jarray(get_gateway().jvm.String, [name])
    )


def _type_string(j_logical_type: Any) -> str:
    text: str = j_logical_type.asSerializableString()
    return text.replace(" *ROWTIME*", "").replace(" *PROCTIME*", "")


def view_columns(environment: StreamTableEnvironment, name: str) -> list[tuple[str, Type]]:
    """Names and types of a view's columns, in order."""
    schema = environment.from_path(f"`{name}`")._j_table.getResolvedSchema()
    return [
        (c.getName(), parse_type(_type_string(c.getDataType().getLogicalType())))
        for c in schema.getColumns()
    ]


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def named(name: str) -> str:
    """A quoted SQL identifier."""
    return "`" + name.replace("`", "``") + "`"


def create_table(
    name: str, lines: Sequence[str], options: Mapping[str, str], *, temporary: bool = True
) -> str:
    """The DDL of a table, one column a line."""
    columns = ",\n  ".join(lines)
    pairs = ",\n  ".join(f"{quoted(k)} = {quoted(v)}" for k, v in sorted(options.items()))
    kind = "TEMPORARY TABLE" if temporary else "TABLE"
    return f"CREATE {kind} {named(name)} (\n  {columns}\n) WITH (\n  {pairs}\n)"
