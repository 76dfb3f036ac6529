"""A source's address in, what stands there now out: a document, a listing, or that it is unchanged.

Pages and feeds come by the guarded fetcher, in turn of their host; files from allowed folders;
episodes through a transcription server, where one is configured. What was noted of a source at the
last visit is given back, so that a page that has not changed is not sent again.
"""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import httpcore2

from connectors import folders
from connectors.documents import READ_TYPES, SUFFIXES, Document, Unreadable
from connectors.feeds import Entry
from connectors.folders import FolderRefused
from connectors.hosts import Hosts
from connectors.reading import Readers
from connectors.transcription import SOUND_BYTES, NoTranscription, Transcriber
from connectors.web import Page, Resolver, Wanted, WebFailed, fetch, policy_of, system_resolver
from connectors.web_address import Policy, WebError, checked_url
from connectors.web_robots import Robots

PAGE_BYTES = 16 * 1024 * 1024
PAGE_S = 30.0
SOUND_S = 300.0
ACCEPT = (
    b"text/html,application/xhtml+xml,application/rss+xml,application/atom+xml,application/xml;q=0.9,"
    b"application/pdf;q=0.9,text/vtt;q=0.9,text/plain;q=0.8,*/*;q=0.5"
)
SOUND_TYPES = frozenset(
    f"{kind}/{form}"
    for kind in ("audio", "video")
    for form in "mpeg mp3 mp4 x-m4a m4a aac ogg opus wav x-wav flac webm quicktime".split()
) | {"application/ogg", "application/octet-stream"}
SOUND_SUFFIXES = frozenset(".mp3 .m4a .mp4 .aac .ogg .opus .wav .flac .webm".split())
PASSING = frozenset(
    "http_429 http_500 http_502 http_503 http_504 dns timeout unreachable incomplete".split()
)
TRIES = 3
FIRST_WAIT_S = 1.0
PATIENCE_S = 60.0

Noted = Mapping[str, str]


class SourceFailed(Exception):
    """Nothing could be read there. `reason` is a code; `gone` says that nothing is there."""

    def __init__(self, reason: str, message: str, gone: bool = False) -> None:
        super().__init__(message)
        self.reason, self.gone = reason, gone


@dataclass(frozen=True)
class Visit:
    """What was found. `document` is None where it is as it was noted; `noted` is what to give back
    at the next visit; `vanished` are the files that a folder had then and has no more."""

    kind: str
    document: Document | None
    noted: dict[str, str] = field(default_factory=dict)
    vanished: tuple[Entry, ...] = ()


