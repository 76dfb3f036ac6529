"""Documents and kills in; the store that they left, against the one that needs no Flink, out.

    python -m tests.chaos.store [--documents 500] [--kills 20] [--seed 1]

A tenth of the documents change midway. What must be there at the end is computed from the last
version of each: its chunks, id for id and place for place. Evidence is MongoDB and the topics.
"""

import argparse
import hashlib
import json
import os
import random
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from connectors.embedding import model_name
from connectors.kafka import NewRecord, read_all
from connectors.mongodb import client
from connectors.settings import settings
from tests.chaos import kills
from tests.chaos.kills import Blow
from tests.chaos.run import OPTIONS, plan
from tests.chaos.world import World, world
from tests.conftest import pytest_configure
from udfs.core.chunk_diff import identified, place
from udfs.splitting import split

JOB = "research/index_documents"
CUT = (200, 30)  # as the script says
VICTIMS = ("Python worker", "TaskManager", "run process", "MongoDB server")
CHANGED_SHARE = 10  # one in so many documents changes
SETTLE_S, IN_FLIGHT_S = 300.0, 60.0
MORE = 5
AT_ONCE = 300
WORDS = "stream state log broker checkpoint reader key event table order crash time".split()

Report = Callable[[str], None]


@dataclass(frozen=True)
class Document:
    """One version of one document."""

    bundle_id: str
    url: str
    content: str

    @property
    def content_hash(self) -> str:
        return hashlib.sha256(self.content.encode()).hexdigest()

    def record(self) -> NewRecord:
        row = {"url": self.url, "status": "document", "title": self.url.title()}
        value = {**row, "content": self.content, "content_hash": self.content_hash}
        headers = (("ce_id", uuid.uuid4().hex.encode()),)
        key = self.bundle_id.encode()
        return NewRecord("source_documents", key, json.dumps(value).encode(), headers)

    def chunks(self) -> dict[str, Any]:
        cut = [asdict(one) for one in split(self.content, *CUT)]
        found = identified(self.bundle_id, self.url, cut)
        return {
            name: [self.bundle_id, self.url, one["chunk_hash"], one["text"], place(one)]
            for name, one in found.items()
        }


@dataclass
class Outcome:
    """A run's blows, and what was not as it must be."""

    documents: int
    chunks: int = 0
    blows: list[Blow] = field(default_factory=list)
    wrong: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0


def written(number: int, rng: random.Random) -> Document:
    """A document of some chapters."""
    chapters = [
        f"# Chapter {n}\n\n" + " ".join(rng.choice(WORDS) for _ in range(rng.randint(60, 260)))
        for n in range(rng.randint(1, 5))
    ]
    return Document(f"bundle-{number % 7}", f"https://a.example/{number}", "\n\n".join(chapters))


def changed(document: Document, rng: random.Random) -> Document:
    """The next version: a chapter less, or a paragraph more at the top."""
    chapters = document.content.split("\n\n# ")
    if len(chapters) > 1 and rng.random() < 0.5:
        content = "\n\n# ".join(chapters[:-1])
    else:
        content = f"News of {rng.random()}.\n\n{document.content}"
    return Document(document.bundle_id, document.url, content)


def run(
    document_count: int,
    kill_count: int,
    seed: int,
    report: Report,
    victims: Sequence[str] = VICTIMS,
) -> Outcome:
    """The index job under kills."""
    rng = random.Random(seed)
    outcome, started = Outcome(document_count), time.monotonic()
    versions = [written(number, rng) for number in range(document_count)]
    middle = document_count // 2
    versions[middle:middle] = [
        changed(versions[n], rng)
        for n in rng.sample(range(middle), document_count // CHANGED_SHARE)
    ]
    share = -(-len(versions) // (kill_count + 1))
    with world(0) as place:
        place.submit(JOB, options=OPTIONS)
        fed: list[Document] = []
        for number, (victim, _) in enumerate(plan(kill_count, victims, rng)):
            _feed(place, fed, versions[number * share : (number + 1) * share])
            time.sleep(rng.uniform(0.3, 3.0))
            outcome.blows.append(_strike(place, fed, victim, rng))
            report(f"{number + 1}/{kill_count} kill {victim}, {outcome.blows[-1].leads_in_flight}")
            kills.mend(place, victim, [JOB], OPTIONS)
        _feed(place, fed, versions[kill_count * share :])
        _settle(fed, report)
        outcome.wrong = judge(fed)
        outcome.chunks = len(expected(fed))
        unseen = blind(fed)
        assert not unseen, f"the harness does not see {unseen}"
    outcome.seconds = time.monotonic() - started
    return outcome


def _feed(place: World, fed: list[Document], documents: Sequence[Document]) -> None:
    place.feed([document.record() for document in documents])
    fed += documents


def _strike(place: World, fed: list[Document], victim: str, rng: random.Random) -> Blow:
    """Wait for work in flight and for the victim, then hit it."""
    deadline = time.monotonic() + IN_FLIGHT_S
    while True:
        unfinished = len(_unfinished(fed))
        if not unfinished:
            first = 1_000_000 + len(fed)
            _feed(place, fed, [written(n, rng) for n in range(first, first + MORE)])
        elif kills.targets(place, victim):
            return kills.strike(place, victim, "kill", unfinished, rng)
        if time.monotonic() > deadline:
            raise kills.NotProven(f"{victim}: {unfinished} documents are in flight")
        time.sleep(0.2)


def _settle(fed: list[Document], report: Report) -> None:
    """Wait until every last version is told to be stored; then a little more."""
    deadline = time.monotonic() + SETTLE_S
    while missing := len(_unfinished(fed)):
        if time.monotonic() > deadline:
            return report(f"{missing} documents have not ended after {SETTLE_S:.0f} s")
        time.sleep(1)
    time.sleep(5)
    return None


def _last(fed: Sequence[Document]) -> dict[tuple[str, str], Document]:
    return {(one.bundle_id, one.url): one for one in fed}


def _unfinished(fed: Sequence[Document]) -> set[tuple[str, str, str]]:
    told = {(key, row["url"], row["content_hash"]) for key, row in _events("stored_documents")}
    wanted = {(b, u, one.content_hash) for (b, u), one in _last(fed).items()}
    return wanted - told


def _events(topic: str) -> list[tuple[str, dict[str, Any]]]:
    records = read_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], [topic])
    return [((r.key or b"").decode(), json.loads(r.value or b"{}")) for r in records]


