"""Commands from one orchestrator in, their results out: a worker of `tests.bench.twins.pool`.

python -m tests.bench.twins.worker PORT WORK_MS
"""

import asyncio
import contextlib
import json
import os
import sys


async def work(port: int, work_s: float) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    running: set[asyncio.Task[None]] = set()

    async def carry_out(command: str) -> None:
        await asyncio.sleep(work_s)
        if writer.is_closing():
            return
        result = {"command_id": command, "worker": os.getpid()}
        with contextlib.suppress(ConnectionError):  # its orchestrator is gone, and so is the work
            writer.write(json.dumps(result).encode() + b"\n")
            await writer.drain()

    while line := await _line(reader):
        task = asyncio.create_task(carry_out(json.loads(line)["command_id"]))
        running.add(task)
        task.add_done_callback(running.discard)


async def _line(reader: asyncio.StreamReader) -> bytes:
    """The next command; none when the orchestrator is gone."""
    try:
        return await reader.readline()
    except ConnectionError:
        return b""


if __name__ == "__main__":
    asyncio.run(work(int(sys.argv[1]), float(sys.argv[2]) / 1000))
