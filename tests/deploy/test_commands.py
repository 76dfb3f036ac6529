"""The commands of the local stack: plain lines without a terminal, sentences for errors."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.commands import app


def run(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, list(words))
    return result.exit_code, result.output


def test_up_status_logs_down(home: Path) -> None:
    code, output = run("up", "mail")
    assert code == 0
    assert output.splitlines()[0] == "mail      starting"
    assert "The stack is up after" in output
    code, output = run("status")
    assert [line.split()[1] for line in output.splitlines() if line.startswith(" mail")] == [
        "running"
    ]
    code, output = run("logs", "mail", "-n", "1")
    assert output.startswith("SMTP sink on smtp://127.0.0.1:")
    code, output = run("down")
    assert "The stack is down" in output


def test_an_error_is_a_sentence_without_traceback(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        monkeypatch.setenv("TIDEMILL_MAIL_PORT", str(foreign.getsockname()[1]))
        code, output = run("up", "mail")
    assert code == 1
    assert "is taken by" in output
    assert "Traceback" not in output


def test_logs_of_an_unknown_part(home: Path) -> None:
    code, output = run("logs", "redis")
    assert code == 1
    assert "no log of redis" in output


def test_doctor_prints_a_line_for_each_check(home: Path) -> None:
    _, output = run("doctor")
    assert any(line.startswith("ok  Java: ") for line in output.splitlines())
