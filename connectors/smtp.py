"""Mails in, one SMTP dialogue each, the server's word out; sessions are kept and used again.

`SMTP_URL` is `smtp://[user:password@]host[:port]`, or `smtps://` for TLS from the start. Options
after `?`: `starttls`, `timeout_s=30` (up to the final dot), `reply_timeout_s=60`, `connections=8`.
Errors are those of `connectors.smtp_dialogue`: `NotSent` (`Unavailable`, `Deferred`, `Rejected`)
and `Ambiguous`.
"""

import asyncio
import logging
import quopri
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from email.header import Header
from email.utils import format_datetime, localtime

from connectors.smtp_dialogue import (
    Ambiguous,
    At,
    Connection,
    Deferred,
    MailError,
    NotSent,
    Rejected,
    SmtpUrl,
    SmtpUrlError,
    Unavailable,
)

__all__ = [
    "Ambiguous",
    "Deferred",
    "MailError",
    "NotSent",
    "Rejected",
    "SmtpSender",
    "SmtpUrl",
    "SmtpUrlError",
    "Unavailable",
    "compose",
    "message_id",
]

IDLE_S = 10.0
PLAIN_SUBJECT_CHARACTERS = 65

_log = logging.getLogger(__name__)


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
        except ValueError as error:
            raise Rejected("not_composable", f"not a message: {error}") from error
        work = asyncio.get_running_loop().run_in_executor(
            self._threads, self._send, to, message, at, deadline_s
        )
        try:
            return _without(to, await work)
        except MailError as error:
            raise type(error)(error.reason, _without(to, str(error))) from error.__cause__

    def _send(self, to: str, message: bytes, at: At, deadline_s: float) -> str:
        """In a thread: over an idle session, or a new one where there is none or it is stale."""
        connection, words = self._take_idle(), None
        if connection is not None:
            try:
                words = connection.send(self._sender, to, message, at, deadline_s)
            except Unavailable as error:
                _log.debug("the idle session is stale (%s): opening another", error)
        if connection is None or words is None:
            connection = Connection(self._url, self._ehlo_name(), deadline_s)
            words = connection.send(self._sender, to, message, at, deadline_s)
        self._idle.append(connection)
        return words

    def _take_idle(self) -> Connection | None:
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
        ("Message-ID", message_id(effect_id, sender)),
        ("List-Unsubscribe", f"<mailto:{sender}?subject=unsubscribe>"),
        ("Auto-Submitted", "auto-generated"),
        ("MIME-Version", "1.0"),
        ("Content-Type", 'text/plain; charset="utf-8"'),
        ("Content-Transfer-Encoding", "quoted-printable"),
    )
    head = "".join(f"{name}: {value}\r\n" for name, value in headers)
    text = quopri.encodestring(body.encode("utf-8")).replace(b"\n", b"\r\n")
    return head.encode("ascii") + b"\r\n" + text


def message_id(effect_id: str, sender: str) -> str:
    """The Message-ID of an effect's mail, by which a mail server's log tells of it."""
    return f"<{effect_id}@{sender.rpartition('@')[2]}>"


def _encoded(subject: str) -> str:
    """Short plain ASCII as it is, all else as RFC 2047 encoded words, folded."""
    if len(subject) <= PLAIN_SUBJECT_CHARACTERS and subject.isascii() and "=?" not in subject:
        return subject
    return Header(subject, "utf-8", header_name="Subject").encode(linesep="\r\n")


def _without(to: str, words: str) -> str:
    """Servers repeat the address; words go to ledger and logs, which name no person."""
    return re.sub(re.escape(to), "<recipient>", words, flags=re.IGNORECASE)
