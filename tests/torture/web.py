"""Cases 66 to 82 out: URLs that lead where nobody may go, and web servers that harm who asks.

Each is what the model asks the website tool for. `SHOP` stands for the hostile server's address.
Cases of the wave `production` are tried with TIDEMILL_ALLOW_LOCAL_WEB off, as it is by default;
the others need it, because the hostile server is on this machine.
"""

from tests.torture.case import Case, fresh, good
from tests.torture.model import rule

REFUSED: tuple[tuple[int, str, str, str], ...] = (
    (66, "loopback", "address", "http://127.0.0.1/ http://[::1]/ http://0.0.0.0/ http://127.8.9.1/"),
    (66, "loopback in odd numbers", "odd_host",
     "http://0x7f000001/ http://2130706433/ http://127.1/ http://0177.0.0.1/"),
    (66, "names of this machine", "local_name", "http://localhost/ http://shop.localhost/"),
    (66, "the hostile server on this machine", "port", "http://127.0.0.1:SHOP/fine/"),
    (67, "private networks", "address",
     "http://[::ffff:10.0.0.1]/ http://[fe80::1]/ http://[fc00::1]/ http://100.64.0.1/"
     " http://10.1.2.3/ http://192.168.0.1/ http://172.16.9.9/ http://[64:ff9b::a00:1]/"),
    (68, "metadata", "address", "http://169.254.169.254/latest/ http://[fd00:ec2::254]/"),
    (68, "metadata's names", "local_name", "http://metadata.google.internal/ http://metadata/"),
    (72, "schemes", "scheme",
     "gopher://127.0.0.1:25/_HELO ftp://127.0.0.1/x file://localhost/etc/passwd"),
    (72, "schemes without a host", "odd_url", "data:text/html,hello javascript:alert(1)"),
    (73, "user and password", "userinfo",
     "http://user:pass@example.com/ http://example.com#@127.0.0.1/ http://a@b@127.0.0.1/"),
    (73, "backslash and blanks", "odd_url", r"http://example.com\@127.0.0.1/"),
    (74, "ports that are not the web's", "port",
     "http://example.com:25/ http://example.com:6379/ http://example.com:9092/"
     " http://example.com:27017/ http://example.com:22/"),
)  # fmt: skip
# Path on the hostile server, what the tool says of it, the list's letter.
MISBEHAVING: tuple[tuple[int, str, str, str, str], ...] = (
    (70, "redirect to a private network", "to-private/", "R", "address"),
    (70, "redirect to metadata", "to-metadata/", "R", "address"),
    (70, "redirect to a file", "to-file/", "R", "scheme"),
    (70, "redirect to gopher", "to-gopher/", "R", "scheme"),
    (71, "redirects without end", "loop/", "T", "redirects"),
    (75, "gzip bomb of 500 MiB", "gzip-bomb/", "T", "too_large"),
    (75, "Brotli, unasked", "brotli/", "T", "coding"),
    (75, "Zstandard, unasked", "zstd/", "T", "coding"),
    (75, "ten codings in a chain", "chained/", "T", "coding"),
    (75, "a bomb on a redirect", "packed-redirect/", "T", "ok"),
    (76, "a byte every 200 ms", "drip/", "T", "timeout"),
    (76, "chunks without end", "endless/", "T", "too_large"),
    (76, "a small chunk every 300 ms", "slow-chunks/", "T", "timeout"),
    (76, "never a byte", "silent/", "T", "timeout"),
    (76, "headers without end", "endless-head/", "T", "unreachable"),
    (77, "shorter than its length", "cut/", "T", "unreachable"),
    (77, "longer than its length", "longer/", "T", "ok"),
    (77, "a length of a terabyte", "huge/", "T", "too_large"),
    (78, "350,000 nested divs", "divs/", "T", "*"),
    (78, "200,000 attributes", "attributes/", "T", "no_text"),
    (79, "text that slow patterns choke on", "regex/", "T", "ok"),
    (80, "200 that says not found", "missing/", "D", "not_found"),
    (80, "captcha", "captcha/", "D", "challenge"),
    (80, "consent page", "consent/", "D", "consent"),
    (57, "PDF", "pdf/", "K", "content_type"),
)  # fmt: skip
ROBOTS: tuple[tuple[str, str, str, str, str], ...] = (
    ("all is denied", "private.localhost", "fine/", "R", "robots"),
    ("this path is denied, by a wildcard", "partly.localhost", "fine/secret/", "R", "robots"),
    ("another path is denied", "partly.localhost", "fine/", "R", "ok"),
    ("robots.txt fails with 503", "broken.localhost", "fine/", "R", "robots"),
    ("a robots.txt of wildcards without end", "endless.localhost", "fine/", "R", "*"),
    ("a redirect to where it is denied", "shop.localhost", "to-robotless/", "R", "robots"),
)
SERVICES = ("KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI", "OPENAI_BASE_URL", "FLINK_REST_URL")


def _case(number: int, name: str, letter: str, url: str, reason: str, wave: str = "quick") -> Case:
    key = fresh(f"w{number}")
    call = {"kind": "tool_call", "text": "fetch_page", "count": 1, "arguments": url}
    where = "lead_ingestion, fetch_page"
    return Case(
        number, name, where, letter, (good("incoming_leads", key),), (f"page: {reason}", "result"),
        (rule("lead_ingestion", key, **call),), wave=wave,
    )  # fmt: skip


def cases() -> list[Case]:
    found = [
        _case(number, name, "R", url, reason, "production")
        for number, name, reason, urls in REFUSED
        for url in urls.split(" ")
    ]
    found += [
        _case(number, name, letter, f"http://shop.localhost:SHOP/{path}", reason)
        for number, name, path, letter, reason in MISBEHAVING
    ]
    found += [
        _case(82, name, letter, f"http://{host}:SHOP/{path}", reason)
        for name, host, path, letter, reason in ROBOTS
    ]
    found += [
        _case(74, "a service of this machine", "R", f"http://127.0.0.1:{service}/", "port")
        for service in (*SERVICES, "SMTP_URL")
    ]
    return found
