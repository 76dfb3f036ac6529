"""Versions of documents in, what is to be changed in the store out: `diff_chunks`.

    SELECT * FROM diff_chunks(
      input => TABLE documents PARTITION BY (bundle_id, url),
      max_tokens => 200, overlap_tokens => 30
    )

What is stored of a document is remembered in keyed state; where the state has nothing (a job that
began anew), the store itself is asked. So an unchanged chunk is never embedded again, and an
unchanged document is not even cut. A status of `unchanged` has no content and means what is stored,
`removed` means nothing.
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
    place,
)
from udfs.core.slot import Entry, MemoryPolicy
from udfs.core.types import Type, parse_type
from udfs.keyed_function import BadCall, Columns, KeyedFunction, Result
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
        unknown = sorted(set(arguments) - {"max_tokens", "overlap_tokens", "slots"})
        if unknown:
            expected = "max_tokens, overlap_tokens, slots"
            raise BadCall(unknown[0], f"diff_chunks has no option {unknown[0]}", expected)
        most, overlap = arguments.get("max_tokens", 200), arguments.get("overlap_tokens", 30)
        if type(most) is not int or not 10 <= most <= TOKENS_MAX:
            expected = f"a number from 10 to {TOKENS_MAX}, which is all that the model reads"
            raise BadCall("max_tokens", f"diff_chunks has max_tokens {most!r}", expected)
        if type(overlap) is not int or not 0 <= overlap < most:
            what = f"diff_chunks has overlap_tokens {overlap!r}"
            raise BadCall("overlap_tokens", what, f"a number from 0 to {most - 1}")
        given = dict(columns)
        for name, kind in TAKES.items():
            found = given.get(name)
            if found is None or found.kind != kind:
                what = f"the input of diff_chunks has {name} {found or 'nowhere'}"
                raise BadCall("input", what, f"{name} {kind}")
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
        stored = Stored(**memory[-1]) if memory else await self._of_store(row)
        difference = await self._difference(row, stored)
        added, removed = difference.count("added"), difference.count("removed")
        whole = len(difference.stored.chunks)
        values = {
            "document_id": document_id(row["bundle_id"], row["url"]),
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
            wanted = await self._kept(row, stored)
        elif row["content_hash"] and target == replace(stored, title=row["title"], chunks={}):
            wanted = await self._kept(row, stored)
        else:
            chunks = split(row["content"] or "", self.max_tokens, self.overlap_tokens)
            wanted = identified(row["bundle_id"], row["url"], [asdict(one) for one in chunks])
        return compare(wanted, target, stored)

    async def _kept(self, row: dict[str, Any], stored: Stored) -> dict[str, Any]:
        """The chunks that are stored; with their texts only where they must be embedded again."""
        if stored.model != self._model:
            return {one["chunk_id"]: one for one in await self._chunks(row)}
        names = ("chunk_index", "start_char", "end_char")
        return {
            name: dict(zip(names, at, strict=True), text=None) for name, at in stored.chunks.items()
        }

    async def _of_store(self, row: dict[str, Any]) -> Stored:
        from connectors import vectors

        document = await vectors.document(row["bundle_id"], row["url"])
        found = await self._chunks(row)
        models = {one.get("model") for one in found} or {self._model}
        chunks = {one["chunk_id"]: place(one) for one in found}
        return Stored(
            model=str(models.pop()) if len(models) == 1 else "",
            title=document.get("title"),
            content_hash=document.get("content_hash"),
            chunks=chunks,
        )

    async def _chunks(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        from connectors import vectors

        return await vectors.chunks_of(row["bundle_id"], row["url"])
