"""Markup in, text out: ordinary pages, odd encodings, and pages made to break a parser."""

import asyncio
import string
from itertools import islice, product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.web import Page, WebFailed
from connectors.web_text import Text, decoded, extract, read_text


def page(body: bytes | str, content_type: str = "text/html", charset: str | None = None) -> Page:
    raw = body.encode() if isinstance(body, str) else body
    return Page("http://a.example/", "http://a.example/", 200, content_type, charset, raw)


def read(body: bytes | str, **options: str) -> Text:
    return asyncio.run(read_text(page(body, **options)))


ARTICLE = """<!doctype html><html><head><title> Baltray
Freight </title><style>p {color: red}</style></head><body>
<nav><a href="/">Home</a> <a href="/jobs">Jobs</a></nav>
<main><h1>Baltray Freight</h1><p>We move goods through eleven countries with 1,900 trucks, and we
have done so since 1962.</p><p>Our dispatchers plan every night for the next day, and every truck
reports its position each half minute.</p></main>
<script>alert("hidden")</script><footer>Imprint</footer></body></html>"""


def test_a_page_is_its_title_and_main_text() -> None:
    text = read(ARTICLE)
    assert text.title == "Baltray Freight"
    assert "1,900 trucks" in text.text and "half minute" in text.text
    assert "alert" not in text.text and "color" not in text.text


def test_plain_text_is_text() -> None:
    assert read("one\r\n\r\n\r\n\r\n  two ", content_type="text/plain") == Text("", "one\n\ntwo")


@pytest.mark.parametrize(
    ("raw", "charset"),
    [
        ("Grüße".encode(), None),
        ("Grüße".encode("latin-1"), "iso-8859-1"),
        ("Grüße".encode("utf-8-sig"), "iso-8859-1"),
        ("Grüße".encode("utf-16"), None),
        (b'<meta charset="windows-1252">Gr\xfc\xdfe', None),
        (b'<META http-equiv=x content="text/html; CHARSET = ISO-8859-15">Gr\xfc\xdfe', None),
    ],
)
def test_a_page_is_read_in_its_charset(raw: bytes, charset: str | None) -> None:
    assert decoded(page(raw, charset=charset)).endswith("Grüße")


@pytest.mark.parametrize(
    "charset", ["zip", "punycode", "utf-7", "unicode_escape", "rot13", "x" * 40]
)
def test_a_charset_that_no_page_has_is_not_believed(charset: str) -> None:
    assert decoded(page(b"a+ADw-b\\u0041", charset=charset)) == "a+ADw-b\\u0041"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("", "no_text"),
        ("<html><body></body></html>", "no_text"),
        ("<script>var everything</script>", "no_text"),
        ("<title>404</title><h1>Page not found</h1>", "not_found"),
        ("<title>Just a moment...</title><p>Checking your browser</p>", "challenge"),
        ("<p>Please solve the CAPTCHA to go on</p>", "challenge"),
        ("<h1>Before you continue</h1><p>Accept all</p>", "consent"),
    ],
)
def test_what_a_site_sends_instead_of_a_page_is_a_failure(body: str, reason: str) -> None:
    with pytest.raises(WebFailed) as raised:
        read(body)
    assert raised.value.reason == reason


def test_a_long_page_may_speak_of_captchas() -> None:
    assert "CAPTCHA" in read(f"<p>{'We build CAPTCHA services for banks. ' * 60}</p>").text


def names(count: int) -> str:
    letters = islice(product(string.ascii_lowercase, repeat=3), count)
    return " ".join("".join(name) for name in letters)


MIB = 2 * 1024 * 1024
BOMBS = {
    "nested divs": "<div>" * (MIB // 5),
    "nested tables": "<table><tr><td>" * (MIB // 15),
    "nested lists": "<ul><li>" * (MIB // 8),
    "nested forms": "<form><b>" * (MIB // 9),
    "nested svg": "<svg>" * (MIB // 5),
    "open scripts": "<script>" * (MIB // 8),
    "open comments": "<!--" * (MIB // 4),
    "open tags": "<a" * (MIB // 2),
    "open quotes": "<a b='" * (MIB // 6),
    "attributes": f"<p {names(17_500)}>x</p>",
    "the same attribute": "<p " + "a=1 " * (MIB // 4) + ">x",
    "one attribute": f"<p a='{'x' * MIB}'>x",
    "paragraphs": "<p>x" * (MIB // 4),
    "line breaks": "<br>" * (MIB // 4),
    "links": "<a href=x>y</a>" * (MIB // 15),
    "entities": "<p>" + "&lt;" * (MIB // 4),
    "expanding entities": '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + "&b;" * 9_999,
    "one word": "<p>" + "a" * MIB,
    "spaces": "<p>" + " " * MIB + "x",
    "brackets": "<p>" + "(" * MIB,
    "digits": "<p>" + "1" * MIB,
    "dates": "<p>2020-01-01 12/11/2020 " * (MIB // 24),
    "nul": "\x00" * MIB,
    "surrogates": "<p>" + "&#xD800;" * (MIB // 8),
    "json-ld": '<script type="application/ld+json">' + "[" * MIB,
    "meta": "<meta name=author content='a b'>" * (MIB // 32),
    "charset": "<meta " * (MIB // 6),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_page_made_to_break_the_parser_is_read_or_empty(bomb: str) -> None:
    assert len(extract(page(BOMBS[bomb])).text) <= 128 * 1024


@given(st.text() | st.text("<>/!-'\"= abdivpscript&;#x1"))
def test_every_markup_is_read(markup: str) -> None:
    extract(page(markup.encode("utf-8", "replace")))
