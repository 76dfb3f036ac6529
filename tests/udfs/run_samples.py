"""Functions for tests of the process that runs them. In a module: it imports them."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

from udfs.core.slot import Entry
from udfs.core.types import Type
from udfs.keyed_function import KeyedFunction, Result


class Sample(KeyedFunction):
    """`do` in a row says what its run does: hang, hang once, fail, die, exit; else it answers."""

    concurrency = 4
    finish_s = 2.0

    def __init__(self, folder: Path, opens: bool = True) -> None:
        self.folder, self.opens = folder, opens

    def output_columns(self) -> list[tuple[str, Type]]:
        return [("reply", Type("STRING"))]

    async def open(self) -> None:
        if not self.opens:
            raise ValueError("the server is not configured")

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        (self.folder / f"{entry.sequence}.{os.getpid()}").touch()
        match entry.row.get("do"):
            case "hang":
                await asyncio.sleep(3600)
            case "hang once" if len(list(self.folder.glob(f"{entry.sequence}.*"))) == 1:
                await asyncio.sleep(3600)
            case "exit":
                sys.stdout.flush()
                os._exit(3)
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "fail":
                raise ZeroDivisionError("a defect")
        await asyncio.sleep(entry.row.get("seconds", 0))
        return Result({"reply": f"{entry.key} {len(memory)}"})

    async def finish(self) -> None:
        (self.folder / "finished").touch()

    async def close(self) -> None:
        (self.folder / "closed").touch()
