"""Rows that say what to mail to whom and when in, what became of each mail out: `send_email`.

    SELECT * FROM send_email(input => TABLE emails_to_send PARTITION BY effect_key)

The only function that mails. A thin shell: the rules are `udfs.core.effect`, the dialogue between
ledger and mail server is `udfs.core.outbox`; here are the columns, the schedule and the clients.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core import events
from udfs.core.effect import Intent
from udfs.core.outbox import Outbox
from udfs.core.slot import Entry
from udfs.core.spans import Span
from udfs.core.types import Type, parse_type
from udfs.keyed_function import Columns, KeyedFunction, Result, check_call

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

TAKES = {
    "effect_key": "STRING",
    "lead_id": "STRING",
    "to": "STRING",
    "subject": "STRING",
    "body": "STRING",
    "send_after_s": "BIGINT",
    "valid_for_s": "BIGINT",
}
GIVES = {
    "effect_id": "STRING",
    "status": "STRING",
    "reason": "STRING",
    "sent_at": "TIMESTAMP_LTZ(3)",
}
LEDGER_INTENTS = 64


class SendEmail(KeyedFunction):
    """Effects of one job. `send_after_s` counts from the event's `ce_time`, in campaign seconds."""

    stage: ClassVar[str] = "effect"
    concurrency = LEDGER_INTENTS
    finish_s = 30.0
    counters: ClassVar[Sequence[str]] = ("sent", "duplicate", "opted_out", "parked")

    def __init__(self, clock_speed: float) -> None:
        self.clock_speed = clock_speed

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "SendEmail":
        """Check the call. Raises BadCall."""
        from connectors.settings import settings

        check_call("send_email", arguments, (), columns, TAKES)
        return cls(settings().clock_speed)

    def output_columns(self) -> list[tuple[str, Type]]:
        return [(name, parse_type(declared)) for name, declared in GIVES.items()]

    async def open(self) -> None:
        from connectors.clock import SystemClock
        from connectors.ledger import MongoLedger, new_owner
        from connectors.mongodb import shared_database
        from connectors.settings import settings
        from connectors.smtp import SmtpSender

        url = settings().smtp_url
        if url is None:
            raise ValueError("SMTP_URL is not set in the worker: expected smtp://host:port")
        ledger = MongoLedger(shared_database())
        await ledger.prepare()
        self._mailer = SmtpSender(url.get_secret_value(), settings().mail_from)
        self._outbox = Outbox(ledger, self._mailer, SystemClock(), new_owner(self.job))

    async def finish(self) -> None:
        await self._outbox.drain()

    async def close(self) -> None:
        await self._mailer.aclose()

    def due_ms(self, entry: Entry) -> int:
        after_s = entry.row.get("send_after_s") or 0
        return _event_ms(entry) + int(after_s * 1000 / self.clock_speed)

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        started = dt.datetime.now(dt.UTC)
        outcome = await self._outbox.deliver(self._intent(entry))
        span = self._span(entry, started, outcome.status, outcome.reason)
        if outcome.dead:
            message = outcome.detail or outcome.status
            return Result(reason=outcome.reason or outcome.status, message=message, spans=[span])
        sent_at = outcome.sent_at_ms and dt.datetime.fromtimestamp(
            outcome.sent_at_ms / 1000, dt.UTC
        )
        values = {
            "effect_id": outcome.effect_id,
            "status": outcome.status,
            "reason": outcome.reason,
            "sent_at": sent_at.isoformat() if sent_at else None,
        }
        counts = {outcome.status: 1} if outcome.status in self.counters else {}
        return Result(values, spans=[span], counts=counts)

    def _intent(self, entry: Entry) -> Intent:
        row = entry.row
        valid_ms = (row.get("valid_for_s") or 0) * 1000
        return Intent(
            job=self.job,
            effect_key=row["effect_key"] or "",
            event_id=events.text(entry.headers, "ce_id") or "",
            key=row["lead_id"] or "",
            to=row["to"],
            subject=row["subject"],
            body=row["body"],
            attempt=events.attempt(entry.headers),
            valid_until_ms=self.due_ms(entry) + valid_ms if valid_ms else None,
        )

    def _span(self, entry: Entry, started: dt.datetime, status: str, reason: str | None) -> Span:
        trace, parent = events.trace_context(entry.headers)
        identity = events.text(entry.headers, "ce_id") or ""
        elapsed = dt.datetime.now(dt.UTC) - started
        return Span(
            trace_id=trace,
            span_id=events.span_id("run", identity, self.step, "0"),
            parent_span_id=parent,
            name="send_email",
            kind="effect",
            job=self.job,
            agent="",
            event_id=identity,
            event_key=entry.key,
            started_at=int(started.timestamp() * 1000),
            duration_ms=int(elapsed.total_seconds() * 1000),
            status="ok" if status in self.counters else "error",
            reason=reason,
            attributes={"effect.status": status, "effect.step": str(entry.row.get("step") or 1)},
        )


def _event_ms(entry: Entry) -> int:
    """When the event was made, by its own word; never after it came, or it would wait for ever."""
    try:
        moment = dt.datetime.fromisoformat(events.text(entry.headers, "ce_time") or "")
        made_ms = int(moment.astimezone(dt.UTC).timestamp() * 1000)
    except (ValueError, OverflowError):  # no time, or one beyond the calendar
        return entry.arrived_ms
    return min(made_ms, entry.arrived_ms)
