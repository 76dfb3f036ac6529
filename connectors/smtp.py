"""One mail at a time in, the server's word on it out: accepted, surely not sent, or unknown.

SMTP acknowledges once, after the final dot. Whatever fails before the dot has left is surely not
sent, whatever the server answers after it is its decision, and only a connection that is lost in
between leaves the outcome open. The dialogue is spelled out here so that each failure falls on the
right side (RFC 5321, sections 4.2 and 4.5.3.2).

    MailError
    ├── NotSent             the server has surely not taken it
    │   ├── Unavailable     nobody to talk to (no connection, TLS, AUTH, 421): as for every mail
    │   ├── Deferred        a 4xx answer to this mail
    │   └── Rejected        a 5xx answer to this mail
    └── Ambiguous           the final dot left, no answer came

Names in SMTP_URL: `smtp://[user:password@]host[:port][?starttls][&timeout_s=30][&reply_timeout_s=60]
[&connections=8]`, or `smtps://` for TLS from the start.
"""

import asyncio
import contextlib
import logging
import quopri
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from email.header import Header
from email.utils import format_datetime, localtime
from urllib.parse import parse_qsl, unquote, urlsplit

At = Callable[[str], None]

IDLE_S = 10.0
CONNECT_S = 10.0
SHORTEST_S = 0.1
WORDS_CHARACTERS = 300
PLAIN_SUBJECT_CHARACTERS = 65
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_SERVICE = (421, 530, 535)  # closing, authentication required, credentials refused

_log = logging.getLogger(__name__)


class MailError(Exception):
    """`verdict` is what it means for the mail, `reason` a code, the text the server's words."""

    verdict = "ambiguous"

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class NotSent(MailError):
    """Surely not sent."""


class Unavailable(NotSent):
    verdict = "unavailable"


class Deferred(NotSent):
    verdict = "deferred"


class Rejected(NotSent):
    verdict = "rejected"


class Ambiguous(MailError):
    """Sent or not: nobody knows."""


class SmtpUrlError(ValueError):
    """SMTP_URL cannot be used. One sentence, without the password."""


@dataclass(frozen=True)
class SmtpUrl:
    """The parts of SMTP_URL."""

    host: str
    port: int
    tls: bool = False
    starttls: bool = False
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout_s: float = 30
    reply_timeout_s: float = 60
    connections: int = 8

    @classmethod
    def parse(cls, url: str) -> "SmtpUrl":
        """Raises `SmtpUrlError`."""
        try:
            parts = urlsplit(url)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
            options = dict(parse_qsl(parts.query, keep_blank_values=True))
            starttls = options.pop("starttls", "false").lower() in ("", "1", "true", "yes")
            numbers = {
                name: kind(options.pop(name)) for name, kind in _NUMBERS.items() if name in options
            }
        except ValueError as error:
            raise SmtpUrlError("SMTP_URL has a port or a number that is none") from error
        if scheme not in ("smtp", "smtps") or not host or parts.path.strip("/") or options:
            unknown = f"; unknown option {sorted(options)[0]!r}" if options else ""
            raise SmtpUrlError(
                "SMTP_URL: expected smtp://[user:password@]host[:port][?starttls] or smtps://…"
                + unknown
            )
        if any(number <= 0 for number in numbers.values()):
            raise SmtpUrlError(f"SMTP_URL: {' and '.join(numbers)} must be above 0")
        tls = scheme == "smtps"
        if parts.password and not (tls or starttls or host in LOOPBACK):
            raise SmtpUrlError(
                "SMTP_URL has a password but no encryption: use smtps:// or add ?starttls"
            )
        return cls(
            host=host,
            port=port or (465 if tls else 587 if starttls else 25),
            tls=tls,
            starttls=starttls,
            user=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            **numbers,
        )


_NUMBERS: dict[str, type] = {"timeout_s": float, "reply_timeout_s": float, "connections": int}


