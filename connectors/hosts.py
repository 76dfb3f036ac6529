"""Hosts to be visited in, each visit in its turn out: the manners of the fetcher, per process.

One visit at a time to a host of the internet, and a pause after it: the site's own crawl-delay
where it names one. So a feed of a thousand entries is no attack on its site, and a slow host makes
only its own visitors wait. A host that has given no answer three times in a row is left alone for a
minute: whoever comes then is told so at once.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from connectors.web import WebFailed
from connectors.web_address import Target

PAUSE_S = 0.5
PAUSE_LONGEST_S = 30.0
LOCAL_AT_ONCE = 8
VISITS_AT_ONCE = 16  # each may hold a body of 16 MiB
SILENCES = 3
LEFT_ALONE_S = 60.0
HOSTS = 1_000
SILENT = frozenset({"dns", "timeout", "unreachable"})


@dataclass
class _Host:
    turns: asyncio.Semaphore
    comers: int = 0
    next_at: float = 0.0
    silences: int = 0
    away_until: float = 0.0


class Hosts:
    """The hosts that one event loop visits."""

    def __init__(self) -> None:
        self._visits = asyncio.Semaphore(VISITS_AT_ONCE)
        self._hosts: dict[str, _Host] = {}

    @asynccontextmanager
    async def turn(
        self, target: Target, delay_s: Callable[[Target], float] = lambda target: 0.0
    ) -> AsyncIterator[None]:
        """Wait for the host's turn and for its pause, which is longer where `delay_s` says so. What
        is raised within is noted. Raises `WebFailed` for a host that is left alone."""
        host = self._host(target)
        host.comers += 1
        try:
            async with host.turns:
                await self._pause(host, target)
                async with self._visits:
                    try:
                        yield
                    except WebFailed as failure:
                        _note(host, failure.reason in SILENT)
                        raise
                    else:
                        _note(host, False)
                    finally:
                        wanted_s = min(max(PAUSE_S, delay_s(target)), PAUSE_LONGEST_S)
                        pause_s = 0.0 if target.is_local else wanted_s
                        host.next_at = time.monotonic() + pause_s
        finally:
            host.comers -= 1

    async def _pause(self, host: _Host, target: Target) -> None:
        if host.away_until > time.monotonic():
            told = f"{target.host} gave no answer {SILENCES} times in a row and is left alone"
            raise WebFailed("host_away", told)
        await asyncio.sleep(max(0.0, host.next_at - time.monotonic()))

    def _host(self, target: Target) -> _Host:
        host = self._hosts.get(target.host)
        if host is None:
            if len(self._hosts) >= HOSTS:
                idle = [n for n, h in self._hosts.items() if not h.comers]
                for name in idle[: HOSTS // 2]:  # the longest known first
                    del self._hosts[name]
            turns = asyncio.Semaphore(LOCAL_AT_ONCE if target.is_local else 1)
            host = self._hosts[target.host] = _Host(turns)
        return host


def _note(host: _Host, silent: bool) -> None:
    host.silences = host.silences + 1 if silent else 0
    if host.silences >= SILENCES:
        host.silences, host.away_until = 0, time.monotonic() + LEFT_ALONE_S
