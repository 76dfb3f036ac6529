"""A URL or an address in, a checked target out, or the reason why nothing is sent to it.

A URL comes from a lead's form or from a model, so it is hostile until shown otherwise. It is read
here once, strictly, and the request is built from what was read: no second parser can understand it
differently. An address is judged by where it leads, not by its name (RFC 6890, RFC 4291).
"""

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import quote

import idna

URL_CHARACTERS = 2_048
WEB_PORTS = {"http": 80, "https": 443}
SERVICE_PORTS = frozenset({22, 25, 465, 587, 2181, 5432, 6379, 9092, 27017})

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>/[^?#]*)?(?:\?(?P<query>[^#]*))?(?:#(?P<fragment>.*))?",
    re.IGNORECASE | re.DOTALL,
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[^\[\]:%]+)(?::(?P<port>[0-9]{1,5}))?")
_SENT_AS_IT_IS = "/%:@!$&'()*+,;=-._~"
_NUMERIC_LABEL = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LOCAL_SUFFIXES = frozenset(
    "localhost local localdomain internal intranet private lan home corp arpa onion".split()
)
# Global by name only: they carry another address within, or are routed to whoever is nearest.
_REFUSED_NETWORKS = tuple(
    map(
        ipaddress.ip_network,
        (
            *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15"),
            *("224.0.0.0/4", "240.0.0.0/4"),
            *("64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16"),
            *("2001:db8::/32", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "ff00::/8"),
        ),
    )
)
_GLOBAL_IPV6 = ipaddress.ip_network("2000::/3")


class WebError(Exception):
    """No page: `reason` is a code, the text a sentence."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason


class WebRefused(WebError):
    """The guard says no: nothing is sent there."""


@dataclass(frozen=True)
class Policy:
    """What may be fetched. `allow_local` adds loopback (literals, `localhost`, `*.localhost`) on
    any port but `refused_ports`; it never adds a private network."""

    allow_local: bool = False
    refused_ports: frozenset[int] = field(default=SERVICE_PORTS)
    redirects: int = 5
    page_bytes: int = 2 * 1024 * 1024
    total_s: float = 10.0
    connect_s: float = 3.0


@dataclass(frozen=True)
class Target:
    """A URL as it was read. `address` is set where the host is a literal or a local name."""

    scheme: str
    host: str
    port: int
    target: str
    address: IpAddress | None = None

    @property
    def origin(self) -> str:
        port = "" if self.port == WEB_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"

    @property
    def url(self) -> str:
        return f"{self.origin}{self.target}"

    @property
    def is_local(self) -> bool:
        return self.address is not None and self.address.is_loopback


def checked_url(url: str, policy: Policy) -> Target:
    """Read a URL. Raises `WebRefused`, before anything is looked up."""
    url = url.strip(" ")
    if len(url) > URL_CHARACTERS:
        raise WebRefused("too_long", f"the URL is longer than {URL_CHARACTERS} characters")
    if "\\" in url or any(ord(c) <= 32 or 127 <= ord(c) <= 159 for c in url):
        raise WebRefused("odd_url", "the URL holds a backslash, a space or a control character")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise WebRefused("odd_url", "expected http://host/path or https://host/path")
    scheme = parts["scheme"].lower()
    if scheme not in WEB_PORTS:
        raise WebRefused("scheme", "only http and https are fetched")
    if "@" in parts["authority"] + (parts["fragment"] or ""):
        raise WebRefused("userinfo", "the URL holds a user, a password or a second host")
    authority = _AUTHORITY.fullmatch(parts["authority"])
    if authority is None:
        raise WebRefused("odd_host", "expected host or host:port")
    host, address = _checked_host(authority["host"], policy)
    target = _target(parts["path"] or "/", parts["query"])
    port = int(authority["port"] or WEB_PORTS[scheme])
    checked = Target(scheme, host, port, target, address)
    if not _port_is_allowed(checked, policy):
        raise WebRefused("port", f"port {port} is not one of the web's")
    if address is not None:
        check_address(address, checked, policy)
    return checked


def _port_is_allowed(target: Target, policy: Policy) -> bool:
    if target.is_local and policy.allow_local:
        return 0 < target.port < 65_536 and target.port not in policy.refused_ports
    return target.port in WEB_PORTS.values()


def _checked_host(host: str, policy: Policy) -> tuple[str, IpAddress | None]:
    """(host as it is sent, its address if it needs no look-up)."""
    if host.startswith("["):
        try:
            literal = ipaddress.IPv6Address(host[1:-1])
        except ValueError:
            raise WebRefused("odd_host", "the IPv6 address is none") from None
        return f"[{literal.compressed}]", literal
    try:
        name = idna.encode(host, uts46=True, std3_rules=True, transitional=False).decode("ascii")
    except (idna.IDNAError, UnicodeError):
        raise WebRefused("odd_host", "the host name is none") from None
    labels = name.lower().removesuffix(".").split(".")
    name = ".".join(labels)
    if _NUMERIC_LABEL.fullmatch(labels[-1]):
        try:
            address = ipaddress.IPv4Address(name)
        except ValueError:
            raise WebRefused("odd_host", "a number is not a host name") from None
        return name, address
    if labels[-1] == "localhost" and policy.allow_local:
        return name, ipaddress.IPv4Address("127.0.0.1")  # RFC 6761, section 6.3
    if len(labels) == 1 or labels[-1] in _LOCAL_SUFFIXES:
        raise WebRefused("local_name", "the host is a name of a local network")
    return name, None


def _target(path: str, query: str | None) -> str:
    """Path and query as they are sent, in ASCII."""
    sent = quote(path, safe=_SENT_AS_IT_IS)
    return sent if query is None else f"{sent}?{quote(query, safe=_SENT_AS_IT_IS + '?')}"


def check_address(address: IpAddress, target: Target, policy: Policy) -> None:
    """Raises `WebRefused` unless this is an address of the public internet, or loopback where the
    policy allows it and the URL itself says that it is meant."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.scope_id is not None:
            raise WebRefused("address", "it has a scope")
        if address.ipv4_mapped is not None:
            address = address.ipv4_mapped
    if policy.allow_local and target.is_local and address.is_loopback:
        return
    if not is_public(address):
        raise WebRefused("address", f"{target.host} leads to a network that is not public")


def is_public(address: IpAddress) -> bool:
    """Whether an address is unicast, global, and carries no other address within."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _GLOBAL_IPV6:
        return False
    if any(address in network for network in _REFUSED_NETWORKS):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
