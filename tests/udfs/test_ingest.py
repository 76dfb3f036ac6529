"""Visits of the research team's sample site, from its rows to the rows that come of them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from deploy.websites import application
from udfs.core.slot import Entry
from udfs.core.types import parse_type
from udfs.ingest import TAKES, IngestSource
from udfs.keyed_function import BadCall, Result

SQL = Path(__file__).parents[2] / "sql"
HOST = "http://saltern-reach.localhost"
Visits = list[dict[str, Any]]


class Bundle:
    """Visits by the function as its operator makes them, with each address's memory."""

    def __init__(self, function: IngestSource, port: int) -> None:
        self.function, self.port = function, port
        self.memory: dict[str, list[dict[str, Any]]] = {}

    def url(self, path: str) -> str:
        return f"{HOST}:{self.port}{path}"

    async def visit(self, url: str, bundle_id: str = "mills", **given: Any) -> dict[str, Any]:
        row = {**dict.fromkeys(TAKES), "bundle_id": bundle_id, "url": url, "depth": 0, **given}
        memory = self.memory.get(url, [])
        result: Result = await self.function.run(Entry(0, url, row, {}, 0), memory)
        assert result.values is not None and result.remember is not None
        self.memory[url] = [result.remember]
        return result.values

    async def follow(self, url: str, kind: str | None) -> Visits:
        """A listing, then each of its entries, as the job does by way of its topic."""
        listing = await self.visit(url, asked_kind=kind)
        entries = [
            await self.visit(
                entry["url"],
                asked_kind=entry["kind"],
                parent_url=url,
                listed_title=entry["title"],
                listed_at=entry["published_at"],
                depth=1,
            )
            for entry in listing["entries"] or ()
        ]
        return [listing, *entries]


def with_site(visits: Any, monkeypatch: pytest.MonkeyPatch, folder: Path = SQL) -> None:
    """Run a coroutine function on a bundle, beside the local stack's own web server."""
    monkeypatch.setenv("TIDEMILL_ALLOW_LOCAL_WEB", "true")

    async def run() -> None:
        options = uvicorn.Config(application(folder), port=0, log_level="warning")
        server = uvicorn.Server(options)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        function = IngestSource()
        await function.open()
        try:
            port = server.servers[0].sockets[0].getsockname()[1]
            await visits(Bundle(function, port))
        finally:
            await function.close()
            server.should_exit = True
            await serving

    asyncio.run(run())


def test_a_blog_and_a_podcast_are_read_by_their_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    async def visits(bundle: Bundle) -> None:
        blog = await bundle.follow(bundle.url("/blog/feed.xml"), "feed")
        assert [row["status"] for row in blog] == ["listing", "document", "document", "document"]
        assert blog[1]["title"] == "A belt that lasts"
        assert blog[1]["published_at"] == "2026-03-11T00:00:00.000Z"
        assert "polyester" in blog[1]["content"]
        podcast = await bundle.follow(bundle.url("/podcast/feed.xml"), None)
        assert [row["kind"] for row in podcast] == ["feed", "transcript", "transcript"]
        assert podcast[1]["title"] == "Maren Holt on old shafts and new belts"
        assert podcast[1]["published_at"] == "2026-02-17T08:00:00.000Z"
        assert "Maren Holt: The salt." in podcast[1]["content"]
        assert "Tomas Reedy: Then I have twenty minutes left." in podcast[2]["content"]

    with_site(visits, monkeypatch)


def test_a_second_visit_finds_nothing_changed_and_another_bundle_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def visits(bundle: Bundle) -> None:
        paths = ["/", "/how-it-works.html", "/energy.html", "/podcast/maren-holt.vtt"]
        first = [await bundle.visit(bundle.url(path)) for path in paths]
        again = [await bundle.visit(bundle.url(path)) for path in paths]
        other = [await bundle.visit(bundle.url(path), "others") for path in paths]
        assert [row["status"] for row in first] == ["document"] * 4
        assert [row["status"] for row in again] == ["unchanged"] * 4
        assert [row["content"] for row in again] == [None] * 4
        for name in ("content_hash", "title", "published_at"):
            assert [row[name] for row in again] == [row[name] for row in first]
        assert other == first

    with_site(visits, monkeypatch)


def test_a_page_that_is_edited_is_a_document_again_and_then_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "research" / "sample" / "websites" / "saltern-reach"
    root.mkdir(parents=True)
    page = root / "a.html"

    def write(words: str) -> None:
        page.write_text(f"<html><body><article><p>{words}</p></article></body></html>")

    async def visits(bundle: Bundle) -> None:
        write("The wheel turns nine times a minute.")
        url = bundle.url("/a.html")
        first = await bundle.visit(url)
        write("The wheel turns eleven times a minute, since it has been greased.")
        second = await bundle.visit(url)
        assert second["status"] == "document" and "eleven" in second["content"]
        assert second["edition"] != first["edition"]
        page.unlink()
        assert [(await bundle.visit(url))["status"] for _ in range(2)] == ["removed", "failed"]
        write("The wheel turns nine times a minute.")
        assert (await bundle.visit(url))["content_hash"] == first["content_hash"]

    with_site(visits, monkeypatch, tmp_path)


def test_a_defect_is_told_to_the_bundle() -> None:
    class Broken:
        async def visit(self, *_: object) -> None:
            raise ZeroDivisionError("by nobody")

    function = IngestSource()
    function._sources = Broken()  # type: ignore[assignment]
    row = {**dict.fromkeys(TAKES), "bundle_id": "mills", "url": "https://a.example/"}
    result = asyncio.run(function.run(Entry(0, "k", row, {}, 0), []))
    assert result.values and result.values["status"] == "failed"
    assert result.values["reason"] == "internal_error"


def test_a_call_with_other_columns_is_refused() -> None:
    columns = [(name, parse_type(declared)) for name, declared in TAKES.items()]
    assert IngestSource.plan({}, columns, None)  # type: ignore[arg-type]
    for wrong in (columns[1:], [("bundle_id", parse_type("INT")), *columns[1:]]):
        with pytest.raises(BadCall, match="bundle_id"):
            IngestSource.plan({}, wrong, None)  # type: ignore[arg-type]
    with pytest.raises(BadCall, match="depth"):
        IngestSource.plan({"depth": 3}, columns, None)  # type: ignore[arg-type]
