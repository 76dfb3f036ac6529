"""One mail into one SMTP session, the server's word on it out: taken, surely not taken, or unknown.

SMTP acknowledges once, after the final dot. Whatever fails before the dot has left is surely not
sent, whatever the server answers after it is its decision, and only a connection that is lost in
between leaves the outcome open. The dialogue is spelled out here so that each failure falls on the
right side (RFC 5321, sections 4.2 and 4.5.3.2).

    MailError
    ├── NotSent             the server has surely not taken it
    │   ├── Unavailable     nobody to talk to (no connection, TLS, AUTH, 421): as for every mail
    │   ├── Deferred        a 4xx answer to this mail, or the connection broke at its text
    │   └── Rejected        a 5xx answer to this mail
    └── Ambiguous           the final dot left, no answer came
"""

import contextlib
import re
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

At = Callable[[str], None]

CONNECT_S = 10.0
SHORTEST_S = 0.05
ANSWER_BYTES = 16_384
WORDS_CHARACTERS = 300
LOOPBACK = ("localhost", "127.0.0.1", "::1")
NO_SERVICE = (421, 530, 535)  # closing, authentication required, credentials refused
ACCEPTED = range(200, 300)


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
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not (user + password).isascii():
            raise SmtpUrlError("SMTP_URL: user and password must be ASCII, as SMTP's AUTH is")
        tls = scheme == "smtps"
        if password and not (tls or starttls or host in LOOPBACK):
            raise SmtpUrlError(
                "SMTP_URL has a password but no encryption: use smtps:// or add ?starttls"
            )
        return cls(
            host=host,
            port=port or (465 if tls else 587 if starttls else 25),
            tls=tls,
            starttls=starttls,
            user=user or None,
            password=password or None,
            **numbers,
        )


_NUMBERS: dict[str, type] = {"timeout_s": float, "reply_timeout_s": float, "connections": int}


class _Deadline:
    """smtplib's reading of answers, with one deadline for all and none for a half line.

    smtplib itself waits per packet, so that a server which drips keeps it for ever, and takes the
    "250" of a line that never ended for an answer.
    """

    deadline_s = 0.0
    sock: socket.socket | None
    close: Callable[[], None]

    def __init__(self, deadline_s: float, *arguments: Any, **options: Any) -> None:
        self.deadline_s = deadline_s
        self._received = b""
        super().__init__(*arguments, **options)

    def getreply(self) -> tuple[int, bytes]:
        words = []
        while True:
            line = self._line()
            words.append(line[4:].strip())
            if not line[:3].isdigit():
                return -1, line
            if line[3:4] != b"-":
                return int(line[:3]), b"\n".join(words)

    def _line(self) -> bytes:
        while b"\n" not in self._received:
            try:
                self._received += self._packet()
            except OSError as error:
                self.close()
                raise smtplib.SMTPServerDisconnected(f"no whole answer ({error})") from error
        line, _, self._received = self._received.partition(b"\n")
        return line.strip()

    def _packet(self) -> bytes:
        if self.sock is None or len(self._received) > ANSWER_BYTES:
            raise ConnectionError("closed, or an answer without end")
        if time.monotonic() > self.deadline_s:
            raise TimeoutError("timed out")
        self.sock.settimeout(self.left_s())
        if packet := self.sock.recv(4096):
            return packet
        raise ConnectionError("closed by the server")

    def left_s(self) -> float:
        return max(SHORTEST_S, self.deadline_s - time.monotonic())

    def has_unasked(self) -> bool:
        """Whether the server has said something before it was asked. Raises where it has left."""
        if self.sock is None:
            return False
        self.sock.settimeout(0)
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            packet = self.sock.recv(4096)
            if not packet:
                raise ConnectionError("closed by the server")
            self._received += packet
        return bool(self._received)

    def forget(self) -> None:
        """After STARTTLS: what was said in the clear is not believed."""
        self._received = b""


class _Smtp(_Deadline, smtplib.SMTP):
    pass


class _SmtpTls(_Deadline, smtplib.SMTP_SSL):
    pass


