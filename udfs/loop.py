"""Coroutines in from a scalar function, their results out: an asyncio loop in its own thread."""

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

from connectors.mongodb import close_shared


class LoopThread:
    """A loop in a thread, for a function that waits for each of its calls."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="calls", daemon=True)
        self._thread.start()

    def call(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def close(self) -> None:
        """Give back the loop's shared clients, and end."""
        self.call(close_shared())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
