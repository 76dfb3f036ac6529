"""The SMTP dialogue against aiosmtpd, and against a server that misbehaves at every stage."""

import asyncio
import email
import email.policy
import shutil
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword
from hypothesis import given
from hypothesis import strategies as st

from connectors.smtp import (
    Ambiguous,
    Deferred,
    MailError,
    NotSent,
    Rejected,
    SmtpSender,
    SmtpUrl,
    SmtpUrlError,
    Unavailable,
    compose,
)
from deploy.ports import free

SENDER = "agents@tidemill.example"
MAIL = {
    "effect_id": "ab" * 32,
    "to": "ada@acme.example",
    "subject": "Your pilot",
    "body": "Dear Ada,\n.dot\n..two dots\n\nünï\n" + "x" * 3_000 + "\n.\n",
}


class Inbox:
    """An aiosmtpd handler that keeps envelopes and counts sessions."""

    def __init__(self) -> None:
        self.envelopes: list[Envelope] = []
        self.sessions: set[int] = set()

    async def handle_DATA(self, server: Any, session: Any, envelope: Envelope) -> str:
        self.envelopes.append(envelope)
        self.sessions.add(id(session))
        return f"250 OK for {envelope.rcpt_tos[0]}"


@contextmanager
def inbox(**options: Any) -> Iterator[tuple[Inbox, Controller]]:
    handler = Inbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free(), **options)
    controller.start()
    try:
        yield handler, controller
    finally:
        controller.stop()


class Odd(socketserver.StreamRequestHandler):
    """Answers each verb with its line of the server's script. `drop` closes, `hang` is silent,
    `drip` sends an endless answer a byte at a time; `take+drop` has the mail and then closes."""

    server: "OddServer"

    def handle(self) -> None:
        self.server.sessions += 1
        if not self._answer("connect", "220 odd"):
            return
        while line := self.rfile.readline():
            verb = line.strip().decode()[:4].upper()
            if not self._answer(verb, "354 go on" if verb == "DATA" else "250 fine"):
                return
            if verb == "DATA" and not self._text():
                return
            if verb == "QUIT":
                return

    def _text(self) -> bool:
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return False
        if self.server.script.get("dot", "250").startswith(("250", "take")):
            self.server.taken += 1
        return self._answer("dot", "250 taken")

    def _answer(self, verb: str, usual: str) -> bool:
        answer = self.server.script.get(verb, usual)
        if verb in self.server.once:
            self.server.script, self.server.once = {}, ()
        if answer.endswith("drop"):
            return False
        if answer == "hang":
            self.server.stopped.wait(20)
            return False
        if answer == "drip":
            while not self.server.stopped.wait(0.05):
                self.wfile.write(b"2")
            return False
        self.wfile.write(answer.encode() + b"\r\n")
        return True


class OddServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves is what these tests are about."""


@contextmanager
def odd(script: dict[str, str], once: tuple[str, ...] = ()) -> Iterator[tuple[OddServer, str]]:
    server = OddServer(("127.0.0.1", 0), Odd)
    server.script, server.once = script, once
    server.taken = server.sessions = 0
    server.stopped = threading.Event()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        timeout_s = 1 if {"hang", "drip"} & set(script.values()) else 30
        options = f"timeout_s={timeout_s}&reply_timeout_s={timeout_s}"
        yield server, f"smtp://127.0.0.1:{server.server_address[1]}?{options}"
    finally:
        server.stopped.set()
        server.shutdown()
        server.server_close()


def send(url: str, mails: int = 1, at: Any = lambda point: None, **changes: str) -> list[str]:
    """Send so many mails one after another through one sender; returns the server's words."""

    async def main() -> list[str]:
        sender = SmtpSender(url, SENDER)
        try:
            return [await sender.send(**{**MAIL, **changes}, at=at) for _ in range(mails)]
        finally:
            await sender.aclose()

    return asyncio.run(main())


def test_a_mail_arrives_as_it_was_written() -> None:
    points: list[str] = []
    with inbox() as (handler, server):
        [words] = send(f"smtp://127.0.0.1:{server.port}", at=points.append)
    [envelope] = handler.envelopes
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, ["ada@acme.example"])
    assert words == "250 OK for <recipient>"
    assert points == ["final_dot", "after_final_dot"]
    message = email.message_from_bytes(envelope.content, policy=email.policy.default)
    assert message.get_content().replace("\r\n", "\n") == MAIL["body"]
    assert message["Message-ID"] == f"<{'ab' * 32}@tidemill.example>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["List-Unsubscribe"] and message["Date"]
    assert max(map(len, envelope.content.split(b"\r\n"))) <= 100


def test_one_session_carries_many_mails() -> None:
    with inbox() as (handler, server):
        send(f"smtp://127.0.0.1:{server.port}", mails=20)
    assert len(handler.envelopes) == 20
    assert len(handler.sessions) == 1


