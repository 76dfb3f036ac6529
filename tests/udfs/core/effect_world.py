"""A ledger, a mail server, a clock and workers that break in every way and at any point.

The world is small and exact: time passes only when all wait, a crashed worker never moves again,
and the mailbox is the only witness. The same outbox meets real servers in `tests/connectors`.
"""

import asyncio
import contextlib
import heapq
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from udfs.core.effect import Intent, Outcome
from udfs.core.outbox import Failpoint, Outbox, Patience

T = TypeVar("T")
NOT_SENT = ("unavailable", "deferred", "rejected")
FAULTS = (*NOT_SENT, "lost_unseen", "lost_taken", "stall", "stall_in_flight")
PATIENCE = Patience(deferred_s=120, deferrals=2, backoff_last_s=30)


class Crash(BaseException):
    """The process is gone."""


class Verdict(Exception):
    def __init__(self, verdict: str) -> None:
        super().__init__(f"server: {verdict}")
        self.verdict, self.reason = verdict, f"smtp_{verdict}"


class Clock:
    """Time that passes only when every task waits."""

    def __init__(self) -> None:
        self._now_s = 1_700_000_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def now_ms(self) -> int:
        return int(self._now_s * 1000)

    def monotonic_s(self) -> float:
        return self._now_s

    async def sleep(self, seconds: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now_s + seconds, next(self._order), waiter))
        await waiter

    async def run(self, work: Awaitable[T]) -> T:
        """Drive `work` to its end."""
        task = asyncio.ensure_future(work)
        while True:
            for _ in range(30):
                await asyncio.sleep(0)
            if task.done():
                return task.result()
            if not self._sleepers:
                raise AssertionError("all wait for ever")
            self._now_s, _, waiter = heapq.heappop(self._sleepers)
            if not waiter.done():
                waiter.set_result(None)


@dataclass
class World:
    """What outlives a worker: the ledger's documents, the opt-outs, the mailbox, the clock."""

    clock: Clock = field(default_factory=Clock)
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    opt_outs: set[str] = field(default_factory=set)
    mailbox: list[str] = field(default_factory=list)
    pause_s: Iterator[float] = field(default_factory=lambda: itertools.repeat(0.001))
    faults: Iterator[str] = field(default_factory=lambda: itertools.repeat("none"))
    gate_off: bool = False

    def status(self, intent: Intent) -> str | None:
        return self.documents.get(intent.effect_id, {}).get("status")


class Worker:
    """One start of a worker: its ledger client, its mailer, its outbox. `crash_at` the n-th pass
    of a failpoint it dies: no line of it runs again."""

    connections = 4
    dialogue_s = 20.0
    reply_s = 30.0
    _starts = itertools.count()

    def __init__(self, world: World, crash_at: tuple[str, int] | None = None) -> None:
        self.world, self.dead = world, False
        self._crash_at, self._passes = crash_at, Counter[str]()
        owner = f"owner-{next(self._starts)}"
        self.outbox = Outbox(self, self, world.clock, owner, PATIENCE, self._pass)

    def _pass(self, point: str) -> None:
        self._passes[point] += 1
        if self._crash_at == (point, self._passes[point]):
            self.dead = True
            raise Crash(point)

    async def _moment(self) -> None:
        await self.world.clock.sleep(next(self.world.pause_s))
        if self.dead:
            await asyncio.Event().wait()

    async def get(self, effect_id: str) -> dict[str, Any] | None:
        await self._moment()
        return self.world.documents.get(effect_id)

    async def claim(self, document: dict[str, Any]) -> dict[str, Any]:
        await self._moment()
        stands = self.world.documents.setdefault(document["_id"], document)
        await self._moment()
        return stands

    async def swap(self, old: dict[str, Any], new: dict[str, Any]) -> bool:
        await self._moment()
        stands = self.world.documents[old["_id"]]
        if matched := (stands["claim"], stands["status"]) == (old["claim"], old["status"]):
            self.world.documents[new["_id"]] = new
        await self._moment()
        return matched

    async def opted_out(self, address_hashes: tuple[str, ...]) -> bool:
        await self._moment()
        return not self.world.opt_outs.isdisjoint(address_hashes)

    async def send(self, *, effect_id: str, to: str, subject: str, body: str, at: Failpoint) -> str:
        fault = next(self.world.faults)
        await self._moment()
        if fault in NOT_SENT:
            raise Verdict(fault)
        if fault == "stall":
            await self.world.clock.sleep(300)
        if not self.world.gate_off:
            at("final_dot")
        if fault == "stall_in_flight":
            await self.world.clock.sleep(self.reply_s - 1)
        if fault != "lost_unseen":
            self.world.mailbox.append(effect_id)
        at("after_final_dot")
        await self._moment()
        if fault in ("lost_unseen", "lost_taken"):
            raise Verdict("no_answer")
        return "250 taken"


def intent(effect: int = 0, event: int = 0, **changes: Any) -> Intent:
    """Event 0 and event 1 of an effect are two leads of the same person."""
    made = Intent(
        job="sdr.send_email",
        effect_key=f"person-{effect}/outreach/1",
        event_id=f"event-{effect}-{event}",
        key=f"lead-{effect}-{event}",
        to=f"person{effect}@acme.example",
        subject="Your pilot",
        body=f"Dear person, this is for lead {event}.",
    )
    return replace(made, **changes)


def drive(world: World, work: Callable[[], Awaitable[T]]) -> T:
    """Run to the end, in a loop of its own; what a dead worker left behind is dropped."""

    async def main() -> T:
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
        return await world.clock.run(work())

    return asyncio.run(main())


def deliver(world: World, what: Intent, worker: Worker | None = None) -> Outcome | None:
    """One delivery by a new worker; None where that worker died of it."""

    async def work() -> Outcome | None:
        with contextlib.suppress(Crash):
            return await (worker or Worker(world)).outbox.deliver(what)
        return None

    return drive(world, work)


def resolve_truly(world: World, document: dict[str, Any]) -> None:
    """The human looks into the mailbox and says what is so."""
    status = "sent" if document["_id"] in world.mailbox else "failed"
    world.documents[document["_id"]] = {**document, "status": status, "reason": "resolved"}


def assert_consistent(world: World) -> None:
    """Never two mails; and what the ledger says for sure is what the mailbox shows."""
    mailed = Counter(world.mailbox)
    assert not mailed or max(mailed.values()) == 1
    for effect_id, document in world.documents.items():
        if document["status"] == "sent":
            assert mailed[effect_id] == 1
        elif document["status"] not in ("parked", "claimed"):
            assert mailed[effect_id] == 0, document
