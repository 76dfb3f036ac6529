"""A MongoDB-wire server of one's own, to be killed, and a proxy that loses its answers."""

import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from pymongo import MongoClient

from deploy.ports import free

ROOT = Path(__file__).resolve().parents[2]


class KillableMongo:
    """The local stack's server: `kill()` is SIGKILL, `start()` opens its files again."""

    def __init__(self, folder: Path) -> None:
        self.port = free()
        self.uri = f"mongodb://127.0.0.1:{self.port}/?serverSelectionTimeoutMS=300"
        self._command = [sys.executable, "-m", "deploy.mongodb_server", "--folder", str(folder)]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [*self._command, "--port", str(self.port)]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        uri = f"mongodb://127.0.0.1:{self.port}/?serverSelectionTimeoutMS=30000"
        with MongoClient(uri) as client:
            client.admin.command("ping")

    def kill(self) -> None:
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None


@pytest.fixture
def killable_mongo(tmp_path: Path) -> Iterator[KillableMongo]:
    server = KillableMongo(tmp_path / "mongodb")
    server.start()
    try:
        yield server
    finally:
        server.kill()


class LossyProxy(socketserver.ThreadingTCPServer):
    """Passes bytes on. While `loses` names a command, that command reaches the server, its answer
    does not come back: the connection closes instead. It is then used up."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Pass)
        self.behind = port
        self.loses: bytes | None = None
        self.lost = 0

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.server_address[1]}/?directConnection=true"


class _Pass(socketserver.BaseRequestHandler):
    server: LossyProxy

    def handle(self) -> None:
        with socket.create_connection(("127.0.0.1", self.server.behind)) as behind:
            muted = threading.Event()
            threading.Thread(target=self._back, args=(behind, muted), daemon=True).start()
            while request := self.request.recv(1 << 20):
                if self.server.loses is not None and self.server.loses in request:
                    self.server.loses = None
                    self.server.lost += 1
                    muted.set()
                behind.sendall(request)

    def _back(self, behind: socket.socket, muted: threading.Event) -> None:
        while answer := behind.recv(1 << 20):
            if muted.is_set():
                self.request.shutdown(socket.SHUT_RDWR)
                return
            self.request.sendall(answer)


@pytest.fixture
def lossy_mongo(stack: dict[str, str]) -> Iterator[LossyProxy]:
    """The session's MongoDB behind a proxy."""
    port = int(stack["MONGODB_URI"].rpartition(":")[2].partition("/")[0])
    proxy = LossyProxy(port)
    threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
