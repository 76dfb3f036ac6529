"""Nothing in, a local site of bundles of pages out: what it serves, what each page's text is.

The text of a page is computed here without Flink, by the same readers that the workers use.
"""

import hashlib
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from connectors.documents import read
from connectors.web import Page
from tests.chaos.store import Document
from udfs.core.ingest import Source, found

WORDS = "stream state log broker checkpoint reader key event table order crash timer".split()
FEED = "application/rss+xml"


class Site(ThreadingHTTPServer):
    """Bodies by path, each sent with its hash as ETag."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Request)
        self.bodies: dict[str, tuple[str, bytes]] = {}

    def url(self, path: str) -> str:
        return f"http://chaos.localhost:{self.server_address[1]}{path}"


class _Request(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        kind, body = self.server.bodies.get(self.path, ("text/plain", b""))
        etag = f'"{hashlib.sha256(body).hexdigest()}"'
        status = 404 if not body else 304 if self.headers["If-None-Match"] == etag else 200
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("ETag", etag)
        self.send_header("Content-Length", str(len(body) if status == 200 else 0))
        self.end_headers()
        if status == 200:
            with suppress(ConnectionError):  # who asked has been killed
                self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is told."""


@contextmanager
def site() -> Iterator[Site]:
    """The server, on a thread, until the end."""
    server = Site()
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Bundle:
    """Pages of a site that are one bundle: named one by one, or listed by a feed.

    `changed` are those that were edited after version 1.
    """

    name: str
    site: Site
    by_feed: bool
    paths: list[str] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    rounds: int = 0

    def fill(self, pages: int, rng: random.Random) -> "Bundle":
        self.paths = [f"/{self.name}/{number}.html" for number in range(pages)]
        for path in self.paths:
            self._write(path, [_chapter(rng, n) for n in range(rng.randint(1, 5))])
        items = "".join(
            f"<item><title>Page {path}</title><link>{self.site.url(path)}</link></item>"
            for path in self.paths
        )
        feed = f'<rss version="2.0"><channel><title>{self.name}</title>{items}</channel></rss>'
        self.site.bodies[f"/{self.name}/feed.xml"] = (FEED, feed.encode())
        return self

    def edit(self, pages: int, rng: random.Random) -> None:
        """Another text for so many pages: a chapter less at the end, or one more at the top."""
        for path in rng.sample(self.paths, pages):
            chapters = self.site.bodies[path][1].decode().split("<h2>")[1:]
            chapters = [chapter.partition("</article>")[0] for chapter in chapters]
            if len(chapters) > 1 and rng.random() < 0.5:
                chapters.pop()
            else:
                chapters.insert(0, _chapter(rng, 99))
            self._write(path, chapters)
            self.changed.add(self.site.url(path))

    @property
    def sources(self) -> list[str]:
        if self.by_feed:
            return [self.site.url(f"/{self.name}/feed.xml")]
        return [self.site.url(path) for path in self.paths]

    def documents(self) -> list[Document]:
        """What must be stored of it, as its pages now read."""
        return [self._document(path) for path in self.paths]

    def _document(self, path: str) -> Document:
        url, (kind, body) = self.site.url(path), self.site.bodies[path]
        text = read(Page(url, url, 200, kind, "utf-8", body), "page")
        source = Source(self.name, url, "page", None, None, None, 0)
        return Document(self.name, url, found(source, None, "page", text, {}).values["content"])

    def _write(self, path: str, chapters: list[str]) -> None:
        body = "<h2>".join(["", *chapters])
        head = f"<html><head><title>Page {path}</title></head><body><article>"
        self.site.bodies[path] = (
            "text/html", f"{head}<h1>Page {path}</h1>{body}</article></body></html>".encode(),
        )  # fmt: skip


def _chapter(rng: random.Random, number: int) -> str:
    """A heading's words and paragraphs, no two alike."""
    paragraphs = "".join(
        "<p>" + " ".join(_sentence(rng) for _ in range(rng.randint(2, 6))) + "</p>"
        for _ in range(rng.randint(1, 4))
    )
    return f"Chapter {number} of {rng.random()}</h2>{paragraphs}"


def _sentence(rng: random.Random) -> str:
    one, two, three, four = rng.sample(WORDS, 4)
    count = rng.randint(2, 99_999)
    return f"The {one} of a {two} is the {three} that holds {count} rows of its {four} at once."
