"""A URL in, the page behind it out, or the reason why not: the only way to the web.

Every hop is checked anew: the URL is read strictly, its host resolved once, all its addresses
judged, and the connection made to exactly one of those, while Host and TLS keep the name. So a name
that changes between check and connection (DNS rebinding), a redirect to a private network and a
number that only some parsers take for a host lead nowhere. Size, time and codings are bounded while
they arrive: nothing is unpacked that was not counted. Each hop's robots.txt is asked first. Who has
read the page before says so, and gets an empty one with status 304 where it has not changed.

    WebError
    ├── WebRefused      the guard says no; nothing was sent there
    └── WebFailed       the site could not be had: no answer, too slow, too large, no page
"""

import asyncio
import ipaddress
import re
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import cache
from urllib.parse import urljoin

import httpcore2

from connectors.model_errors import retry_after_s
from connectors.settings import Settings, settings
from connectors.web_address import (
    SERVICE_PORTS,
    WEB_PORTS,
    IpAddress,
    Policy,
    Target,
    WebError,
    WebRefused,
    check_address,
    checked_url,
)
from connectors.web_robots import Robots

Resolver = Callable[[str, int], Awaitable[list[str]]]

USER_AGENT = "Tidemill/0.1 (research agent)"
REDIRECTS = frozenset({301, 302, 303, 307, 308})
CONTENT_TYPES = frozenset({"text/html", "application/xhtml+xml", "text/plain", "text/markdown"})
ADDRESSES = 3
HEADERS = (
    (b"User-Agent", USER_AGENT.encode()),
    (b"Accept-Encoding", b"gzip"),
    (b"Connection", b"close"),
)
VALIDATOR_CHARACTERS = 1_000


class WebFailed(WebError):
    """The page could not be had. `retry_after_s` is set where the site says when to come again."""

    def __init__(self, reason: str, detail: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason, detail)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True)
class Wanted:
    """What is asked for. `etag` and `last_modified` are those that the page at the URL `known_url`
    had when it was read before (RFC 9110, section 13.1)."""

    kinds: frozenset[str] = CONTENT_TYPES
    accept: bytes = b"text/html,application/xhtml+xml,text/plain;q=0.8"
    known_url: str = ""
    etag: str = ""
    last_modified: str = ""

    def headers(self, url: str) -> list[tuple[bytes, bytes]]:
        conditions = {b"If-None-Match": self.etag, b"If-Modified-Since": self.last_modified}
        known = conditions.items() if url == self.known_url else ()
        sent = [(name, value.encode("latin-1")) for name, value in known if value]
        return [(b"Accept", self.accept), *sent]


@dataclass(frozen=True)
class Page:
    """What a site answered: `body` is unpacked, at most `Policy.page_bytes` long. It is empty where
    the page is as it was known (status 304)."""

    url: str
    final_url: str
    status: int
    content_type: str
    charset: str | None
    body: bytes
    etag: str = ""
    last_modified: str = ""


def policy_of(current: Settings | None = None) -> Policy:
    """The policy of the settings. With local addresses on, the ports of our own services are
    refused too: a page must not make an agent talk to its broker."""
    current = current or settings()
    smtp_url = current.smtp_url.get_secret_value() if current.smtp_url else None
    services = (
        current.kafka_bootstrap_servers,
        current.mongodb_uri,
        current.openai_base_url,
        current.flink_rest_url,
        smtp_url,
    )
    named = {
        int(port) for service in services for port in re.findall(r":(\d{1,5})\b", service or "")
    }
    return Policy(allow_local=current.allow_local_web, refused_ports=SERVICE_PORTS | named)


async def system_resolver(host: str, port: int) -> list[str]:
    """The addresses of a name, as the operating system knows them, without search domains."""
    name, loop = f"{host}.", asyncio.get_running_loop()
    found = await loop.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


async def fetch(
    url: str,
    policy: Policy | None = None,
    *,
    resolve: Resolver = system_resolver,
    network: httpcore2.AsyncNetworkBackend | None = None,
    robots: Robots | None = None,
    wanted: Wanted | None = None,
) -> Page:
    """GET a page, following redirects. Raises `WebRefused` or `WebFailed`."""
    policy = policy or policy_of()
    robots = robots or _robots()

    async def follow(first: str, wanted: Wanted | None) -> Page:
        """The page behind a URL; a robots.txt is of no certain kind, and is asked for nothing."""
        hop = first
        for _ in range(policy.redirects + 1):
            target = checked_url(hop, policy)
            if wanted is not None:
                await robots.check(target, read)
            addresses = await _checked_addresses(target, policy, resolve)
            answer = await _get(first, target, addresses, policy, network, wanted)
            if isinstance(answer, Page):
                return answer
            hop = answer
        raise WebFailed("redirects", f"it redirects more than {policy.redirects} times")

    async def read(url: str) -> bytes:
        return (await follow(url, None)).body

    try:
        async with asyncio.timeout(policy.total_s):
            return await follow(url, wanted or Wanted())
    except TimeoutError:
        raise WebFailed("timeout", f"it took longer than {policy.total_s:g} s") from None


@cache
def _robots() -> Robots:
    """What this process has been told."""
    return Robots()


