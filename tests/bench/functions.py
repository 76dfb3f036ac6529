"""An order's amount and country in, its grade out: the one field that `enrich` adds."""

from pyflink.table import DataTypes
from pyflink.table.udf import udf

HOME = frozenset({"IE", "DE", "FR"})


def grade_of(amount: float, country: str) -> str:
    """`A` to `C`."""
    if amount >= 1000:
        return "A"
    return "B" if country in HOME else "C"


grade = udf(grade_of, result_type=DataTypes.STRING())
