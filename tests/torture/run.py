"""Cases in, wave by wave, what came of each out.

tell model, mail server and website → write the inputs → wait for their ends → count restarts
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from tests.torture import afterwards, injection, killers, mail, model, records, web
from tests.torture.case import TOPICS, Case, fresh, good
from tests.torture.oracle import Outside, fits, shown
from tests.torture.world import NAMES, World, opt_out

SETTLE_S = 240.0  # a case that has not ended by then has no end
NEWS_S = 75.0  # nor has one when nothing at all has happened for so long
QUIET_S = 2.0
WAVES = (
    *("late", "quick", "large-1", "large-10", "bomb", "large-50", "slow"),
    *("busy", "always busy"),
)
KILLERS_EACH = 3
Report = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """What came of one case, and how often a job restarted meanwhile."""

    case: Case
    words: tuple[str, ...]
    restarts: int
    messages: tuple[str, ...] = ()

    @property
    def good(self) -> bool:
        return fits(self.case, self.words) and self.restarts == 0

    def __str__(self) -> str:
        case, said = self.case, f" {list(self.messages)}" if self.messages else ""
        return (
            f"{case.number} {case.name} on {case.where}: {shown(self.words)}, expected "
            f"{shown(case.ends)}, {self.restarts} restarts{said}"
        )


def all_cases() -> list[Case]:
    return [*records.cases(), *model.cases(), *injection.cases(), *web.cases(), *mail.cases()]


def tenth(cases: Sequence[Case], seed: int) -> list[Case]:
    """Each tenth of the quick ones, another tenth for another seed."""
    return [case for case in cases if case.wave == "quick"][seed % 10 :: 10]


def run_all(place: World, report: Report) -> list[Found]:
    """Every case on a stack on which nothing runs yet."""
    outside, found = Outside(), []
    place.submit(*NAMES)
    cases = all_cases()
    for name in WAVES:
        wave = [case for case in cases if case.wave == name]
        # One that keeps a server busy for ever keeps others waiting, and some for too long.
        topics = () if name == "always busy" else TOPICS
        found += run_wave(place, outside, wave, report, name, topics)
    found += production(place, outside, [c for c in cases if c.wave == "production"], report)
    place.submit(*NAMES)
    found += and_then(place, outside, report)
    if lost := outside.unended(_excused(place, found)):
        report(f"{len(lost)} records came to no end: {lost[:5]}")
        found.append(Found(_all_end(), (f"{len(lost)} records without an end",), 0))
    else:
        found.append(Found(_all_end(), ("every record has its end",), 0))
    return found


def run_wave(
    place: World,
    outside: Outside,
    cases: Sequence[Case],
    report: Report,
    name: str = "quick",
    topics: Sequence[str] = TOPICS,
    patience_s: tuple[float, float] = (SETTLE_S, NEWS_S),
) -> list[Found]:
    """Feed these cases, wait for all their ends, and for those that nothing comes of."""
    before = place.restarts()
    together = [*cases, *_sentinels(topics)]
    place.feed(together)
    _settle(place, outside, together, report, *patience_s)
    time.sleep(QUIET_S)
    outside.look()
    restarts = restarts_since(place, before)
    found = [_found(place, outside, case, restarts) for case in together]
    if restarts:
        report(f"{restarts} restarts: {_failures(place)}")
    _tell(report, name, found)
    return found


def production(
    place: World, outside: Outside, cases: Sequence[Case], report: Report
) -> list[Found]:
    """The first job alone: no way to this machine's web, as by default; a tool that crashes."""
    path = killers.workers(place.folder)
    deaths = place.folder / "deaths"
    settings = {"PYTHONPATH": path, killers.DEATHS: str(deaths)}
    with place.other_workers("sdr/lead_ingestion", TIDEMILL_ALLOW_LOCAL_WEB="false", **settings):
        asked = len(place.site.requests)
        first = TOPICS[:1]
        found = run_wave(place, outside, cases, report, "production", first)
        asked = len(place.site.requests) - asked
        dead = run_wave(place, outside, killers.cases(KILLERS_EACH), report, "killers", first)
    counted = [Found(killers.COUNTED, tuple(killers.words(deaths)), 0)]
    witness = Case(
        66, "requests that reached this machine meanwhile", "the web server", "R",
        (good(TOPICS[0], "none"),), ("0 requests",),
    )  # fmt: skip
    return [*found, Found(witness, (f"{asked} requests",), 0), *dead, *counted]


