"""Feeds as sites write them, and as somebody writes them who wants to do harm."""

import pytest

from connectors.feeds import ENTRIES_MAX, Entry, Listing, looks_like_feed, read_feed

BASE = "https://a.example/blog/feed.xml"
NAMESPACES = 'xmlns:podcast="https://podcastindex.org/namespace/1.0"'


def rss(items: str, title: str = "A blog") -> bytes:
    return (
        f'<?xml version="1.0"?><rss version="2.0" {NAMESPACES}><channel>'
        f"<title>{title}</title>{items}</channel></rss>"
    ).encode()


def listed(body: bytes) -> Listing:
    listing = read_feed(body, BASE)
    assert listing is not None
    return listing


def test_the_entries_of_an_atom_feed_are_pages() -> None:
    atom = b"""<?xml version="1.0" encoding="utf-8"?><feed xmlns="http://www.w3.org/2005/Atom">
    <title>Workshop</title>
    <entry><title>A belt &amp; more</title><id>1</id><link href="/blog/belt.html"/>
    <published>2026-03-11T10:00:00+01:00</published></entry>
    <entry><title>Tide</title><id>2</id><link rel="alternate" href="tide.html"/></entry></feed>"""
    assert looks_like_feed(atom)
    assert listed(atom) == Listing(
        "Workshop",
        (
            Entry(
                "https://a.example/blog/belt.html", "page", "A belt & more", "2026-03-11T09:00:00Z"
            ),
            Entry("https://a.example/blog/tide.html", "page", "Tide", None),
        ),
        2,
    )


def test_an_episode_is_its_transcript_where_it_has_one() -> None:
    sound = '<enclosure url="/e.mp3" type="audio/mpeg" length="1"/><link>/about</link>'
    transcript = '<podcast:transcript url="/e.vtt" type="text/vtt"/>'
    found = listed(rss(f"<item>{sound}{transcript}</item><item>{sound}</item>"))
    assert [(e.kind, e.url) for e in found.entries] == [
        ("transcript", "https://a.example/e.vtt"),
        ("episode", "https://a.example/e.mp3"),
    ]


@pytest.mark.parametrize(
    "link",
    [
        "file:///etc/passwd",
        "gopher://a/",
        "javascript:alert(1)",
        "data:text/html,x",
        "",
        "http://[",
        "https://a/" + "x" * 3_000,
    ],
)
def test_what_a_feed_may_not_lead_to_is_no_entry(link: str) -> None:
    assert listed(rss(f"<item><title>x</title><link>{link}</link></item>")).entries == ()


def test_an_address_that_is_listed_twice_is_one_entry() -> None:
    assert listed(rss("<item><link>/a</link></item>" * 3)).total == 1


def test_ten_thousand_entries_are_counted_and_cut() -> None:
    items = "".join(f"<item><title>{n}</title><link>/{n}</link></item>" for n in range(10_000))
    found = listed(rss(items))
    assert (len(found.entries), found.total) == (ENTRIES_MAX, 10_000)
    assert found.entries[-1].url == f"https://a.example/{ENTRIES_MAX - 1}"


@pytest.mark.parametrize(
    "date", ["soon", "Mon, 99 Foo 2026", "9999-12-31T23:59:59-14:00", "0001-01-01"]
)
def test_a_date_that_is_none_is_left_out_or_read(date: str) -> None:
    [entry] = listed(rss(f"<item><link>/a</link><pubDate>{date}</pubDate></item>")).entries
    assert entry.published_at is None or entry.published_at.startswith(("9999", "10000"))


def test_a_title_is_one_line_without_control_characters() -> None:
    assert listed(rss("", "A\n  b\u202e \u200bc")).title == "A b c"


@pytest.mark.parametrize("body", [b"", b"<html><body>hello</body></html>", b"not xml", b"{}"])
def test_what_is_no_feed_is_none(body: bytes) -> None:
    assert read_feed(body, BASE) is None
    assert not looks_like_feed(body)


def test_a_text_about_feeds_is_no_feed() -> None:
    assert not looks_like_feed(b"A feed begins with <rss version='2.0'> and ends with </rss>.")


def test_a_broken_feed_gives_what_can_be_read() -> None:
    body = rss("<item><title>One</title><link>/1</link></item><item><title>Two")
    assert listed(body[: -len(b"</channel></rss>")]).entries[0].title == "One"


def test_entities_that_explode_do_not() -> None:
    layers = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
    bomb = f'<?xml version="1.0"?><!DOCTYPE r [<!ENTITY e0 "lol">{layers}]>'.encode()
    found = read_feed(bomb + rss("<item><title>&e11;</title><link>/1</link></item>")[21:], BASE)
    assert found is None or len(str(found)) < 10_000
