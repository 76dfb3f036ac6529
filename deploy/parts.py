"""The parts of the local stack: for each, its port, its processes, its probe, its variables.

A part is left out where the user's own variables name a service of theirs. The probes speak the
part's real protocol and raise while it is not ready.
"""

from __future__ import annotations

import smtplib
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deploy import flink_cluster

PROBE_S = 3.0
ROOT = Path(__file__).resolve().parent.parent
TASKMANAGERS = ("flink-taskmanager-1", "flink-taskmanager-2")


@dataclass(frozen=True)
class Plan:
    """What a part's command lines are made of."""

    home: Path
    port: int
    inner_port: int  # among the part's own: the JobManager's RPC, Kafka's controller
    generation: str  # differs with every start

    def identity(self, process: str) -> str:
        """By which a TaskManager is known to its JobManager, and told from its predecessor."""
        return f"{process.removeprefix('flink-')}-{self.generation}"


@dataclass(frozen=True)
class Part:
    """One service of the stack, of one or more processes."""

    name: str
    what: str
    default_port: int
    yours: tuple[str, ...]  # any of these set by the user: their service, not ours
    variables: Callable[[int], dict[str, str]]
    commands: Callable[[Plan], dict[str, list[str]]]  # process name → command line
    probe: Callable[[int, Iterable[str]], None]  # port, identities of its processes
    processes: tuple[str, ...]
    needs_java: bool = False

    @property
    def folder(self) -> str:
        """Its data, under $TIDEMILL_HOME; wiped by a fresh start."""
        return self.name

    @property
    def port_variable(self) -> str:
        return f"TIDEMILL_{self.name.upper()}_PORT"


def _module(name: str, plan: Plan, *options: str) -> list[str]:
    return [sys.executable, "-m", f"deploy.{name}", "--port", str(plan.port), *options]


def _kafka(plan: Plan) -> dict[str, list[str]]:
    folder = plan.home / "kafka"
    inner = ("--controller-port", str(plan.inner_port))
    return {"kafka": _module("kafka_server", plan, "--folder", str(folder), *inner)}


def _mongodb(plan: Plan) -> dict[str, list[str]]:
    folder = plan.home / "mongodb"
    return {"mongodb": _module("mongodb_server", plan, "--folder", str(folder))}


def _mail(plan: Plan) -> dict[str, list[str]]:
    return {"mail": _module("mail_sink", plan, "--folder", str(plan.home / "mail"))}


def _model(plan: Plan) -> dict[str, list[str]]:
    return {"model": _module("offline_model", plan)}


def _websites(plan: Plan) -> dict[str, list[str]]:
    return {"websites": _module("websites", plan, "--folder", str(sql_folder()))}


def sql_folder() -> Path:
    """`sql/` of the checkout, or of the installed wheel."""
    return ROOT / "sql"


def _flink(plan: Plan) -> dict[str, list[str]]:
    conf = flink_cluster.write_configuration(plan.home, plan.port, plan.inner_port)
    logs = plan.home / "logs"
    manager = flink_cluster.jobmanager_command(conf, logs / "flink-jobmanager.log")
    found = {"flink-jobmanager": manager}
    for name in TASKMANAGERS:
        log = logs / f"{name}.log"
        found[name] = flink_cluster.taskmanager_command(conf, log, plan.identity(name))
    return found


def _probe_kafka(port: int, _: Iterable[str]) -> None:
    probe_kafka(f"127.0.0.1:{port}")


def probe_kafka(bootstrap_servers: str) -> None:
    from confluent_kafka.admin import AdminClient

    settings = {"bootstrap.servers": bootstrap_servers, "log_level": 0}
    AdminClient(settings).list_topics(timeout=PROBE_S)


def _probe_mongodb(port: int, _: Iterable[str]) -> None:
    probe_mongodb(f"mongodb://127.0.0.1:{port}")


def probe_mongodb(uri: str) -> None:
    from pymongo import MongoClient

    client: MongoClient = MongoClient(uri, serverSelectionTimeoutMS=int(PROBE_S * 1000))
    with client:
        client.admin.command("ping")


def _probe_mail(port: int, _: Iterable[str]) -> None:
    with smtplib.SMTP("127.0.0.1", port, timeout=PROBE_S) as client:
        client.noop()


def _probe_http(path: str) -> Callable[[int, Iterable[str]], None]:
    def probe(port: int, _: Iterable[str]) -> None:
        get_json(f"http://127.0.0.1:{port}{path}", parse=False)

    return probe


def _probe_flink(port: int, identities: Iterable[str]) -> None:
    answer = get_json(f"http://127.0.0.1:{port}/taskmanagers")
    registered = {worker["id"] for worker in answer["taskmanagers"]}
    missing = [name for name in identities if name and name not in registered]
    if missing:
        raise ConnectionError(f"{', '.join(missing)} has not registered yet")


def get_json(url: str, parse: bool = True) -> dict:
    """GET over HTTP, past any proxy that the environment names."""
    import json
    import urllib.request

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=PROBE_S) as response:
        body = response.read()
    return json.loads(body) if parse else {}


PARTS = {
    part.name: part
    for part in (
        Part(
            "kafka", "Kafka broker", 19092, ("KAFKA_BOOTSTRAP_SERVERS",),
            lambda port: {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{port}"},
            _kafka, _probe_kafka, ("kafka",), needs_java=True,
        ),
        Part(
            "mongodb", "MongoDB-wire server", 27018, ("MONGODB_URI",),
            lambda port: {"MONGODB_URI": f"mongodb://127.0.0.1:{port}"},
            _mongodb, _probe_mongodb, ("mongodb",), needs_java=True,
        ),
        Part(
            "mail", "SMTP sink", 10250, ("SMTP_URL",),
            lambda port: {"SMTP_URL": f"smtp://127.0.0.1:{port}"},
            _mail, _probe_mail, ("mail",),
        ),
        Part(
            "model", "offline model (OpenAI API)", 8471, ("OPENAI_BASE_URL", "OPENAI_API_KEY"),
            lambda port: {
                "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
                "OPENAI_API_KEY": "offline",
            },
            _model, _probe_http("/health"), ("model",),
        ),
        Part(
            "websites", "sample websites", 8480, (),
            lambda port: {"TIDEMILL_ALLOW_LOCAL_WEB": "true"},
            _websites, _probe_http("/.health"), ("websites",),
        ),
        Part(
            "flink", "Flink session cluster", 8082, ("FLINK_REST_URL",),
            lambda port: {"FLINK_REST_URL": f"http://127.0.0.1:{port}"},
            _flink, _probe_flink, ("flink-jobmanager", *TASKMANAGERS), needs_java=True,
        ),
    )
}  # fmt: skip