class Sources:
    """All that one event loop visits. `aclose()` it."""

    def __init__(
        self,
        policy: Policy | None = None,
        transcriber: Transcriber | None = None,
        *,
        resolve: Resolver = system_resolver,
        network: httpcore2.AsyncNetworkBackend | None = None,
        first_wait_s: float = FIRST_WAIT_S,
    ) -> None:
        self._first_wait_s = first_wait_s
        self._policy = policy or replace(policy_of(), page_bytes=PAGE_BYTES, total_s=PAGE_S)
        self._transcriber = transcriber
        self._resolve, self._network = resolve, network
        self._hosts, self._robots, self._readers = Hosts(), Robots(), Readers()

    async def aclose(self) -> None:
        await self._readers.aclose()
        if self._transcriber is not None:
            await self._transcriber.aclose()

    async def visit(self, url: str, kind: str | None, noted: Noted) -> Visit:
        """What stands at an address. Raises `SourceFailed`."""
        try:
            if url.lower().startswith("file:"):
                return await self._local(url, noted)
            if kind == "episode" or (kind != "page" and _suffix(url) in SOUND_SUFFIXES):
                return await self._episode(url, noted)
            return await self._web(url, kind, noted)
        except WebError as error:
            gone = error.reason in ("http_404", "http_410")
            raise SourceFailed(error.reason, _sentence(error), gone) from None
        except FolderRefused as error:
            raise SourceFailed(error.reason, str(error), error.gone) from None
        except (Unreadable, NoTranscription) as error:
            raise SourceFailed(error.reason, str(error)) from None

    async def _web(self, url: str, kind: str | None, noted: Noted) -> Visit:
        page = await self._fetched(url, self._policy, _wanted(READ_TYPES, noted))
        if page.status == 304:
            return Visit(noted.get("kind", "page"), None, dict(noted))
        found = await self._readers.read(page, kind)
        # A feed is read each time, for its entries are visited again even where it has not changed.
        seen = {} if found.kind == "feed" else _noted(page, found.kind)
        return Visit(found.kind, found, seen)

    async def _episode(self, url: str, noted: Noted) -> Visit:
        checked_url(url, self._policy)
        if self._transcriber is None:
            what = "the episode has no transcript, and no server is named that writes one"
            raise SourceFailed("no_transcript", f"{what}: set TIDEMILL_TRANSCRIPTION_URL")
        policy = replace(self._policy, page_bytes=SOUND_BYTES, total_s=SOUND_S)
        page = await self._fetched(url, policy, _wanted(SOUND_TYPES, noted))
        if page.status == 304:
            return Visit("episode", None, dict(noted))
        suffix = _suffix(page.final_url)
        name = f"episode{suffix if suffix in SOUND_SUFFIXES else '.mp3'}"
        text = (await self._transcriber.written(name, page.body)).strip()
        if not text:
            raise SourceFailed("no_text", "nothing is said in the episode")
        return Visit("episode", Document("episode", text=text), _noted(page, "episode"))

    async def _fetched(self, url: str, policy: Policy, wanted: Wanted) -> Page:
        """One page in its host's turn; tried again where the trouble may pass."""
        target = checked_url(url, policy)
        for tried in count(1):
            try:
                async with self._hosts.turn(target, self._robots.delay_s):
                    return await fetch(
                        url,
                        policy,
                        resolve=self._resolve,
                        network=self._network,
                        robots=self._robots,
                        wanted=wanted,
                    )
            except WebFailed as error:
                wait_s = again_in_s(error.reason, tried, error.retry_after_s, self._first_wait_s)
                if wait_s is None:
                    raise
            await asyncio.sleep(wait_s)
        raise AssertionError("it is tried until it ends")

    async def _local(self, url: str, noted: Noted) -> Visit:
        path = await asyncio.to_thread(folders.locate, url)
        if await asyncio.to_thread(path.is_dir):
            return await asyncio.to_thread(_folder, path, noted)
        try:
            now = await asyncio.to_thread(folders.stamp, path)
            if str(now) == noted.get("stamp"):
                return Visit("file", None, dict(noted))
            body, now = await asyncio.to_thread(folders.content, path)
        except OSError as error:
            told = f"the file cannot be read ({error.strerror})"
            raise SourceFailed("not_readable", told, isinstance(error, FileNotFoundError)) from None
        kind = SUFFIXES.get(path.suffix.lower())
        if kind is None:
            read = ", ".join(SUFFIXES)
            raise SourceFailed("content_type", f"only files of these kinds are read: {read}")
        found = await self._readers.read(Page(url, url, 200, kind, None, body))
        title = found.title or path.name
        document = replace(found, kind="file", title=title)
        return Visit("file", document, {"stamp": str(now), "kind": "file"})


def again_in_s(
    reason: str, tried: int, retry_after_s: float | None, first_wait_s: float = FIRST_WAIT_S
) -> float | None:
    """How long to wait before the next try; None where there is none."""
    if reason not in PASSING or tried >= TRIES:
        return None
    wait_s = first_wait_s * 4 ** (tried - 1) if retry_after_s is None else retry_after_s
    return wait_s if wait_s <= PATIENCE_S else None


def _folder(path: Path, noted: Noted) -> Visit:
    try:
        found = folders.listing(path)
    except OSError as error:
        told = f"the folder cannot be read ({error.strerror})"
        raise SourceFailed("not_readable", told) from None
    now = {entry.url for entry in found.entries}
    before = json.loads(noted.get("files", "[]"))
    vanished = tuple(Entry(url, "file") for url in before if url not in now)
    document = Document("folder", found.title, entries=found.entries, total=found.total)
    return Visit("folder", document, {"kind": "folder", "files": json.dumps(sorted(now))}, vanished)


def _wanted(kinds: frozenset[str], noted: Noted) -> Wanted:
    return Wanted(
        kinds=kinds,
        accept=ACCEPT if kinds is READ_TYPES else b"audio/*,video/*;q=0.5",
        known_url=noted.get("final_url", ""),
        etag=noted.get("etag", ""),
        last_modified=noted.get("last_modified", ""),
    )


def _noted(page: Page, kind: str) -> dict[str, str]:
    seen = {"final_url": page.final_url, "etag": page.etag, "last_modified": page.last_modified}
    return {"kind": kind, **{name: value for name, value in seen.items() if value}}


def _suffix(url: str) -> str:
    try:
        return PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    except ValueError:
        return ""


def _sentence(error: WebError) -> str:
    return str(error).partition(": ")[2] or str(error)
