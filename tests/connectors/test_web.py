"""The guarded fetcher against real servers on loopback that redirect, lie, drip and explode."""

import asyncio
import gzip
import itertools
import re
import socketserver
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpcore2
import pytest

from connectors.web import Page, Wanted, WebFailed, WebRefused, fetch
from connectors.web_address import Policy, checked_url
from connectors.web_robots import Robots

LOCAL = Policy(allow_local=True, total_s=30)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
Answer = Callable[[str, Callable[[bytes], None]], None]


class Site(socketserver.ThreadingTCPServer):
    """An HTTP server that says exactly what `answer(path, write)` writes. Keeps all requests, but
    for those of its robots.txt, which it counts."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.answer = answer
        self.robots, self.robots_asked = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", 0
        self.requests: list[str] = []
        self.stopped = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is what these tests are about."""


class _Request(socketserver.StreamRequestHandler):
    server: Site

    def handle(self) -> None:
        head = b"".join(itertools.takewhile(bytes.strip, self.rfile))
        if length := re.search(rb"(?i)^content-length: *(\d+)", head, re.M):
            self.rfile.read(int(length[1]))  # closing on what is unread takes the answer back
        if head.startswith(b"GET /robots.txt "):
            self.server.robots_asked += 1
            self.wfile.write(self.server.robots)
            return
        self.server.requests.append(head.decode("latin-1"))
        self.server.answer(head.split()[1].decode("latin-1"), self.wfile.write)


@contextmanager
def site(answer: Answer) -> Iterator[Site]:
    server = Site(answer)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()


def whole(body: bytes, *headers: bytes, start: bytes = OK) -> bytes:
    lines = b"".join(header + b"\r\n" for header in headers)
    return start + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def get(server: Site, path: str = "/", policy: Policy = LOCAL, **options: Any) -> Page:
    return asyncio.run(fetch(f"http://shop.localhost:{server.port}{path}", policy, **options))


def failure(answer: Answer, policy: Policy = LOCAL) -> str:
    """The reason why this answer is no page."""
    with site(answer) as server, pytest.raises((WebFailed, WebRefused)) as raised:
        get(server, policy=policy)
    return raised.value.reason


def says(data: bytes) -> Answer:
    return lambda path, write: write(data)


class Network(httpcore2.AsyncNetworkBackend):
    """The real network, but every connection goes to one local port; keeps what was asked for."""

    def __init__(self, port: int) -> None:
        self._port, self._real = port, httpcore2.AnyIOBackend()
        self.asked: list[tuple[str, int]] = []

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *rest: Any, **more: Any
    ) -> httpcore2.AsyncNetworkStream:
        self.asked.append((host, port))
        return await self._real.connect_tcp("127.0.0.1", self._port, timeout)