@pytest.mark.parametrize("answer", ["421 too many mails", "drop"])
def test_a_session_that_the_server_closed_meanwhile_is_replaced(answer: str) -> None:
    with odd({"dot": "250 taken"}) as (server, url):

        async def main() -> None:
            sender = SmtpSender(url, SENDER)
            await sender.send(**MAIL, at=lambda point: None)
            server.script, server.once = {"MAIL": answer}, ("MAIL",)
            await sender.send(**MAIL, at=lambda point: None)
            await sender.aclose()

        asyncio.run(main())
        assert (server.taken, server.sessions) == (2, 2)


@pytest.mark.parametrize(
    ("script", "error", "reason"),
    [
        ({"connect": "421 busy"}, Unavailable, "smtp_421"),
        ({"connect": "554 no"}, Unavailable, "smtp_554"),
        ({"connect": "drop"}, Unavailable, "smtp_unreachable"),
        ({"connect": "hang"}, Unavailable, "smtp_unreachable"),
        ({"connect": "drip"}, Unavailable, "smtp_unreachable"),
        ({"connect": "HTTP/1.1 400 Bad Request"}, Unavailable, "smtp_-1"),
        ({"EHLO": "drop"}, Unavailable, "smtp_unreachable"),
        ({"MAIL": "421 closing"}, Unavailable, "smtp_421"),
        ({"MAIL": "530 authenticate first"}, Unavailable, "smtp_530"),
        ({"MAIL": "drop"}, Unavailable, "smtp_lost"),
        ({"MAIL": "hang"}, Unavailable, "smtp_lost"),
        ({"MAIL": "451 later"}, Deferred, "smtp_451"),
        ({"MAIL": "550 no"}, Rejected, "smtp_550"),
        ({"RCPT": "450 greylisted"}, Deferred, "smtp_450"),
        ({"RCPT": "452 full"}, Deferred, "smtp_452"),
        ({"RCPT": "421 closing"}, Unavailable, "smtp_421"),
        ({"RCPT": "550 unknown ADA@acme.example"}, Rejected, "smtp_550"),
        ({"RCPT": "drop"}, Deferred, "smtp_lost"),
        ({"RCPT": "gibberish"}, Deferred, "smtp_lost"),
        ({"DATA": "451 later"}, Deferred, "smtp_451"),
        ({"DATA": "554 no"}, Rejected, "smtp_554"),
        ({"DATA": "250 what?"}, Deferred, "smtp_lost"),
        ({"DATA": "354 go on\r\n250 taken before it came"}, Deferred, "smtp_lost"),
        ({"DATA": "354 go on\r\n552 too big"}, Rejected, "smtp_552"),
        ({"RCPT": "250 fine\r\n354 and go on\r\n250 taken"}, Deferred, "smtp_lost"),
        ({"dot": "451 later"}, Deferred, "smtp_451"),
        ({"dot": "421 closing"}, Unavailable, "smtp_421"),
        ({"dot": "550 spam"}, Rejected, "smtp_550"),
        ({"dot": "552 too big"}, Rejected, "smtp_552"),
        ({"dot": "drop"}, Ambiguous, "no_answer"),
        ({"dot": "take+drop"}, Ambiguous, "no_answer"),
        ({"dot": "hang"}, Ambiguous, "no_answer"),
        ({"dot": "drip"}, Ambiguous, "no_answer"),
        ({"dot": "gibberish"}, Ambiguous, "no_answer"),
        ({"dot": "354 go on"}, Ambiguous, "no_answer"),
    ],
)
def test_each_failure_falls_on_the_right_side(
    script: dict[str, str], error: type[MailError], reason: str
) -> None:
    with odd(script) as (server, url), pytest.raises(error) as raised:
        send(url)
    assert raised.value.reason == reason
    assert "acme" not in str(raised.value).lower()
    if issubclass(error, NotSent):
        assert server.taken == 0


def test_no_server_is_unavailable() -> None:
    with odd({}) as (_, url):
        pass
    with pytest.raises(Unavailable):
        send(url)


def test_a_mail_held_back_at_its_final_dot_is_not_taken() -> None:
    class HeldBackError(Exception):
        pass

    def hold_back(point: str) -> None:
        if point == "final_dot":
            raise HeldBackError

    with odd({}) as (server, url):
        with pytest.raises(HeldBackError):
            send(url, at=hold_back)
        assert (server.sessions, server.taken) == (1, 0)


def test_slow_servers_do_not_hold_more_than_their_connections() -> None:
    async def main(url: str) -> list[Any]:
        sender = SmtpSender(f"{url}&connections=2", SENDER)
        sends = [sender.send(**MAIL, at=lambda point: None) for _ in range(6)]
        results = await asyncio.gather(*sends, return_exceptions=True)
        await sender.aclose()
        return results

    with odd({"MAIL": "hang"}) as (server, url):
        results = asyncio.run(main(url))
    assert all(isinstance(result, NotSent) for result in results)
    assert server.taken == 0


class Login:
    def __call__(self, *arguments: Any) -> AuthResult:
        data = arguments[4]
        good = isinstance(data, LoginPassword) and data.password == b"p@ss:w/rd"
        return AuthResult(success=good and data.login == b"agent", handled=False)


