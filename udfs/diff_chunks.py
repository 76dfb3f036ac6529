"""Documents cut into chunks in, what is to be changed in the store out: `diff_chunks`.

    SELECT * FROM diff_chunks(input => TABLE chunked_documents PARTITION BY (bundle_id, url))

What is stored of a document is remembered in keyed state; where the state has nothing (a job that
began anew), the store itself is asked. So an unchanged chunk is never embedded again. A status of
`unchanged` has no chunks and means those that are stored, `removed` means none.
"""

from collections.abc import Mapping
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

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

TAKES = {
    "bundle_id": "STRING",
    "url": "STRING",
    "status": "STRING",
    "title": "STRING",
    "content_hash": "STRING",
    "chunks": "ARRAY",
}
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

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "DiffChunks":
        """Check the call. Raises BadCall."""
        unknown = sorted(set(arguments) - {"slots"})
        if unknown:
            raise BadCall(unknown[0], f"diff_chunks has no option {unknown[0]}", "slots")
        given = dict(columns)
        for name, kind in TAKES.items():
            found = given.get(name)
            if found is None or found.kind != kind:
                what = f"the input of diff_chunks has {name} {found or 'nowhere'}"
                raise BadCall("input", what, f"{name} {kind}")
        return cls()

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
        target = Stored(self._model, row["title"], row["content_hash"])
        wanted = identified(row["bundle_id"], row["url"], row["chunks"] or [])
        if row["status"] == "unchanged":
            target = Stored(self._model, stored.title, stored.content_hash)
            wanted = await self._kept(row, stored)
        elif row["status"] == "removed":
            wanted = {}
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
