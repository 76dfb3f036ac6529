"""Pages as they were fetched in, their documents out, read in processes that may be killed.

A document can make a parser loop, fill memory or crash, and a thread cannot be stopped. So a few
processes do nothing but read (`connectors.reading_main`); one that takes too long, or dies, costs
the document that did it and nothing else. They are given no secrets.

    request = 2 lengths of 4 bytes, then a JSON object (the page without its body), then the body
    answer  = 2 lengths, the second 0, then a JSON object: a document, or a reason and a message
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from connectors.documents import Document, Unreadable
from connectors.feeds import Entry
from connectors.reading_main import LENGTHS
from connectors.web import Page

PROCESSES = 2
READING_S = 30.0
PASSED_ON = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR")


class Readers:
    """The reading processes of one event loop, started when first needed. `aclose()` them."""

    def __init__(self, processes: int = PROCESSES, reading_s: float = READING_S) -> None:
        self._reading_s = reading_s
        self._free: asyncio.Queue[Process | None] = asyncio.Queue()
        for _ in range(processes):
            self._free.put_nowait(None)

    async def read(self, page: Page, asked: str | None = None) -> Document:
        """The document in a page; `asked` is the kind of source it was expected to be. Raises
        `Unreadable`."""
        process = await self._free.get()
        try:
            if process is None or process.returncode is not None:
                process = await _started()
            async with asyncio.timeout(self._reading_s):
                answer = await _asked(process, page, asked)
        except TimeoutError:
            process = await _ended(process)
            told = f"its text was not read within {self._reading_s:g} s"
            raise Unreadable("reading_timeout", told) from None
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            process = await _ended(process)
            raise Unreadable("reading_killed", "to read it ended the reading process") from None
        except BaseException:
            process = await _ended(process)
            raise
        finally:
            self._free.put_nowait(process)
        if "document" not in answer:
            raise Unreadable(str(answer["reason"]), str(answer["message"]))
        found = answer["document"]
        entries = tuple(Entry(**entry) for entry in found.pop("entries"))
        return replace(Document(**found), entries=entries)

    async def aclose(self) -> None:
        """End the processes. Nothing is read any more."""
        while not self._free.empty():
            await _ended(self._free.get_nowait())


async def _started() -> Process:
    """A process that reads. The start of its libraries is part of its first document's time."""
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    command = (sys.executable, "-m", "connectors.reading_main")
    return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, env=environment)


async def _asked(process: Process, page: Page, asked: str | None) -> dict[str, Any]:
    assert process.stdin and process.stdout
    fields = asdict(replace(page, body=b""))
    del fields["body"]
    head = json.dumps({**fields, "asked": asked}).encode()
    process.stdin.write(LENGTHS.pack(len(head), len(page.body)) + head)
    process.stdin.write(page.body)
    await process.stdin.drain()
    length, _ = LENGTHS.unpack(await process.stdout.readexactly(LENGTHS.size))
    answer: dict[str, Any] = json.loads(await process.stdout.readexactly(length))
    return answer


async def _ended(process: Process | None) -> Process | None:
    """The process, killed and gone; its place is free."""
    if process is not None:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    return None
