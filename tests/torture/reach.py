"""URLs, names and redirects in, what the fetcher did with each out: connections counted, none made.

For what no job can be made to meet on this machine: names of the internet whose addresses are ours.
The resolver and the network are the fetcher's own ports; everything between them is its real code.

    python -m tests.torture.reach         prints [number, name, letter, words, good], a line each
"""

import asyncio
import ipaddress
import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpcore2

from connectors.web import fetch
from connectors.web_address import Policy, WebError
from tests.torture.web import REFUSED

ROOT = Path(__file__).resolve().parents[2]
PUBLIC = "93.184.215.14"
PRIVATE = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1", "fe80::1",
           "100.64.0.1", "0.0.0.0", "64:ff9b::a00:1", "2002:a00:1::")  # fmt: skip
REBINDS = 100


class _Site(httpcore2.AsyncNetworkStream):
    """A site without robots.txt that redirects to itself for ever, so that its name is asked for
    again and again."""

    answer = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        answer, self.answer = self.answer, b""
        return answer

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if buffer.startswith(b"GET /robots.txt"):
            self.answer = b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n"
        elif buffer.startswith(b"GET "):
            self.answer = b"HTTP/1.1 302 Found\r\nLocation: /on\r\nContent-Length: 0\r\n\r\n"

    async def aclose(self) -> None:
        pass


@dataclass
class Network(httpcore2.AsyncNetworkBackend):
    """Connects to that site wherever it is sent, and keeps where that was."""

    asked: list[str] = field(default_factory=list)

    async def connect_tcp(self, host: str, port: int, *rest: Any, **more: Any) -> _Site:
        self.asked.append(host)
        return _Site()


@dataclass
class Names:
    """A name server with a time to live of zero: the first answers, then the others for ever."""

    answers: list[list[str]]
    asked: int = 0

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked += 1
        return self.answers[min(self.asked, len(self.answers)) - 1]


@dataclass(frozen=True)
class Reached:
    """One case that was tried at the fetcher alone. `good` when all its words are as expected."""

    number: int
    name: str
    expected: str
    words: str
    good: bool


def _tried(url: str, answers: list[list[str]], policy: Policy) -> tuple[str, list[str]]:
    """What came of one fetch, and the addresses that are not public to which it connected."""
    network = Network()
    try:
        asyncio.run(fetch(url, policy, resolve=Names(answers), network=network))
        word = "a page"
    except WebError as error:
        word = error.reason
    return word, [host for host in network.asked if not _is_public(host)]


def _is_public(host: str) -> bool:
    """Whether it is an address of the internet; a name is none, for it may lead anywhere."""
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _judged(
    number: int, name: str, tries: list[tuple[str, list[list[str]]]], policy: Policy, allowed: str
) -> Reached:
    """All tries of one case as one line."""
    found = [_tried(url, answers, policy) for url, answers in tries]
    inside = [host for _, hosts in found for host in hosts]
    reasons = sorted({word for word, _ in found})
    words = (
        f"{len(tries)} URLs: {', '.join(reasons)}; {len(inside)} connections to private networks"
    )
    return Reached(number, name, "R", words, not inside and set(reasons) <= set(allowed.split()))


def tried() -> list[Reached]:
    """Every case."""
    closed, opened = Policy(), Policy(allow_local=True)
    found = [
        _judged(number, name, [(url.replace("SHOP", "8080"), [[PUBLIC]]) for url in urls.split()],
                closed, reason)
        for number, name, reason, urls in REFUSED
    ]  # fmt: skip
    for policy, when in ((closed, ""), (opened, ", local sites allowed")):
        names = [("http://evil.example/", [[PUBLIC, inside]]) for inside in PRIVATE]
        found.append(_judged(69, f"a name that leads inside{when}", names, policy, "address"))
        rebinds = [
            (f"http://rebind{n}.example/", [[PUBLIC]] * (1 + n % 4) + [[PRIVATE[n % len(PRIVATE)]]])
            for n in range(REBINDS)
        ]
        name = f"a name that leads elsewhere each time{when}"
        found.append(_judged(69, name, rebinds, policy, "address"))
    return found


def reached(path: Path = ROOT) -> list[Reached]:
    """The same in a process that imports this code."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.reach"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(path), str(ROOT)])},
        cwd=path,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return [Reached(*json.loads(line)) for line in done.stdout.splitlines()]


if __name__ == "__main__":
    for one in tried():
        print(json.dumps([one.number, one.name, one.expected, one.words, one.good]))
