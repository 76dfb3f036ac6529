"""`match_orders` as Flink runs it against its specification: the same reports, the same books.

Random commands of every kind on several symbols become a team's golden test, with what the Python
book makes of them as its expected output, and run straight, then stopped and resumed.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.sql_dir import sql_dir
from tests.conftest import tidemill
from tests.udfs.core.book_world import Command, random_commands
from udfs.core.order_book import MAX_64, OrderBook, Report, apply
from udfs.market import COMMAND

SYMBOLS, EACH, SNAPSHOTS, REMEMBERED = 4, 700, 60, 150
NAMES = {
    "order": ("order_id", "account", "side", "price_ticks", "lots", "time_in_force"),
    "cancel": ("order_id", "account"),
    "replace": ("order_id", "account", "price_ticks", "lots"),
    "end_day": (),
}


def fits(command: Command) -> bool:
    """Whether a topic of this declaration can hold it; the guard refuses the others."""
    numbers = command[4:6] if command[0] == "order" else command[3:5]
    return all(n is None or (type(n) is int and -(2**63) <= n <= MAX_64) for n in numbers)


def rows(seed: int) -> Iterator[dict[str, Any]]:
    for command in filter(fits, random_commands(seed, EACH)):
        named = dict(zip(NAMES[command[0]], command[1:], strict=True))
        yield dict.fromkeys(COMMAND) | {"command": command[0]} | named


def expected(symbol: str, given: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """(table, row) of what one symbol's commands make."""
    book, since = OrderBook(REMEMBERED), 0
    for row in given:
        apply(book, row)
        since += 1
        for report in book.reports:
            yield "executions", {"symbol": symbol, **Report(*report)._asdict()}
        book.reports.clear()
        if since >= max(SNAPSHOTS, len(list(book.resting())) // 4):
            since = 0
            bids, asks = (
                [dict(zip(("price_ticks", "lots", "orders"), level, strict=True)) for level in side]
                for side in book.depth(10)
            )
            snapshot = {"symbol": symbol, "sequence": book.sequence, "book_hash": book.digest()}
            yield "book_snapshots", {**snapshot, "bids": bids, "asks": asks}


@pytest.mark.timeout(400)
def test_flink_makes_the_reports_and_the_books_of_the_specification(tmp_path: Path) -> None:
    team, shipped = tmp_path / "market", sql_dir().joinpath("market")
    golden = team / "tests" / "match_orders"
    (golden / "expected").mkdir(parents=True)
    (team / "tables.sql").write_text(shipped.joinpath("tables.sql").read_text())
    script = shipped.joinpath("match_orders.sql").read_text()
    options = f"snapshots => {SNAPSHOTS}, remembered => {REMEMBERED}"
    assert "snapshots => 100" in script
    (team / "match_orders.sql").write_text(script.replace("snapshots => 100", options))
    books = {f"s{seed}": list(rows(seed)) for seed in range(SYMBOLS)}
    lines = [
        {"key": symbol, "value": row, "headers": {"ce_id": f"{symbol}-{number}"}}
        for symbol, given in books.items()
        for number, row in enumerate(given)
    ]
    lines.sort(key=lambda line: int(line["headers"]["ce_id"].split("-")[1]))
    _write(golden / "orders_accepted.jsonl", [*lines, *lines[-SYMBOLS:]])  # the last ones twice
    made = [one for symbol, given in books.items() for one in expected(symbol, given)]
    for table in ("executions", "book_snapshots"):
        _write(golden / "expected" / f"{table}.jsonl", [row for name, row in made if name == table])
    _write(golden / "expected" / "dead_letters.jsonl", [])
    assert sum(name == "book_snapshots" for name, _ in made) > 20
    where = {"TIDEMILL_SQL": str(tmp_path)}
    done = tidemill("test", "market/match_orders", environment=where, timeout_s=380)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5_000:]
    assert done.stdout.count("agrees") == 2


def _write(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