def expected(fed: Sequence[Document]) -> dict[str, Any]:
    """Every chunk that must be in the store, and nothing else."""
    return {
        name: chunk for document in _last(fed).values() for name, chunk in document.chunks().items()
    }


def judge(fed: Sequence[Document]) -> Counter[str]:
    """What is not as it must be."""
    wrong: Counter[str] = Counter()
    wanted = expected(fed)
    with client() as mongo:
        database = mongo[settings().mongodb_database]
        documents = {(r["bundle_id"], r["url"]): r for r in database["documents"].find()}
        bundles = {one.bundle_id for one in fed}
        stored = {name: row for name, row in _chunks(database) if row["bundle_id"] in bundles}
    wrong["missing"] = len(wanted.keys() - stored.keys())
    wrong["stale"] = len(stored.keys() - wanted.keys())
    for name in wanted.keys() & stored.keys():
        row = stored[name]
        held = [row[k] for k in ("bundle_id", "url", "chunk_hash", "text")] + [place(row)]
        wrong["other content or place"] += held != wanted[name]
        wrong["no vector"] += len(row["embedding"]) != 384 or row["model"] != model_name()
    for key, document in _last(fed).items():
        row = documents.get(key, {})
        wrong["document of an old version"] += row.get("content_hash") != document.content_hash
        wrong["document of other chunks"] += row.get("chunk_ids") != list(document.chunks())
    told = Counter((key, row["url"], row["chunk_hash"]) for key, row in _events("document_chunks"))
    wrong["chunk without event"] = sum(not told[(b, u, h)] for b, u, h, _, _ in wanted.values())
    return +wrong


def _chunks(database: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every chunk of the store; some at a time, for the local server has little memory."""
    names = [row["_id"] for row in database["chunks"].find({}, {"_id": 1})]
    for at in range(0, len(names), AT_ONCE):
        for row in database["chunks"].find({"_id": {"$in": names[at : at + AT_ONCE]}}):
            yield row["_id"], row


def blind(fed: Sequence[Document]) -> list[str]:
    """Damage that is done to the store and that `judge` does not see. The store is spoilt then."""
    unseen = []
    with client() as mongo:
        chunks = mongo[settings().mongodb_database]["chunks"]
        own = {"bundle_id": {"$in": list({document.bundle_id for document in fed})}}
        one, other = list(chunks.find(own).limit(2))
        damages: dict[str, Callable[[], object]] = {
            "missing": lambda: chunks.delete_one({"_id": one["_id"]}),
            "stale": lambda: chunks.insert_one({**one, "_id": "old"}),
            "other content or place": lambda: chunks.update_one(
                {"_id": other["_id"]}, {"$set": {"start_char": -1}}
            ),
            "no vector": lambda: chunks.update_one(
                {"_id": other["_id"]}, {"$set": {"model": "another"}}
            ),
        }
        for name, damage in damages.items():
            damage()
            if not judge(fed)[name]:
                unseen.append(name)
    return unseen


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.store", description=__doc__)
    parser.add_argument("--documents", type=int, default=500)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    pytest_configure()
    outcome = run(
        options.documents, options.kills, options.seed, lambda line: print(line, flush=True)
    )
    hit = Counter(blow.victim for blow in outcome.blows)
    print(f"{outcome.documents} documents, {outcome.chunks} chunks, kills {dict(hit)}")
    print(f"wrong: {dict(outcome.wrong) or 'nothing'} after {outcome.seconds:.0f} s")
    raise SystemExit(bool(outcome.wrong))


if __name__ == "__main__":
    main()
