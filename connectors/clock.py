"""The machine's clock, in the shape that effects ask for (`udfs.core.outbox.Clock`)."""

import asyncio
import time


class SystemClock:
    """Wall time for what others read, monotonic time for what is measured here."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def monotonic_s(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
