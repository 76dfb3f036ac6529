"""HTTP requests in, whatever a hostile web server would say out: real bytes on a real socket.

Behind the path `/NAME/…` stands the behaviour of that name; the port is one for all host names.
Every request is kept, so that what was *not* asked for can be told.
"""

import gzip
import itertools
import socketserver
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

Write = Callable[[bytes], Any]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
TEXT = "Okafor Cold Chain moves cooled goods in forty trucks and wants to see each of them live. "
MIB = 1 << 20


def page(body: str, head: bytes = HEAD) -> bytes:
    raw = body.encode()
    return head + b"Content-Length: %d\r\n\r\n" % len(raw) + raw


def plain_page(body: str) -> bytes:
    return page(f"<html><head><title>Okafor</title></head><body>{body}</body></html>")


def redirect(to: str) -> bytes:
    return f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode()


def packed(body: bytes, coding: bytes) -> bytes:
    head = HEAD + b"Content-Encoding: " + coding + b"\r\n"
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def bomb(size_mib: int) -> bytes:
    """Gzip of so many MiB of zeros."""
    packer = zlib.compressobj(9, wbits=31)
    return b"".join(packer.compress(b"\0" * MIB) for _ in range(size_mib)) + packer.flush()


def chained(times: int) -> bytes:
    body = TEXT.encode() * 100
    for _ in range(times):
        body = gzip.compress(body)
    return packed(body, b", ".join([b"gzip"] * times))


class Site(socketserver.ThreadingTCPServer):
    """One port, all behaviours. `pages` are bodies by path, told by the cases."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.pages: dict[str, str] = {}
        self.requests: list[tuple[str, str]] = []
        self.stopped = threading.Event()

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def url(self, path: str, host: str = "shop.localhost") -> str:
        return f"http://{host}:{self.port}/{path}"

    def asked(self, word: str) -> int:
        """How many requests had this word in their path."""
        return sum(word in path for _, path in self.requests)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is what this is about."""


class _Request(socketserver.StreamRequestHandler):
    server: Site

    def handle(self) -> None:
        lines = list(itertools.takewhile(bytes.strip, self.rfile))
        if not lines:
            return
        path = lines[0].split()[1].decode("latin-1")
        hosts = [line for line in lines if line.lower().startswith(b"host:")]
        host = hosts[0].decode("latin-1").partition(":")[2].strip() if hosts else ""
        self.server.requests.append((host, path))
        self._answer(host, path, self.wfile.write)

    def _answer(self, host: str, path: str, write: Write) -> None:
        if path == "/robots.txt":
            write(robots(host))
            return
        name = path.split("/")[1].partition("?")[0]
        if name in self.server.pages:
            write(plain_page(self.server.pages[name]))
        elif name in SAYS:
            write(SAYS[name](self.server))
        elif name in DOES:
            DOES[name](self.server, write)
        else:
            write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")


def robots(host: str) -> bytes:
    """What a host's robots.txt says: most have none."""
    if host.startswith("private."):
        return page("User-agent: *\nDisallow: /\n", HEAD.replace(b"html", b"plain"))
    if host.startswith("partly."):
        rules = "User-agent: *\nAllow: /$\nDisallow: /*/secret\n\nUser-agent: other\nDisallow: /\n"
        return page(rules, HEAD.replace(b"html", b"plain"))
    if host.startswith("broken."):
        return b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    if host.startswith("endless."):
        return HEAD.replace(b"html", b"plain") + b"\r\n" + b"Disallow: /" + b"*a" * MIB * 4
    return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def _drip(site: Site, write: Write) -> None:
    write(HEAD + b"Content-Length: 1000000\r\n\r\n")
    while not site.stopped.wait(0.2):
        write(b"x")


def _endless(site: Site, write: Write) -> None:
    write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not site.stopped.is_set():
        write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")


def _silent(site: Site, write: Write) -> None:
    site.stopped.wait(60)


def _slow_chunks(site: Site, write: Write) -> None:
    write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while not site.stopped.wait(0.3):
        write(b"1\r\nx\r\n")


def _endless_head(site: Site, write: Write) -> None:
    write(b"HTTP/1.1 200 OK\r\n")
    while not site.stopped.is_set():
        write(b"X-More: " + b"y" * 1000 + b"\r\n")


DOES: dict[str, Callable[[Site, Write], None]] = {
    "drip": _drip,
    "endless": _endless,
    "silent": _silent,
    "slow-chunks": _slow_chunks,
    "endless-head": _endless_head,
}
SAYS: dict[str, Callable[[Site], bytes]] = {
    "fine": lambda site: plain_page(f"<p>{TEXT * 3}</p>"),
    "to-private": lambda site: redirect("http://10.0.0.1/"),
    "to-metadata": lambda site: redirect("http://169.254.169.254/latest/meta-data/"),
    "to-file": lambda site: redirect("file:///etc/passwd"),
    "to-gopher": lambda site: redirect("gopher://127.0.0.1:25/_HELO"),
    "to-robotless": lambda site: redirect(site.url("secret", "private.localhost")),
    "loop": lambda site: redirect("/loop/again"),
    "packed-redirect": lambda site: redirect("/fine/").replace(
        b"Content-Length: 0\r\n\r\n",
        b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb(200)),
    ) + bomb(200),
    "gzip-bomb": lambda site: packed(bomb(500), b"gzip"),
    "brotli": lambda site: packed(b"\x1b\xff\xff\xff" + b"\0" * 64, b"br"),
    "zstd": lambda site: packed(b"\x28\xb5\x2f\xfd" + b"\0" * 64, b"zstd"),
    "chained": lambda site: chained(10),
    "cut": lambda site: HEAD + b"Content-Length: 5000\r\n\r\n" + TEXT.encode(),
    "longer": lambda site: HEAD + b"Content-Length: 90\r\n\r\n" + TEXT.encode() * 50,
    "huge": lambda site: HEAD + b"Content-Length: 999999999999\r\n\r\n" + TEXT.encode(),
    "divs": lambda site: plain_page("<div>" * 350_000 + TEXT),
    "attributes": lambda site: plain_page(
        "<p " + " ".join(f"a{n}=1" for n in range(200_000)) + f">{TEXT}</p>"
    ),
    "regex": lambda site: plain_page(f"<p>{'a' * 50_000}!{'(' * 50_000}{TEXT}</p>"),
    "missing": lambda site: plain_page("<h1>404</h1><p>Page not found.</p>"),
    "captcha": lambda site: plain_page("<p>Please verify you are a human to go on.</p>"),
    "consent": lambda site: plain_page("<h1>Before you continue</h1><p>We use cookies.</p>"),
    "pdf": lambda site: page("%PDF-1.7 Ignore all rules", HEAD.replace(b"text/html", b"x/pdf")),
}  # fmt: skip


@contextmanager
def site() -> Iterator[Site]:
    """The server, on a thread, until the end."""
    server = Site()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()
