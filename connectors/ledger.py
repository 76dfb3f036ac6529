"""Effects by id in, what is known about each out; and who does not want mail.

The collection `ledger` has one document per effect, written by `claim` and `swap` only. Both are
atomic on one document, acknowledged by a majority before they return, wait for as long as MongoDB
is away, and may be applied twice by a lost reply: a claim is told by its random `claim` id. The
collection `opt_outs` holds sha256(lower(trim(address))) and nothing else.
"""

import os
import platform
import re
import uuid
from typing import Any

from pymongo import ASCENDING, ReadPreference
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import DuplicateKeyError

from connectors.mongodb import MAJORITY, Document, until_available

LEDGER, OPT_OUTS = "ledger", "opt_outs"
SENT, NOT_SENT = "resolved_sent", "resolved_not_sent"  # the reason of what a human has decided
DECISIONS = {"sent": ("sent", SENT), "not_sent": ("failed", NOT_SENT)}  # status and reason


class LedgerError(Exception):
    """The desk asked for what the ledger cannot do. One sentence."""


def new_owner(operator: str) -> str:
    """An owner's name that no other start of a worker ever had."""
    return f"{operator}@{platform.node()}:{os.getpid()}:{uuid.uuid4().hex[:16]}"


class MongoLedger:
    """The ledger of one database. Cancel any call: it was applied whole or not at all."""

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        options: dict[str, Any] = {
            "write_concern": MAJORITY,
            "read_preference": ReadPreference.PRIMARY,
        }
        self._entries = database.get_collection(LEDGER, **options)
        self._opt_outs = database.get_collection(OPT_OUTS, **options)

    async def prepare(self) -> None:
        """Create the index that the desk's list needs; repeating it does nothing."""
        await until_available(
            "ledger index",
            lambda: self._entries.create_index([("parked_at", ASCENDING)], sparse=True),
        )

    async def get(self, effect_id: str) -> Document | None:
        """The effect's document, or None."""
        return await until_available(
            "ledger look-up", lambda: self._entries.find_one({"_id": effect_id})
        )

    async def claim(self, document: Document) -> Document:
        """Insert; returns the document that stands: this one, or the one that was there first."""
        first = True

        async def insert() -> Document:
            nonlocal first
            repeated, first = not first, False
            try:
                await self._entries.insert_one(document)
                return document
            except DuplicateKeyError:
                pass
            stands = await self._entries.find_one({"_id": document["_id"]})
            if stands is None:  # deleted by hand in between
                return await insert()
            if repeated and stands["claim"] == document["claim"]:
                # The first try was applied and its reply lost: wait until a majority has it too.
                mine = {"_id": document["_id"], "claim": document["claim"]}
                await self._entries.update_one(mine, {"$set": {"claim": document["claim"]}})
            return stands

        return await until_available("ledger claim", insert)

    async def swap(self, old: Document, new: Document) -> bool:
        """Replace `old` where its `claim` and `status` still stand; True also if `new` stands."""
        expected = {"_id": old["_id"], "claim": old["claim"], "status": old["status"]}
        standing = {"_id": new["_id"], "claim": new["claim"], "status": new["status"]}

        async def replace() -> bool:
            for condition in (expected, standing):
                result = await self._entries.replace_one(condition, new)
                if result.matched_count:
                    return True
            return False

        return await until_available("ledger result", replace)

    async def opted_out(self, address_hashes: tuple[str, ...]) -> bool:
        """Whether any of these hashes (spellings of one address) is an opt-out."""
        condition = {"_id": {"$in": list(address_hashes)}}
        found = await until_available("opt-outs", lambda: self._opt_outs.find_one(condition))
        return found is not None

    async def opt_out(self, address_hash: str) -> None:
        """Note that this person wants no more mail; repeating it does nothing."""
        mark = {"_id": address_hash}
        await until_available(
            "opt-out", lambda: self._opt_outs.replace_one(mark, mark, upsert=True)
        )

    async def parked(self, team: str) -> list[Document]:
        """What waits for a human in this team, oldest first."""
        return await self._waiting(team, {"status": "parked"})

    async def said_not_sent(self, team: str) -> list[Document]:
        """What a human said is not there and no attempt has claimed since, oldest first."""
        return await self._waiting(team, {"reason": NOT_SENT})

    async def _waiting(self, team: str, which: Document) -> list[Document]:
        condition = {"parked_at": {"$exists": True}, **which, **_of(team)}

        async def find() -> list[Document]:
            return await self._entries.find(condition).sort("claimed_at").to_list()

        return await until_available("parked effects", find)

    async def beginning_with(self, team: str, start: str, limit: int) -> list[Document]:
        """Up to so many effects of this team, in any status, whose id begins so."""
        condition = {"_id": {"$regex": f"^{re.escape(start)}"}, **_of(team)}

        async def find() -> list[Document]:
            return await self._entries.find(condition).limit(limit).to_list()

        return await until_available("effects by id", find)

    async def park_abandoned(self, team: str, claimed_before_ms: int, now_ms: int) -> int:
        """Park claims so old that their owner is gone, where no redelivery came to do it (a job
        that was dropped with its state); returns how many."""
        condition = {"status": "claimed", "claimed_at": {"$lt": claimed_before_ms}, **_of(team)}
        park = {"status": "parked", "parked_at": now_ms, "reason": "abandoned"}

        async def update() -> int:
            return (await self._entries.update_many(condition, {"$set": park})).modified_count

        return await until_available("abandoned claims", update)

    async def counts(self, team: str) -> dict[str, int]:
        """How many effects of this team stand at each status."""
        steps: list[Document] = [
            {"$match": _of(team)},
            {"$group": {"_id": "$status", "effects": {"$sum": 1}}},
        ]

        async def count() -> dict[str, int]:
            cursor = await self._entries.aggregate(steps)
            return {row["_id"]: row["effects"] async for row in cursor}

        return await until_available("ledger counts", count)

    async def resolve_parked(self, effect_id: str, decision: str, by: str = "desk") -> Document:
        """A human's word on a parked effect: `sent` (the mail is there), or `not_sent` (it is not;
        a raised attempt may then send it; until it does, `parked_at` stays, and `sent` takes the
        word back). Repeating a decision does nothing.

        Raises `LedgerError` for another decision, or where the effect is not parked.
        """
        if decision not in DECISIONS:
            raise LedgerError(f"decision {decision!r}: expected one of {', '.join(DECISIONS)}")
        parked = await self.get(effect_id)
        status, reason = DECISIONS[decision]
        said = parked.get("reason") if parked else None
        if parked is not None and said == reason:
            return parked
        if parked is None or (parked["status"] != "parked" and said != NOT_SENT):
            stands = parked["status"] if parked else "unknown"
            raise LedgerError(f"effect {effect_id} is {stands}: only a parked effect is resolved")
        resolved = {**parked, "status": status, "reason": reason, "detail": f"decided by {by}"}
        if status == "sent":
            resolved.pop("parked_at", None)
            resolved["sent_at"] = parked["claimed_at"]
        if not await self.swap(parked, resolved):
            raise LedgerError(f"effect {effect_id} has just changed: look at it again")
        return resolved


def _of(team: str) -> Document:
    """The condition that an effect belongs to a job of this team."""
    return {"job": {"$regex": f"^{re.escape(team)}\\."}}
