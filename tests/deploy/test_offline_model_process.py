"""The command in; a process that says where it listens, serves, and goes at SIGTERM, out."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def process(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The running process, and the address that its one line names."""
    command = [sys.executable, "-m", "deploy.offline_model", "--port", "0", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            assert line.startswith("offline model listens on http://127.0.0.1:")
            yield running, line.split()[-1]
        finally:
            running.kill()


def post(url: str, body: object) -> object:
    asked = urllib.request.Request(url, data=json.dumps(body).encode(), method="POST")
    with urllib.request.urlopen(asked, timeout=20) as answer:
        return json.load(answer)


def test_it_serves_until_sigterm_even_while_a_request_hangs() -> None:
    with process("--control", "--latency-ms", "10") as (running, url):
        base = url.removesuffix("/v1")
        post(f"{base}/control", {"faults": [{"kind": "hang", "match": "hang"}]})
        answer = post(
            f"{url}/chat/completions",
            {"model": "m", "messages": [{"role": "user", "content": "Hi"}]},
        )
        assert isinstance(answer, dict)
        host, port = base.removeprefix("http://").split(":")
        body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hang"}]})
        with socket.create_connection((host, int(port))) as hanging:
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: "
                f"{len(body)}\r\n\r\n"
            )
            hanging.sendall((head + body).encode())
            running.send_signal(signal.SIGTERM)
            assert running.wait(timeout=20) in (0, -signal.SIGTERM)


def test_control_is_off_unless_asked_for() -> None:
    with process() as (_, url):
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(url.removesuffix("/v1") + "/control", {"faults": []})
        assert refused.value.code == 404
        refused.value.close()


def test_a_taken_port_is_told_in_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "deploy.offline_model", "--port", port]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 1
    assert f"port {port} cannot be used" in ended.stderr
    assert "Traceback" not in ended.stderr
