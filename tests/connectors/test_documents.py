"""Bytes of every kind that is read, told by how they begin, by their type, by their name."""

import pytest

from connectors.documents import Document, Unreadable, read
from connectors.web import Page
from tests.connectors.pdf import pdf

RSS = (
    b'<?xml version="1.0"?><rss version="2.0"><channel><item><link>/1</link></item></channel></rss>'
)
ARTICLE = (
    b"<!doctype html><html><head><title>Mills</title>"
    b'<meta property="article:published_time" content="2026-03-02T09:00:00Z"></head>'
    b"<body><nav>Home</nav><article><h1>Mills</h1>"
    b"<p>A tide mill borrows its fall of water from the moon, twice in twenty-five hours.</p>"
    b"<p>Old millers slept beside the stones and rose with the water.</p></article></body></html>"
)


def document(
    body: bytes, content_type: str = "text/html", asked: str | None = None, path: str = "x"
) -> Document:
    url = f"https://a.example/{path}"
    return read(Page(url, url, 200, content_type, None, body), asked)


def reason(body: bytes, content_type: str = "text/html", asked: str | None = None) -> str:
    with pytest.raises(Unreadable) as raised:
        document(body, content_type, asked)
    return raised.value.reason


def test_a_page_has_its_title_its_day_and_its_text() -> None:
    found = document(ARTICLE)
    assert (found.kind, found.title) == ("page", "Mills")
    assert found.published_at == "2026-03-02T00:00:00Z"
    assert "from the moon" in (found.text or "") and "Home" not in (found.text or "")


@pytest.mark.parametrize(
    ("content_type", "asked", "path"),
    [
        ("application/rss+xml", None, "feed"),
        ("text/xml", None, "feed"),
        ("text/html", None, "feed"),
        ("application/octet-stream", None, "feed.xml"),
        ("text/plain", "podcast", "feed"),
    ],
)
def test_a_feed_is_a_feed_whatever_the_site_calls_it(
    content_type: str, asked: str | None, path: str
) -> None:
    found = document(RSS, content_type, asked, path)
    assert (found.kind, found.text, found.total) == ("feed", None, 1)
    assert found.entries[0].url == "https://a.example/1"


def test_a_page_is_no_feed_where_a_feed_was_named() -> None:
    assert reason(ARTICLE, asked="feed") == "not_a_feed"


def test_xhtml_in_xml_is_a_page() -> None:
    body = b'<?xml version="1.0"?>' + ARTICLE
    assert document(body, "application/xml").kind == "page"


def test_markdown_keeps_its_lines_and_has_its_heading_as_title() -> None:
    text = b"Intro\r\n\r\n# Tide mills #\r\n\r\n    indented code  \r\n\r\n\r\n\r\nEnd\r\n"
    found = document(text, "text/markdown", path="a.md")
    assert found.title == "Tide mills"
    assert found.text == "Intro\n\n# Tide mills #\n\n    indented code\n\nEnd"


def test_an_underlined_first_line_is_a_title() -> None:
    assert (
        document(b"Tide mills\n==========\n\nText", "text/plain", path="a.rst").title
        == "Tide mills"
    )


def test_a_transcript_is_told_by_how_it_begins() -> None:
    vtt = b"WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ada>It waits.\n"
    assert document(vtt, "text/plain") == Document("transcript", text="Ada: It waits.")


def test_a_transcript_in_plain_words_is_taken_as_it_is() -> None:
    found = document(b"Ada: It waits.\n", "text/plain", asked="transcript")
    assert (found.kind, found.text) == ("transcript", "Ada: It waits.")


def test_json_is_a_transcript_only_where_one_was_named() -> None:
    body = b'{"segments": [{"speaker": "Ada", "body": "It waits."}]}'
    assert document(body, "application/json", asked="transcript").text == "Ada: It waits."
    assert document(body, "application/json").kind == "page"


def test_a_pdf_of_200_pages_is_read_to_its_end() -> None:
    pages = [
        f"Page {n} of the report.\n" + "The tide came and went again.\n" * 40 for n in range(200)
    ]
    found = document(pdf(pages, "The report"), "application/pdf")
    assert (found.title, found.published_at) == ("The report", "2026-01-31T00:00:00Z")
    assert found.text and all(f"Page {n} of the report." in found.text for n in range(200))
    assert found.text.count("came and went") == 200 * 40


def test_a_pdf_is_known_by_its_first_bytes() -> None:
    assert document(pdf(["Hello"]), "application/octet-stream").text == "Hello"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"", "text/html", "no_text"),
        (b"", "text/plain", "no_text"),
        (b" \n ", "text/markdown", "no_text"),
        (b"<html><body></body></html>", "text/html", "no_text"),
        (b"<title>404</title><h1>Page not found</h1>", "text/html", "not_found"),
        (b"<h1>Before you continue</h1><p>Accept all</p>", "text/html", "consent"),
        (b"<p>Please solve the CAPTCHA to go on</p>", "text/html", "challenge"),
        (b"\x00\x01\x02", "text/plain", "not_text"),
        (b"%PDF-1.4 and nothing", "application/pdf", "not_a_pdf"),
        (b"no pdf", "application/pdf", "not_a_pdf"),
        (pdf([""]), "application/pdf", "no_text"),
        (b"<other/>", "application/atom+xml", "not_a_feed"),
    ],
)
def test_what_cannot_be_read_says_why(body: bytes, content_type: str, expected: str) -> None:
    assert reason(body, content_type) == expected


@pytest.mark.parametrize(
    "text",
    [
        "Eine Gezeitenmühle nutzt das Gefälle, das die Ebbe schafft. " * 20,
        "Приливная мельница работает дважды в сутки. " * 30,
        "潮汐水车利用潮水涨落的落差来推动磨盘。" * 30,
        "طاحونة المد تعمل مرتين كل يوم. " * 30,
    ],
)
def test_a_page_in_another_language_is_read(text: str) -> None:
    body = (
        f"<html><head><title>x</title></head><body><article><p>{text}</p></article></body></html>"
    )
    found = document(body.encode())
    assert text.strip() in " ".join((found.text or "").split())


def test_a_long_page_is_read_whole() -> None:
    paragraphs = [
        f"<p>Paragraph {n} tells of the tide, and of the mill beside it.</p>" for n in range(9_000)
    ]
    found = document(f"<html><body><article>{''.join(paragraphs)}</article></body></html>".encode())
    assert "Paragraph 8999 tells" in (found.text or "")