class Names:
    """A resolver with a list of answers for each name, the last for ever; counts look-ups."""

    def __init__(self, **answers: list[list[str]]) -> None:
        self.answers = {name.replace("_", "."): given for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        given = self.answers[host]
        return given.pop(0) if len(given) > 1 else given[0]


def test_a_page_is_fetched_with_its_name_in_host() -> None:
    with site(says(whole("Grüße".encode()))) as server:
        page = get(server, "/über?q=1#part")
    assert page.body.decode() == "Grüße"
    assert (page.status, page.content_type, page.charset) == (200, "text/html", "utf-8")
    [request] = server.requests
    assert request.startswith("GET /%C3%BCber?q=1 HTTP/1.1\r\n")
    assert f"Host: shop.localhost:{server.port}\r\n" in request
    assert "cookie" not in request.lower()


def test_a_name_of_the_internet_is_connected_at_its_checked_address() -> None:
    names = Names(www_example_com=[["93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"]])
    with site(says(whole(b"hello"))) as server:
        network = Network(server.port)
        page = asyncio.run(fetch("http://www.example.com/", resolve=names, network=network))
    assert page.body == b"hello"
    assert network.asked == [("93.184.215.14", 80)] * 2  # its robots.txt, then the page
    assert "Host: www.example.com\r\n" in server.requests[0]


def test_a_name_that_changes_after_the_check_is_not_looked_up_again() -> None:
    """DNS rebinding: the answers for robots.txt and page are public, the next one is ours."""
    names = Names(rebind_example=[["93.184.215.14"], ["93.184.215.14"], ["127.0.0.1"]])
    with site(says(whole(b"hello"))) as server:
        network = Network(server.port)
        asyncio.run(fetch("http://rebind.example/", resolve=names, network=network))
        assert names.asked == ["rebind.example"] * 2
        with pytest.raises(WebRefused):
            asyncio.run(fetch("http://rebind.example/", resolve=names, network=network))
    assert network.asked == [("93.184.215.14", 80)] * 2


@pytest.mark.parametrize(
    "addresses",
    [
        *(["127.0.0.1"], ["10.0.0.1"], ["169.254.169.254"], ["::1"], ["::ffff:10.0.0.1"]),
        *(["93.184.215.14", "192.168.0.1"], ["fe80::1%eth0"], ["0.0.0.0"], ["64:ff9b::a00:1"]),
    ],
)
@pytest.mark.parametrize("policy", [Policy(), LOCAL])
def test_a_name_with_one_address_that_is_not_public_is_refused(
    addresses: list[str], policy: Policy
) -> None:
    """Also where local addresses are on: a name of the internet has no business there."""
    names, network = Names(evil_example=[addresses]), Network(1)
    with pytest.raises(WebRefused):
        asyncio.run(fetch("http://evil.example/", policy, resolve=names, network=network))
    assert not network.asked


@pytest.mark.parametrize(
    "location",
    [
        *(
            "http://10.0.0.1/",
            "http://169.254.169.254/latest/",
            "file:///etc/passwd",
            "//10.0.0.1/",
        ),
        *("http://2130706433/", "gopher://127.0.0.1:6379/_x", "http://metadata.google.internal/"),
        *(
            "http://[::ffff:a00:1]/",
            "http://user@example.com/",
            "http://example.com:25/",
            "http://[",
        ),
        *(
            "http://intern.example/",
            "http://localhost:9092/",
            "\\\\10.0.0.1\\x",
            "data:text/html,x",
        ),
    ],
)
def test_a_redirect_is_checked_like_the_first_address(location: str) -> None:
    names = Names(intern_example=[["10.1.2.3"]])
    redirect = whole(b"", b"Location: " + location.encode(), start=b"HTTP/1.1 302 Found\r\n")
    with site(says(redirect)) as server:
        with pytest.raises(WebRefused):
            get(server, resolve=names)
        assert len(server.requests) == 1


def test_redirects_are_followed_to_the_page_and_not_for_ever() -> None:
    def answer(path: str, write: Callable[[bytes], None]) -> None:
        left = int(path.strip("/") or 0)
        found = b"HTTP/1.1 301 Moved\r\n"
        go_on = whole(b"ignored", b"Location: /%d" % (left - 1), start=found)
        write(go_on if left else whole(b"there"))

    with site(answer) as server:
        page = get(server, "/5")
        assert page.body == b"there"
        assert page.final_url.endswith("/0") and page.url.endswith("/5")
        with pytest.raises(WebFailed, match="redirects"):
            get(server, "/50")
        assert len(server.requests) == 6 + 6


def test_the_body_of_a_redirect_is_never_read() -> None:
    def answer(path: str, write: Callable[[bytes], None]) -> None:
        if path == "/there":
            write(whole(b"there"))
            return
        write(b"HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Encoding: gzip\r\n\r\n")
        bomb = gzip.compress(b"\0" * 10_000_000)
        for _ in range(1_000):
            write(bomb)

    with site(answer) as server:
        assert get(server).body == b"there"


def test_a_packed_page_is_unpacked() -> None:
    body = b"<p>hello</p>" * 1_000
    with site(says(whole(gzip.compress(body), b"Content-Encoding: gzip"))) as server:
        assert get(server).body == body


def endless(path: str, write: Callable[[bytes], None]) -> None:
    write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def gzip_bomb(path: str, write: Callable[[bytes], None]) -> None:
    pack = zlib.compressobj(9, wbits=31)
    write(OK + b"Content-Encoding: gzip\r\n\r\n")
    for _ in range(500):
        write(pack.compress(b"\0" * 1_000_000))
    write(pack.flush())


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (endless, "too_large"),
        (gzip_bomb, "too_large"),
        (says(whole(b"x" * (2 * 1024 * 1024 + 1))), "too_large"),
        (says(OK + b"Content-Length: 99999999999\r\n\r\n"), "too_large"),
        (
            says(whole(gzip.compress(gzip.compress(b"x")), b"Content-Encoding: gzip, gzip")),
            "coding",
        ),
        (says(whole(b"x", b"Content-Encoding: " + b", ".join([b"gzip"] * 10))), "coding"),
        (says(whole(b"x", b"Content-Encoding: br")), "coding"),
        (says(whole(b"x", b"Content-Encoding: zstd")), "coding"),
        (says(whole(b"not packed", b"Content-Encoding: gzip")), "coding"),
        (says(whole(gzip.compress(b"x" * 999)[:-9], b"Content-Encoding: gzip")), "incomplete"),
        (says(OK + b"Content-Length: 100\r\n\r\nshort"), "unreachable"),
        (says(OK + b"Content-Length: -1\r\n\r\nx"), "unreachable"),
        (says(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"), "unreachable"),
        (says(OK + b"X: " + b"x" * 200_000), "unreachable"),
        (says(b"garbage\r\n\r\n"), "unreachable"),
        (says(b""), "unreachable"),
        (
            says(whole(b"x", start=b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n")),
            "content_type",
        ),
        (says(whole(b"x", start=b"HTTP/1.1 200 OK\r\n")), "content_type"),
        (says(whole(b"x", start=b"HTTP/1.1 404 Not Found\r\n")), "http_404"),
        (says(whole(b"x", start=b"HTTP/1.1 503 Busy\r\n")), "http_503"),
        (says(whole(b"x", start=b"HTTP/1.1 304 Not Modified\r\n")), "http_304"),
        (says(whole(b"x", start=b"HTTP/1.1 302 Found\r\n")), "http_302"),
    ],
)
def test_an_answer_that_is_no_page_fails_with_its_reason(answer: Answer, reason: str) -> None:
    assert failure(answer) == reason


def test_more_than_the_length_that_was_told_is_not_read() -> None:
    with site(says(OK + b"Content-Length: 5\r\n\r\nhello and much more")) as server:
        assert get(server).body == b"hello"


@pytest.mark.parametrize("start", [b"", OK, OK + b"Transfer-Encoding: chunked\r\n\r\n"])
def test_a_server_that_drips_is_left_when_the_time_is_over(start: bytes) -> None:
    answers: Answer = lambda path, write: drip(server, start, write)  # noqa: E731
    with site(answers) as server, pytest.raises(WebFailed, match="timeout"):
        get(server, policy=replace(LOCAL, total_s=0.5))


def drip(server: Site, start: bytes, write: Callable[[bytes], None]) -> None:
    write(start)
    chunked = b"Transfer-Encoding" in start
    while not server.stopped.wait(0.05):
        write(b"1\r\nx\r\n" if chunked else b"H" if not start else b"X-%d: y\r\n" % 1)


def test_a_resolver_that_hangs_is_left_when_the_time_is_over() -> None:
    async def hanging(host: str, port: int) -> list[str]:
        await asyncio.sleep(60)
        return []

    with pytest.raises(WebFailed, match="timeout"):
        asyncio.run(fetch("http://example.com/", replace(LOCAL, total_s=0.2), resolve=hanging))


def test_nobody_there_is_a_failure_with_a_sentence() -> None:
    with site(says(b"")) as server:
        pass
    with pytest.raises(WebFailed) as raised:
        get(server)
    assert re.fullmatch(r"unreachable: shop\.localhost: .+", str(raised.value))


DENIED = b"User-agent: *\nAllow: /$\nAllow: /open/\nDisallow: /\n\nUser-agent: other\nDisallow:\n"


def test_a_page_that_robots_txt_denies_is_not_asked_for() -> None:
    with site(says(whole(b"hello"))) as server:
        server.robots = whole(DENIED)
        assert get(server, "/").body == get(server, "/open/x").body == b"hello"
        with pytest.raises(WebRefused, match="robots"):
            get(server, "/shut")
        assert [request.split()[1] for request in server.requests] == ["/", "/open/x"]
        assert server.robots_asked == 1


@pytest.mark.parametrize(
    ("rules", "path"),
    [
        (b"User-agent: *\nDisallow: /*/private\n", "/a/private"),
        (b"User-agent: *\nDisallow: /*.pdf$\n", "/a.pdf"),
        (b"user-agent: TIDEMILL\nDisallow: /a\n\nUser-agent: *\nDisallow:\n", "/a"),
        (b"\xef\xbb\xbfUser-agent: *\nDisallow: /a\n", "/a"),
    ],
)
def test_rules_are_read_as_rfc_9309_has_them(rules: bytes, path: str) -> None:
    with site(says(whole(b"hello"))) as server:
        server.robots = whole(rules)
        assert get(server, "/other").body == b"hello"
        with pytest.raises(WebRefused, match="robots"):
            get(server, path)


@pytest.mark.parametrize(
    "answer",
    [
        whole(b"", start=b"HTTP/1.1 503 Sorry\r\n"),
        whole(b"Disallow: /" + b"x" * (2 * 1024 * 1024 + 1)),
        whole(b"User-agent: a\n" * 9_000 + b"Disallow: /x\n" * 9_000),
    ],
)
def test_a_site_whose_robots_txt_cannot_be_read_is_left_alone(answer: bytes) -> None:
    with site(says(whole(b"hello"))) as server:
        server.robots = answer
        with pytest.raises(WebRefused, match="robots"):
            get(server)
        assert not server.requests


def test_where_a_redirect_leads_its_own_robots_txt_is_asked() -> None:
    with site(says(whole(b"hello"))) as other, site(says(b"")) as server:
        other.robots = whole(b"User-agent: *\nDisallow: /\n")
        there = b"Location: http://other.localhost:%d/" % other.port
        server.answer = says(whole(b"", there, start=b"HTTP/1.1 302 Found\r\n"))
        with pytest.raises(WebRefused, match="robots"):
            get(server)
        assert (server.robots_asked, other.robots_asked, other.requests) == (1, 1, [])


def conditions(request: str) -> dict[str, str]:
    """The conditional headers of a request."""
    lines = (line.partition(": ") for line in request.split("\r\n"))
    return {name: value for name, _, value in lines if name.startswith("If-")}


def unchanged_since(path: str, write: Callable[[bytes], None]) -> None:
    """Always the answer to a condition that holds."""
    write(b"HTTP/1.1 304 Not Modified\r\n\r\n")


def test_a_page_that_has_not_changed_is_not_sent_again() -> None:
    tagged = whole(b"hello", b'ETag: "v1"', b"Last-Modified: Mon, 02 Mar 2026 09:00:00 GMT")
    with site(says(tagged)) as server:
        page = get(server)
        assert (page.etag, page.last_modified) == ('"v1"', "Mon, 02 Mar 2026 09:00:00 GMT")
        server.answer = unchanged_since
        wanted = Wanted(known_url=page.final_url, etag=page.etag, last_modified=page.last_modified)
        again = get(server, wanted=wanted)
    assert (again.status, again.body, again.etag) == (304, b"", '"v1"')
    first, second = map(conditions, server.requests)
    assert first == {}
    assert second == {
        "If-None-Match": '"v1"',
        "If-Modified-Since": "Mon, 02 Mar 2026 09:00:00 GMT",
    }


def test_only_the_page_that_was_read_is_asked_for_with_a_condition() -> None:
    """A redirect may lead elsewhere by now, and an ETag means nothing there."""
    with site(says(whole(b"other"))) as server:
        wanted = Wanted(known_url=f"http://shop.localhost:{server.port}/old", etag='"v1"')
        assert get(server, "/new", wanted=wanted).body == b"other"
        server.answer = unchanged_since
        with pytest.raises(WebFailed, match="http_304"):
            get(server, "/new", wanted=wanted)
    assert not any(map(conditions, server.requests))


@pytest.mark.parametrize(
    ("told", "wait_s"),
    [(b"30", 30.0), (b"0", 0.0), (b"1000000000", None), (b"soon", None), (b"-5", 0.0)],
)
def test_a_busy_site_says_when_to_come_again(told: bytes, wait_s: float | None) -> None:
    busy = whole(b"", b"Retry-After: " + told, start=b"HTTP/1.1 429 Too Many\r\n")
    with site(says(busy)) as server, pytest.raises(WebFailed) as raised:
        get(server)
    assert raised.value.retry_after_s == wait_s


@pytest.mark.parametrize(
    ("told", "delay_s"), [(b"7", 7.0), (b"0.5", 0.5), (b"soon", 0.0), (b"-1", 0.0)]
)
def test_a_site_says_how_long_to_wait_between_two_visits(told: bytes, delay_s: float) -> None:
    robots = Robots()
    with site(says(whole(b"hello"))) as server:
        server.robots = whole(b"User-agent: *\nCrawl-delay: " + told + b"\n")
        target = checked_url(f"http://shop.localhost:{server.port}/", LOCAL)
        assert robots.delay_s(target) == 0
        get(server, robots=robots)
    assert robots.delay_s(target) == delay_s
