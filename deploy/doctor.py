"""This machine and its settings in, one `Check` for each thing that Tidemill needs out.

Each says what was found, and where that is not right, what to do about it.
"""

from __future__ import annotations

import platform
import shutil
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

import psutil
from pydantic import ValidationError

from connectors.settings import Settings, settings
from connectors.smtp_dialogue import Connection, SmtpUrl
from deploy import jars, ports, stack
from deploy.java import JavaError, java_home, major_version
from deploy.parts import PARTS, get_json, probe_kafka, probe_mongodb

MEMORY_BYTES = 6 * 1024**3
DISK_BYTES = 5 * 1024**3
TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Check:
    """One line of `tidemill doctor`; `advice` is empty where all is well."""

    name: str
    found: str
    advice: str = ""

    @property
    def is_fine(self) -> bool:
        return not self.advice


def diagnose() -> list[Check]:
    """All checks, the slow ones at the same time."""
    try:
        current = settings()
    except ValidationError as error:
        return [_python(), *(_wrong_setting(line) for line in error.errors())]
    states = {state.name: state for state in stack.status()}
    checks: list[Callable[[], Check]] = [_python, _java, _jars]
    checks += [partial(_port, name, states[name].state) for name in PARTS]
    checks += [partial(_memory, states), partial(_disk, current)]
    checks += [partial(service, current) for service in _SERVICES]
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda check: check(), checks))


def _wrong_setting(error: object) -> Check:
    assert isinstance(error, dict)
    name = str(error["loc"][0])
    return Check(name, f"not usable: {error['msg']}", f"correct {name}, or unset it")


def _python() -> Check:
    version = platform.python_version()
    fits = sys.version_info[:2] in ((3, 11), (3, 12))
    return Check(
        "Python", version, "" if fits else "use Python 3.11 or 3.12: apache-flink needs it"
    )


def _java() -> Check:
    try:
        home = java_home()
    except JavaError as error:
        return Check("Java", "none that fits", str(error))
    return Check("Java", f"{major_version(home)} at {home}")


def _jars() -> Check:
    try:
        locked = jars.locked()
    except jars.JarError as error:
        return Check("Jars", "no lock", str(error))
    missing = [jar for jar in locked if not jar.is_present()]
    if missing:
        return Check("Jars", f"{len(missing)} of {len(locked)} missing", "run `make setup`")
    altered = [jar for jar in locked if not jar.is_intact()]
    if altered:
        names = ", ".join(str(jar.path) for jar in altered)
        return Check("Jars", f"{len(altered)} altered", f"delete {names}; then run `make setup`")
    return Check("Jars", f"{len(locked)} with the locked checksums")


def _port(name: str, state: str) -> Check:
    part = PARTS[name]
    title = f"Port of {name}"
    if state == "yours":
        return Check(title, "not needed, the service is yours")
    if state == "running":
        return Check(title, "in use by the running stack")
    try:
        chosen = ports.wanted(part)
    except ports.PortError as error:
        return Check(title, str(error), f"set {part.port_variable} to another port")
    port = part.default_port if chosen is None else chosen
    if port == 0 or ports.is_free(port):
        return Check(title, f"{port} is free" if port else "any free one")
    if state != "stopped":
        return Check(title, f"{port}: {name} is {state}", "run `tidemill up`, it mends the stack")
    return Check(
        title,
        f"{port} is taken by {ports.owner(port)}",
        f"stop that, or set {part.port_variable} to another port",
    )


def _memory(states: dict[str, stack.PartStatus]) -> Check:
    ours = sum(state.memory_bytes for state in states.values())
    free = psutil.virtual_memory().available
    found = f"{free / 1e9:.1f} GB free, {ours / 1e9:.1f} GB in use by the stack"
    if free + ours >= MEMORY_BYTES:
        return Check("Memory", found)
    return Check("Memory", found, "the stack with five jobs takes up to 6 GiB: end other programs")


def _disk(current: Settings) -> Check:
    folder = current.home.expanduser()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(existing).free
    found = f"{free / 1e9:.0f} GB free for {folder}"
    return Check("Disk", found, "" if free >= DISK_BYTES else "free some, or set TIDEMILL_HOME")


def _kafka(current: Settings) -> Check:
    servers = current.kafka_bootstrap_servers
    if not servers:
        return Check("Kafka", "the local one")
    return _reach("Kafka", servers, "KAFKA_BOOTSTRAP_SERVERS", lambda: probe_kafka(servers))


def _mongodb(current: Settings) -> Check:
    uri = current.mongodb_uri
    if not uri:
        return Check("MongoDB", "the local one")
    return _reach("MongoDB", without_password(uri), "MONGODB_URI", lambda: probe_mongodb(uri))


def _model(current: Settings) -> Check:
    from openai import OpenAI

    if not current.openai_base_url and not current.openai_api_key:
        return Check("Model", "the offline one")
    key = current.openai_api_key.get_secret_value() if current.openai_api_key else "none"
    where = current.openai_base_url or "OpenAI"

    def ask() -> None:
        with OpenAI(
            api_key=key, base_url=current.openai_base_url, timeout=TIMEOUT_S, max_retries=0
        ) as client:
            client.models.list()

    return _reach("Model", without_password(where), "OPENAI_BASE_URL and OPENAI_API_KEY", ask)


def _mail(current: Settings) -> Check:
    if not current.smtp_url:
        return Check("Mail", "the local sink")
    url = current.smtp_url.get_secret_value()

    def greet() -> None:
        deadline_s = time.monotonic() + TIMEOUT_S
        Connection(SmtpUrl.parse(url), socket.gethostname(), deadline_s).quit()

    return _reach("Mail", without_password(url), "SMTP_URL", greet)


def _flink(current: Settings) -> Check:
    url = current.flink_rest_url
    if not url:
        return Check("Flink", "the local cluster")
    return _reach("Flink", url, "FLINK_REST_URL", lambda: get_json(f"{url.rstrip('/')}/overview"))


_SERVICES = (_kafka, _mongodb, _model, _mail, _flink)


def _reach(name: str, where: str, variable: str, attempt: Callable[[], object]) -> Check:
    try:
        attempt()
    except Exception as error:  # every client has errors of its own; the table shows which
        reason = _reason(error)
        return Check(name, f"{where}: {reason}", f"check {variable} and that the service runs")
    return Check(name, f"{where} answers")


def _reason(error: Exception) -> str:
    if error.args and hasattr(error.args[0], "str"):  # KafkaError, whose own text is code
        return str(error.args[0].str())
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:160]


def without_password(url: str) -> str:
    """The address with `***` for a password in it."""
    password = urlsplit(url).password
    return url.replace(f":{password}@", ":***@") if password else url