class Connection:
    """One SMTP session. After `send` returned it may be used again, after it raised it is closed.

    Raises `Unavailable` where it cannot be opened before `deadline_s` (of the monotonic clock).
    """

    def __init__(self, url: SmtpUrl, name: str, deadline_s: float) -> None:
        self._url = url
        self._stage = "connect"
        self.used_at_s = time.monotonic()
        try:
            self._smtp = self._open(name, min(deadline_s, time.monotonic() + CONNECT_S))
        except smtplib.SMTPResponseException as error:
            raise Unavailable(f"smtp_{error.smtp_code}", _text(error.smtp_error)) from error
        except (OSError, smtplib.SMTPException) as error:
            raise Unavailable("smtp_unreachable", f"{url.host}:{url.port}: {error}") from error

    def _open(self, name: str, deadline_s: float) -> "_Smtp | _SmtpTls":
        url, context = self._url, ssl.create_default_context()
        timeout_s = max(SHORTEST_S, deadline_s - time.monotonic())
        smtp = (
            _SmtpTls(deadline_s, url.host, url.port, name, timeout=timeout_s, context=context)
            if url.tls
            else _Smtp(deadline_s, url.host, url.port, name, timeout=timeout_s)
        )
        try:
            if smtp.sock is not None:  # the final dot is a packet of its own
                smtp.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            smtp.ehlo_or_helo_if_needed()
            if url.starttls:
                smtp.starttls(context=context)
                smtp.forget()
                smtp.ehlo_or_helo_if_needed()
            if url.user is not None:
                smtp.login(url.user, url.password or "")
        except BaseException:
            smtp.close()
            raise
        return smtp

    def send(self, sender: str, to: str, message: bytes, at: At, deadline_s: float) -> str:
        """The dialogue from MAIL to the answer to the final dot; returns the server's words.

        `deadline_s` is for all up to the dot, which is sent only after `at("final_dot")` returned.
        """
        try:
            self._smtp.deadline_s = deadline_s
            self._command("MAIL", f" FROM:<{sender}>", (250,))
            self._command("RCPT", f" TO:<{to}>", (250, 251))
            self._command("DATA", "", (354,))
            self._write(_dotted(message))
            self._heed()
            at("final_dot")
            self._stage = "final dot"
            self._smtp.deadline_s = time.monotonic() + self._url.reply_timeout_s
            self._write(b".\r\n")
            at("after_final_dot")
            words = self._answer(ACCEPTED)
        except BaseException as error:
            self._smtp.close()
            if isinstance(error, smtplib.SMTPException | OSError):
                raise self._lost(error) from error
            raise
        self.used_at_s = time.monotonic()
        return words

    def _lost(self, error: Exception) -> MailError:
        """What a broken connection means at this stage."""
        words = f"connection lost at {self._stage}: {error}"
        if self._stage == "final dot":
            return Ambiguous("no_answer", words)
        return (Unavailable if self._stage == "MAIL" else Deferred)("smtp_lost", words)

    def _command(self, verb: str, rest: str, good: tuple[int, ...]) -> None:
        self._stage = verb
        self._heed()
        self._write(f"{verb}{rest}\r\n".encode("ascii"))
        self._answer(good)

    def _heed(self) -> None:
        """What the server says unasked is no answer to what comes next, least of all to the dot."""
        if self._smtp.has_unasked():
            self._answer(())

    def _write(self, data: bytes) -> None:
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(self._smtp.left_s())
        self._smtp.send(data)

    def _answer(self, good: "tuple[int, ...] | range") -> str:
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

    def quit(self) -> None:
        """Leave politely, if that is quick."""
        self._smtp.deadline_s = time.monotonic() + 1
        try:
            self._smtp.quit()
        except (OSError, smtplib.SMTPException):
            self._smtp.close()


def _dotted(message: bytes) -> bytes:
    """The text of DATA without its final dot: dots at line starts doubled, CRLF at the end."""
    text = re.sub(rb"(?m)^\.", b"..", message)
    return text if text.endswith(b"\r\n") else text + b"\r\n"


def _text(raw: bytes | str) -> str:
    words = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    return " ".join(words.split())[:WORDS_CHARACTERS]
