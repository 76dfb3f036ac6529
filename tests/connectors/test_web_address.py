"""Hostile URLs and addresses: each is refused before anything is looked up or connected."""

import asyncio
import ipaddress
from typing import NoReturn

import httpcore2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.settings import Settings
from connectors.web import fetch, policy_of
from connectors.web_address import Policy, WebRefused, checked_url, is_public

PUBLIC, LOCAL = Policy(), Policy(allow_local=True)


class NoNetwork(httpcore2.AsyncNetworkBackend):
    """Fails the test where a connection is tried."""

    async def connect_tcp(self, *arguments: object, **options: object) -> NoReturn:
        raise AssertionError(f"a connection was tried: {arguments}")


async def no_resolver(host: str, port: int) -> NoReturn:
    raise AssertionError(f"a name was looked up: {host}")


def refused(url: str, policy: Policy = PUBLIC) -> str:
    """The reason why `fetch` refuses, without a look-up or a connection."""
    with pytest.raises(WebRefused) as raised:
        asyncio.run(fetch(url, policy, resolve=no_resolver, network=NoNetwork()))
    return raised.value.reason


NUMBERS = """
http://127.0.0.1/ http://127.0.0.1:80/ http://127.1/ http://127.0.1/ http://0177.0.0.1/
http://0x7f000001/ http://0x7f.0.0.1/ http://0x7f.1/ http://2130706433/ http://017700000001/
http://127.000.000.001/ http://127.0.0.1./ http://127.0.0.1.. http://0/ http://0.0.0.0/ http://0x0/
http://00.00.00.00/ http://127.0.0.256/ http://1.2.3/ http://1.2.3.4.5/ http://1.2.3.0x4/
http://999999999999/ http://１２７.０.０.１/ http://127。0。0。1/ http://⑯⑨。②⑤④。①⑥⑨。②⑤④/
http://0x7F.0X0.0.1/ http://127.0x0.0.1/ http://0x/ http://3232235521/ http://0xa9fea9fe/
http://169.254.169.254/ http://169.254.169.254/latest/meta-data/ http://169.254.170.2/
http://100.100.100.200/ http://100.64.0.1/ http://10.0.0.1/ http://10.255.255.255/ http://172.16.0.1/
http://172.31.255.255/ http://192.168.0.1/ http://192.168.1.254/ http://192.0.0.192/ http://192.0.2.1/
http://198.18.0.1/ http://198.51.100.7/ http://203.0.113.9/ http://192.88.99.1/ http://224.0.0.1/
http://239.255.255.250/ http://240.0.0.1/ http://255.255.255.255/ http://168.63.129.16.0/
http://[::1]/ http://[::]/ http://[0:0:0:0:0:0:0:1]/ http://[::ffff:127.0.0.1]/
http://[::ffff:7f00:1]/ http://[::ffff:10.0.0.1]/ http://[::ffff:169.254.169.254]/
http://[::127.0.0.1]/ http://[64:ff9b::7f00:1]/ http://[64:ff9b::10.0.0.1]/ http://[64:ff9b:1::1]/
http://[2002:7f00:1::]/ http://[2002:a00:1::1]/ http://[2001:0:7f00:1::]/ http://[2001:db8::1]/
http://[3fff::1]/ http://[fe80::1]/ http://[fe80::1%25eth0]/ http://[fe80::1%eth0]/ http://[fc00::1]/
http://[fd00:ec2::254]/ http://[ff02::1]/ http://[100::1]/ http://[5f00::1]/ http://[::1]:80/
http://[1::2::3]/ http://[::ffff:0:127.0.0.1]/ http://[::1/ http://::1/ http://[]/ http://[127.0.0.1]/
""".split()
NAMES = """
http://localhost/ http://LOCALHOST/ http://localhost./ http://foo.localhost/ http://ｌｏｃａｌｈｏｓｔ/
http://localhost.localdomain/ http://metadata/ http://metadata.google.internal/computeMetadata/v1/
http://metadata.azure.internal/ http://instance-data.ec2.internal/ http://kubernetes/ http://intranet/
http://printer.local/ http://router.lan/ http://nas.home.arpa/ http://vault.corp/ http://db.private/
http://example.onion/ http://1.0.0.127.in-addr.arpa/
""".split()
SCHEMES = """
file:///etc/passwd file://localhost/etc/passwd gopher://127.0.0.1:6379/_INFO ftp://example.com/
data:text/html,hello dict://127.0.0.1:11211/ ldap://127.0.0.1/ jar:http://example.com!/ ws://example.com/
javascript:alert(1) mailto:a@example.com tftp://example.com/x sftp://example.com/ phar://x
about:blank //example.com/ /etc/passwd example.com http:example.com http:/example.com http:///example.com
http:////example.com http:// https:// http://? http://# http://:80/
""".split()
TRICKS = [
    *("http://user@example.com/", "http://user:pass@example.com/", "http://:@example.com/"),
    *("http://example.com@127.0.0.1/", "http://example.com#@127.0.0.1/", "http://@example.com/"),
    *(
        "http://example.com\\@127.0.0.1/",
        "http://example.com\\.evil.example/",
        "http:\\\\example.com",
    ),
    *(
        "http://example.com:80@127.0.0.1/",
        "http://127.0.0.1#@example.com/",
        "http://a@b@example.com/",
    ),
    *(
        "http://exa mple.com/",
        "http://example.com/a b",
        "http://example.com/\r\nHost: x",
        "http://\t/",
    ),
    *("http://example.com\n/", "\x00http://example.com/", "http://example.com\x00.evil.example/"),
    *(
        "http://example.com%00/",
        "http://%31%32%37.0.0.1/",
        "http://127%2e0%2e0%2e1/",
        "http://exa%6dple/",
    ),
    *(
        "http://example..com/",
        "http://.example.com/",
        "http://-example.com/",
        "http://ex_ample.com/",
    ),
    *(
        "http://" + "a" * 64 + ".com/",
        "http://" + "a." * 130 + "com/",
        "http://example.com/" + "a" * 2048,
    ),
    *(
        "http://exam\u2044ple.com/",
        "http://example.com\u2028/",
        "http://\u200b/",
        "http://\ud800.com/",
    ),
]
PORTS = [
    *(f"http://example.com:{port}/" for port in (0, 22, 25, 81, 6379, 8080, 9092, 27017, 65535)),
    *("http://example.com:65536/", "http://example.com:99999/", "http://example.com:-80/"),
    *(
        "http://example.com:/",
        "http://example.com:80:80/",
        "http://example.com:8０/",
        "http://8.8.8.8:53/",
    ),
]


