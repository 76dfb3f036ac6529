"""What a call of STORE_ROW is refused for, with its line; `tidemill test` runs the right ones."""

from typing import Any

import pytest

from jobs.errors import ScriptError
from jobs.mongodb_sinks import insert
from jobs.splitter import split
from jobs.store_calls import replaced
from jobs.tables import TableFacts
from udfs.core.decode import Column
from udfs.core.types import parse_type

OPTIONS = {"connector": "mongodb", "collection": "rows", "sink.current-date": "stored_at"}
COLUMNS = {"id": "STRING", "n": "INT", "stored_at": "TIMESTAMP_LTZ(3)"}


def facts(**options: str) -> dict[str, TableFacts]:
    columns = [Column(name, parse_type(kind), "value") for name, kind in COLUMNS.items()]
    rows = TableFacts("rows", {**OPTIONS, **options}, columns, primary_key=["id"])
    return {"rows": rows, "topic": TableFacts("topic", {"connector": "kafka"}, columns)}


class Environment:
    """Notes what is registered; Flink's own is not needed to read a call."""

    def __init__(self) -> None:
        self.functions: list[str] = []

    def create_temporary_function(self, name: str, function: Any) -> None:
        self.functions.append(name)


def call(text: str, **options: str) -> str:
    statement = split(f"CREATE TEMPORARY VIEW v AS\nSELECT {text} AS r FROM t;", "a.sql")[0]
    environment, registered = Environment(), set[str]()
    found, tables = replaced(statement, facts(**options), environment, registered)  # type: ignore[arg-type]
    assert environment.functions == ["rows__store"] and [t.name for t in tables] == ["rows"]
    return found.text


def test_the_columns_become_one_document_without_the_servers_own() -> None:
    assert call("STORE_ROW('rows', COALESCE(a, 'x,y'), n + 1)").endswith(
        "SELECT rows__store(JSON_OBJECT(KEY 'id' VALUE COALESCE(a, 'x,y'), "
        "KEY 'n' VALUE n + 1 NULL ON NULL)) AS r FROM t"
    )


@pytest.mark.parametrize(
    ("text", "options", "told"),
    [
        ("STORE_ROW('topic', a, b)", {}, "not told a mongodb table"),
        ("STORE_ROW('nowhere', a, b)", {}, "one of rows"),
        ("STORE_ROW(a, b)", {}, "not told a mongodb table"),
        ("STORE_ROW('rows', a)", {}, "has 1 columns; expected its 2: id, n"),
        ("STORE_ROW('rows', a, b, c)", {}, "has 3 columns"),
        ("STORE_ROW('rows', a, b)", {"sink.delete-when-null": "no"}, "names no; expected one of n"),
        ("STORE_ROW('rows', a, b)", {"sink.current-date": "id"}, "names id"),
    ],
)
def test_a_wrong_call_is_told_with_its_line(text: str, options: dict[str, str], told: str) -> None:
    with pytest.raises(ScriptError, match=told) as error:
        call(text, **options)
    assert "a.sql:2" in str(error.value) or "a.sql:1" in str(error.value)


def test_an_insert_which_replaces_whole_documents_is_refused_for_a_table_that_is_merged() -> None:
    statement = split("INSERT INTO rows SELECT a, b FROM t;", "a.sql")[0]
    with pytest.raises(ScriptError, match="INSERT replaces whole documents") as error:
        insert(None, facts()["rows"], statement, set(), "job")  # type: ignore[arg-type]
    assert "STORE_ROW('rows', …)" in str(error.value)
