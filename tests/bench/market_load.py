"""Numbers of rounds in, commands on many symbols out, and the executions that they must make."""

import json
from collections.abc import Iterator
from typing import Any

from connectors.kafka import KafkaRecord
from tests.bench.book_scenarios import apply, commands
from udfs.core.order_book import OrderBook, Report
from udfs.market import COMMAND

SYMBOLS, PER_SYMBOL, FRAME = 200, 1_000, 50

Pile = list[tuple[bytes, dict[str, Any]]]
Rows = dict[bytes, list[dict[str, Any]]]


def pile(number: int, symbols: int = SYMBOLS, per_symbol: int = PER_SYMBOL) -> tuple[Pile, Rows]:
    """Commands on symbols of this round, interleaved, and what they must make happen."""
    made, expected = [], {}
    for place in range(symbols):
        symbol, book = f"s{number}-{place}".encode(), OrderBook()
        seed, resting = number * symbols + place, per_symbol // 4
        before, after = commands("normal_mix", per_symbol - resting, seed, resting)
        these = before + after
        for command in these:
            apply(book, command)
        expected[symbol] = [dict(zip(Report._fields, r, strict=True)) for r in book.reports]
        made.append([(symbol, _row(command)) for command in these])
    return [one for many in zip(*made, strict=True) for one in many], expected


def _row(command: tuple[Any, ...]) -> dict[str, Any]:
    kind, *given = command
    names = {
        "order": ("order_id", "account", "side", "price_ticks", "lots", "time_in_force"),
        "cancel": ("order_id", "account"),
        "replace": ("order_id", "account", "price_ticks", "lots"),
    }[kind]
    return {"command": kind, **dict(zip(names, given, strict=True))}


def _framed(of: Pile) -> Iterator[tuple[bytes, bytes]]:
    waiting: dict[bytes, list[dict[str, Any]]] = {}
    for symbol, command in of:
        frame = waiting.setdefault(symbol, [])
        frame.append(dict.fromkeys(COMMAND) | command)
        if len(frame) == FRAME:
            yield symbol, json.dumps({"orders": waiting.pop(symbol)}).encode()


def records(of: Pile, frames: bool) -> list[tuple[bytes, bytes]]:
    """Numbered where each is a record: two of the same bytes would be one event."""
    if frames:
        return list(_framed(of))
    return [(symbol, json.dumps({**row, "n": n}).encode()) for n, (symbol, row) in enumerate(of)]


def executions(written: list[KafkaRecord]) -> Rows:
    """What records of executions, or of frames of them, say of each symbol."""
    found: Rows = {}
    for record in written:
        value = json.loads(record.value or b"")
        found.setdefault(record.key or b"", []).extend(value.get("reports") or [value])
    return found
