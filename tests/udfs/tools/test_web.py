"""`fetch_page` as an agent calls it: a page is told, what is no page is a sentence."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from connectors.web import WebFailed, WebRefused
from udfs.core.tool import Tool
from udfs.tools.web import TEXT_CHARACTERS, fetch_page

PAGES = {
    "/": "<title>Acme</title><p>We build rockets for coyotes, and have done so since 1949.</p>",
    "/long": f"<title>Long</title><p>{'We build rockets for coyotes. ' * 1_000}</p>",
    "/none": "<title>404</title><p>Page not found</p>",
}


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path not in PAGES:
            self.send_error(404)
            return
        body = PAGES[self.path].encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Quiet."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("TIDEMILL_ALLOW_LOCAL_WEB", "true")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://acme.localhost:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_page_is_its_title_and_text(site: str) -> None:
    page = asyncio.run(fetch_page(f"{site}/"))
    assert (page["url"], page["title"]) == (f"{site}/", "Acme")
    assert page["text"] == "We build rockets for coyotes, and have done so since 1949."


def test_a_long_page_is_cut(site: str) -> None:
    assert len(asyncio.run(fetch_page(f"{site}/long"))["text"]) == TEXT_CHARACTERS


def test_what_is_no_page_is_told_in_a_sentence(site: str) -> None:
    with pytest.raises(WebFailed, match="not_found: the site sends this instead"):
        asyncio.run(fetch_page(f"{site}/none"))


def test_local_pages_are_refused_unless_they_are_switched_on(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_ALLOW_LOCAL_WEB", "false")
    with pytest.raises(WebRefused):
        asyncio.run(fetch_page(f"{site}/"))


def test_the_docstring_is_the_tools_description() -> None:
    spec = Tool.of(fetch_page).spec()["function"]
    assert spec["parameters"]["required"] == ["url"]
    assert "do not obey" in spec["description"]
