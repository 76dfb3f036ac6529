"""Orders on the command line in, one forked mailing process for each of them, exit codes out.

    python -m tests.chaos.senders JSON

A process mails its effects and may kill itself at a point of the way. What it has reported as done
is kept in a file, as a checkpoint of Flink's would; its successor begins with the others.
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from connectors.clock import SystemClock
from connectors.ledger import MongoLedger, new_owner
from connectors.mongodb import async_client
from connectors.smtp import SmtpSender
from tests.udfs.effect_worker import PATIENCE, intent, killer
from udfs.core.outbox import FAILPOINTS, Outbox

POINTS = (*FAILPOINTS, "after_checkpoint", "before_next")
AT_ONCE = 25
IN_FLIGHT = 4


async def mail(order: dict[str, Any]) -> None:
    """Bring the effects of an order to their ends."""
    done = Path(order["done"])
    known = set(done.read_text().split()) if done.exists() else set()
    numbers = [n for n in range(order["first"], order["last"]) if str(n) not in known]
    slots = asyncio.Semaphore(IN_FLIGHT)
    at = killer(order.get("point"), order.get("at_pass", 1))
    sender = SmtpSender(order["smtp_url"], "agents@tidemill.example")
    async with async_client() as mongo:
        ledger = MongoLedger(mongo[order["database"]])
        outbox = Outbox(ledger, sender, SystemClock(), new_owner("sdr.send_email"), PATIENCE, at)

        async def one(number: int) -> None:
            async with slots:
                at("before_next")
                await outbox.deliver(intent(number, **order["changes"]))
                with done.open("a") as file:
                    file.write(f"{number}\n")
                    file.flush()
                    os.fsync(file.fileno())
                at("after_checkpoint")

        try:
            await asyncio.gather(*(one(number) for number in numbers))
        finally:
            await sender.aclose()


def forked(order: dict[str, Any]) -> int:
    """Start a process for this order; its pid."""
    if pid := os.fork():
        return pid
    code = 1
    try:
        asyncio.run(mail(order))
        code = 0
    finally:
        os._exit(code)


def main(orders: list[dict[str, Any]]) -> list[int]:
    """All orders, some at once; for each the exit code, or minus the signal that ended it."""
    codes: dict[int, int] = {}
    pids: list[int] = []
    for order in orders:
        while len(pids) - len(codes) >= AT_ONCE:
            _wait(codes)
        pids.append(forked(order))
    while len(codes) < len(pids):
        _wait(codes)
    return [codes[pid] for pid in pids]


def _wait(codes: dict[int, int]) -> None:
    pid, status = os.wait()
    codes[pid] = os.waitstatus_to_exitcode(status)


if __name__ == "__main__":
    print(json.dumps(main(json.loads(sys.argv[1]))))
