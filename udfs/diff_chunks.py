"""Versions of documents in, what is to be changed in the store out: `diff_chunks`.

    SELECT * FROM diff_chunks(
      input => TABLE documents PARTITION BY (bundle_id, url),
      max_tokens => 200, overlap_tokens => 30
    )

What is stored of a document is remembered in keyed state, so an unchanged chunk is never embedded
again, and an unchanged document is not even cut. The store may know more than the state: after a
crash, what was stored since the checkpoint; for a job that began anew, all. Such chunks are written
again, for nobody knows whether their events were sent, but with the vectors that the store has. A
status of `unchanged` has no content and means what is stored, `removed` means nothing.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core.chunk_diff import (
    CHANGE_COLUMNS,
    Difference,
    Stored,
    compare,
    document_id,
    identified,
)
from udfs.core.slot import Entry, MemoryPolicy
from udfs.core.types import Type, parse_type
from udfs.keyed_function import BadCall, Columns, KeyedFunction, Result, check_call
from udfs.splitting import split

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

TAKES = {
    "bundle_id": "STRING",
    "url": "STRING",
    "status": "STRING",
    "title": "STRING",
    "content": "STRING",
    "content_hash": "STRING",
}
TOKENS_MAX = 254  # what the default model reads of a text, less the marks around it
GIVES = {
    "document_id": "STRING",
    "model": "STRING",
    "is_changed": "BOOLEAN",
    "chunk_count": "INT",
    "changed_count": "INT",
    "removed_count": "INT",
    "changes": "ARRAY<ROW<"
    + ", ".join(f"{name} {declared}" for name, declared in CHANGE_COLUMNS.items())
    + ">>",
}
FOR_EVER_MS = 2**62


class DiffChunks(KeyedFunction):
    """Documents of one job."""

    stage: ClassVar[str] = "index"
    row_bytes_max: ClassVar[int] = 16 << 20
    memory_policy = MemoryPolicy(events=1, max_age_ms=FOR_EVER_MS)
    counters: ClassVar[tuple[str, ...]] = ("chunks_added", "chunks_kept", "chunks_removed")

    def __init__(self, max_tokens: int, overlap_tokens: int) -> None:
        self.max_tokens, self.overlap_tokens = max_tokens, overlap_tokens

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "DiffChunks":
        """Check the call. Raises BadCall."""
        check_call("diff_chunks", arguments, ("max_tokens", "overlap_tokens"), columns, TAKES)
        most, overlap = arguments.get("max_tokens", 200), arguments.get("overlap_tokens", 30)
        if type(most) is not int or not 10 <= most <= TOKENS_MAX:
            expected = f"a number from 10 to {TOKENS_MAX}, which is all that the model reads"
            raise BadCall("max_tokens", f"diff_chunks has max_tokens {most!r}", expected)
        if type(overlap) is not int or not 0 <= overlap < most:
            what = f"diff_chunks has overlap_tokens {overlap!r}"
            raise BadCall("overlap_tokens", what, f"a number from 0 to {most - 1}")
        return cls(most, overlap)

    def output_columns(self) -> list[tuple[str, Type]]:
        return [(name, parse_type(declared)) for name, declared in GIVES.items()]

    async def open(self) -> None:
        from connectors.embedding import model_name

        self._model = model_name()

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        row = entry.row
        if not row["bundle_id"] or not row["url"]:
            return Result(reason="no_document", message="bundle_id and url must not be empty")
        name = document_id(row["bundle_id"], row["url"])
        stored = Stored(**memory[-1]) if memory else await self._of_store(name)
        difference = await self._difference(row, stored)
        await self._add_vectors(difference.changes)
        added, removed = difference.count("added"), difference.count("removed")
        whole = len(difference.stored.chunks)
        values = {
            "document_id": name,
            "model": self._model,
            "is_changed": difference.is_changed
            or (difference.stored.content_hash != stored.content_hash),
            "chunk_count": whole,
            "changed_count": added,
            "removed_count": removed,
            "changes": difference.changes,
        }
        counts = {
            "chunks_added": added,
            "chunks_kept": whole - added,
            "chunks_removed": removed,
        }
        return Result(values, remember=difference.stored.to_json(), counts=counts)

    async def _difference(self, row: dict[str, Any], stored: Stored) -> Difference:
        cut = f"{self.max_tokens}/{self.overlap_tokens}"
        target = Stored(self._model, row["title"], row["content_hash"], cut)
        if row["status"] == "removed":
            wanted: dict[str, Any] = {}
        elif row["status"] == "unchanged":
            target = replace(stored, model=self._model, chunks={})
            wanted = await self._kept(stored)
        elif row["content_hash"] and target == replace(stored, title=row["title"], chunks={}):
            wanted = await self._kept(stored)
        else:
            chunks = split(row["content"] or "", self.max_tokens, self.overlap_tokens)
            wanted = identified(row["bundle_id"], row["url"], [asdict(one) for one in chunks])
        return compare(wanted, target, stored)

    async def _kept(self, stored: Stored) -> dict[str, Any]:
        """The chunks that are stored; with their texts only where they must be embedded again."""
        from connectors import vectors

        if stored.model != self._model:
            found = await vectors.chunks(list(stored.chunks))
            return {one["_id"]: one for one in found}
        names = ("chunk_index", "start_char", "end_char")
        return {
            name: dict(zip(names, at, strict=True), text=None) for name, at in stored.chunks.items()
        }

    async def _of_store(self, name: str) -> Stored:
        """What the store says of a document. Of no known model, so that all is written again."""
        from connectors import vectors

        found = await vectors.document(name)
        ids = found.get("chunk_ids") or []
        title, content_hash = found.get("title"), found.get("content_hash")
        return Stored(title=title, content_hash=content_hash, chunks=dict.fromkeys(ids, ()))

    async def _add_vectors(self, changes: list[dict[str, Any]]) -> None:
        """Give chunks that are to be added the vectors that the store has of them."""
        from connectors import vectors

        added = {one["chunk_id"]: one for one in changes if one["change"] == "added"}
        if added:
            for name, vector in (await vectors.vectors(list(added), self._model)).items():
                added[name]["embedding"] = vector
