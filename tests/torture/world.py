"""A private stack with a hostile model, mail server and web server in; cases fed to it out.

The five jobs run on the session cluster, from the real scripts, against the real broker. The topics
take whatever a careless broker would: large records, and times of any year.
"""

import json
import os
import re
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic

from connectors.mongodb import client
from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from jobs.cluster import Cluster, JobStatus
from tests.chaos.world import Service
from tests.conftest import tidemill
from tests.torture import injection
from tests.torture.case import JOBS, TOPICS, Case, Input
from tests.torture.postman import Postman, sink
from tests.torture.site import Site, site

PARTS = ("kafka", "mongodb", "flink")
NAMES = [f"sdr/{job.partition('.')[2]}" for job in JOBS.values()]
PARTITIONS = 2
MAX_RECORD_BYTES = 64 << 20
CLOCK_SPEED = 60_000  # three days in four seconds
DELIVERY_S = 60.0
# All that is given at once, however large, is one batch, packed as small as may be.
ONE_BATCH = {
    "linger.ms": 2_000,
    "batch.size": 1 << 30,
    "message.max.bytes": 1_000_000_000,
    "queue.buffering.max.kbytes": 1 << 20,
    "compression.type": "zstd",
    "sticky.partitioning.linger.ms": 0,
}
Place = tuple[str, int, int]  # topic, partition, offset
_NAMED_PORT = re.compile(rb":([A-Z_]{4,40})/")


@dataclass
class World:
    """`fed` are the places where each case's inputs came to lie."""

    folder: Path
    model: Service
    postman: Postman
    site: Site
    fed: dict[int, list[Place]] = field(default_factory=dict)
    refused: dict[int, list[str]] = field(default_factory=dict)

    @property
    def cluster(self) -> Cluster:
        return Cluster(os.environ["FLINK_REST_URL"])

    @property
    def mails(self) -> Path:
        return self.folder / "mail"

    def submit(self, *jobs: str) -> None:
        """They go on where they were."""
        self.command("submit", *jobs)

    def command(self, *words: str) -> str:
        """What `tidemill` says. Raises RuntimeError where it fails."""
        done = tidemill(*words, environment=dict(os.environ), timeout_s=300)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)
        return done.stdout

    def restarts(self) -> dict[str, int]:
        """How often Flink has restarted each job that runs."""
        cluster = self.cluster
        return {job.name: restarts_of(cluster, job) for job in cluster.jobs() if not job.ended}

    def stop(self, *jobs: str) -> None:
        """With a savepoint, from which `submit` goes on."""
        for name in jobs:
            self.command("stop", name)

    @contextmanager
    def other_workers(self, *jobs: str, **environment: str) -> Iterator[None]:
        """For a while only these jobs, on TaskManagers that are started with this environment."""
        self.stop(*(job.name.replace(".", "/") for job in self.cluster.jobs() if not job.ended))
        before = dict(os.environ)
        os.environ.update(environment)
        try:
            stack.up(PARTS)  # what was started with other variables starts again
            self.submit(*jobs)
            yield
            self.stop(*jobs)
        finally:
            os.environ.clear()
            os.environ.update(before)
        stack.up(PARTS)

    def feed(self, cases: Sequence[Case]) -> None:
        """Tell model, mail server and web server what to do, then write all inputs."""
        for case in cases:
            self.postman.tell(case.mail)
            self.site.pages.update(case.pages)
        rules = [self._resolved(rule) for case in cases for rule in case.faults]
        self.control({"faults": rules})
        write(cases, self.fed, self.refused, self.site.port)

    def control(self, told: Mapping[str, Any]) -> None:
        """Tell the offline model; an empty one makes it forget all rules."""
        url = f"http://127.0.0.1:{self.model.port}/control"
        request = urllib.request.Request(url, json.dumps(told).encode())
        urllib.request.urlopen(request, timeout=30).close()

    def forget(self) -> None:
        """The offline model behaves again."""
        url = f"http://127.0.0.1:{self.model.port}/control"
        urllib.request.urlopen(urllib.request.Request(url, method="DELETE"), timeout=30).close()

    def asked(self, since: int = 1_000_000_000) -> dict[str, Any]:
        """The offline model's own log of requests."""
        url = f"http://127.0.0.1:{self.model.port}/control/requests?since={since}"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return dict(json.loads(answer.read()))

    def eml(self) -> list[Path]:
        """The mails that were taken."""
        return sorted(self.mails.glob("*.eml"))

    def _resolved(self, rule: Mapping[str, Any]) -> Mapping[str, Any]:
        """The rule with the addresses of this world in the URL that it names."""
        text = str(rule.get("arguments", "{"))
        if text.startswith("{"):
            return rule
        if text.startswith("PAGE "):
            text = f"http://shop.localhost:SHOP/{text.removeprefix('PAGE ')}/"
        text = text.replace("SHOP", str(self.site.port))
        for name in re.findall(r":([A-Z_]{4,})/", text):
            found = re.search(r":(\d+)", os.environ[name])
            text = text.replace(name, found[1] if found else "1")
        return {**rule, "arguments": json.dumps({"url": text})}