@pytest.mark.parametrize("url", [*NUMBERS, *NAMES, *SCHEMES, *TRICKS, *PORTS])
def test_a_hostile_url_is_refused_without_a_packet(url: str) -> None:
    assert refused(url)


def test_there_are_more_than_a_hundred_hostile_urls() -> None:
    assert len({*NUMBERS, *NAMES, *SCHEMES, *TRICKS, *PORTS}) > 150


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://127.0.0.1/", "address"),
        ("http://2130706433/", "odd_host"),
        ("ftp://example.com/", "scheme"),
        ("http://user@example.com/", "userinfo"),
        ("http://metadata/", "local_name"),
        ("http://example.com:25/", "port"),
        ("http://example.com/a b", "odd_url"),
        ("http://example.com/" + "a" * 2048, "too_long"),
    ],
)
def test_a_refusal_says_why(url: str, reason: str) -> None:
    assert refused(url) == reason


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://example.com", "http://example.com/"),
        ("HTTPS://Example.COM:443/a/b?c=d#e", "https://example.com/a/b?c=d"),
        ("http://example.com./", "http://example.com/"),
        ("http://bücher.example/straße?q=ü", "http://xn--bcher-kva.example/stra%C3%9Fe?q=%C3%BC"),
        ("http://example.com/%41?a=%20b", "http://example.com/%41?a=%20b"),
        ("http://example.com/@user", "http://example.com/@user"),
        ("https://8.8.8.8/", "https://8.8.8.8/"),
        ("https://[2606:4700::1111]/", "https://[2606:4700::1111]/"),
        ("http://example.com:443/", "http://example.com:443/"),
        ("  http://example.com/ ", "http://example.com/"),
    ],
)
def test_an_ordinary_url_is_read(url: str, sent: str) -> None:
    assert checked_url(url, PUBLIC).url == sent


@pytest.mark.parametrize(
    "url",
    [
        *("http://localhost:8480/", "http://acme.localhost:8480/x", "http://127.0.0.1:8480/"),
        *("http://127.8.9.1:8480/", "http://[::1]:8480/"),
    ],
)
def test_loopback_is_reached_only_where_it_is_switched_on(url: str) -> None:
    assert checked_url(url, LOCAL).is_local
    assert refused(url, PUBLIC)


@pytest.mark.parametrize(
    "url",
    [
        *NUMBERS[NUMBERS.index("http://169.254.169.254/") : NUMBERS.index("http://[::1]/")],
        *(
            "http://0.0.0.0:8480/",
            "http://[::]:8480/",
            "http://2130706433:8480/",
            "http://127.1:8480/",
        ),
        *("http://metadata.google.internal/", "http://example.com:8480/", "http://8.8.8.8:8480/"),
        *(f"http://localhost:{port}/" for port in (0, 25, 6379, 9092, 27017, 65536)),
        *(
            "http://[fe80::1]:8480/",
            "http://[::ffff:127.0.0.1]:8480/",
            "http://user@localhost:8480/",
            "file://localhost/etc/passwd",
        ),
    ],
)
def test_local_addresses_switched_on_do_not_open_anything_else(url: str) -> None:
    assert refused(url, LOCAL)


def test_our_own_services_are_refused_by_their_ports() -> None:
    current = Settings(
        KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:19092,127.0.0.1:19093",
        MONGODB_URI="mongodb://user:pass@127.0.0.1:29017/?w=1",
        SMTP_URL="smtp://127.0.0.1:2525?timeout_s=3",
        TIDEMILL_ALLOW_LOCAL_WEB=True,
    )
    policy = policy_of(current)
    for port in (19092, 19093, 29017, 2525, 9092):
        assert refused(f"http://localhost:{port}/", policy) == "port"
    assert checked_url("http://localhost:8480/", policy).is_local


def outside(*networks: str) -> st.SearchStrategy[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    return st.one_of(*(st.ip_addresses(network=network) for network in networks))


@given(
    outside(
        *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
        *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16"),
        *("198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3"),
        *("::/3", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "4000::/2", "8000::/1"),
    )
)
def test_no_address_of_a_special_network_is_public(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert not is_public(address)


@given(st.text() | st.text("htps:/@[]#?\\.%01279xafloc ").map("http://".__add__))
def test_a_url_is_read_or_refused(url: str) -> None:
    try:
        target = checked_url(url, PUBLIC)
    except WebRefused:
        return
    assert target.url.isascii() and target.port in (80, 443)
    assert checked_url(target.url, PUBLIC) == target
