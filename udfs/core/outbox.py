"""Intents in, outcomes out; between them the ledger and the mail server, each mail at most once.

`Outbox` carries out the rules of `udfs.core.effect`. It is the only caller of the mailer. What it
relies on: the ledger's `claim` and `swap` are atomic and durable; the mailer tells by `verdict` of
an exception what is surely not sent, and everything else that it raises counts as ambiguous.
"""

import asyncio
import logging
import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from udfs.core.effect import (
    Claim,
    Entry,
    Intent,
    Mail,
    Outcome,
    Park,
    Wait,
    check,
    decide,
    recorded,
)

Failpoint = Callable[[str], None]
FAILPOINTS = (
    "before_claim",
    "after_claim",
    "after_final_dot",
    "after_250",
    "after_sent",
)

DETAIL_CHARACTERS = 300
_log = logging.getLogger(__name__)


class Clock(Protocol):
    """Time as the effects see it. `monotonic_s` neither jumps nor goes back."""

    def now_ms(self) -> int: ...
    def monotonic_s(self) -> float: ...
    async def sleep(self, seconds: float) -> None: ...


class Ledger(Protocol):
    """Documents by `_id`. Each call waits for as long as the store is away, and never half-does."""

    async def get(self, effect_id: str) -> dict[str, Any] | None: ...

    async def claim(self, document: dict[str, Any]) -> dict[str, Any]:
        """Insert; returns the document that stands: this one, or the one that was there first."""
        ...

    async def swap(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        """Replace `old` where its `claim` and `status` still stand; True also if `new` stands."""
        ...

    async def opted_out(self, address_hashes: tuple[str, ...]) -> bool: ...


class Mailer(Protocol):
    """One SMTP dialogue per call. It ends within `dialogue_s` up to the final dot, which is sent
    only after `at("final_dot")` returned, and within `reply_s` after it; then `at` is called with
    "after_final_dot". Returns the server's words of acceptance. Raises exceptions with a `verdict`:
    "unavailable" (no server), "deferred" (4xx), "rejected" (5xx): surely not sent."""

    connections: int
    dialogue_s: float
    reply_s: float

    async def send(
        self, *, effect_id: str, to: str, subject: str, body: str, at: Failpoint
    ) -> str: ...


class Stopping(Exception):
    """The outbox drains: this intent was not begun, and is to be delivered again later."""


class Withheld(Exception):
    """The final dot was held back: the claim is too old, or whoever wanted the mail has left."""

    verdict = "withheld"


@dataclass(frozen=True)
class Patience:
    """How long to try. A mail is given up when it was put off (4xx) for `deferred_s` and at least
    `deferrals` times; a server that is away is waited for, until the intent is no longer valid."""

    deferred_s: float = 900
    deferrals: int = 3
    backoff_first_s: float = 1
    backoff_last_s: float = 60
    look_again_s: float = 1
    margin_s: float = 5

    def is_over(self, entry: Entry, now_ms: int) -> bool:
        put_off_s = (now_ms - (entry.deferred_at or now_ms)) / 1000
        return entry.deferrals >= self.deferrals and put_off_s >= self.deferred_s


class Gate:
    """Called in the sending thread right before the final dot. Closed, it keeps the mail back."""

    def __init__(self, clock: Clock, open_s: float, failpoint: Failpoint) -> None:
        self._clock, self._failpoint = clock, failpoint
        self._closes_at_s = clock.monotonic_s() + open_s
        self._closed = False

    def close(self) -> None:
        self._closed = True

    def __call__(self, point: str) -> None:
        if point != "final_dot":
            self._failpoint(point)
        elif self._closed or self._clock.monotonic_s() > self._closes_at_s:
            raise Withheld("the mail was held back before its final dot")


@dataclass
class _Sending:
    """An attempt between claim and result: it is never interrupted, only its gate is closed."""

    task: asyncio.Task[Outcome | None]
    gate: Gate


class Outbox:
    """Delivers intents. One per operator instance; `owner` is unique for each start of it."""

    def __init__(
        self,
        ledger: Ledger,
        mailer: Mailer,
        clock: Clock,
        owner: str,
        patience: Patience | None = None,
        failpoint: Failpoint = lambda point: None,
    ) -> None:
        self._ledger, self._mailer, self._clock, self._owner = (
            ledger,
            mailer,
            clock,
            owner,
        )
        self._patience = patience or Patience()
        self._at = failpoint
        self._lease_s = mailer.dialogue_s + mailer.reply_s + self._patience.margin_s
        self._slots = asyncio.Semaphore(mailer.connections)
        self._sending: dict[str, _Sending] = {}
        self._draining = False

    async def deliver(self, intent: Intent) -> Outcome:
        """Bring one intent to its end. Raises `Stopping` while draining, else only `CancelledError`
        (a mail whose final dot is not out yet is then held back, one whose dot is out is recorded
        by a task that `drain` waits for)."""
        tries = 0
        while True:
            mail = check(intent, self._clock.now_ms())
            step = await self._next(intent)
            if isinstance(step, Outcome):
                return step
            if isinstance(step, Wait):
                await self._clock.sleep(min(step.for_s, self._patience.look_again_s))
            elif isinstance(step, Park):
                await self._park(step.entry)
            elif isinstance(mail, Outcome):
                return mail
            elif outcome := await self._attempt(intent, mail, step.over):
                return outcome
            else:
                tries += 1
                await self._clock.sleep(self._backoff_s(tries))

    async def drain(self) -> None:
        """Begin nothing more and wait until all mails that are being sent have their result."""
        self._draining = True
        while self._sending:
            await asyncio.wait([sending.task for sending in self._sending.values()])

    async def _next(self, intent: Intent) -> Claim | Wait | Park | Outcome:
        while sending := self._sending.get(intent.effect_id):
            await asyncio.wait([sending.task])
        document = await self._ledger.get(intent.effect_id)
        stands = Entry.of(document) if document else None
        return decide(stands, intent, self._clock.now_ms(), self._lease_s)

    async def _park(self, entry: Entry) -> None:
        parked = replace(
            entry,
            status="parked",
            parked_at=self._clock.now_ms(),
            reason="owner_lost",
            detail="whoever claimed it never told whether the server took it",
        )
        if await self._ledger.swap(entry.document(), parked.document()):
            _log.warning(
                "effect %s is parked: its owner %s is gone",
                entry.effect_id,
                entry.owner,
            )

    async def _attempt(self, intent: Intent, mail: Mail, over: Entry | None) -> Outcome | None:
        """One claim and one dialogue, as a task of its own; None where it is to be tried again."""
        async with self._slots:
            if self._draining:
                raise Stopping(f"effect {intent.effect_id} waits for the next start")
            if intent.effect_id in self._sending:
                return None
            gate = Gate(self._clock, self._mailer.dialogue_s, self._at)
            task = asyncio.create_task(self._claim_and_send(intent, mail, over, gate))
            self._sending[intent.effect_id] = _Sending(task, gate)
            task.add_done_callback(lambda _: self._sending.pop(intent.effect_id, None))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                gate.close()
                raise

    async def _claim_and_send(
        self, intent: Intent, mail: Mail, over: Entry | None, gate: Gate
    ) -> Outcome | None:
        self._at("before_claim")
        entry = self._claimed(intent, mail, over)
        if over is None:
            stands = await self._ledger.claim(entry.document())
            mine = stands["claim"] == entry.claim
        else:
            mine = await self._ledger.swap(over.document(), entry.document())
        if not mine:
            return None
        self._at("after_claim")
        if await self._ledger.opted_out(mail.to_hashes):
            return await self._finish(entry, "opted_out", "opt_out", "the recipient opted out")
        try:
            words = await self._mailer.send(
                effect_id=mail.effect_id,
                to=mail.to,
                subject=mail.subject,
                body=mail.body,
                at=gate,
            )
        except Exception as error:  # whatever is unknown ends as ambiguous
            return await self._not_accepted(entry, error)
        finally:
            gate.close()
        self._at("after_250")
        outcome = await self._finish(entry, "sent", None, words)
        self._at("after_sent")
        return outcome

    def _claimed(self, intent: Intent, mail: Mail, over: Entry | None) -> Entry:
        now_ms = self._clock.now_ms()
        goes_on = (
            over is not None
            and over.status == "waiting"
            and (over.event_id, over.attempt) == (intent.event_id, intent.attempt)
        )
        return Entry(
            effect_id=intent.effect_id,
            status="claimed",
            claim=uuid.uuid4().hex,
            owner=self._owner,
            claimed_at=now_ms,
            payload_hash=intent.payload_hash,
            job=intent.job,
            event_id=intent.event_id,
            attempt=intent.attempt,
            key=intent.key,
            to_hash=mail.to_hashes[-1],
            sends=1 + (over.sends if over else 0),
            deferrals=over.deferrals if over and goes_on else 0,
            deferred_at=over.deferred_at if over and goes_on else None,
        )

    async def _not_accepted(self, entry: Entry, error: Exception) -> Outcome | None:
        """What an exception of the mailer means. Without a known verdict the mail may be out."""
        verdict = getattr(error, "verdict", "ambiguous")
        reason, detail = getattr(error, "reason", verdict), str(error)
        if verdict == "rejected":
            return await self._finish(entry, "refused", reason, detail)
        if verdict == "deferred":
            since_ms = entry.deferred_at or self._clock.now_ms()
            entry = replace(entry, deferrals=entry.deferrals + 1, deferred_at=since_ms)
            if self._patience.is_over(entry, self._clock.now_ms()):
                return await self._finish(entry, "failed", reason, detail)
        if verdict in ("deferred", "unavailable", "withheld"):
            await self._finish(entry, "waiting", reason, detail)
            _log.warning("effect %s waits (%s): %s", entry.effect_id, reason, detail)
            return None
        _log.error(
            "effect %s is parked, the server's answer was lost: %s",
            entry.effect_id,
            detail,
        )
        return await self._finish(entry, "parked", reason, detail)

    async def _finish(self, entry: Entry, status: str, reason: str | None, detail: str) -> Outcome:
        """Write what is known. It may replace a park: somebody took this owner for lost."""
        now_ms = self._clock.now_ms()
        result = replace(
            entry,
            status=status,
            reason=reason,
            detail=detail[:DETAIL_CHARACTERS],
            sent_at=now_ms if status == "sent" else None,
            parked_at=now_ms if status == "parked" else None,
        )
        parked = replace(entry, status="parked")
        for old in (entry, parked):
            if await self._ledger.swap(old.document(), result.document()):
                return recorded(result)
        _log.error("effect %s: %s, but its claim was taken over", entry.effect_id, status)
        return recorded(result)

    def _backoff_s(self, tries: int) -> float:
        longest = self._patience.backoff_first_s * 2 ** min(tries - 1, 16)
        longest = min(longest, self._patience.backoff_last_s)
        return random.uniform(longest / 2, longest)