def and_then(place: World, outside: Outside, report: Report) -> list[Found]:
    """A kill before a replay, a redrive, a submission."""
    before, found = place.restarts(), []
    for case, words in (
        afterwards.replay(place, outside),
        afterwards.redrive(place, outside),
        afterwards.start(place),
    ):
        found.append(Found(case, tuple(words), restarts_since(place, before)))
    _tell(report, "afterwards", found)
    return found


def _tell(report: Report, name: str, found: Iterable[Found]) -> None:
    found = list(found)
    wrong = [one for one in found if not one.good]
    report(f"{name}: {len(found) - len(wrong)} of {len(found)} cases as expected")
    for one in wrong:
        report(f"  {one}")


def _found(place: World, outside: Outside, case: Case, restarts: int) -> Found:
    messages = outside.messages(place.fed.get(id(case), []))
    return Found(case, tuple(_words(place, outside, case)), restarts, tuple(messages))


def restarts_since(place: World, before: dict[str, int]) -> int:
    """Restarts of all jobs since then; a job that is gone counts as one."""
    now = place.restarts()
    return sum(now[name] - count if name in now else 1 for name, count in before.items())


def _sentinels(topics: Sequence[str]) -> list[Case]:
    """Good records behind all others: when they are through, what stood before them was read."""
    return [
        Case(0, "good records behind all these", topic, "K",
             tuple(good(topic, fresh("s")) for _ in range(8)),
             ("sent" if topic == "email_campaigns" else "result",) * 8)
        for topic in topics
    ]  # fmt: skip


def _all_end() -> Case:
    return Case(
        0, "all records of all jobs", "all five topics", "K", (good(TOPICS[0], "none"),),
        ("every record has its end",),
    )  # fmt: skip


def _excused(place: World, found: Iterable[Found]) -> set[tuple[str, int, int]]:
    """Records of which nothing is to come: tombstones, and repeats of one event."""
    cases = [one.case for one in found if one.case.number in (2, 21)]
    return {at for case in cases for at in place.fed.get(id(case), ())}


def _words(place: World, outside: Outside, case: Case) -> list[str]:
    refused = [f"refused by the broker: {word}" for word in place.refused.get(id(case), ())]
    return outside.words(case, place.fed.get(id(case), [])) + refused


def _settle(
    place: World,
    outside: Outside,
    cases: Sequence[Case],
    report: Report,
    settle_s: float,
    news_s: float,
) -> None:
    started = last_news = time.monotonic()
    news, opted = -1, False
    while True:
        outside.look()
        open_ = [case for case in cases if not _ended(place, outside, case)]
        now = time.monotonic()
        if len(outside.records) != news:
            news, last_news = len(outside.records), now
        opted = opted or _opt_outs(place, outside, cases)
        if not open_:
            return
        if now - started > settle_s or now - last_news > news_s:
            report(f"{len(open_)} cases have not ended after {now - started:.0f} s")
            return
        time.sleep(0.5)


def _ended(place: World, outside: Outside, case: Case) -> bool:
    """Whether as much has come of it as is expected, be it right or wrong."""
    return len(_words(place, outside, case)) >= len(case.ends)


def _opt_outs(place: World, outside: Outside, cases: Sequence[Case]) -> bool:
    """Whoever opts out does so when the first mail has come."""
    for case in cases:
        if case.name == mail.OPTED_OUT and "sent" in _words(place, outside, case):
            opt_out(injection.own_address(case))
            return True
    return False


def _failures(place: World) -> str:
    told = {job.name: place.cluster.failure(job.id) for job in place.cluster.jobs()}
    return "; ".join(f"{name}: {why}" for name, why in told.items() if why)
