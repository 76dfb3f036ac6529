"""Cases 66 to 82 out, and sources that are odd and harmless: each a bundle of its own."""

from tests.connectors.pdf import pdf
from tests.torture.case import Case, fresh
from tests.torture.research.shapes import BRIEFED, READ, request
from tests.torture.results import ODD
from tests.torture.site import HEAD, SAYS, page, plain_page, redirect
from tests.torture.web import MISBEHAVING, REFUSED, ROBOTS, SERVICES

ENTRIES = 10_000
ENTRIES_READ = 1_000
WHERE = "ingest_sources"
FAILED = ("page: failed: {0}", "dead letter: {0}")
# Where a visit of a source comes to another end than the tool that reads one page for a lead.
OTHERWISE = {
    "longer/": "ok",
    "attributes/": "ok",
    "divs/": "no_text",
}
SLOW = ("drip/", "slow-chunks/", "silent/")


def _feed(links: list[str]) -> bytes:
    items = "".join(f"<item><title>{n}</title><link>{u}</link></item>" for n, u in enumerate(links))
    feed = f'<rss version="2.0"><channel><title>Goods</title>{items}</channel></rss>'
    return page(feed, HEAD.replace(b"text/html", b"application/rss+xml"))


SAYS.update(
    {
        "empty": lambda site: page(""),
        "no-text": lambda site: plain_page("<nav><a href='/'>Home</a></nav>"),
        "german": lambda site: plain_page("<p>" + "Kühlgut fährt in vierzig Lastwagen. " * 9),
        "chinese": lambda site: plain_page(
            "<p>" + "四十辆卡车运送冷藏货物，每一辆都可以看到。" * 9
        ),
        "arabic": lambda site: plain_page("<p>" + "تنقل أربعون شاحنة البضائع المبردة كل يوم. " * 9),
        "to-itself": lambda site: redirect("/to-itself/"),
        "to-fine": lambda site: redirect("/fine/"),
        "pdf-200": lambda site: _pdf(),
        "feed": lambda site: _feed([f"/nothing/{number}" for number in range(ENTRIES)]),
        "feed-inside": lambda site: _feed(
            ["file:///etc/passwd", "gopher://127.0.0.1:25/", "http://10.0.0.1/", "javascript:x"]
        ),
        "feed-of-itself": lambda site: _feed(["/feed-of-itself/"]),
    }
)


def _pdf() -> bytes:
    pages = [f"Page {n}. In year {n} the carrier moved {n * 7} tons of goods." for n in range(200)]
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/pdf\r\n"
    body = pdf(pages, "Goods")
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _failed(reason: str, count: int = 1) -> tuple[str, ...]:
    words = tuple(word.format(reason) for word in FAILED) * count
    return (*words, f"version: 0 of {count}", "brief")


def _at(path: str, host: str | None = None) -> str:
    return f"http://{host or fresh('host')}.localhost:SHOP/{path}"


def cases() -> list[Case]:
    return _refused() + _misbehaving() + _odd()


def _refused() -> list[Case]:
    """With this machine's web closed, as it is by default."""
    found = []
    for number, name, reason, urls in REFUSED:
        reasons = ["folder_not_allowed" if url.startswith("file:") else reason
                   for url in urls.split()]  # fmt: skip
        key = fresh(f"w{number}")
        ends = [word.format(why) for why in reasons for word in FAILED]
        ends += [f"version: 0 of {len(reasons)}", "brief"]
        record = request(key, *urls.split())
        found.append(Case(number, name, WHERE, "R", (record,), tuple(ends), wave="production"))
    services = [f"http://127.0.0.1:{name}/" for name in (*SERVICES, "SMTP_URL")]
    record = request(fresh("w74"), *services)
    found.append(Case(74, "services of this machine", WHERE, "R", (record,), _failed("port", 5)))
    return found


def _misbehaving() -> list[Case]:
    found = []
    for number, name, path, letter, reason in MISBEHAVING:
        reason = OTHERWISE.get(path, reason)
        ends = BRIEFED if reason == "ok" else _failed(reason)
        wave = "slow" if path in SLOW else "quick"
        record = request(fresh(f"w{number}"), _at(path))
        found.append(Case(number, name, WHERE, letter, (record,), ends, wave=wave))
    for name, host, path, letter, reason in ROBOTS:
        reason = "ok" if host.startswith("endless") else reason  # none of its rules fits the path
        ends = BRIEFED if reason == "ok" else _failed(reason)
        url = _at(path, host.removesuffix(".localhost"))
        found.append(Case(82, name, WHERE, letter, (request(fresh("w82"), url),), ends))
    return found


def _odd() -> list[Case]:
    two = (*READ, *READ, "version: 2 of 2", "brief")

    def one(name: str, letter: str, ends: tuple[str, ...], *urls: str) -> Case:
        return Case(ODD, name, WHERE, letter, (request(fresh("o"), *urls),), ends)

    listed = tuple(word.format("http_404") for word in FAILED) * ENTRIES_READ
    inside = ("page: listing", *(w.format("address") for w in FAILED), "version: 0 of 1", "brief")
    return [
        one("an empty page", "D", _failed("no_text"), _at("empty/")),
        one("a page of nothing but links", "K", BRIEFED, _at("no-text/")),
        one("a PDF of 200 pages", "K", BRIEFED, _at("pdf-200/")),
        *(one(f"a page in {language}", "K", BRIEFED, _at(f"{language.lower()}/"))
          for language in ("German", "Chinese", "Arabic")),
        one("two addresses, one content", "K", two, _at("fine/1"), _at("fine/2")),
        one("a redirect to itself", "T", _failed("redirects"), _at("to-itself/")),
        one("a redirect to another of its sources", "K", two, _at("to-fine/", "twin"),
            _at("fine/", "twin")),
        one(f"a feed of {ENTRIES} entries, each gone", "T",
            ("page: listing", *listed, f"version: 0 of {ENTRIES_READ}", "brief"), _at("feed/")),
        one("a feed that leads inside", "R", inside, _at("feed-inside/")),
        one("a feed that lists itself", "T",
            ("page: listing", "page: listing", *(w.format("too_deep") for w in FAILED),
             "version: 0 of 0", "brief"), _at("feed-of-itself/")),
        one("no source that can be reached", "D", _failed("http_404", 3),
            *(_at(f"nothing/{n}", "none") for n in range(3))),
    ]  # fmt: skip
