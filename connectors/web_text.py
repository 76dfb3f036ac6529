"""A page's bytes in, its title, date and main text out, in bounded time.

trafilatura finds the main text, but copies the tree and walks it many times, in Python. So the page
is first cut to a size, parsed with libxml2's own limit of depth (256), and measured; a tree that is
too large or has elements with hundreds of attributes gets all its visible text in one walk instead.
All of it runs in one of two threads, so that a worker's loop goes on; or in a process of its own
(`connectors.reading`), which may take more of a page.
"""

import asyncio
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache

from lxml import etree, html

from connectors.web import Page, WebFailed

MARKUP_CHARACTERS = 128 * 1024
ELEMENTS = 10_000
READING_S = 10.0
ATTRIBUTES = 100
SHORT_CHARACTERS = 1_000
TITLE_CHARACTERS = 300

_CHARSET = re.compile(
    r"utf-?8|us-ascii|latin-?1|iso-?8859-\d{1,2}|windows-125\d|cp125\d|utf-?16(le|be)?|koi8-[ru]"
    r"|shift[_-]jis|euc-(jp|kr)|gb2312|gbk|gb18030|big5"
)
_DAY = re.compile(r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s{0,9}=\s{0,9}[\"']?([\w:-]{1,40})", re.I)
_HIDDEN = re.compile(r"<(?:(script|style|svg|template)\b|!--)", re.I)
_HIDDEN_END = {
    "script": re.compile(r"</script[^>]*>?", re.I),
    "style": re.compile(r"</style[^>]*>?", re.I),
    "svg": re.compile(r"</svg[^>]*>?", re.I),
    "template": re.compile(r"</template[^>]*>?", re.I),
    "--": re.compile(r"-->"),
}
_NO_PAGE = (
    ("not_found", re.compile(r"\b404\b|\b(page|site) (was )?not found\b|\bdoesn.t exist\b", re.I)),
    (
        "challenge",
        re.compile(
            r"captcha|verify (that )?you are (a )?human|are you a robot|just a moment"
            r"|checking your browser|enable javascript and cookies|unusual traffic",
            re.I,
        ),
    ),
    ("consent", re.compile(r"before you continue|we use cookies.{0,80}(accept|consent)", re.I)),
)


@dataclass(frozen=True)
class Limits:
    """How much of a page is read, and how large a tree is taken for an article's. A longer tag is
    left out: libxml2 compares each attribute with all others of its tag."""

    markup_characters: int = MARKUP_CHARACTERS
    elements: int = ELEMENTS
    tag_characters: int = MARKUP_CHARACTERS


@dataclass(frozen=True)
class Text:
    """What a reader sees: the title in one line, the main text. `published` is the day that the
    page names (2026-01-31); it is looked for only where that is asked."""

    title: str
    text: str
    published: str | None = None


async def read_text(page: Page) -> Text:
    """The text of a page. Raises `WebFailed` where there is none, or where the site answered with
    a "not found", a captcha or a consent page instead of the one that was asked for."""
    try:
        async with asyncio.timeout(READING_S):
            read = await asyncio.get_running_loop().run_in_executor(_threads(), extract, page)
    except TimeoutError:
        raise WebFailed("timeout", f"its text was not read within {READING_S:g} s") from None
    if trouble := why_no_page(read):
        raise WebFailed(*trouble)
    return read


def why_no_page(read: Text) -> tuple[str, str] | None:
    """(reason, sentence) where this is no page but what a site sends instead of one."""
    if not read.text:
        return "no_text", "the page holds no text"
    if len(read.text) < SHORT_CHARACTERS:
        for reason, pattern in _NO_PAGE:
            if pattern.search(f"{read.title}\n{read.text}"):
                return reason, "the site sends this instead of the page"
    return None


def extract(page: Page, limits: Limits | None = None) -> Text:
    """The text of a page, empty where there is none; with `limits`, its date too."""
    dated, limits = limits is not None, limits or Limits()
    markup = decoded(page)
    if page.content_type.startswith("text/") and page.content_type != "text/html":
        return Text("", _tidy(markup))
    shown = _without_hidden(markup)[: limits.markup_characters]
    root = _parsed(re.sub(rf"<[a-zA-Z][^<>]{{{limits.tag_characters},}}>?", " ", shown))
    if root is None:
        return Text("", "")
    title = " ".join((root.findtext(".//title") or "").split())[:TITLE_CHARACTERS]
    plain = _visible(root)
    if not _is_tame(root, limits.elements):
        return Text(title, _tidy(plain))
    published = _published(root) if dated else None
    return Text(title, _tidy(_main_text(root) or plain), published)


def decoded(page: Page) -> str:
    """The body as text; a charset is believed only if it is one that pages are written in."""
    for bom, charset in (
        (b"\xef\xbb\xbf", "utf-8-sig"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if page.body.startswith(bom):
            return page.body.decode(charset, "replace")
    declared = _META_CHARSET.search(page.body[:2048])
    named = (page.charset or (declared[1].decode("ascii") if declared else "utf-8")).lower()
    return page.body.decode(named if _CHARSET.fullmatch(named) else "utf-8", "replace")


def _without_hidden(markup: str) -> str:
    """Markup without scripts, styles and comments. Once an end is missing the rest is hidden, so
    that many open starts do not make the search quadratic."""
    kept, position = [], 0
    while start := _HIDDEN.search(markup, position):
        kept.append(markup[position : start.start()])
        end = _HIDDEN_END[(start[1] or "--").lower()].search(markup, start.end())
        if end is None:
            return "".join(kept)
        position = end.end()
    return "".join([*kept, markup[position:]])


def _parsed(markup: str) -> html.HtmlElement | None:
    parser = html.HTMLParser(
        encoding="utf-8", huge_tree=False, remove_comments=True, remove_pis=True
    )
    text = markup.replace("\x00", "").encode("utf-8", "replace")
    try:
        return html.document_fromstring(text, parser=parser) if text.strip() else None
    except (etree.LxmlError, ValueError):
        return None


def _is_tame(root: html.HtmlElement, elements: int) -> bool:
    for number, element in enumerate(root.iter()):
        if number > elements or len(element.attrib) > ATTRIBUTES:
            return False
    return True


def _main_text(root: html.HtmlElement) -> str | None:
    import trafilatura

    try:
        found = trafilatura.extract(root, include_comments=False, include_tables=True)
    except (RecursionError, ValueError, etree.LxmlError):
        return None
    return found if isinstance(found, str) else None


def _published(root: html.HtmlElement) -> str | None:
    from trafilatura.metadata import extract_metadata

    try:
        named = extract_metadata(
            root, date_config={"original_date": True, "extensive_search": False}, extensive=False
        ).date
    except (RecursionError, ValueError, TypeError, AttributeError, etree.LxmlError):
        return None
    return named if isinstance(named, str) and _DAY.fullmatch(named) else None


def _visible(root: html.HtmlElement) -> str:
    """All text of the body, an element a line."""
    body = root.find("body")
    return "\n".join(text for text in (root if body is None else body).itertext() if text.strip())


def _tidy(text: str) -> str:
    """Lines without spaces around, at most one empty one in a row."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(2, thread_name_prefix="web-text")
