"""Defects planted one at a time in; whether the harness sees each of them, out.

With the guard off in one of its parts the same run must fail, or its success says nothing.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.chaos.variants import ROOT, Control, Variant, variant
from tests.torture import reach, volume

GUARD, ADDRESS = "udfs/java/Guard.java", "connectors/web_address.py"
REFUSE = "            output.collect(refused, record.replace(cut(raw)));\n            return;\n"
GUARDING = (
    variant("a bad record raises", GUARD, REFUSE, "            throw new RuntimeException(no);\n",
            "restarts"),
    variant("bad records are dropped", GUARD, REFUSE, "            return;\n",
            "bad ones without a dead letter"),
    variant("bad records pass as empty rows", GUARD, REFUSE,
            "            row = new GenericRowData(sources.length);\n", "records where none belong"),
    variant("dead letters hold other bytes", "udfs/core/decode.py", "CUT_BYTES = 3 << 20",
            "CUT_BYTES = 8", "dead letters with other bytes"),
    variant("odd records are refused", GUARD, "expect(others.add(name));",
            "expect(others.size() < 0);", "records where none belong"),
)  # fmt: skip
FETCHING = (
    variant("addresses are not judged", ADDRESS, "    if policy.allow_local and target.is_local and"
            " address.is_loopback:\n        return\n", "    return\n", "connections"),
    variant("connects by name, not by the checked address", "connectors/web.py",
            "connect_tcp(address, port, ", "connect_tcp(host, port, ",
            "connections"),
)  # fmt: skip
RECORDS = 5_000
Report = Callable[[str], None]


def guarding(seed: int, report: Report, defects: tuple[Variant, ...] = GUARDING) -> list[Control]:
    """Every defect of the guard, and none: in a flood of records each. On a stack that is there."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for number, planted in enumerate((None, *defects)):
            code = planted.copy(Path(folder)) if planted else ROOT
            place = Path(folder) / str(number)
            done = volume.flood(f"control{number}", RECORDS, seed, place, code)
            expected = planted.caught_by if planted else ""
            found.append(Control(planted.name if planted else "", expected, done.breaches))
            report(str(found[-1]))
    return found


def fetching(report: Report) -> list[Control]:
    """Every defect of the fetcher's guard, and none."""
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for planted in (None, *FETCHING):
            code = planted.copy(Path(folder)) if planted else ROOT
            count = sum(not one.good for one in reach.reached(code))
            faults = {"connections": count} if count else {}
            expected = planted.caught_by if planted else ""
            found.append(Control(planted.name if planted else "", expected, faults))
            report(str(found[-1]))
    return found
