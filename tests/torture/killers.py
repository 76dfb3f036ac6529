"""Events whose runs kill the process that runs them in, what became of them and the others out.

The crash is planted where a library would have it: a copy of the workers' code whose CRM tool dies
for certain companies. The same workers run as in production, with no way to this machine's web.
"""

from collections import Counter
from pathlib import Path

from tests.chaos.variants import ROOT, Change, Variant
from tests.torture.case import Case, fresh, good
from tests.torture.model import rule

CRASHES = {
    "is killed, as for its memory": "os.kill(os.getpid(), 9)",
    "segfaults, as in a C library": "os.kill(os.getpid(), 11)",
    "aborts": "os.abort()",
    "exits": "os._exit(0)",
}
DEATHS = "TIDEMILL_TORTURE_DEATHS"
DEATHS_MAX = 3
_TOOL = "    key = company_key(company_name)\n"
_DIES = f"""    if company_name.startswith("Crash "):
        import os
        with open(os.environ["{DEATHS}"], "a") as file:
            file.write(company_name + chr(10))
        for how, way in {dict(enumerate(CRASHES.values()))!r}.items():
            if company_name.split()[1] == str(how):
                eval(way)
"""
CRASHING = Variant(
    "a tool that crashes", (Change("udfs/tools/crm.py", _TOOL, _DIES + _TOOL),), "process_killed"
)


P10 = 1_000  # no number of the list: process killers
COUNTED = Case(
    P10, "deaths of processes by one event", "lead_ingestion", "T",
    (good("incoming_leads", "none"),), (f"at most {DEATHS_MAX}",),
)  # fmt: skip


def cases(each: int) -> list[Case]:
    """So many killers of each kind, and three times as many good leads among them."""
    found = []
    for number, name in enumerate(CRASHES):
        for _ in range(each):
            key = fresh("k")
            call = {"text": "look_up_account",
                    "arguments": f'{{"company_name": "Crash {number} {key}"}}'}  # fmt: skip
            kills = rule("lead_ingestion", key, "tool_call", **call)
            kills["match"] = r"^(?![\s\S]*\ntool: )[\s\S]*" + kills["match"]  # its first step
            found += [
                Case(P10, f"its run {name}", "lead_ingestion", "D",
                     (good("incoming_leads", key),), ("dead letter: process_killed",), (kills,)),
                Case(P10, "good leads beside them", "lead_ingestion", "K",
                     tuple(good("incoming_leads", fresh("k")) for _ in range(3)),
                     ("result",) * 3),
            ]  # fmt: skip
    return found


def words(file: Path) -> list[str]:
    """The most deaths that one event has cost, in words."""
    lines = file.read_text().splitlines() if file.exists() else ()
    most = max(Counter(line.split()[2] for line in lines).values(), default=0)
    return [f"at most {DEATHS_MAX}" if 0 < most <= DEATHS_MAX else f"{most}"]


def workers(folder: Path) -> str:
    """PYTHONPATH of workers with the planted crash."""
    return f"{CRASHING.copy(folder)}:{ROOT}"
