"""An order's amount and country in, its grade out: the one field that `enrich` adds. And what the
workers of an orchestrator do with a number: the least that can be done."""

import asyncio

from pyflink.table import DataTypes
from pyflink.table.udf import udf

HOME = frozenset({"IE", "DE", "FR"})


def grade_of(amount: float, country: str) -> str:
    """`A` to `C`."""
    if amount >= 1000:
        return "A"
    return "B" if country in HOME else "C"


grade = udf(grade_of, result_type=DataTypes.STRING())


WORK_S = 0.02


def square(n: int) -> int:
    """Multiply a number by itself."""
    return n * n


async def square_slowly(n: int) -> int:
    """Multiply a number by itself, after a while."""
    await asyncio.sleep(WORK_S)
    return n * n
