"""An INSERT into a `mongodb` table in, the query that writes its rows in its place out.

Flink 2.x has no MongoDB connector. The rows go, as JSON, through a vectorised function that
upserts each Arrow batch (`udfs.mongodb_sink`); what is left for Flink to write are dead letters.
"""

from pyflink.table import StreamTableEnvironment, Table

from jobs.splitter import Statement
from jobs.tables import TableFacts, create_table, named, quoted
from udfs.core.decode import CUT_BYTES
from udfs.mongodb_sink import (
    DELETE,
    MAX_ROWS,
    OPTIONS,
    STAMP,
    MongoTarget,
    mongodb_sink,
    refused_headers,
)

_URI = "${env:MONGODB_URI}"


def target_of(facts: TableFacts, statement: Statement) -> MongoTarget:
    """Where a table's rows go. Raises ScriptError for options that are unknown or missing."""
    unknown = sorted(set(facts.options) - OPTIONS)
    if unknown:
        known = ", ".join(sorted(OPTIONS))
        raise _wrong(
            statement, f"table {facts.name} has the option {unknown[0]}", f"one of {known}"
        )
    if "collection" not in facts.options:
        raise _wrong(statement, f"table {facts.name} names no collection", "'collection' = '…'")
    if not facts.primary_key:
        expected = "PRIMARY KEY (column) NOT ENFORCED, which becomes _id"
        raise _wrong(statement, f"table {facts.name} has no primary key", expected)
    uri = facts.options.get("uri", _URI)
    if not (uri.startswith("${env:") and uri.endswith("}")):
        what = f"the uri of table {facts.name} stands in SQL, and SQL stands in the job graph"
        raise _wrong(statement, what, f"no uri, or {_URI}: the worker reads that variable")
    return MongoTarget(
        uri_variable=uri[6:-1],
        database=facts.options.get("database"),
        collection=facts.options["collection"],
        columns=facts.physical,
        primary_key=facts.primary_key,
        max_rows=int(facts.options.get("sink.buffer-flush.max-rows", MAX_ROWS)),
        delete_when_null=_column(facts, statement, DELETE),
        current_date=_column(facts, statement, STAMP),
    )


def _column(facts: TableFacts, statement: Statement, option: str) -> str | None:
    """The column that an option names."""
    name = facts.options.get(option)
    known = [c.name for c in facts.physical if c.name not in facts.primary_key]
    if name is not None and name not in known:
        what = f"the option {option} of table {facts.name} names {name}"
        raise _wrong(statement, what, f"one of {', '.join(known)}")
    return name


def _wrong(statement: Statement, what: str, expected: str) -> Exception:
    return statement.error(statement.tokens[2], what, expected, "change it in tables.sql")


def insert(
    environment: StreamTableEnvironment,
    facts: TableFacts,
    statement: Statement,
    registered: set[str],
    job: str,
) -> Table:
    """The rows that the table cannot hold, as dead letters; whoever reads them has the others
    written. The planner has checked the columns."""
    target = target_of(facts, statement)
    if target.delete_when_null or target.current_date:
        what = f"table {facts.name} has {DELETE} or {STAMP}, and INSERT replaces whole documents"
        raise _wrong(statement, what, f"STORE_ROW('{facts.name}', …), which merges")
    stub, rows, function = (f"{facts.name}__{kind}" for kind in ("stub", "rows", "write"))
    if function not in registered:
        lines = [f"{named(c.name)} {c.type}" for c in facts.physical]
        environment.execute_sql(create_table(stub, lines, {"connector": "blackhole"}))
        environment.create_temporary_function(function, mongodb_sink(target))
        refused = refused_headers(job, target.collection)
        environment.create_temporary_function(f"{function}__refused", refused)
        registered.add(function)
    number = sum(name.startswith(rows) for name in environment.list_temporary_views())
    query = statement.text[statement.tokens[3].start - statement.start :]
    environment.explain_sql(f"INSERT INTO {named(stub)} {query}")
    names = ", ".join(named(c.name) for c in facts.physical)
    view = f"{rows}_{number}"
    environment.execute_sql(f"CREATE TEMPORARY VIEW {view} ({names}) AS {query}")
    pairs = ", ".join(f"KEY {quoted(c.name)} VALUE {named(c.name)}" for c in facts.physical)
    return environment.sql_query(
        "SELECT CAST(NULL AS BYTES) AS event_key, "
        f"CAST(ENCODE(document, 'UTF-8') AS VARBINARY({CUT_BYTES})) AS payload, "
        f"{function}__refused(refused) AS headers "
        f"FROM (SELECT document, {function}(document) AS refused "
        f"FROM (SELECT JSON_OBJECT({pairs} NULL ON NULL) AS document FROM {view})) "
        "WHERE refused IS NOT NULL"
    )