async def _checked_addresses(target: Target, policy: Policy, resolve: Resolver) -> list[str]:
    """All addresses of the target's host, each judged: one that is refused refuses the host."""
    if target.address is not None:
        return [str(target.address)]
    try:
        found = await resolve(target.host, target.port)
        addresses: list[IpAddress] = [ipaddress.ip_address(address) for address in found]
    except (OSError, UnicodeError, ValueError):
        raise WebFailed("dns", f"the host {target.host} is not known") from None
    for address in addresses:
        check_address(address, target, policy)
    if not addresses:
        raise WebFailed("dns", f"the host {target.host} has no address")
    return [str(address) for address in addresses]


class _Pinned(httpcore2.AsyncNetworkBackend):
    """Connects to the checked addresses, whatever name it is asked for."""

    def __init__(
        self, addresses: list[str], connect_s: float, network: httpcore2.AsyncNetworkBackend
    ) -> None:
        self._addresses, self._connect_s, self._network = addresses, connect_s, network

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        last: Exception | None = None
        for address in self._addresses[:ADDRESSES]:
            try:
                return await self._network.connect_tcp(address, port, self._connect_s)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last or httpcore2.ConnectError("no address")


async def _get(
    url: str,
    target: Target,
    addresses: list[str],
    policy: Policy,
    network: httpcore2.AsyncNetworkBackend | None,
    wanted: Wanted | None,
) -> Page | str:
    """One request: the page, or the URL that it redirects to."""
    backend = _Pinned(addresses, policy.connect_s, network or httpcore2.AnyIOBackend())
    request = httpcore2.Request(
        "GET",
        httpcore2.URL(
            scheme=target.scheme,
            host=target.host.strip("[]"),
            port=target.port,
            target=target.target,
        ),
        headers=[
            (b"Host", _host_header(target)),
            *HEADERS,
            *(wanted or Wanted()).headers(target.url),
        ],
    )
    try:
        async with httpcore2.AsyncConnectionPool(
            ssl_context=_tls(), max_connections=1, network_backend=backend
        ) as pool:
            response = await pool.handle_async_request(request)
            try:
                return await _answer(url, target, response, policy, wanted)
            finally:
                await response.aclose()
    except httpcore2.TimeoutException:
        raise WebFailed("unreachable", f"{target.host} does not answer") from None
    except (httpcore2.NetworkError, httpcore2.ProtocolError, OSError) as error:
        raise WebFailed("unreachable", f"{target.host}: {_short(error)}") from None


async def _answer(
    url: str,
    target: Target,
    response: httpcore2.Response,
    policy: Policy,
    wanted: Wanted | None,
) -> Page | str:
    headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
    if response.status in REDIRECTS and b"location" in headers:
        try:
            return urljoin(target.url, headers[b"location"])
        except ValueError:
            raise WebRefused("odd_url", "it redirects to what is no URL") from None
    if response.status == 304 and wanted and wanted.headers(target.url)[1:]:
        return Page(url, target.url, 304, "", None, b"", wanted.etag, wanted.last_modified)
    if not 200 <= response.status < 300:
        told = f"{target.host} answers {response.status}"
        wait_s = retry_after_s({"retry-after": headers.get(b"retry-after", "")})
        raise WebFailed(f"http_{response.status}", told, wait_s)
    content_type, _, parameters = headers.get(b"content-type", "").lower().partition(";")
    if wanted is not None and content_type.strip() not in wanted.kinds:
        shown = content_type.strip()[:60] or "nothing"
        raise WebFailed("content_type", f"{target.host} sends {shown}, expected a page of text")
    coding = headers.get(b"content-encoding", "identity").strip().lower()
    if coding not in ("identity", "gzip", "x-gzip", ""):
        raise WebFailed("coding", f"{target.host} packs its page in a way that was not asked for")
    if int(re.sub(r"\D", "", headers.get(b"content-length", "0")) or 0) > policy.page_bytes:
        raise WebFailed("too_large", f"the page is larger than {policy.page_bytes} bytes")
    body = await _bounded(response.aiter_stream(), "gzip" in coding, policy.page_bytes)
    charset = re.search(r'charset\s*=\s*"?([\w.:-]{1,40})', parameters)
    return Page(
        url=url,
        final_url=target.url,
        status=response.status,
        content_type=content_type.strip(),
        charset=charset[1] if charset else None,
        body=body,
        etag=headers.get(b"etag", "")[:VALIDATOR_CHARACTERS],
        last_modified=headers.get(b"last-modified", "")[:VALIDATOR_CHARACTERS],
    )


async def _bounded(stream: AsyncIterator[bytes], is_packed: bool, limit_bytes: int) -> bytes:
    """The whole body, as long as it stays below the limit, packed and unpacked."""
    unpack = zlib.decompressobj(wbits=31) if is_packed else None
    body, received_bytes = bytearray(), 0
    async for packet in stream:
        received_bytes += len(packet)
        try:
            room = limit_bytes - len(body) + 1
            body += unpack.decompress(packet, room) if unpack else packet[:room]
        except zlib.error:
            raise WebFailed("coding", "the page is not the gzip that it says") from None
        if max(received_bytes, len(body)) > limit_bytes:
            raise WebFailed("too_large", f"the page is larger than {limit_bytes} bytes")
        if unpack is not None and unpack.eof:
            break
    if unpack is not None and received_bytes and not unpack.eof:
        raise WebFailed("incomplete", "the page ends in the middle")
    return bytes(body)


def _host_header(target: Target) -> bytes:
    default = WEB_PORTS[target.scheme]
    port = "" if target.port == default else f":{target.port}"
    return f"{target.host}{port}".encode("ascii")


@cache
def _tls() -> ssl.SSLContext:
    return httpcore2.default_ssl_context()


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__)[:120]