def compose(*, sender: str, effect_id: str, to: str, subject: str, body: str) -> bytes:
    """The message as RFC 5322 bytes: plain text in UTF-8, quoted-printable, CRLF line ends.

    Written line by line: `email.message` decodes encoded words in a subject before it folds it, and
    so lets `=?utf-8?q?=0D=0ABcc:…?=` start a header of its own. `Message-ID` is the effect's id, so
    that a mailbox shows a double; `Auto-Submitted` (RFC 3834) keeps auto-responders silent.
    Raises `ValueError` for a control character in a header.
    """
    if any(ord(c) < 32 or ord(c) == 127 for c in sender + effect_id + to + subject):
        raise ValueError("a header holds a control character")
    headers = (
        ("From", sender),
        ("To", to),
        ("Subject", _encoded(subject)),
        ("Date", format_datetime(localtime())),
        ("Message-ID", f"<{effect_id}@{sender.rpartition('@')[2]}>"),
        ("List-Unsubscribe", f"<mailto:{sender}?subject=unsubscribe>"),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", 'text/plain; charset="utf-8"'),
        ("Content-Transfer-Encoding", "quoted-printable"),
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    text = quopri.encodestring(body.encode("utf-8")).replace(b"\n", b"\r\n")
    return head.encode("ascii") + b"\r\n" + text


def _encoded(subject: str) -> str:
    """Short plain ASCII as it is, all else as RFC 2047 encoded words, folded."""
    if len(subject) <= PLAIN_SUBJECT_CHARACTERS and subject.isascii() and "=?" not in subject:
        return subject
    return Header(subject, "utf-8", header_name="Subject").encode(linesep="\r\n")


class Connection:
    """One SMTP session. After `send` returned it may be used again, after it raised it is closed.

    Raises `Unavailable` where it cannot be opened before `deadline_s` (of the monotonic clock).
    """

    def __init__(self, url: SmtpUrl, name: str, deadline_s: float) -> None:
        self._url = url
        self._stage = "connect"
        self.mails = 0
        self.used_at_s = time.monotonic()
        timeout_s = max(SHORTEST_S, min(CONNECT_S, deadline_s - time.monotonic()))
        try:
            self._smtp = self._open(name, timeout_s)
        except smtplib.SMTPResponseException as error:
            raise Unavailable(f"smtp_{error.smtp_code}", _text(error.smtp_error)) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable("smtp_unreachable", f"{url.host}:{url.port}: {error}") from error

    def _open(self, name: str, timeout_s: float) -> smtplib.SMTP:
        url, context = self._url, ssl.create_default_context()
        smtp = (
            smtplib.SMTP_SSL(url.host, url.port, name, timeout=timeout_s, context=context)
            if url.tls
            else smtplib.SMTP(url.host, url.port, name, timeout=timeout_s)
        )
        try:
            if smtp.sock is not None:  # the final dot is a packet of its own
                smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            smtp.ehlo_or_helo_if_needed()
            if url.starttls:
                smtp.starttls(context=context)
                smtp.ehlo_or_helo_if_needed()
            if url.user is not None:
                smtp.login(url.user, url.password or "")
        except BaseException:
            smtp.close()
            raise
        return smtp

    def send(self, sender: str, to: str, message: bytes, at: At, deadline_s: float) -> str:
        """The dialogue from MAIL to the answer to the final dot; returns the server's words."""
        try:
            self._command("MAIL", f" FROM:<{sender}>", (250,), deadline_s)
            self._command("RCPT", f" TO:<{to}>", (250, 251), deadline_s)
            self._command("DATA", "", (354,), deadline_s)
            self._timeout(deadline_s - time.monotonic())
            self._smtp.send(_dotted(message))
            at("final_dot")
            self._timeout(self._url.reply_timeout_s)
            self._stage = "final dot"
            self._smtp.send(b".\r\n")
            at("after_final_dot")
            words = self._answer(tuple(range(200, 300)))
        except BaseException as error:
            self.break_off()
            self._smtp.close()
            if isinstance(error, smtplib.SMTPException | OSError):
                raise self._lost(error) from error
            raise
        self.used_at_s = time.monotonic()
        self.mails += 1
        return words

    def _lost(self, error: Exception) -> MailError:
        """What a broken connection means at this stage. Repeatedly at one mail's text: its text."""
        words = f"connection lost at {self._stage}: {error}"
        if self._stage == "final dot":
            return Ambiguous("no_answer", words)
        return (Unavailable if self._stage == "MAIL" else Deferred)("smtp_lost", words)

    def _command(self, verb: str, rest: str, good: tuple[int, ...], deadline_s: float) -> None:
        self._stage = verb
        self._timeout(deadline_s - time.monotonic())
        self._smtp.putcmd(verb + rest)
        self._answer(good)

    def _answer(self, good: tuple[int, ...]) -> str:
        code, raw = self._smtp.getreply()
        words = f"{code} {_text(raw)}"
        if code in good:
            return words
        if code in NO_SERVICE:
            raise Unavailable(f"smtp_{code}", words)
        if 400 <= code < 500:
            raise Deferred(f"smtp_{code}", words)
        if 500 <= code < 600:
            raise Rejected(f"smtp_{code}", words)
        raise smtplib.SMTPServerDisconnected(f"expected an SMTP answer, got {words[:80]!r}")

    def _timeout(self, seconds: float) -> None:
        if self._smtp.sock is None:
            raise smtplib.SMTPServerDisconnected("the connection is closed")
        self._smtp.sock.settimeout(max(SHORTEST_S, seconds))

    def break_off(self) -> None:
        """From any thread: what waits on this connection fails at once."""
        if (sock := self._smtp.sock) is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def quit(self) -> None:
        """Leave politely, if that is quick."""
        try:
            self._timeout(1)
            self._smtp.quit()
        except (OSError, smtplib.SMTPException):
            self._smtp.close()


@dataclass
class _Job:
    """One call of `send`: the thread puts its connection here, the loop may break it off."""

    sender: str
    to: str
    message: bytes
    at: At
    deadline_s: float
    connection: Connection | None = None

    def run(self, connection: Connection) -> str:
        self.connection = connection
        return connection.send(self.sender, self.to, self.message, self.at, self.deadline_s)


class SmtpSender:
    """A mailer over at most `connections` SMTP sessions, each in its own thread while it sends.

    `dialogue_s` limits a call up to the final dot, `reply_s` what comes after. One per process.
    """

    def __init__(self, url: str, sender: str) -> None:
        self._url = SmtpUrl.parse(url)
        local, _, self._domain = sender.rpartition("@")
        if not local or not self._domain or not sender.isascii() or set(sender) & set("<>\r\n ,"):
            raise SmtpUrlError("TIDEMILL_MAIL_FROM: expected one address, name@domain")
        self._sender = sender
        self.connections = self._url.connections
        self.dialogue_s = self._url.timeout_s
        self.reply_s = self._url.reply_timeout_s
        self._threads = ThreadPoolExecutor(self.connections, thread_name_prefix="smtp")
        self._idle: list[Connection] = []

    async def send(self, *, effect_id: str, to: str, subject: str, body: str, at: At) -> str:
        """Send one mail; returns the server's words. Raises `MailError`, and what `at` raises.

        `at("final_dot")` is called in the sending thread before the dot and may raise to hold the
        mail back, `at("after_final_dot")` when the dot has left.
        """
        deadline_s = time.monotonic() + self.dialogue_s
        try:
            message = compose(
                sender=self._sender, effect_id=effect_id, to=to, subject=subject, body=body
            )
        except (ValueError, LookupError) as error:
            raise Rejected("not_composable", f"not a message: {error}") from error
        job = _Job(self._sender, to, message, at, deadline_s)
        work = asyncio.get_running_loop().run_in_executor(self._threads, self._run, job)
        done, _ = await asyncio.wait([work], timeout=self.dialogue_s + self.reply_s)
        if not done and job.connection is not None:
            job.connection.break_off()  # a server that drips a byte at a time
        try:
            return await work
        except MailError as error:
            raise type(error)(error.reason, _without(to, str(error))) from error.__cause__

    def _run(self, job: _Job) -> str:
        """In a thread: over an idle connection, or a new one where there is none or it is stale."""
        words = None
        connection = self._idle_connection()
        if connection is not None:
            try:
                words = job.run(connection)
            except Unavailable as error:
                _log.debug("the idle connection is stale (%s): opening another", error)
        if words is None:
            connection = Connection(self._url, self._ehlo_name(), job.deadline_s)
            words = job.run(connection)
        if connection is not None:
            self._idle.append(connection)
        return words

    def _idle_connection(self) -> Connection | None:
        while self._idle:
            try:
                connection = self._idle.pop()
            except IndexError:  # another thread was quicker
                return None
            if time.monotonic() - connection.used_at_s < IDLE_S:
                return connection
            connection.quit()
        return None

    def _ehlo_name(self) -> str:
        name = socket.gethostname()
        return name if "." in name else self._domain

    async def aclose(self) -> None:
        """End idle sessions and threads; what is being sent is waited for."""
        await asyncio.to_thread(self._threads.shutdown)
        while self._idle:
            await asyncio.to_thread(self._idle.pop().quit)


def _dotted(message: bytes) -> bytes:
    """The text of DATA without its final dot: dots at line starts doubled, CRLF at the end."""
    text = re.sub(rb"(?m)^\.", b"..", message)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def _text(raw: bytes | str) -> str:
    words = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return " ".join(words.split())[:WORDS_CHARACTERS]


def _without(to: str, words: str) -> str:
    """Servers repeat the address; words go to ledger and logs, which name no person."""
    return re.sub(re.escape(to), "<recipient>", words, flags=re.IGNORECASE)
