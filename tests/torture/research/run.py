"""Cases for the research team in, wave by wave, what came of each out."""

from collections.abc import Sequence

from tests.torture.case import Case
from tests.torture.research import model, records, web
from tests.torture.research.oracle import Outside, called_tools, foreign_citations
from tests.torture.research.shapes import NAMES, TOPICS, request
from tests.torture.run import Found, Report, run_wave
from tests.torture.world import World

WAVES = ("quick", "large-1", "large-10", "bomb", "slow")
AT_ONCE = 140  # what is asked for them all at once must not keep the model's stand-in for long
# In all, and without news: a source that does not answer is tried for 95 s, its bundle waits behind
# the questions of another whose model is silent, and its brief is tried for 180 s.
PATIENCE_S = 420.0, 200.0


def all_cases() -> list[Case]:
    return [*records.cases(), *model.cases(), *web.cases()]


def tenth(cases: Sequence[Case], seed: int) -> list[Case]:
    """Some of the quick ones, others for another seed: each eighth, and a twentieth of records."""
    quick = [case for case in cases if case.wave == "quick" and len(case.ends) < 100]
    plain = [case for case in quick if case.number <= 30 and case.where in TOPICS]
    rest = [case for case in quick if case not in plain]
    return plain[seed % 20 :: 20] + rest[seed % 8 :: 8]


def run_all(place: World, report: Report) -> list[Found]:
    """Every case on a stack on which nothing runs yet."""
    outside, found, cases = Outside(), [], all_cases()
    place.submit(*NAMES)
    for name in WAVES:
        wave = [case for case in cases if case.wave == name]
        for part in (wave[at : at + AT_ONCE] for at in range(0, len(wave), AT_ONCE)):
            found += run_wave(place, outside, part, report, name, (), PATIENCE_S)
            place.forget()
    closed = [case for case in cases if case.wave == "production"]
    with place.other_workers(*NAMES, TIDEMILL_ALLOW_LOCAL_WEB="false"):
        asked = len(place.site.requests)
        found += run_wave(place, outside, closed, report, "production", (), PATIENCE_S)
        asked = len(place.site.requests) - asked
    return [*found, *effects(outside, asked)]


def effects(outside: Outside, asked: int = 0) -> list[Found]:
    """What all cases together may not have done."""
    outside.look()
    tools = ", ".join(called_tools()) or "none"
    told = (
        (66, "requests that reached this machine, its web closed", f"{asked}", "0"),
        (62, "citations of what is no passage of their bundle", f"{foreign_citations(outside)}",
         "0"),
        (54, "tools called beside the search of the bundle", tools, "none"),
    )  # fmt: skip
    return [
        Found(Case(number, name, "all runs", "R", (request("none"),), (wanted,)), (word,), 0)
        for number, name, word, wanted in told
    ]
