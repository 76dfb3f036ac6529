"""Coroutines in from operator threads; one asyncio loop per worker process runs them all.

The loop is counted by its users: the first operator that opens starts it, the last that closes
stops it. After a fail-over the old operator's `close()` cancels what it had started, because a
thread that lives on would go on paying and mailing.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar


class WorkerLoop:
    """The process's loop. Take it with `acquire()`, give it back with `release()`."""

    _lock: ClassVar[threading.Lock] = threading.Lock()
    _current: ClassVar["WorkerLoop | None"] = None

    def __init__(self) -> None:
        self._users = 0
        self._resources: dict[str, asyncio.Future[Any]] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="agents", daemon=True)
        self._thread.start()

    @classmethod
    def acquire(cls) -> "WorkerLoop":
        with cls._lock:
            if cls._current is None:
                cls._current = WorkerLoop()
            cls._current._users += 1
            return cls._current

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users:
                return
            type(self)._current = None
        self.call(self._close_resources())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)

    def call(self, coroutine: Coroutine[Any, Any, Any], timeout_s: float | None = None) -> Any:
        """Run a coroutine and wait for its result; for opening and closing only."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout_s)

    def spawn(self, owner: "Tasks", coroutine: Coroutine[Any, Any, None]) -> None:
        """Start a coroutine and return at once; `owner` can cancel it."""
        self._loop.call_soon_threadsafe(owner.start, coroutine)

    async def shared(self, name: str, build: Callable[[], Awaitable[Any]]) -> Any:
        """The process's one resource of that name (a model client, a journal), built on first use.

        It is closed, by `aclose()`, with the loop.
        """
        if name not in self._resources:
            self._resources[name] = asyncio.ensure_future(build())
        try:
            return await asyncio.shield(self._resources[name])
        except Exception:
            self._resources.pop(name, None)
            raise

    async def _close_resources(self) -> None:
        from connectors.mongodb import close_shared

        for resource in self._resources.values():
            if resource.done() and not resource.cancelled() and not resource.exception():
                await resource.result().aclose()
        await close_shared()


class Tasks:
    """The tasks of one operator instance."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """In the loop's thread only."""
        if self._closed:
            coroutine.close()
            return
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel what runs, and start nothing more."""
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
