"""What PyFlink 2.3 does wrong, pinned: when a test here fails, a workaround may go."""

import sys
from pathlib import Path
from typing import Any

from pyflink.java_gateway import get_gateway
from pyflink.table import DataTypes
from pyflink.table.udf import AsyncScalarFunction, udf

from jobs.planner import environments

ROWS = 300


class AsyncEcho(AsyncScalarFunction):
    """Waits a little, and returns what it was given."""

    async def eval(self, number: int) -> int:
        import asyncio

        await asyncio.sleep((number % 7) / 100)
        return number


def counted(path: str, deterministic: bool) -> Any:
    """A function that leaves a byte in a file for every call."""

    def call(number: int) -> str:
        with Path(path).open("a") as file:
            file.write(".")
        return f'{{"a": {number}, "b": {number}}}'

    return udf(call, result_type=DataTypes.STRING(), deterministic=deterministic)


def _environment() -> Any:
    settings = {"python.executable": sys.executable, "parallelism.default": "1"}
    return environments(settings)[1]


def test_async_python_functions_return_other_rows_values() -> None:
    """FLINK-39532, and why no function here is an AsyncScalarFunction."""
    table = _environment()
    table.create_temporary_function("echo", udf(AsyncEcho(), result_type=DataTypes.BIGINT()))
    numbers = table.from_elements([(n,) for n in range(ROWS)], ["n"])
    table.create_temporary_view("numbers", numbers)
    with table.execute_sql("SELECT n, echo(n) FROM numbers").collect() as rows:
        pairs = [(row[0], row[1]) for row in rows]
    assert len(pairs) == ROWS
    assert any(given != returned for given, returned in pairs)


def test_a_deterministic_function_is_called_once_per_column_and_another_once_per_row(
    tmp_path: Path,
) -> None:
    """Why every function that costs money says deterministic=False."""
    calls = {}
    for deterministic in (True, False):
        path = tmp_path / str(deterministic)
        table = _environment()
        table.create_temporary_function("ask", counted(str(path), deterministic))
        table.create_temporary_view("numbers", table.from_elements([(1,), (2,)], ["n"]))
        table.execute_sql("CREATE TEMPORARY VIEW asked AS SELECT ask(n) AS reply FROM numbers")
        query = "SELECT JSON_VALUE(reply, '$.a'), JSON_VALUE(reply, '$.b') FROM asked"
        with table.execute_sql(query).collect() as rows:
            assert len(list(rows)) == 2
        calls[deterministic] = len(path.read_text())
    assert calls == {True: 4, False: 2}


def test_py4j_would_go_on_in_another_thread_of_the_jvm_and_ours_does_not() -> None:
    """Why `jobs/gateway.py` is there."""
    _environment()
    gateway: Any = get_gateway()
    client, thread = gateway._gateway_client, gateway.jvm.java.lang.Thread
    before = thread.currentThread().getId()
    another = client._create_connection()
    client._give_back_connection(another)
    assert [thread.currentThread().getId() for _ in range(3)] == [before] * 3
    assert type(client)._get_connection(client) is another
