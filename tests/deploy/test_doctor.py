"""The doctor: what is wrong is named with what to do, and secrets stay secret."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from deploy import stack
from deploy.doctor import Check, diagnose, without_password


def checks() -> dict[str, Check]:
    return {check.name: check for check in diagnose()}


def test_a_machine_in_order(home: Path) -> None:
    found = checks()
    assert {"Python", "Java", "Jars", "Memory", "Disk", "Kafka", "Flink"} <= set(found)
    wrong = [check for check in found.values() if not check.is_fine and check.name != "Memory"]
    assert wrong == []


def test_a_taken_port(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        monkeypatch.setenv("TIDEMILL_KAFKA_PORT", str(port))
        check = checks()["Port of kafka"]
    assert check.found.startswith(f"{port} is taken by")
    assert "TIDEMILL_KAFKA_PORT" in check.advice


def test_services_that_do_not_answer(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.parts.PROBE_S", 0.5)
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
    monkeypatch.setenv("MONGODB_URI", "mongodb://user:secret@127.0.0.1:9")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("SMTP_URL", "smtp://user:secret@127.0.0.1:9")
    monkeypatch.setenv("FLINK_REST_URL", "http://127.0.0.1:9")
    found = checks()
    for name in ("Kafka", "MongoDB", "Model", "Mail", "Flink"):
        assert "check " in found[name].advice, name
    assert "secret" not in str(found)


def test_a_mail_servers_password_is_not_said_in_the_clear(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMTP_URL", "smtp://user:secret@mail.example.com")
    mail = checks()["Mail"]
    assert "no encryption" in mail.found and "secret" not in str(mail)


def test_a_port_beyond_all_ports(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_KAFKA_PORT", "70000")
    assert "'70000' is no port" in checks()["Port of kafka"].found


def test_a_setting_of_the_wrong_type(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("TIDEMILL_CLOCK_SPEED", "fast")
        assert "TIDEMILL_CLOCK_SPEED" in checks()
        with pytest.raises(stack.StackError, match="^TIDEMILL_CLOCK_SPEED is not usable: "):
            stack.status()


def test_without_password() -> None:
    assert without_password("smtp://me:s3cret@host:25") == "smtp://me:***@host:25"
    assert without_password("http://host/v1") == "http://host/v1"
