"""A worker process that mails, and kills itself at a failpoint: `python effect_worker.py JSON`.

The JSON names first and last effect, SMTP_URL, the database, and optionally a failpoint and its
n-th pass. Prints one line of JSON with the status of each effect.
"""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from typing import Any

from connectors.clock import SystemClock
from connectors.ledger import MongoLedger, new_owner
from connectors.mongodb import async_client
from connectors.smtp import SmtpSender
from udfs.core.effect import Intent
from udfs.core.outbox import Outbox, Patience

PATIENCE = Patience(backoff_first_s=0.05, look_again_s=0.2, margin_s=0.2, deferrals=5, deferred_s=1)


def intent(number: int, **changes: Any) -> Intent:
    values: dict[str, Any] = {
        "job": "sdr.send_email",
        "effect_key": f"person-{number}/outreach/1",
        "event_id": f"event-{number}",
        "key": f"lead-{number}",
        "to": f"person-{number}@acme.example",
        "subject": f"Your pilot, person {number}",
        "body": f"Dear person {number},\nshall we talk?\n",
    }
    return Intent(**{**values, **changes})


def killer(point: str | None, at_pass: int) -> Any:
    """A failpoint that is SIGKILL to this very process: nothing is cleaned up."""
    passes: Counter[str] = Counter()

    def reached(name: str) -> None:
        passes[name] += 1
        if name == point and passes[name] == at_pass:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


async def main(order: dict[str, Any]) -> dict[int, str]:
    sender = SmtpSender(order["smtp_url"], "agents@tidemill.example")
    failpoint = killer(order.get("point"), order.get("at_pass", 1))
    async with async_client() as mongo:
        ledger = MongoLedger(mongo[order["database"]])
        owner = new_owner("sdr.send_email")
        outbox = Outbox(ledger, sender, SystemClock(), owner, PATIENCE, failpoint)
        numbers = range(order["first"], order["last"])
        try:
            outcomes = await asyncio.gather(*(outbox.deliver(intent(n)) for n in numbers))
        finally:
            await sender.aclose()
    return {number: outcome.status for number, outcome in zip(numbers, outcomes, strict=True)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(json.loads(sys.argv[1])))))
