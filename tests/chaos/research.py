"""Bundles of sources and kills in; the store, versions and briefs that they left, judged, out.

ask for a bundle → its version 1 → edit some of its pages, ask again → version 2; kills meanwhile

The whole research team, from a local site to the brief. What must be there is computed from the
site without Flink. Evidence is MongoDB, the topics, and the model's own log.
"""

import json
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.kafka import KafkaRecord, NewRecord, read_all
from tests.chaos import kills, store
from tests.chaos.bundles import Bundle, Site, site
from tests.chaos.kills import Blow
from tests.chaos.run import OPTIONS, plan
from tests.chaos.world import World, event, world

JOBS = ["ingest_sources", "index_documents", "mine_questions", "complete_bundles", "write_brief"]
NAMES = [f"research/{job}" for job in JOBS]
VICTIMS = store.VICTIMS
ENVIRONMENT = {"TIDEMILL_ALLOW_LOCAL_WEB": "true"}
VERSIONS, BRIEFS, DEAD_LETTERS = "bundle_versions", "research_briefs", "research_dead_letters"
STORED = "stored_documents"
CHANGED_SHARE = 10  # one in so many documents changes
BUNDLES, PAGES_LEAST, MORE_PAGES = 20, 5, 5
LATENCY_MS = 100
FIRST_S, SETTLE_S, IN_FLIGHT_S, QUIET_S = 240.0, 300.0, 90.0, 8.0
LOST_S = 3.0  # between an answer and its being in the journal
DYING_S = 1.0  # between a failure that Flink has noted and the end of the job's last run

Report = Callable[[str], None]
Json = dict[str, Any]


@dataclass
class Outcome:
    """A run's blows, what was stored and written, and what was not as it must be."""

    documents: int = 0
    changed: int = 0
    bundles: int = 0
    chunks: int = 0
    briefs: int = 0
    paid: int = 0
    paid_in_flight: int = 0
    blows: list[Blow] = field(default_factory=list)
    wrong: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass
class Told:
    """Records of some topics, as of the last look; each look reads what has come since."""

    records: dict[str, list[KafkaRecord]] = field(default_factory=lambda: defaultdict(list))
    _ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def look(self) -> "Told":
        servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
        topics = [VERSIONS, BRIEFS, STORED, DEAD_LETTERS]
        for record in read_all(servers, topics, self._ends):
            self._ends[record.topic, record.partition] = record.offset + 1
            self.records[record.topic].append(record)
        return self

    def of(self, topic: str) -> dict[tuple[str, int], list[KafkaRecord]]:
        """By bundle and version."""
        found: dict[tuple[str, int], list[KafkaRecord]] = defaultdict(list)
        for record in self.records[topic]:
            found[(record.key or b"").decode(), _value(record)["version"]].append(record)
        return found

    def stored_ms(self) -> dict[tuple[str, str, str], int]:
        """When each content of each document was first told to be stored."""
        found: dict[tuple[str, str, str], int] = {}
        for record in self.records[STORED]:
            value, key = _value(record), (record.key or b"").decode()
            place = (key, value["url"], value["content_hash"])
            found[place] = min(found.get(place, record.timestamp_ms), record.timestamp_ms)
        return found


