"""The SMTP sink: its folder is exactly what it accepted, and it misbehaves on demand."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path

import pytest

from deploy.mail_sink import MailSink

MESSAGE = "Subject: Gruß\r\nFrom: a@example.com\r\nTo: b@example.com\r\n\r\nBody ä\r\n.\r\nend\r\n"


@pytest.fixture
def sink(tmp_path: Path) -> Iterator[MailSink]:
    with MailSink(tmp_path / "mail") as sink:
        yield sink


def deliver(sink: MailSink, *recipients: str, timeout_s: float = 10) -> None:
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=timeout_s) as client:
        client.sendmail("a@example.com", recipients or ("b@example.com",), MESSAGE.encode())


def test_an_accepted_message_is_one_file_with_its_envelope(sink: MailSink) -> None:
    deliver(sink, "b@example.com", "c@example.com")
    (file,) = sink.messages
    assert file.name[8] == "T"
    assert not list(file.parent.glob(".*"))
    message = message_from_bytes(file.read_bytes(), policy=policy.default)
    assert message["X-MailFrom"] == "a@example.com"
    assert message["X-RcptTo"] == "b@example.com, c@example.com"
    assert file.read_bytes().endswith(MESSAGE.encode())


def test_names_sort_by_time(sink: MailSink) -> None:
    for number in range(12):
        deliver(sink, f"{number}@example.com")
    contents = [file.read_text() for file in sink.messages]
    assert [f"X-RcptTo: {n}@example.com" in text for n, text in enumerate(contents)] == [True] * 12


@pytest.mark.parametrize("reply", ["421 busy", "450 later", "550 no such user"])
def test_a_refusal_keeps_nothing_and_is_used_up(sink: MailSink, reply: str) -> None:
    sink.misbehave(reply)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
        deliver(sink)
    assert caught.value.recipients["b@example.com"][0] == int(reply[:3])
    assert sink.messages == []
    deliver(sink)
    assert len(sink.messages) == 1


def test_lost_keeps_the_message_without_saying_so(sink: MailSink) -> None:
    sink.misbehave("lost")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        deliver(sink)
    assert len(sink.messages) == 1


def test_crash_keeps_nothing(sink: MailSink) -> None:
    sink.misbehave("crash")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        deliver(sink)
    assert sink.messages == []


def test_hang_leaves_the_client_waiting(sink: MailSink) -> None:
    sink.misbehave("hang")
    with pytest.raises(smtplib.SMTPServerDisconnected, match="timed out"):
        deliver(sink, timeout_s=0.3)
    assert sink.messages == []
