"""A feed's bytes in, its entries as sources of their own out: RSS, Atom, podcasts.

An entry is a transcript where the feed names one (`podcast:transcript`, Podcasting 2.0), else an
episode where it has sound, else the page that it links to. What a feed says was written by
strangers: only http and https addresses are taken from it.
"""

import calendar
import datetime as dt
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin

ENTRIES_MAX = 1_000
URL_CHARACTERS = 2_048
TITLE_CHARACTERS = 300
HEAD_BYTES = 1_024

_ROOT = re.compile(rb"<(rss|feed|rdf:RDF)[\s>]", re.IGNORECASE)


@dataclass(frozen=True)
class Entry:
    """One source that another one lists. `published_at` is RFC 3339 in UTC."""

    url: str
    kind: str  # page | file | transcript | episode
    title: str | None = None
    published_at: str | None = None


@dataclass(frozen=True)
class Listing:
    """The first `ENTRIES_MAX` entries, in their order, each address once; `total` counts all."""

    title: str | None
    entries: tuple[Entry, ...]
    total: int


def looks_like_feed(body: bytes) -> bool:
    """Whether bytes begin as a feed does, whatever type the site calls them."""
    head = body[:HEAD_BYTES].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith(b"<") and _ROOT.search(head) is not None


def read_feed(body: bytes, base_url: str) -> Listing | None:
    """The entries of a feed, None where it is none. Takes a second for ten thousand entries."""
    import feedparser

    parsed = feedparser.parse(io.BytesIO(body), sanitize_html=False, resolve_relative_uris=False)
    if not parsed.get("version"):
        return None
    found: dict[str, Entry] = {}
    for entry in _entries(parsed.entries, base_url):
        found.setdefault(entry.url, entry)
    title = one_line(parsed.feed.get("title"))
    return Listing(title, tuple(found.values())[:ENTRIES_MAX], len(found))


def one_line(text: object) -> str | None:
    """Text as one line of bounded length, None where there is none."""
    flat = " ".join(text.split()) if isinstance(text, str) else ""
    return "".join(c for c in flat if c.isprintable())[:TITLE_CHARACTERS] or None


def _entries(parsed: list[Any], base_url: str) -> Iterator[Entry]:
    for entry in parsed:
        title, published_at = one_line(entry.get("title")), _moment(entry)
        links = entry.get("links", ())
        sound = [k for k in links if k.get("rel") == "enclosure" and _is_sound(k)]
        transcript = entry.get("podcast_transcript") or {}
        for kind, address in (
            ("transcript", transcript.get("url")),
            ("episode", sound[0].get("href") if sound else None),
            ("page", entry.get("link")),
        ):
            url = _absolute(address, base_url)
            if url is not None:
                yield Entry(url, kind, title, published_at)
                break


def _is_sound(link: Any) -> bool:
    return str(link.get("type", "")).lower().startswith(("audio/", "video/"))


def _absolute(address: object, base_url: str) -> str | None:
    if not isinstance(address, str) or not address.strip():
        return None
    try:
        url = urljoin(base_url, address.strip())
    except ValueError:
        return None
    is_web = url.lower().startswith(("http://", "https://")) and len(url) <= URL_CHARACTERS
    return url if is_web and url.isprintable() else None


def _moment(entry: Any) -> str | None:
    parsed = entry.get("published_parsed") or entry.get("updated_parsed")
    try:
        seconds = calendar.timegm(parsed) if parsed else None
        moment = dt.datetime.fromtimestamp(seconds, dt.UTC) if seconds is not None else None
    except (ValueError, OverflowError, OSError, TypeError):
        return None
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ") if moment and moment.year >= 1970 else None