class Run:
    """A world, its site, and the bundles that were asked for."""

    def __init__(self, place: World, served: Site, rng: random.Random, prefix: str = "") -> None:
        self.place, self.site, self.rng, self.prefix = place, served, rng, prefix
        self.bundles: list[Bundle] = []
        self.told = Told()

    def bundle(self, pages: int) -> Bundle:
        number = len(self.bundles)
        made = Bundle(f"{self.prefix}bundle-{number}", self.site, by_feed=number % 2 == 0)
        self.bundles.append(made.fill(pages, self.rng))
        return made

    def ask(self, bundle: Bundle) -> None:
        bundle.rounds += 1
        sources = [{"url": url} for url in bundle.sources]
        value = {"topic": f"The log of {bundle.name}", "sources": sources}
        plain = event(bundle.name, json.dumps(value).encode())
        request = NewRecord("research_requests", plain.key, plain.value, plain.headers)
        self.place.feed([request])

    def ask_again(self, bundle: Bundle, pages: int) -> None:
        """Once its version 1 is there: edit so many pages."""
        self.await_first(bundle)
        bundle.edit(pages, self.rng)
        self.ask(bundle)

    def warm_up(self) -> None:
        """Let each worker do its first work: one that is killed while it sets that up is missed
        only after three minutes, which are Beam's."""
        first = self.bundle(PAGES_LEAST)
        self.ask(first)
        self.await_first(first)

    def await_first(self, bundle: Bundle) -> None:
        """Return when the version 1 of a bundle is there."""
        deadline = time.monotonic() + FIRST_S
        while (bundle.name, 1) not in self.told.look().of(VERSIONS):
            if time.monotonic() > deadline:
                raise AssertionError(f"no version 1 of {bundle.name} within {FIRST_S:.0f} s")
            time.sleep(0.3)

    def unfinished(self) -> list[str]:
        """Bundles without the brief of their last version."""
        briefs = self.told.look().of(BRIEFS)
        asked = [bundle for bundle in self.bundles if bundle.rounds]
        return [b.name for b in asked if (b.name, b.rounds) not in briefs]

    def settle(self, report: Report) -> None:
        """Wait until every brief is there; then a little more, for what should not come."""
        deadline = time.monotonic() + SETTLE_S
        while missing := self.unfinished():
            if time.monotonic() > deadline:
                return report(f"no last brief of {missing[:5]} after {SETTLE_S:.0f} s")
            time.sleep(1)
        time.sleep(QUIET_S)
        return None

    def outcome(self, blows: Sequence[Blow]) -> Outcome:
        """All of it, judged."""
        fed = [document for bundle in self.bundles for document in bundle.documents()]
        wrong = store.judge(fed) + judged(self.bundles, self.told.look())
        paid = paid_twice(_answers(self.place), blows)
        wrong["model calls paid twice"] = paid["again"]
        return Outcome(
            documents=len(fed),
            changed=sum(len(bundle.changed) for bundle in self.bundles),
            bundles=len(self.bundles),
            chunks=len(store.expected(fed)),
            briefs=len(self.told.of(BRIEFS)),
            paid=paid["once"],
            paid_in_flight=paid["in flight"],
            blows=list(blows),
            wrong=dict(+wrong),
        )


def run(
    documents: int,
    kill_count: int,
    seed: int,
    report: Report,
    victims: Sequence[str] = VICTIMS,
) -> Outcome:
    """The whole team under kills."""
    rng, started = random.Random(seed), time.monotonic()
    blows: list[Blow] = []
    with site() as served, world(LATENCY_MS, ENVIRONMENT) as place:
        place.submit(*NAMES, options=OPTIONS)
        going = Run(place, served, rng)
        going.warm_up()
        steps = list(_steps(going, documents))
        share = len(steps) / kill_count
        for number, (victim, _) in enumerate(plan(kill_count, victims, rng)):
            for step in steps[round(number * share) : round((number + 1) * share)]:
                step()
            time.sleep(rng.uniform(0.3, 3.0))
            blows.append(_strike(going, victim))
            report(f"{number + 1}/{kill_count} kill {victim}, {blows[-1].leads_in_flight} bundles")
            kills.mend(place, victim, NAMES, OPTIONS)
        going.settle(report)
        outcome = going.outcome(blows)
        unseen = store.blind(going.bundles[0].documents()) if not outcome.wrong else []
        assert not unseen, f"the harness does not see {unseen}"
    outcome.seconds = time.monotonic() - started
    return outcome


