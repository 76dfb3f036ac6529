"""HTTP requests to one model server in, responses of bounded size out.

The one connection pool of the HTTP library looks at all its connections for every request, 2 ms of
CPU with 200 calls in flight; here each connection is a pool of its own on a stack, and the one that
was used last is used first.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

IDLE_S = 30.0
CONNECT_S = 5.0


class RefusedResponse(Exception):
    """A response that is too large, or compressed although that was not asked for."""


class ConnectionStack(httpx2.AsyncBaseTransport):
    """Connections to `base_url`, through the environment's proxy where one is set for it."""

    def __init__(self, base_url: str, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._ssl = httpx2.create_ssl_context()
        self._proxy = _proxy(base_url)
        self._idle: deque[tuple[float, httpx2.AsyncHTTPTransport]] = deque()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        connection = self._idle.pop()[1] if self._idle else self._new()
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            self._give_back(connection)
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _BoundedStream(
            response.stream, self._bytes_max, lambda: self._give_back(connection)
        )
        if response.headers.get("content-encoding", "identity") != "identity":
            await response.stream.aclose()
            raise RefusedResponse("the answer is compressed, which was not asked for")
        await self._close_idle()
        return response

    async def aclose(self) -> None:
        while self._idle:
            await self._idle.pop()[1].aclose()

    def _new(self) -> httpx2.AsyncHTTPTransport:
        limits = httpx2.Limits(
            max_connections=1, max_keepalive_connections=1, keepalive_expiry=IDLE_S
        )
        return httpx2.AsyncHTTPTransport(verify=self._ssl, limits=limits, proxy=self._proxy)

    def _give_back(self, connection: httpx2.AsyncHTTPTransport) -> None:
        self._idle.append((time.monotonic(), connection))

    async def _close_idle(self) -> None:
        while self._idle and self._idle[0][0] < time.monotonic() - IDLE_S:
            await self._idle.popleft()[1].aclose()


class _BoundedStream(httpx2.AsyncByteStream):
    """A response's body, which ends with an error beyond `bytes_max`."""

    def __init__(
        self, body: httpx2.AsyncByteStream, bytes_max: int, closed: Callable[[], None]
    ) -> None:
        self._body, self._left, self._bytes_max = body, bytes_max, bytes_max
        self._closed: Callable[[], None] | None = closed

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._body:
            self._left -= len(chunk)
            if self._left < 0:
                raise RefusedResponse(f"the answer is larger than {self._bytes_max} bytes")
            yield chunk

    async def aclose(self) -> None:
        try:
            await self._body.aclose()
        finally:
            closed, self._closed = self._closed, None
            if closed:
                closed()


def _proxy(base_url: str) -> str | None:
    parts = urlsplit(base_url)
    proxies = getproxies()
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return proxies.get(parts.scheme) or proxies.get("all")
