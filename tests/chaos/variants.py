"""A planted defect in, a folder with the code that has it out.

A variant is a copy of what runs in the workers, with words of it replaced. It goes first on their
PYTHONPATH. Each replaced text must stand exactly once, so that a variant that the code has outgrown
says so.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("connectors", "udfs")


@dataclass(frozen=True)
class Change:
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Variant:
    """`caught_by` is the fault that must show."""

    name: str
    changes: tuple[Change, ...]
    caught_by: str

    def copy(self, folder: Path) -> Path:
        """Write it into a new folder of this one. Raises ValueError for a stale change."""
        place = folder / self.name.replace(" ", "-")
        for room in ROOMS:
            shutil.copytree(ROOT / room, place / room, ignore=shutil.ignore_patterns("__pycache__"))
        for change in self.changes:
            file = place / change.file
            text = file.read_text()
            if text.count(change.old) != 1:
                raise ValueError(
                    f"{self.name}: {change.old!r} stands {text.count(change.old)} times in "
                    f"{change.file}; expected once"
                )
            file.write_text(text.replace(change.old, change.new))
        return place


@dataclass(frozen=True)
class Control:
    """What a planted defect did, and whether that was seen. `name` is empty for none."""

    name: str
    expected: str
    faults: dict[str, int]

    @property
    def caught(self) -> bool:
        return self.expected in self.faults if self.expected else not self.faults

    @property
    def seen(self) -> str:
        """The same as a word of a table."""
        if not self.name:
            return "clean" if self.caught else "NOT CLEAN"
        return "yes" if self.caught else "NO"

    def __str__(self) -> str:
        counts = (f"{count} {name.replace('_', ' ')}" for name, count in self.faults.items())
        told = ", ".join(counts) or "nothing"
        if not self.name:
            return f"no defect: {'clean' if self.caught else 'NOT CLEAN: ' + told}"
        return f"{self.name}: {'caught' if self.caught else 'NOT CAUGHT'}: {told}"


def variant(name: str, file: str, old: str, new: str, caught_by: str) -> Variant:
    return Variant(name, (Change(file, old, new),), caught_by)


OUTBOX, EFFECT = "udfs/core/outbox.py", "udfs/core/effect.py"
SENDING = (
    variant(
        "ledger off",
        EFFECT,
        "    if stands is None:\n        return Claim(None)\n",
        "    if stands is None or stands.status != 'waiting':\n        return Claim(stands)\n",
        "doubled",
    ),
    variant(
        "random effect id",
        EFFECT,
        "return _digest(self.job, self.effect_key)",
        "import uuid\n        return self.__dict__.setdefault('_id', uuid.uuid4().hex)",
        "doubled",
    ),
    variant(
        "effect id from model text",
        EFFECT,
        "return _digest(self.job, self.effect_key)",
        "return _digest(self.job, self.effect_key, self.body or '')",
        "doubled",
    ),
    variant(
        "ledger in the worker's own state",
        "connectors/ledger.py",
        "        self._entries = database.get_collection(LEDGER, **options)\n",
        "        import uuid\n"
        "        own = f'{LEDGER}_{uuid.uuid4().hex}'\n"
        "        self._entries = database.get_collection(own, **options)\n",
        "doubled",
    ),
    variant(
        "parked mail sent again",
        EFFECT,
        "return Wait(left_ms / 1000) if left_ms > 0 else Park(stands)",
        "return Wait(left_ms / 1000) if left_ms > 0 else Claim(stands)",
        "doubled",
    ),
    Variant(
        "claim after the mail",
        (
            Change(
                OUTBOX,
                "            stands = await self._ledger.claim(entry.document())\n",
                "            words = await self._mailer.send(effect_id=mail.effect_id, at=gate,\n"
                "                to=mail.to, subject=mail.subject, body=mail.body)\n"
                "            stands = await self._ledger.claim(entry.document())\n",
            ),
            Change(
                OUTBOX,
                "words = await self._mailer.send(\n",
                "words = words if over is None else await self._mailer.send(\n",
            ),
        ),
        "doubled",
    ),
)

EVENTS, SLOT, JOURNALED = "udfs/core/events.py", "udfs/core/slot.py", "udfs/core/journaled.py"
RUNNING = (
    variant(
        "journal off",
        JOURNALED,
        "document = await self._journal.get(id_)\n",
        "document = None\n",
        "paid_again",
    ),
    variant(
        "journal keyed at random",
        "udfs/core/calls.py",
        "return digest([event_id, input_hash, agent, version, attempt, str(step)])",
        "import uuid\n    return uuid.uuid4().hex",
        "paid_again",
    ),
    variant("dedupe off", SLOT, "if identity in generation:", "if False:", "repeated"),
    variant(
        "in-flight runs lost",
        SLOT,
        "        for entry in sorted(entries, key=lambda e: e.sequence):\n"
        "            self._enqueue(entry)\n",
        "",
        "unfinished",
    ),
    variant(
        "started again out of order",
        SLOT,
        "for entry in sorted(entries, key=lambda e: e.sequence):",
        "for entry in sorted(entries, key=lambda e: -e.sequence):",
        "disordered",
    ),
    variant(
        "dead letters dropped",
        "udfs/keyed.py",
        'yield self._dead_letter(entry, "id_conflict", CONFLICT)',
        "pass",
        "unfinished",
    ),
    variant(
        "random event ids",
        EVENTS,
        "    identity = child_id(parent, step, index)\n",
        "    identity = str(uuid.uuid4())\n",
        "forked",
    ),
)

RESEARCHING = (
    variant(
        "stale chunks kept",
        "udfs/core/chunk_diff.py",
        "for name in stored.chunks if name not in wanted]",
        "for name in ()]",
        "stale",
    ),
    variant(
        "chunks not waited for",
        "udfs/core/bundle.py",
        "self.content_hash == self.stored_hash == self.mined_hash",
        "self.content_hash == self.mined_hash",
        "versions before their chunks",
    ),
    Variant("journal of research off", RUNNING[0].changes, "model calls paid twice"),
)
