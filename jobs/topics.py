"""A declared Kafka table in, the DDL of its raw source and of its sink out.

What a script declares is a contract; what Flink gets is made from it: sources hand over raw bytes
(they are decoded under guard, `jobs.sources`), sinks take nulls (a null in a NOT NULL column would
stop the job; the next reader's guard makes a dead letter of it).
"""

from dataclasses import replace

from jobs.tables import TableFacts, create_table, named
from jobs.team_topics import TOPIC_CONFIG
from udfs.core.types import Type

MAX_REQUEST_BYTES = 8 << 20
MAX_POLL_RECORDS = 20
_SINK_ONLY = ("sink.", "value.fields-include", "key.fields-prefix", TOPIC_CONFIG)
_FORMATS = ("format", "key.format", "value.format", "key.fields")


def raw_name(table: str) -> str:
    return f"{table}__raw"


def sink_name(table: str) -> str:
    return f"{table}__sink"


def watermark_lines(facts: TableFacts) -> list[str]:
    """The rowtime column of a raw source.

    A record from the year 9999 would push the watermark past everything else; its time counts as
    1970 here, and the guard makes a dead letter of it.
    """
    if facts.watermark is None:
        return []
    column, expression = facts.watermark
    sane = "kafka_time < CURRENT_TIMESTAMP + INTERVAL '1' DAY"
    return [
        f"{named(column)} AS CASE WHEN {sane} THEN kafka_time ELSE TO_TIMESTAMP_LTZ(0, 3) END",
        f"WATERMARK FOR {named(column)} AS {expression}",
    ]


def sink_lines(facts: TableFacts, *, metadata: bool = True) -> list[str]:
    """The columns of a sink: all nullable; `metadata=False` makes headers an ordinary column."""
    lines = []
    for column in facts.columns:
        if column.name in facts.virtual:
            continue
        source = column.source not in ("key", "value")
        suffix = f" METADATA FROM '{column.source}'" if source and metadata else ""
        lines.append(f"{named(column.name)} {_nullable(column.type)}{suffix}")
    return lines


def _nullable(declared: Type) -> Type:
    return replace(
        declared,
        nullable=True,
        items=tuple(_nullable(t) for t in declared.items),
        fields=tuple((n, _nullable(t)) for n, t in declared.fields),
    )


class KafkaTopics:
    """Topics on a broker. `group` is `<team>.<job>`: a job submitted again goes on where it was, or
    where `startup` says, a `scan.startup.mode`."""

    def __init__(self, group: str, *, endless: bool = True, startup: str = "group-offsets") -> None:
        self.group, self.endless, self.startup = group, endless, startup

    def source(self, facts: TableFacts) -> str:
        own = {
            name: value
            for name, value in facts.options.items()
            if not name.startswith(_SINK_ONLY) and name not in _FORMATS and "json." not in name
        }
        options = {
            "properties.group.id": self.group,
            "properties.auto.offset.reset": "earliest",
            "properties.allow.auto.create.topics": "false",
            "properties.isolation.level": "read_committed",  # the desk may be killed in a batch
            # A batch may unpack to a thousand times its size; this many records are in memory.
            "properties.max.poll.records": str(MAX_POLL_RECORDS),
            "properties.source.reader.element.queue.capacity": "1",
            "scan.startup.mode": self.startup,
            **own,
            "key.format": "raw",
            "key.fields": "record_key",
            "value.format": "raw",
            "value.fields-include": "EXCEPT_KEY",
        }
        if not self.endless:
            options["scan.bounded.mode"] = "latest-offset"
        lines = [
            "record_key BYTES",
            "record_value BYTES",
            # In Flink's order, and as Flink types them: else it copies each record to change that.
            "`partition` INT NOT NULL METADATA VIRTUAL",
            "headers MAP<STRING, BYTES> NOT NULL METADATA VIRTUAL",
            "`offset` BIGINT NOT NULL METADATA VIRTUAL",
            "kafka_time TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL",
            *watermark_lines(facts),
        ]
        return create_table(raw_name(facts.name), lines, options)

    def sink(self, facts: TableFacts) -> str:
        options = {
            "properties.max.request.size": str(MAX_REQUEST_BYTES),
            "properties.compression.type": "lz4",
            **{
                name: value
                for name, value in facts.options.items()
                if not name.startswith(("scan.", TOPIC_CONFIG))
            },
        }
        if "raw" not in (options.get("format"), options.get("value.format")):
            prefix = "value.json." if "value.format" in options else "json."
            options.setdefault(f"{prefix}timestamp-format.standard", "ISO-8601")
        return create_table(sink_name(facts.name), sink_lines(facts), options)
