"""Keyed functions for tests of the operator under them. In a module: workers import them."""

import asyncio
from collections.abc import Sequence
from typing import Any

from udfs.core.slot import Entry, MemoryPolicy
from udfs.core.types import Type
from udfs.keyed_function import KeyedFunction, Result


class Echo(KeyedFunction):
    """Answers after `n` milliseconds; 666 fails, 777 is a defect."""

    concurrency = 8
    memory_policy = MemoryPolicy(events=3, max_age_ms=3_600_000)

    def output_columns(self) -> Sequence[tuple[str, Type]]:
        return [("reply", Type("STRING")), ("remembered", Type("INT"))]

    async def open(self) -> None:
        self.order = 0

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        await asyncio.sleep(entry.row["n"] / 1000)
        if entry.row["n"] == 666:
            return Result(reason="number_of_the_beast", message="no such number")
        if entry.row["n"] == 777:
            raise ZeroDivisionError("a defect")
        self.order += 1
        reply = f"{entry.key}:{entry.row['n']}:{self.order}"
        return Result({"reply": reply, "remembered": len(memory)}, remember={"n": entry.row["n"]})
