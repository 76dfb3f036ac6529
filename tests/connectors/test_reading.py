"""Reading processes that are killed, hang or fill up: the next document is read all the same."""

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from connectors import reading_main
from connectors.documents import Unreadable
from connectors.reading import Readers
from connectors.web import Page


def page(body: bytes, content_type: str = "text/plain") -> Page:
    url = "https://a.example/x"
    return Page(url, url, 200, content_type, None, body)


def children() -> list[psutil.Process]:
    found = psutil.Process().children()
    return [child for child in found if "connectors.reading_main" in child.cmdline()]


def test_documents_come_back_from_another_process() -> None:
    async def reads() -> None:
        readers = Readers()
        texts = await asyncio.gather(*(readers.read(page(b"%d" % n)) for n in range(20)))
        assert [found.text for found in texts] == [str(n) for n in range(20)]
        assert len(children()) == 2
        with pytest.raises(Unreadable, match="no text"):
            await readers.read(page(b""))
        await readers.aclose()
        assert not children()

    asyncio.run(reads())


def test_a_process_that_dies_costs_one_document() -> None:
    async def reads() -> None:
        readers = Readers(processes=1)
        assert (await readers.read(page(b"one"))).text == "one"
        [child] = children()
        os.kill(child.pid, signal.SIGSTOP)
        reading = asyncio.create_task(readers.read(page(b"two")))
        await asyncio.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
        with pytest.raises(Unreadable) as raised:
            await reading
        assert raised.value.reason == "reading_killed"
        assert (await readers.read(page(b"three"))).text == "three"
        await readers.aclose()

    asyncio.run(reads())


def test_a_process_that_hangs_is_killed_and_another_one_reads_on() -> None:
    async def reads() -> None:
        readers = Readers(processes=1, reading_s=20)
        await readers.read(page(b"one"))
        [child] = children()
        os.kill(child.pid, signal.SIGSTOP)
        readers._reading_s = 0.2
        with pytest.raises(Unreadable) as raised:
            await readers.read(page(b"two"))
        assert raised.value.reason == "reading_timeout"
        assert not psutil.pid_exists(child.pid)
        readers._reading_s = 20
        assert (await readers.read(page(b"three"))).text == "three"
        await readers.aclose()

    asyncio.run(reads())


def test_a_reader_has_a_bound_of_memory_and_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")

    async def reads() -> None:
        readers = Readers(processes=1)
        await readers.read(page(b"one"))
        [child] = children()
        assert "OPENAI_API_KEY" not in child.environ()
        limits = Path(f"/proc/{child.pid}/limits").read_text()
        assert f"Max address space         {reading_main.MEMORY_BYTES}" in limits
        await readers.aclose()

    asyncio.run(reads())


@pytest.mark.parametrize(
    "body",
    [
        b"<div>" * 1_000_000,
        b"<p " + b"a=b " * 1_000_000 + b">hello",
        b"<a b='" * 500_000,
        b"<table><tr><td>" * 200_000,
        b"<p>" + b"a!" * 2_000_000,
        b"<rss><channel>" + b"<item>" * 100_000,
    ],
)
def test_a_page_made_to_break_a_parser_ends(body: bytes) -> None:
    async def reads() -> None:
        readers = Readers(processes=1)
        try:
            await readers.read(page(body, "text/html"))
        except Unreadable as error:
            assert error.reason in ("no_text", "reading_timeout", "too_large", "unreadable")
        assert (await readers.read(page(b"next"))).text == "next"
        await readers.aclose()

    asyncio.run(reads())


def test_a_tag_of_endless_attributes_hides_no_text() -> None:
    async def reads() -> None:
        readers = Readers(processes=1)
        attributes = b" ".join(b"a%d=1" % number for number in range(200_000))
        body = (
            b"<html><body><p " + attributes + b">Mills grind.</p><p>Tides turn.</p></body></html>"
        )
        assert "Tides turn." in (await readers.read(page(body, "text/html"))).text
        await readers.aclose()

    asyncio.run(reads())