def _steps(going: Run, documents: int) -> Iterator[Callable[[], None]]:
    """Ask for the first half; then for the others, and in between for the first again, edited."""
    pages = max(PAGES_LEAST, documents // BUNDLES)
    bundles = [going.bundle(pages) for _ in range(documents // pages)]
    half = len(bundles) // 2
    edits = documents // CHANGED_SHARE // half
    for bundle in bundles[:half]:
        yield lambda bundle=bundle: going.ask(bundle)  # type: ignore[misc]
    for number, bundle in enumerate(bundles[half:]):
        yield lambda bundle=bundle: going.ask(bundle)  # type: ignore[misc]
        if number < half:
            first = bundles[number]
            yield lambda first=first: going.ask_again(first, edits)  # type: ignore[misc]


def _strike(going: Run, victim: str) -> Blow:
    """Wait for work in flight and for the victim, then hit it."""
    deadline = time.monotonic() + IN_FLIGHT_S
    while True:
        unfinished = len(going.unfinished())
        if not unfinished:
            going.ask(going.bundle(MORE_PAGES))
        elif kills.targets(going.place, victim):
            return kills.strike(going.place, victim, "kill", unfinished, going.rng)
        if time.monotonic() > deadline:
            raise kills.NotProven(f"{victim}: {unfinished} bundles are in flight")
        time.sleep(0.2)


def judged(bundles: Sequence[Bundle], told: Told) -> Counter[str]:
    """What is not as it must be of versions and briefs: each once, whole, and of what changed."""
    wrong: Counter[str] = Counter()
    versions, briefs, stored_ms = told.of(VERSIONS), told.of(BRIEFS), told.stored_ms()
    for bundle in bundles:
        for record in versions.get((bundle.name, bundle.rounds), ())[:1]:
            at = [stored_ms.get((b.bundle_id, b.url, b.content_hash)) for b in bundle.documents()]
            late = sum(stored is None or stored > record.timestamp_ms for stored in at)
            wrong["versions before their chunks"] += late > 0
        wanted = {(bundle.name, number) for number in range(1, bundle.rounds + 1)}
        of_it = {place for place in (*versions, *briefs) if place[0] == bundle.name}
        wrong["versions that nothing asked for"] += len(of_it - wanted)
        for place in sorted(wanted):
            wrong["versions not fired"] += place not in versions
            wrong["versions fired twice"] += len(versions.get(place, ())) > 1
            for record in versions.get(place, ())[:1]:
                value, edited = _value(record), place[1] > 1
                whole = value["complete"] and value["arrived"] == len(bundle.paths)
                wrong["versions of a part"] += not whole
                changes = {(c["url"], c["what"].partition(" (")[0]) for c in value["changes"]}
                due = {(url, "changed") for url in bundle.changed} if edited else set()
                wrong["versions with other changes"] += changes != due
            wrong["versions without a brief"] += place not in briefs
            contents = {(r.header("ce_id"), r.value) for r in briefs.get(place, ())}
            wrong["versions with two briefs"] += len(contents) > 1
    keys = [(record.key or b"").decode() for record in told.records[DEAD_LETTERS]]
    wrong["dead letters"] = sum(any(b.name in key for b in bundles) for key in keys)
    return wrong


def paid_twice(answers: Sequence[Json], blows: Sequence[Blow]) -> Counter[str]:
    """Answered calls; those paid again whose first answer was on its way when a process that asks
    was killed; and those paid again though nothing had happened to the answer.

    What a TaskManager leaves behind still asks until Flink has noted the failure and ended it.
    """
    paid: Counter[str] = Counter()
    deaths = [blow for blow in blows if blow.victim != "MongoDB server"]
    calls: Mapping[str, list[Json]] = defaultdict(list)
    for answer in answers:
        if answer["status"] == 200 and answer["endpoint"] == "chat":
            calls[answer["messages_sha256"]].append(answer)
    for same in calls.values():
        same.sort(key=lambda answer: float(answer["at"]))
        paid["once"] += 1
        for answer in same[:-1]:
            lost_until = answer["finished_at"] + LOST_S
            excused = any(
                answer["at"] <= death.seen_at + DYING_S and death.at <= lost_until
                for death in deaths
            )
            paid["in flight" if excused else "again"] += 1
    return paid


def _answers(place: World) -> list[Json]:
    lines = place.answers.read_text().splitlines() if place.answers.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def _value(record: KafkaRecord) -> Json:
    return dict(json.loads(record.value or b"{}"))
