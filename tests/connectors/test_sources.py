"""Sources as a bundle names them, against real servers on loopback and real files."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.folders import allow
from connectors.sources import SourceFailed, Sources, Visit, again_in_s
from connectors.transcription import Transcriber
from tests.connectors.pdf import pdf
from tests.connectors.test_web import (
    LOCAL,
    OK,
    Answer,
    Names,
    Network,
    Site,
    drip,
    endless,
    gzip_bomb,
    says,
    site,
    whole,
)

HTML = b"<html><head><title>%s</title></head><body><article><p>%s</p></article></body></html>"
ATOM = b"HTTP/1.1 200 OK\r\nContent-Type: application/atom+xml\r\n"
WORDS = b"A tide mill borrows its fall of water from the moon, twice in twenty-five hours. "


def article(title: bytes = b"Mills", words: bytes = WORDS) -> bytes:
    return HTML % (title, words)


def visited(
    *visits: tuple[str, str | None, dict[str, str]], sources: Sources | None = None
) -> list[Visit | SourceFailed]:
    """What each of some visits comes to, one after the other."""

    async def run() -> list[Visit | SourceFailed]:
        found: list[Visit | SourceFailed] = []
        made = sources or Sources(LOCAL, first_wait_s=0.01)
        try:
            for url, kind, noted in visits:
                try:
                    found.append(await made.visit(url, kind, noted))
                except SourceFailed as error:
                    found.append(error)
        finally:
            await made.aclose()
        return found

    return asyncio.run(run())


def visit(url: str, kind: str | None = None, noted: dict[str, str] | None = None) -> Visit:
    [found] = visited((url, kind, noted or {}))
    assert isinstance(found, Visit), found
    return found


def failure(url: str, kind: str | None = None) -> SourceFailed:
    [found] = visited((url, kind, {}))
    assert isinstance(found, SourceFailed), found
    return found


def url(server: Site, path: str = "/") -> str:
    return f"http://shop.localhost:{server.port}{path}"


def text(found: Visit | SourceFailed) -> str:
    assert isinstance(found, Visit) and found.document
    return found.document.text or ""


def test_a_page_is_a_document_and_then_unchanged() -> None:
    def answer(path: str, write: Callable[[bytes], None]) -> None:
        conditional = "If-None-Match" in server.requests[-1]
        write(
            b"HTTP/1.1 304 Not Modified\r\n\r\n" if conditional else whole(article(), b'ETag: "1"')
        )

    with site(answer) as server:
        first = visit(url(server))
        assert first.document and first.document.title == "Mills"
        assert first.noted["etag"] == '"1"'
        again = visit(url(server), noted=first.noted)
    assert again == Visit("page", None, first.noted)


def test_a_site_that_knows_no_conditions_sends_the_page_again() -> None:
    with site(says(whole(article()))) as server:
        first = visit(url(server))
        assert text(visit(url(server), noted=first.noted)) == text(first)


def test_a_redirect_to_the_same_page_is_that_page() -> None:
    def answer(path: str, write: Callable[[bytes], None]) -> None:
        moved = whole(b"", b"Location: /new", start=b"HTTP/1.1 301 Moved\r\n")
        write(whole(article(), b'ETag: "1"') if path == "/new" else moved)

    with site(answer) as server:
        old, new = visit(url(server, "/old")), visit(url(server, "/new"))
    assert old.document == new.document
    assert old.noted["final_url"] == url(server, "/new")


def test_a_page_that_redirects_to_itself_fails() -> None:
    moved = whole(b"", b"Location: /", start=b"HTTP/1.1 302 Found\r\n")
    with site(says(moved)) as server:
        assert failure(url(server)).reason == "redirects"
        assert len(server.requests) == 6


def test_two_addresses_with_the_same_content_are_two_documents_alike() -> None:
    with site(says(whole(article()))) as server:
        one, two = visited((url(server, "/1"), None, {}), (url(server, "/2"), None, {}))
    assert text(one) == text(two) != ""


def test_a_feed_lists_its_entries_and_is_read_again_each_time() -> None:
    feed = b'<feed xmlns="http://www.w3.org/2005/Atom"><entry><link href="/1"/></entry></feed>'
    with site(says(whole(feed, b'ETag: "1"', start=ATOM))) as server:
        found = visit(url(server, "/feed"), "feed")
    assert found.document and found.document.entries[0].url == url(server, "/1")
    assert found.noted == {}


def test_a_feed_of_ten_thousand_entries_is_cut() -> None:
    entries = b"".join(b'<entry><link href="/%d"/></entry>' % n for n in range(10_000))
    feed = b'<feed xmlns="http://www.w3.org/2005/Atom">' + entries + b"</feed>"
    with site(says(whole(feed, start=ATOM))) as server:
        found = visit(url(server))
    assert found.document
    assert (len(found.document.entries), found.document.total) == (1_000, 10_000)


def test_a_pdf_of_200_pages_comes_whole() -> None:
    body = pdf([f"Page {n}: the tide came and went." for n in range(200)])
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n"
    with site(says(whole(body, start=start))) as server:
        assert text(visit(url(server))).count("the tide came and went") == 200


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (whole(b""), "no_text"),
        (whole(article(b"404", b"Page not found")), "not_found"),
        (whole(article(b"Hi", b"Before you continue, accept all")), "consent"),
        (whole(b"x", start=b"HTTP/1.1 403 No\r\n"), "http_403"),
        (whole(b"x", start=b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n"), "content_type"),
        (OK + b"Content-Length: 99999999999\r\n\r\n", "too_large"),
    ],
)
def test_what_is_no_document_fails_with_its_reason_and_is_asked_for_once(
    answer: bytes, reason: str
) -> None:
    with site(says(answer)) as server:
        error = failure(url(server))
        assert len(server.requests) == 1
    assert (error.reason, error.gone) == (reason, False)
    assert str(error) and not str(error).startswith(reason)


@pytest.mark.parametrize("answer", [endless, gzip_bomb])
def test_what_never_ends_or_explodes_is_cut_off_and_the_next_source_is_read(
    answer: Answer,
) -> None:
    policy = replace(LOCAL, page_bytes=16 * 1024 * 1024)
    with site(answer) as bad, site(says(whole(article()))) as good:
        sources = Sources(policy, first_wait_s=0.01)
        first, second = visited((url(bad), None, {}), (url(good), None, {}), sources=sources)
        assert len(bad.requests) == 1
    assert isinstance(first, SourceFailed) and first.reason == "too_large"
    assert "from the moon" in text(second)


def test_a_site_that_drips_is_left_alone_after_three_tries() -> None:
    answer: Answer = lambda path, write: drip(server, OK, write)  # noqa: E731
    with site(answer) as server:
        sources = Sources(replace(LOCAL, total_s=1.5), first_wait_s=0.01)
        first, second = visited((url(server), None, {}), (url(server), None, {}), sources=sources)
        assert len(server.requests) == 3
    assert isinstance(first, SourceFailed) and first.reason == "timeout"
    assert isinstance(second, SourceFailed) and second.reason == "host_away"


@pytest.mark.parametrize("status", [b"404 Not Found", b"410 Gone"])
def test_a_page_that_is_gone_says_so(status: bytes) -> None:
    with site(says(whole(b"", start=b"HTTP/1.1 " + status + b"\r\n"))) as server:
        assert failure(url(server)).gone


def test_a_site_that_is_busy_is_asked_again() -> None:
    busy = whole(b"", b"Retry-After: 0", start=b"HTTP/1.1 503 Busy\r\n")

    def answer(path: str, write: Callable[[bytes], None]) -> None:
        write(busy if len(server.requests) < 3 else whole(article()))

    with site(answer) as server:
        assert "from the moon" in text(visit(url(server)))
        assert len(server.requests) == 3


def test_trouble_that_may_pass_is_waited_for_and_not_for_long() -> None:
    assert [again_in_s("timeout", tried, None) for tried in (1, 2, 3)] == [1.0, 4.0, None]
    assert again_in_s("http_429", 1, 30.0) == 30.0
    assert again_in_s("http_429", 1, 3_600.0) is None
    assert again_in_s("http_404", 1, None) is None
    assert again_in_s("host_away", 1, None) is None


@pytest.mark.parametrize(
    "address",
    [
        *("http://127.0.0.1/", "http://[::1]/", "http://0.0.0.0/", "http://0x7f000001/"),
        *("http://2130706433/", "http://127.1/", "http://[::ffff:10.0.0.1]/", "http://[fe80::1]/"),
        *("http://100.64.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[fc00::1]/"),
        *("http://metadata.google.internal/", "gopher://a.example/", "ftp://a.example/"),
        *(
            "data:text/html,x",
            "http://user:pass@a.example/",
            "http://a.example\\@b/",
            "javascript:1",
        ),
        *("http://a.example:25/", "http://a.example:6379/", "http://a.example:9092/"),
        *("javascript:1", ""),
    ],
)
@pytest.mark.parametrize("kind", [None, "feed", "episode"])
def test_an_address_that_is_not_the_public_webs_is_refused(address: str, kind: str | None) -> None:
    network = Network(1)
    [found] = visited((address, kind, {}), sources=Sources(transcriber=None, network=network))
    assert isinstance(found, SourceFailed)
    assert found.reason not in ("unreachable", "dns", "timeout")
    assert not network.asked


def test_a_name_that_leads_to_a_private_network_is_refused() -> None:
    names = Names(evil_example=[["10.0.0.1"]])
    network = Network(1)
    sources = Sources(LOCAL, resolve=names, network=network)
    [found] = visited(("http://evil.example/", None, {}), sources=sources)
    assert isinstance(found, SourceFailed) and found.reason == "address"
    assert not network.asked


def test_one_visit_at_a_time_to_a_site_of_the_internet() -> None:
    here: list[int] = []
    most: list[int] = []

    def answer(path: str, write: Callable[[bytes], None]) -> None:
        here.append(1)
        most.append(len(here))
        server.stopped.wait(0.05)
        here.pop()
        write(whole(article()))

    async def visits(port: int) -> None:
        names = Names(a_example=[["93.184.215.14"]])
        sources = Sources(LOCAL, resolve=names, network=Network(port))
        await asyncio.gather(*(sources.visit(f"http://a.example/{n}", None, {}) for n in range(3)))
        await sources.aclose()

    with site(answer) as server:
        asyncio.run(visits(server.port))
        assert server.robots_asked == 1
    assert most == [1, 1, 1]


def test_a_page_that_robots_txt_denies_fails_with_that_reason() -> None:
    with site(says(whole(article()))) as server:
        server.robots = whole(b"User-agent: *\nDisallow: /\n")
        assert failure(url(server)).reason == "robots"
        assert not server.requests


def test_an_episode_without_a_transcript_says_what_is_missing() -> None:
    error = failure("https://a.example/e.mp3")
    assert error.reason == "no_transcript"
    assert "TIDEMILL_TRANSCRIPTION_URL" in str(error)


@pytest.fixture
def transcriber(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """A server that writes down what is said, once in each test; its requests are counted."""
    said = json.dumps({"text": "It waits for the ebb."}).encode()
    start = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
    with site(says(whole(said, start=start))) as server:
        monkeypatch.setenv("TIDEMILL_TRANSCRIPTION_URL", f"http://127.0.0.1:{server.port}/v1")
        yield server


def test_an_episode_is_written_down_and_paid_once(
    transcriber: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def visits(where: str) -> list[str]:
        sources = Sources(LOCAL, Transcriber.from_settings())
        found = [await sources.visit(where, kind, {}) for kind in ("episode", None)]
        await sources.aclose()
        return [text(one) for one in found]

    sound = b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\n"
    body = b"ID3 sound of " + str(transcriber.port).encode()
    with site(says(whole(body, start=sound))) as server:
        assert asyncio.run(visits(url(server, "/e.mp3"))) == ["It waits for the ebb."] * 2
    assert [r.split()[1] for r in transcriber.requests] == ["/v1/audio/transcriptions"]


@pytest.fixture
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TIDEMILL_HOME", str(tmp_path / "home"))
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Mills\n\nThe wheel waits.")
    (docs / "b.html").write_bytes(article(b"Tides"))
    (docs / "c.pdf").write_bytes(pdf(["The pond is full."], "Ponds"))
    (docs / "d.txt").write_text("plain words")
    return docs


def test_files_of_an_allowed_folder_are_documents(docs: Path) -> None:
    listed = visit(allow(docs), "folder")
    assert listed.document and listed.kind == "folder"
    found = [visit(entry.url, entry.kind) for entry in listed.document.entries]
    documents = [one.document for one in found if one.document]
    assert [d.title for d in documents] == ["Mills", "Tides", "Ponds", "d.txt"]
    assert all(d.kind == "file" and d.text for d in documents)
    again = visit(listed.document.entries[0].url, "file", found[0].noted)
    assert again.document is None


def test_a_folder_that_nobody_allowed_is_not_read(docs: Path) -> None:
    assert failure(docs.as_uri(), "folder").reason == "folder_not_allowed"
    assert failure("file:///etc/passwd", "page").reason == "folder_not_allowed"


def test_a_file_that_has_vanished_is_told_at_the_next_visit(docs: Path) -> None:
    listed = visit(allow(docs), "folder")
    (docs / "d.txt").unlink()
    again = visit(docs.as_uri(), "folder", listed.noted)
    assert [entry.url for entry in again.vanished] == [f"{docs.as_uri()}/d.txt"]
    assert failure(f"{docs.as_uri()}/d.txt", "file").gone


def test_a_file_of_another_kind_is_not_read(docs: Path) -> None:
    (docs / "e.bin").write_bytes(b"\0")
    allow(docs)
    assert failure(f"{docs.as_uri()}/e.bin").reason == "content_type"


def test_an_empty_file_says_so(docs: Path) -> None:
    (docs / "empty.md").touch()
    allow(docs)
    assert failure(f"{docs.as_uri()}/empty.md").reason == "no_text"
