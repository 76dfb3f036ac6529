"""What agents would put on a blackboard in; what stands there, and what was refused, out.

A *fact* is a subject and a predicate ("checkout", "root_cause"). A *cell* is what one source says
of one fact. A source writes its own cells and no other: two that disagree stand side by side, and a
reader's rule, not the board, says which prevails (`udfs.core.board_view`). A cell's version counts
its entries; an update that names the version, or the entry, that it replaces is refused where that
is not what stands there.

Nothing here looks at a clock: an entry's time is that of its update's record. So the same log
makes the same board, whenever it is read.
"""

import datetime as dt
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from udfs.core import events

Json = dict[str, Any]
Fact = tuple[str, str]

NAME_CHARS = 200
VALUE_CHARS = 4_000
EVIDENCE = 200
CELLS_PER_SOURCE = 1_000
CELLS_PER_BOARD = 10_000


class Refusal(Exception):
    """An update that does not come to stand on the board: a reason code and a sentence."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason, self.message = reason, message


@dataclass(frozen=True)
class Update:
    """What somebody wants to say. `value` None takes back what its source said of the fact."""

    entry_id: str
    source: str
    subject: str
    predicate: str
    value: str | None
    confidence: float
    said_at: str
    valid_until: str | None = None
    expected_version: int | None = None
    supersedes: str | None = None
    evidence: tuple[str, ...] = ()

    @property
    def fact(self) -> Fact:
        return self.subject, self.predicate


@dataclass(frozen=True)
class Cell:
    """What the board keeps of one source's word on one fact: which entry stands, as what version.

    `entry_id` None: nothing stands any more, and the next entry's version goes on from here.
    """

    subject: str
    predicate: str
    source: str
    version: int
    entry_id: str | None

    @property
    def place(self) -> tuple[str, str, str]:
        return self.subject, self.predicate, self.source


class Board:
    """The state of one board: its cells, in pieces of which only those that changed are stored."""

    def __init__(self, pieces: Mapping[str, Json] | None = None) -> None:
        known = {field.name for field in fields(Cell)}
        cells = [
            Cell(**{n: v for n, v in p.items() if n in known}) for p in (pieces or {}).values()
        ]
        self._cells = {cell.place: cell for cell in cells}
        self._standing: dict[str | None, Cell] = {c.entry_id: c for c in cells if c.entry_id}
        self._count: dict[str, int] = {}
        for cell in cells:
            self._count[cell.source] = self._count.get(cell.source, 0) + 1
        self._touched: set[tuple[str, str, str]] = set()

    def changed_pieces(self) -> dict[str, Json]:
        """What must be stored since the last call."""
        touched, self._touched = self._touched, set()
        return {json.dumps(place): asdict(self._cells[place]) for place in touched}

    def take(self, update: Update) -> list[Json]:
        """The entries that come to stand on the board. Raises Refusal, and is then as before.

        One; before it a second one that takes an entry back, where `supersedes` names the source's
        word on another fact. So every entry says something of its own fact alone.
        """
        _check(update)
        cell = self._cells.get((*update.fact, update.source))
        replaced = self._replaced(update, cell)
        version = cell.version if cell else 0
        if update.expected_version not in (None, version):
            raise Refusal(
                "stale_version",
                f"{update.source} expects version {update.expected_version} of its word on "
                f"{update.subject} {update.predicate}, and version {version} stands there",
            )
        if cell is None:
            self._admit(update.source)
        entries = []
        if replaced is not None and replaced is not cell:
            entries.append(self._written(_retraction(update, replaced), replaced))
        entries.append(self._written(update, cell))
        return entries

    def _written(self, update: Update, cell: Cell | None) -> Json:
        before = cell.entry_id if cell else None
        self._standing.pop(before, None)
        stands = update.entry_id if update.value is not None else None
        version = cell.version + 1 if cell else 1
        now = Cell(*update.fact, update.source, version, stands)
        self._cells[now.place] = now
        self._touched.add(now.place)
        if stands:
            self._standing[stands] = now
        entry = {**asdict(update), "version": version, "evidence": list(update.evidence)}
        del entry["expected_version"]
        return {**entry, "supersedes": before or update.supersedes}

    def _replaced(self, update: Update, cell: Cell | None) -> Cell | None:
        """The cell whose entry goes. Only its own source's word can a source replace."""
        if update.supersedes is None:
            return cell if cell and cell.entry_id else None
        standing = self._standing.get(update.supersedes)
        if standing is None:
            raise Refusal(
                "stale_entry", f"the entry {update.supersedes} does not stand on the board any more"
            )
        if standing.source != update.source:
            raise Refusal(
                "not_yours",
                f"{update.source} would replace an entry of {standing.source}; "
                "say otherwise under the own name, and the reader's rule decides",
            )
        if cell and cell.entry_id and cell is not standing:
            raise Refusal(
                "stale_entry",
                f"{update.source} already says something of {update.subject} {update.predicate}, "
                f"and that is not the entry {update.supersedes}",
            )
        return standing

    def _admit(self, source: str) -> None:
        """See that one source does not crowd out the others."""
        count = self._count.get(source, 0)
        if count >= CELLS_PER_SOURCE:
            what = f"{source} has {count} facts on this board, the most a source may have"
            raise Refusal("source_full", what)
        if len(self._cells) >= CELLS_PER_BOARD:
            what = f"the board has {len(self._cells)} cells, the most that it takes"
            raise Refusal("board_full", what)
        self._count[source] = count + 1


def _retraction(update: Update, cell: Cell) -> Update:
    """What takes the entry of another cell back, because the update stands in its place."""
    return Update(
        entry_id=events.child_id(update.entry_id, "retract"),
        source=update.source,
        subject=cell.subject,
        predicate=cell.predicate,
        value=None,
        confidence=update.confidence,
        said_at=update.said_at,
    )


def is_valid(valid_until: str | None, at: str) -> bool:
    """Whether what is valid until then is valid at this moment; both RFC 3339."""
    return valid_until is None or moment(valid_until) > moment(at)


def moment(text: str) -> dt.datetime:
    """A time as the runner hands it over; one without a zone is UTC. Raises ValueError."""
    parsed = dt.datetime.fromisoformat(text)
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=dt.UTC)


def _check(update: Update) -> None:
    """What an update must be, whoever sends it. Raises Refusal."""

    def refuse(what: str) -> None:
        raise Refusal("invalid_update", what)

    for name in ("source", "subject", "predicate"):
        text = getattr(update, name)
        if not text.strip() or len(text) > NAME_CHARS:
            told = f"has {len(text)} characters" if text.strip() else "is blank"
            refuse(f"{name} {told}; expected 1 to {NAME_CHARS} characters")
    if update.value is not None and len(update.value) > VALUE_CHARS:
        refuse(f"value has {len(update.value)} characters; expected at most {VALUE_CHARS}")
    if not (math.isfinite(update.confidence) and 0 <= update.confidence <= 1):
        refuse(f"confidence is {update.confidence}; expected 0 to 1")
    if len(update.evidence) > EVIDENCE:
        refuse(f"{len(update.evidence)} entries of evidence; expected at most {EVIDENCE}")
    if not is_valid(update.valid_until, update.said_at):
        refuse(f"valid until {update.valid_until}, which was over at {update.said_at}")
