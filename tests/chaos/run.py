"""A number of leads and of kills in; where every lead and every mail ended, judged, out.

feed a share of the leads → wait until they are in flight → strike → prove it → mend → again

A share that has ended before the blow came is followed by some more leads: a blow hits work.
"""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.chaos import kills, oracle
from tests.chaos.kills import Blow
from tests.chaos.oracle import Verdict
from tests.chaos.world import World, leads, trace_of, world

JOBS = ["lead_ingestion", "lead_scoring", "active_outreach", "nurture_campaign", "send_email"]
NAMES = [f"sdr/{job}" for job in JOBS]
# Flink's waits between restarts grow; with a kill every few seconds the run would only wait.
OPTIONS = ["-D", "restart-strategy.exponential-delay.max-backoff=2 s"]
SETTLE_S = 420.0
IN_FLIGHT_S = 90.0
QUIET_S = 5.0
LATENCY_MS = 200
SMTP_CONNECTIONS = 8
STOP_EVERY = 5  # each fifth blow is a SIGSTOP
MORE_LEADS, FIRST_MORE = 10, 1_000_000

Report = Callable[[str], None]


@dataclass
class Outcome:
    """A run's blows and its verdict."""

    leads: int
    seed: int
    blows: list[Blow] = field(default_factory=list)
    verdict: Verdict = field(default_factory=Verdict)
    most_calls: int = 0
    balanced: bool = False  # what `tidemill status` says
    seconds: float = 0.0

    @property
    def breaches(self) -> dict[str, int]:
        """What must not be, kills or no kills."""
        wrong, verdict = dict(self.verdict.wrong), self.verdict
        if verdict.parked > len(self.blows) * SMTP_CONNECTIONS:
            wrong["parked"] = verdict.parked
        if verdict.paid_again > len(self.blows) * max(self.most_calls, 1):
            wrong["paid again"] = verdict.paid_again
        if not self.balanced:
            wrong["not balanced"] = 1
        return wrong


def plan(count: int, victims: Sequence[str], rng: random.Random) -> list[tuple[str, str]]:
    """Who is hit and how: every victim equally often, in an order of the seed's."""
    order: list[str] = []
    while len(order) < count:
        once = list(victims)
        rng.shuffle(once)
        order += once
    return [
        (victim, "stop" if number % STOP_EVERY == STOP_EVERY - 1 else "kill")
        for number, victim in enumerate(order[:count])
    ]


def run(
    lead_count: int,
    kill_count: int,
    seed: int,
    report: Report,
    victims: Sequence[str] = tuple(kills.VICTIMS),
) -> Outcome:
    """The whole SDR team under kills."""
    rng = random.Random(seed)
    outcome = Outcome(lead_count, seed)
    planned = plan(kill_count, victims, rng)
    records = leads(lead_count, rng)
    share = -(-lead_count // (kill_count + 1))
    with world(LATENCY_MS) as place:
        place.submit(*NAMES, options=OPTIONS)
        started = time.monotonic()
        for number, (victim, how) in enumerate(planned):
            _feed(place, records[number * share : (number + 1) * share])
            time.sleep(rng.uniform(0.3, 3.0))
            blow = _strike(place, victim, how, rng)
            outcome.blows.append(blow)
            report(
                f"{number + 1:>3}/{kill_count} {how} {victim} ({blow.pid}) with "
                f"{blow.leads_in_flight} leads and {blow.calls_in_flight} calls in flight"
            )
            kills.mend(place, victim, NAMES, OPTIONS)
        _feed(place, records[len(planned) * share :])
        _settle(place, report)
        evidence = oracle.gather(place.mails, place.answers)
        outcome.verdict = oracle.judge(place.fed, evidence)
        outcome.leads = len(place.fed)
        outcome.most_calls = evidence.most_calls
        outcome.balanced = "\nBALANCED:" in f"\n{place.status()}"
        outcome.seconds = time.monotonic() - started
    return outcome


def _feed(place: World, records: list) -> None:  # type: ignore[type-arg]
    place.feed(records)
    place.fed += [trace_of(record) for record in records]


def _strike(place: World, victim: str, how: str, rng: random.Random) -> Blow:
    """Wait for work in flight and for the victim, then hit it."""
    deadline = time.monotonic() + IN_FLIGHT_S
    while True:
        unfinished = len(_judged(place).unfinished)
        if not unfinished:
            first = FIRST_MORE + len(place.fed)
            _feed(place, leads(MORE_LEADS, random.Random(first), first))
        elif kills.targets(place, victim):
            return kills.strike(place, victim, how, unfinished, rng)
        if time.monotonic() > deadline:
            raise kills.NotProven(f"{victim}: {unfinished} leads are in flight")
        time.sleep(0.2)


def _judged(place: World) -> Verdict:
    return oracle.judge(place.fed, oracle.gather(place.mails, place.answers))


def _settle(place: World, report: Report) -> None:
    """Wait until every lead has its end; then a little more, for what should not come."""
    deadline = time.monotonic() + SETTLE_S
    while unfinished := len(_judged(place).unfinished):
        if time.monotonic() > deadline:
            report(f"{unfinished} leads have not ended after {SETTLE_S:.0f} s")
            return
        time.sleep(2)
    time.sleep(QUIET_S)