@pytest.mark.filterwarnings("ignore:Requiring AUTH")
def test_user_and_password_of_the_url_are_used() -> None:
    options = {"auth_required": True, "auth_require_tls": False, "authenticator": Login()}
    with inbox(**options) as (handler, server):
        send(f"smtp://agent:p%40ss%3Aw%2Frd@127.0.0.1:{server.port}")
        with pytest.raises(Unavailable) as refused:
            send(f"smtp://agent:wr0ng@127.0.0.1:{server.port}")
    assert len(handler.envelopes) == 1
    assert refused.value.reason == "smtp_535"
    assert "wr0ng" not in str(refused.value)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl to make a certificate")
@pytest.mark.parametrize("scheme", ["smtps", "smtp"])
def test_tls_is_checked_against_trusted_certificates(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -days 2 -keyout {key} -out {certificate}"
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *subject], check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    options = {"ssl_context" if scheme == "smtps" else "tls_context": context}
    with inbox(**options) as (handler, server):
        url = f"{scheme}://localhost:{server.port}" + ("?starttls" if scheme == "smtp" else "")
        with pytest.raises(Unavailable, match="CERTIFICATE_VERIFY_FAILED"):
            send(url)
        assert not handler.envelopes
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        send(url)
    assert len(handler.envelopes) == 1


def test_starttls_is_demanded_where_it_was_asked_for() -> None:
    with odd({}) as (server, url), pytest.raises(Unavailable, match="STARTTLS"):
        send(f"{url}&starttls")
    assert server.taken == 0


PRINTABLE = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=255)


@given(PRINTABLE | st.from_regex(r"=\?utf-8\?[qb]\?[!-~]*\?=", fullmatch=True))
def test_no_subject_becomes_another_header(subject: str) -> None:
    """An encoded word that decodes to CR LF started a Bcc header when `email` wrote the message."""
    raw = compose(sender=SENDER, effect_id="ab", to=MAIL["to"], subject=subject, body="b\n")
    headers = raw.partition(b"\r\n\r\n")[0].split(b"\r\n")
    names = [line.partition(b":")[0] for line in headers if not line.startswith(b" ")]
    assert names == [
        *(b"From", b"To", b"Subject", b"Date", b"Message-ID", b"List-Unsubscribe"),
        *(b"Auto-Submitted", b"MIME-Version", b"Content-Type", b"Content-Transfer-Encoding"),
    ]
    assert max(map(len, headers)) <= 120


def test_an_encoded_word_in_a_subject_is_shown_as_it_was_written() -> None:
    subject = "=?utf-8?q?a=0D=0ABcc:_all@acme.example?="
    raw = compose(sender=SENDER, effect_id="ab", to=MAIL["to"], subject=subject, body="b\n")
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert message["Subject"] == subject
    assert message["Bcc"] is None


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r")))
def test_every_body_survives(body: str) -> None:
    raw = compose(sender=SENDER, effect_id="ab", to=MAIL["to"], subject="s", body=body)
    message = email.message_from_bytes(raw, policy=email.policy.default)
    payload = message.get_payload(decode=True)
    assert isinstance(payload, bytes)
    assert payload.replace(b"\r\n", b"\n").decode() == body
    assert max(map(len, raw.split(b"\r\n"))) <= 120


@pytest.mark.parametrize("control", ["\r\nBcc: x@y.example", "\n", "\x00", "\x7f"])
def test_a_control_character_never_reaches_the_wire(control: str) -> None:
    with odd({}) as (server, url):
        for name in ("subject", "to"):
            with pytest.raises(Rejected):
                send(url, **{name: MAIL[name] + control})
        assert server.sessions == 0


def test_an_smtp_url_is_read_whole() -> None:
    url = SmtpUrl.parse("smtp://u:p%40ss@localhost:2525?starttls&timeout_s=5&connections=3")
    assert (url.host, url.port, url.starttls, url.tls) == ("localhost", 2525, True, False)
    assert (url.user, url.password, url.timeout_s, url.connections) == ("u", "p@ss", 5, 3)
    assert SmtpUrl.parse("smtps://mail.example").port == 465
    assert SmtpUrl.parse("smtp://mail.example?starttls").port == 587
    assert "p@ss" not in repr(url)


@pytest.mark.parametrize(
    "url",
    [
        *("http://x", "smtp://", "smtp://h:99999", "smtp://h:x", "smtp://h?foo=1", "smtp://h/path"),
        *("smtp://h?timeout_s=0", "smtp://h?timeout_s=x", "smtp://u:s3cret@mail.example", ""),
        *("smtps://u:s3cret%C3%A4@mail.example",),
    ],
)
def test_a_wrong_smtp_url_is_told_without_its_password(url: str) -> None:
    with pytest.raises(SmtpUrlError, match="SMTP_URL") as raised:
        SmtpSender(url, SENDER)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("sender", ["", "agents", "a@b\r\nBcc: c@d", "Ada <a@b.example>", "ä@b.de"])
def test_a_wrong_sender_is_told(sender: str) -> None:
    with pytest.raises(SmtpUrlError, match="TIDEMILL_MAIL_FROM"):
        SmtpSender("smtp://localhost", sender)
