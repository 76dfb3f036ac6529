"""Parts about to start in, one free loopback port for each out; or a sentence on who has it."""

from __future__ import annotations

import itertools
import os
import random
import socket
import time
from collections.abc import Iterable, Mapping

import psutil

from deploy.parts import Part
from deploy.processes import MARK, home_of

DYING_S = 3.0

# Below what systems give to the near end of a connection (Linux from 32768 on, others from 49152),
# or a client could sit on a port between its choice and its server's start; off every default, too.
_SERVERS = range(20_000, 27_000)
_turn = itertools.count(random.randrange(len(_SERVERS)))


class PortError(Exception):
    """A port cannot be used: which, by whom it is taken, and how to choose another."""


def choose(parts: Iterable[Part], before: Mapping[str, int]) -> dict[str, int]:
    """A port for each part: the user's choice, else the one it had before, else its default.

    0 in TIDEMILL_<PART>_PORT means any free one. All ports that are taken are told at once.
    """
    chosen: dict[str, int] = {}
    taken: list[str] = []
    for part in parts:
        asked, had = wanted(part), before.get(part.name, 0)
        if asked == 0:
            chosen[part.name] = had if had and _is_left(had) else free()
            continue
        port = chosen[part.name] = asked or had or part.default_port
        if not (_is_left(port) if port == had else is_free(port)):
            taken.append(_sentence(part, port))
    if taken:
        raise PortError("\n".join(taken))
    return chosen


def wanted(part: Part) -> int | None:
    """The port that the user has chosen, 0 for any free one. Raises PortError."""
    text = os.environ.get(part.port_variable, "")
    if not text:
        return None
    if not text.isdecimal() or int(text) > 65535:
        raise PortError(f"{part.port_variable}={text!r} is no port: expected 0 (any) to 65535.")
    return int(text)


def _is_left(port: int) -> bool:
    """Whether a port that was ours is free, or becomes so: a server that was killed holds it until
    the last of its threads is gone."""
    deadline = time.monotonic() + DYING_S
    while not (left := is_free(port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def is_free(port: int) -> bool:
    """Whether a server could listen on it now; connections that linger do not matter."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return not answers(port)


def answers(port: int) -> bool:
    """Whether anything accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free() -> int:
    """A port for a server that starts soon: free now, and not offered again by this process."""
    for _ in _SERVERS:
        port = _SERVERS[next(_turn) % len(_SERVERS)]
        if is_free(port):
            return port
    raise PortError(f"No port from {_SERVERS.start} to {_SERVERS.stop - 1} is free.")


def owner(port: int) -> str:
    """Who listens there, with its pid, where the system tells."""
    try:
        for connection in psutil.net_connections("tcp"):
            if not connection.laddr or connection.laddr.port != port or not connection.pid:
                continue
            if connection.status == psutil.CONN_LISTEN:
                process = psutil.Process(connection.pid)
                return f"{_name(process)} (pid {process.pid})"
    except psutil.Error:
        pass
    return "another process"


def _name(process: psutil.Process) -> str:
    mark = process.environ().get(MARK)
    if mark:
        return f"the Tidemill stack in {home_of(mark)}"
    return f"`{' '.join(process.cmdline())[:100]}`"


def _sentence(part: Part, port: int) -> str:
    return (
        f"Port {port} for {part.name} is taken by {owner(port)}: stop that, or choose another "
        f"port with {part.port_variable}={port + 1000} (0 takes any free one)."
    )
