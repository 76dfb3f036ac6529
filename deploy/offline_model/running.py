"""A port in; the offline model serving on it, in this process or in a thread of a test, out."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import uvicorn

from deploy.offline_model.faults import Fault, fault
from deploy.offline_model.lexicon import cues
from deploy.offline_model.server import OfflineServer

HOST = "127.0.0.1"
BACKLOG = 4_096
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 2


class _Server(uvicorn.Server):
    """uvicorn's server that tells when it accepts connections."""

    def __init__(self, app: Any, ready: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_level="critical",
                access_log=False,
                lifespan="off",
                backlog=BACKLOG,
                timeout_keep_alive=120,
                timeout_graceful_shutdown=STOP_TIMEOUT_S,
                ws="none",
            )
        )
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def listening(port: int) -> socket.socket:
    """A socket on the loopback; OSError when the port is taken."""
    # asyncio sets TCP_NODELAY only where the protocol is named; without it answers wait 40 ms.
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port))
    except OSError:
        found.close()
        raise
    return found


def serve(
    port: int,
    latency_ms: float,
    control: bool,
    ready: Callable[[str], None],
    log: Path | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT; `ready` is told the address once."""
    cues()
    bound = listening(port)
    url = f"http://{HOST}:{bound.getsockname()[1]}/v1"
    server = _Server(OfflineServer(latency_ms, control, log).app, lambda: ready(url))
    server.run(sockets=[bound])


class OfflineModel:
    """The offline model in a thread, for tests:

    with OfflineModel() as model:
        model.misbehave([{"kind": "rate_limited", "retry_after": 1, "count": 2}])
        client = openai.OpenAI(base_url=model.url, api_key="any")
    """

    def __init__(self, latency_ms: float = 0.0) -> None:
        self.server = OfflineServer(latency_ms, control=True)
        self._started = threading.Event()
        self._uvicorn = _Server(self.server.app, self._started.set)
        self._thread: threading.Thread | None = None
        self.url = ""

    def __enter__(self) -> OfflineModel:
        cues()
        bound = listening(0)
        self.url = f"http://{HOST}:{bound.getsockname()[1]}/v1"
        self._thread = threading.Thread(
            target=self._uvicorn.run, kwargs={"sockets": [bound]}, name="offline-model", daemon=True
        )
        self._thread.start()
        if not self._started.wait(START_TIMEOUT_S):
            raise TimeoutError(
                f"offline model: {self.url} accepted no connection in {START_TIMEOUT_S:.0f} s"
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._uvicorn.should_exit = True
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S + 10)

    def misbehave(self, faults: list[Fault | Mapping[str, Any] | str]) -> None:
        """Adds fault rules: a kind alone, or a dict with the fields of `Fault`."""
        self.server.faults.add([fault(one) for one in faults])

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The requests so far: number, time, endpoint, hash of the messages, fault, status."""
        return list(self.server.requests)

    @property
    def most_in_flight(self) -> int:
        return self.server.most_in_flight

    def reset(self) -> None:
        """Forgets fault rules and requests."""
        self.server.reset()
