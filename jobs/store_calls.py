"""`STORE_ROW('table', columns…)` in a statement in, calls of that table's own function out.

An INSERT ends in its table. Where something must follow the write (an event that says a document
can be found), the write is a function in a view: null when MongoDB has the row, else why it never
will. The table is a `mongodb` one; the arguments are its columns, in their order.
"""

from collections.abc import Mapping

from pyflink.table import StreamTableEnvironment

from jobs.mongodb_sinks import target_of
from jobs.script import FunctionCall, functions_called, rewrite
from jobs.splitter import Statement
from jobs.tables import TableFacts, quoted
from udfs.mongodb_store import store_row

NAME = "STORE_ROW"


def calls(statement: Statement) -> list[FunctionCall]:
    """The calls of STORE_ROW in a statement."""
    return [call for call in functions_called(statement) if call.name.upper() == NAME]


def replaced(
    statement: Statement,
    facts: Mapping[str, TableFacts],
    environment: StreamTableEnvironment,
    registered: set[str],
) -> tuple[Statement, list[TableFacts]]:
    """The statement with each table's own function in place of STORE_ROW, and those tables."""
    spans, tables = [], []
    for call in calls(statement):
        table = facts.get(call.literal or "")
        if table is None or table.connector != "mongodb":
            known = ", ".join(sorted(n for n, f in facts.items() if f.connector == "mongodb"))
            what = f"STORE_ROW is not told a mongodb table ({call.literal})"
            raise statement.error(
                statement.tokens[call.start], what, f"one of {known or 'none'}, in quotes"
            )
        target = target_of(table, statement)
        names = [c.name for c in table.physical if c.name != target.current_date]
        given = call.arguments(statement)[1:]
        if len(given) != len(names):
            what = f"STORE_ROW('{table.name}', …) has {len(given)} columns"
            raise statement.error(
                statement.tokens[call.start], what, f"its {len(names)}: {', '.join(names)}"
            )
        function = f"{table.name}__store"
        if function not in registered:
            environment.create_temporary_function(function, store_row(target))
            registered.add(function)
        pairs = zip(names, given, strict=True)
        keyed = [f"KEY {quoted(name)} VALUE {_text(statement, *at)}" for name, at in pairs]
        document = f"JSON_OBJECT({', '.join(keyed)} NULL ON NULL)"
        spans.append((call.start, call.stop, f"{function}({document})"))
        tables.append(table)
    return (rewrite(statement, spans) if spans else statement), tables


def _text(statement: Statement, start: int, stop: int) -> str:
    begin, end = statement.tokens[start].start, statement.tokens[stop - 1].end
    return statement.text[begin - statement.start : end - statement.start]
