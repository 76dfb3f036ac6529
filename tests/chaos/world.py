"""A private stack whose model and mail sink can be killed too; leads in, where they ended out."""

import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from connectors.kafka import KafkaError, NewRecord, ensure_topics, produce_all
from deploy import stack
from deploy.java import client_environment
from deploy.ports import free
from jobs.cluster import Cluster
from tests.conftest import tidemill

PARTS = ("kafka", "mongodb", "flink")
START_S = 30.0
FEED_TRIES = 3
KINDS = (
    ("CTO", "We must replace nightly batches by live streams before June; budget approved."),
    ("Data engineer", "Looking into event streaming for our insurance claims next year."),
    ("Student", "I write a thesis about message brokers and look for free material."),
)
# Every report and every first e-mail differs from the one before, so that only the journal can make
# a replay the same. (Of the other replies the longest text is a choice or an id.)
OTHER_EACH_TIME = {"kind": "nonce", "match": "Research this lead|Write the first e-mail"}


@dataclass
class Service:
    """A server of the chaos run itself: killed and started again on the same port."""

    command: Callable[[int], list[str]]
    ready: Callable[[], None] = lambda: None
    port: int = field(default_factory=free)
    process: psutil.Popen | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", *self.command(self.port)]
        self.process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return self.ready()
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def mend(self) -> None:
        if self.process is None or not alive(self.process):
            self.start()

    def stop(self) -> None:
        if self.process is not None:
            with suppress(psutil.Error):
                self.process.kill()
            self.process.wait(10)


@dataclass
class World:
    """Where a run takes place. `fed` are the trace ids of the leads that were sent, in order."""

    folder: Path
    model: Service
    mail: Service
    team: str = "sdr"
    fed: list[str] = field(default_factory=list)

    @property
    def cluster(self) -> Cluster:
        return Cluster(os.environ["FLINK_REST_URL"])

    @property
    def answers(self) -> Path:
        """The model's own log: a line of JSON for each request that it answered."""
        return self.folder / "answers.jsonl"

    @property
    def mails(self) -> Path:
        return self.folder / "mail"

    def calls_in_flight(self) -> int:
        """What the model says; 0 where it is down."""
        url = f"http://127.0.0.1:{self.model.port}/control/requests?since=1000000000"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                return int(json.loads(answer.read())["in_flight"])
        except OSError:
            return 0

    def submit(self, *jobs: str, options: Sequence[str] = (), fresh: bool = False) -> None:
        """`tidemill submit`; it goes on from the last checkpoints unless `fresh`."""
        words = ["submit", *jobs, *(["--fresh"] if fresh else []), *options]
        done = tidemill(*words, environment=dict(os.environ), timeout_s=300)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    def status(self) -> str:
        """What `tidemill status` prints."""
        done = tidemill("status", self.team, environment=dict(os.environ), timeout_s=300)
        return done.stdout + done.stderr

    def feed(self, records: Sequence[NewRecord]) -> None:
        """Write events; again where a broker that was killed is not itself yet. Each has an id."""
        for tries in range(FEED_TRIES):
            try:
                produce_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], records)
                return
            except KafkaError:
                if tries + 1 == FEED_TRIES:
                    raise
                self.mend()

    def mend(self) -> None:
        """Start again whatever is dead, as `tidemill up` does. A server whose old port is taken
        meanwhile (a client that calls it again and again may get it for its own end) has another.
        """
        self.model.mend()
        self.mail.mend()
        os.environ.update(stack.up(PARTS))


@contextmanager
def world(latency_ms: int, environment: Mapping[str, str] | None = None) -> Iterator[World]:
    """A stack on free ports in a folder that goes away; the model answers otherwise each time."""
    with tempfile.TemporaryDirectory(prefix="tidemill-chaos-") as folder:
        place = Path(folder)
        log, mails = str(place / "answers.jsonl"), str(place / "mail")
        options = ["--latency-ms", str(latency_ms), "--control", "--log", log]
        model = Service(lambda port: ["deploy.offline_model", "--port", str(port), *options])
        model.ready = lambda: _tell(model.port)
        mail = Service(lambda port: ["deploy.mail_sink", "--port", str(port), "--folder", mails])
        try:
            model.start()
            mail.start()
            addresses = {
                "OPENAI_BASE_URL": f"http://127.0.0.1:{model.port}/v1",
                "OPENAI_API_KEY": "offline",
                "SMTP_URL": f"smtp://127.0.0.1:{mail.port}?timeout_s=5&reply_timeout_s=10",
                "TIDEMILL_CLOCK_SPEED": "60000",
            }
            settings = {**client_environment(), **addresses, **(environment or {})}
            with stack.private(PARTS, settings):
                servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
                ensure_topics(servers, {"incoming_leads": 4})
                yield World(place, model, mail)
        finally:
            model.stop()
            mail.stop()


def _tell(port: int) -> None:
    """The rule that makes answers differ; a model that was killed has forgotten it."""
    body = json.dumps({"faults": [OTHER_EACH_TIME]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/control", body)
    urllib.request.urlopen(request, timeout=5).close()


def lead(number: int, key: str | None = None, person: int | None = None) -> NewRecord:
    """One lead, all its words its own; `key` makes several of them one key."""
    who = number if person is None else person
    title, text = KINDS[number % len(KINDS)]
    data = {
        "name": f"Person {who}",
        "email": f"person{who}@company{who}.example",
        "company_name": f"Company {who} Logistics",
        "company_website": None,
        "job_title": title,
        "lead_source": "webinar",
        "project_description": f"{text} Our reference is {number}.",
    }
    value = json.dumps({"lead_data": data}).encode()
    return event(key or f"chaos-{number}", value)


def event(key: str, value: bytes) -> NewRecord:
    """A record with an identity and a trace of its own."""
    trace = uuid.uuid4().hex
    headers = (
        ("ce_id", uuid.uuid4().hex.encode()),
        ("ce_time", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()).encode()),
        ("traceparent", f"00-{trace}-{uuid.uuid4().hex[:16]}-01".encode()),
    )
    return NewRecord("incoming_leads", key.encode(), value, headers)


def trace_of(record: NewRecord) -> str:
    return (dict(record.headers)["traceparent"] or b"").split(b"-")[1].decode()


def leads(count: int, rng: random.Random, first: int = 0) -> list[NewRecord]:
    """Leads of every kind; some of a person who comes twice, some that nobody can read."""
    found = []
    for number in range(first, first + count):
        if rng.random() < 0.03:
            found.append(event(f"chaos-{number}", b'{"lead_data": {"name": "cut off'))
            continue
        twin = number - 3 if number >= first + 3 and rng.random() < 0.03 else None
        found.append(lead(number, person=twin))
    return found


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False