def restarts_of(cluster: Cluster, job: JobStatus) -> int:
    """By Flink's own count, or by its failures where it is too busy restarting to count."""
    history = cluster.get(f"/jobs/{job.id}/exceptions").get("exceptionHistory", {})
    failures = len(history.get("entries") or ())
    return max(failures, cluster.restarts(job.id) or 0)


def write(
    cases: Sequence[Case], fed: dict[int, list[Place]], refused: dict[int, list[str]], shop: int
) -> None:
    """Write all inputs of all cases; note where each came to lie, or why the broker refused it.
    `shop` is the hostile web server's port."""
    producers: dict[str, Producer] = {}
    for case in cases:
        if case.packing not in producers:
            producers[case.packing] = _producer(case.packing)
        for record in case.inputs:
            _give(producers[case.packing], case, resolved(record, shop), fed, refused)
    for producer in producers.values():
        producer.flush(DELIVERY_S)


def resolved(record: Input, shop: int) -> Input:
    """The record with ports for the names of servers that its URLs have."""
    if record.value is None or not _NAMED_PORT.search(record.value):
        return record

    def port(named: re.Match[bytes]) -> bytes:
        name = named[1].decode()
        found = re.search(r":(\d+)", os.environ.get(name, ""))
        return f":{shop if name == 'SHOP' else found[1] if found else 1}/".encode()

    return replace(record, value=_NAMED_PORT.sub(port, record.value))


def _producer(packing: str) -> Producer:
    settings: dict[str, Any] = {
        "bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        "log_level": 0,
        "acks": "all",
        "partitioner": "murmur2_random",
        "message.max.bytes": MAX_RECORD_BYTES,
        "delivery.timeout.ms": int(DELIVERY_S * 1000),
    }
    return Producer(settings | (ONE_BATCH if packing == "bomb" else {"compression.type": packing}))


def _give(
    producer: Producer,
    case: Case,
    record: Input,
    fed: dict[int, list[Place]],
    refused: dict[int, list[str]],
) -> None:
    places = fed.setdefault(id(case), [])

    def delivered(error: Any, message: Any) -> None:
        if error:
            refused.setdefault(id(case), []).append(str(error.str()))
        else:
            places.append((message.topic(), message.partition(), message.offset()))

    timed = {} if record.timestamp_ms is None else {"timestamp": record.timestamp_ms}
    while True:
        try:
            producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=delivered,
                **timed,
            )
        except BufferError:
            producer.poll(1.0)
        else:
            producer.poll(0)
            return


def careless_topics(topics: Sequence[str]) -> None:
    """Topics as someone makes them who wants nothing refused."""
    admin = AdminClient({"bootstrap.servers": os.environ["KAFKA_BOOTSTRAP_SERVERS"]})
    config = {
        "max.message.bytes": str(MAX_RECORD_BYTES),
        "message.timestamp.after.max.ms": str(2**63 - 1),
        "message.timestamp.before.max.ms": str(2**63 - 1),
        "retention.ms": "-1",
    }
    wanted = [NewTopic(topic, PARTITIONS, 1, config=config) for topic in topics]
    for future in admin.create_topics(wanted).values():
        future.result()


@contextmanager
def world(
    environment: Mapping[str, str] | None = None, topics: Sequence[str] = TOPICS
) -> Iterator[World]:
    """A stack on free ports in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="tidemill-torture-") as name, site() as hostile:
        folder = Path(name)
        log = str(folder / "answers.jsonl")
        model = Service(
            lambda port: ["deploy.offline_model", "--port", str(port), "--control", "--log", log]
        )
        mail, postman = sink(folder / "mail")
        try:
            model.start()
            with mail:
                addresses = {
                    "OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1",
                    "OPENAI_API_KEY": "offline",
                    "SMTP_URL": f"{mail.url}?timeout_s=5&reply_timeout_s=5",
                    "TIDEMILL_CLOCK_SPEED": str(CLOCK_SPEED),
                    "TIDEMILL_ALLOW_LOCAL_WEB": "true",
                }
                chosen = {**client_environment(), **addresses, **(environment or {})}
                with stack.private(PARTS, chosen):
                    careless_topics(topics)
                    with client() as mongo:
                        crm = mongo[settings().mongodb_database]["crm_accounts"]
                        crm.insert_one(dict(injection.CRM_NOTE))
                    yield World(folder, model, postman, hostile)
        finally:
            model.stop()


def opt_out(address: str) -> None:
    """Note an opt-out, as the CRM would."""
    from udfs.core.effect import address_hash

    with client() as mongo:
        mongo[settings().mongodb_database]["opt_outs"].insert_one({"_id": address_hash(address)})
