"""Bytes of any kind that is read in, a document's text or a listing's entries out.

Pages, feeds, transcripts, PDF, Markdown and plain text. What the bytes are is decided by how they
begin, then by the type that the site names, then by the file's name. Runs in a process of its own
(`connectors.reading`), because the bytes are strangers' and the libraries are large.
"""

import ctypes
import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from connectors.feeds import Entry, looks_like_feed, one_line, read_feed
from connectors.transcripts import said
from connectors.web import Page
from connectors.web_text import Limits, decoded, extract, why_no_page

PDF_PAGES = 2_000
TEXT_CHARACTERS = 4_000_000
LIMITS = Limits(markup_characters=4_000_000, elements=200_000, tag_characters=8_000)
FEED_TYPES = frozenset(
    """application/rss+xml application/atom+xml application/rdf+xml application/xml
    text/xml""".split()
)
PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml"})
TEXT_TYPES = frozenset(
    """text/plain text/markdown text/x-markdown text/x-rst text/vtt text/srt application/srt
    application/x-subrip application/json application/octet-stream
    binary/octet-stream""".split()
)
UNTOLD = frozenset({"", "application/octet-stream", "binary/octet-stream", "text/plain"})
READ_TYPES = FEED_TYPES | PAGE_TYPES | TEXT_TYPES | {"application/pdf"}
SUFFIXES = {
    ".html": "text/html",
    ".htm": "text/html",
    ".xhtml": "text/html",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".text": "text/plain",
    ".rst": "text/plain",
    ".pdf": "application/pdf",
    ".vtt": "text/vtt",
    ".srt": "application/srt",
}

_MARKUP = re.compile(rb"<!doctype html|<html[\s>]|<head[\s>]|<body[\s>]", re.IGNORECASE)
_HEADING = re.compile(r"^#{1,3}[ \t]+(.{1,300}?)[ \t]*#*$", re.MULTILINE)
_UNDERLINED = re.compile(r"\A\s*(\S.{0,300})\n(?:={3,}|-{3,})[ \t]*$", re.MULTILINE)


class Unreadable(Exception):
    """No document: `reason` is a code, the text a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Document:
    """Text, or the entries of a listing (then `text` is None; `total` counts those left out, too).
    `published_at` is RFC 3339."""

    kind: str  # page | file | transcript | feed
    title: str | None = None
    published_at: str | None = None
    text: str | None = None
    entries: tuple[Entry, ...] = ()
    total: int = 0


def read(page: Page, asked: str | None) -> Document:
    """What stands in these bytes; `asked` is the kind of source that was expected, if any. Raises
    `Unreadable`."""
    kind = "file" if page.url.startswith("file:") else "page"
    form = _form(page)
    if asked in ("feed", "podcast") and form not in ("feed", "pdf"):
        form = "feed"
    if form == "feed":
        return _feed(page)
    if form == "pdf":
        return _pdf(page.body, kind)
    if form == "html":
        return _page(page, "transcript" if asked == "transcript" else kind)
    return _text(page, asked, kind)


def _form(page: Page) -> str:
    start = page.body[:2048].lstrip(b"\xef\xbb\xbf \t\r\n")
    is_markup = start.startswith(b"<") and _MARKUP.search(start) is not None
    declared = page.content_type
    if declared in UNTOLD:
        suffix = PurePosixPath(unquote(urlsplit(page.final_url).path)).suffix.lower()
        declared = SUFFIXES.get(suffix, declared)
    if start.startswith(b"%PDF-") or declared == "application/pdf":
        return "pdf"
    if declared in ("text/markdown", "text/x-markdown"):
        return "text"
    if looks_like_feed(page.body) and not is_markup:
        return "feed"
    if declared in PAGE_TYPES or is_markup:
        return "html"
    return "feed" if declared in FEED_TYPES else "text"


def _feed(page: Page) -> Document:
    listing = read_feed(page.body, page.final_url)
    if listing is None:
        raise Unreadable("not_a_feed", "expected RSS or Atom, and this is neither")
    return Document("feed", listing.title, entries=listing.entries, total=listing.total)


def _page(page: Page, kind: str) -> Document:
    found = extract(page, LIMITS)
    trouble = why_no_page(found)
    if trouble and (kind != "file" or trouble[0] == "no_text"):
        raise Unreadable(*trouble)
    published_at = f"{found.published}T00:00:00Z" if found.published else None
    return Document(kind, one_line(found.title), published_at, found.text)


def _text(page: Page, asked: str | None, kind: str) -> Document:
    text = decoded(page)
    if "\x00" in text[:4096]:
        raise Unreadable("not_text", "these bytes are no text")
    spoken = said(text)
    if asked == "transcript" or (spoken is not None and not text.lstrip().startswith(("{", "["))):
        text, kind = text if spoken is None else spoken, "transcript"
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()
    if not text:
        raise Unreadable("no_text", "it holds no text")
    title = None
    if kind != "transcript":
        heading = _UNDERLINED.search(text[:1000]) or _HEADING.search(text[:5000])
        title = one_line(heading[1]) if heading else None
    return Document(kind, title, None, text[:TEXT_CHARACTERS])


def _pdf(body: bytes, kind: str) -> Document:
    """The text of a PDF, page by page, by PDFium."""
    import pypdfium2

    try:
        pdf = pypdfium2.PdfDocument(body)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower():
            raise Unreadable("encrypted", "the PDF wants a password") from None
        raise Unreadable("not_a_pdf", "these bytes are no PDF that can be read") from None
    pages, size = [], 0
    for number in range(min(len(pdf), PDF_PAGES)):
        try:
            page = pdf[number]
            pages.append(page.get_textpage().get_text_bounded())
            page.close()
        except (pypdfium2.PdfiumError, ctypes.ArgumentError):
            continue
        size += len(pages[-1])
        if size > TEXT_CHARACTERS:
            break
    lines = (" ".join(line.split()) for line in "\n\n".join(pages).splitlines())
    text = re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip().replace("\x00", "")
    if not text:
        raise Unreadable("no_text", f"its {len(pdf)} pages hold pictures, no text")
    facts = pdf.get_metadata_dict()
    return Document(kind, one_line(facts.get("Title")), _pdf_time(facts.get("CreationDate")), text)


def _pdf_time(text: str | None) -> str | None:
    """`D:20260131120000+01'00'` as the day that it names."""
    day = re.match(r"D:((?:19|20)\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])", text or "")
    return f"{day[1]}-{day[2]}-{day[3]}T00:00:00Z" if day else None
