"""The process that runs a keyed function: `udfs.run_process` says what goes in and out.

One asyncio loop runs all entries. Nothing here imports Flink, so it starts in a second or two.
"""

import asyncio
import contextlib
import logging
import os
import pickle
import signal
import socket
import struct
import sys
import time
from typing import Any

from connectors.mongodb import close_shared
from udfs.core.slot import Entry
from udfs.keyed_function import KeyedFunction, Result

LENGTH = struct.Struct("!i")


async def serve(connection: socket.socket) -> None:
    """Run what comes until the other end says so, or is gone."""
    reader, writer = await asyncio.open_connection(sock=connection)
    function: KeyedFunction = await _receive(reader)
    try:
        await function.open()
    except Exception as error:
        logging.exception("a keyed function did not open")
        _send(writer, f"{type(error).__name__}: {error}")
        await writer.drain()
        return
    _send(writer, None)
    running: set[asyncio.Task[None]] = set()
    try:
        while (message := await _receive(reader)) is not None:
            task = asyncio.create_task(_run(function, message, writer))
            running.add(task)
            task.add_done_callback(running.discard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(function.finish_s):
                await function.finish()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)
    await function.close()
    await close_shared()


async def _run(
    function: KeyedFunction,
    message: tuple[int, Entry, list[dict[str, Any]]],
    writer: asyncio.StreamWriter,
) -> None:
    number, entry, memory = message
    started = time.monotonic()
    try:
        result = await function.run(entry, memory)
    except Exception as defect:  # a record must not stop the job, whatever it found
        result = Result(reason="internal_error", message=f"{type(defect).__name__}: {defect}")
    result.counts["run_ms"] = int((time.monotonic() - started) * 1000)
    _send(writer, (number, result))


async def _receive(reader: asyncio.StreamReader) -> Any:
    (length,) = LENGTH.unpack(await reader.readexactly(LENGTH.size))
    return pickle.loads(await reader.readexactly(length))


def _send(writer: asyncio.StreamWriter, message: object) -> None:
    body = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    writer.write(LENGTH.pack(len(body)) + body)


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the operator, which says when
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))
    os._exit(0)  # a tool's thread may hang; nobody waits for it


if __name__ == "__main__":
    main()
