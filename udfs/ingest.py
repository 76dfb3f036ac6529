"""Rows that name a source in, what stands there now out: `ingest_source`.

    SELECT * FROM ingest_source(input => TABLE sources PARTITION BY url)

The only function that fetches for a bundle. A thin shell: what a visit comes to is
`udfs.core.ingest`, how it is made `connectors.sources`; here are the columns and the clients. A
visit waits for its host in the function's own process, so thousands may be under way.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from udfs.core import ingest
from udfs.core.ingest import Outcome, Source
from udfs.core.slot import Entry, MemoryPolicy
from udfs.core.types import Type, parse_type
from udfs.keyed_function import Columns, KeyedFunction, Result, check_call

if TYPE_CHECKING:
    from udfs.keyed_functions import Definitions

TAKES = {
    "bundle_id": "STRING",
    "url": "STRING",
    "asked_kind": "STRING",
    "parent_url": "STRING",
    "listed_title": "STRING",
    "listed_at": "TIMESTAMP_LTZ(3)",
    "depth": "INT",
}
GIVES = {
    "status": "STRING",
    "kind": "STRING",
    "title": "STRING",
    "published_at": "TIMESTAMP_LTZ(3)",
    "content": "STRING",
    "content_hash": "STRING",
    "found_urls": "ARRAY<STRING>",
    "entries": "ARRAY<ROW<url STRING, kind STRING, title STRING, "
    "published_at TIMESTAMP_LTZ(3), number BIGINT>>",
    "reason": "STRING",
    "message": "STRING",
    "edition": "BIGINT",
}
VISITS = 2_000
MESSAGE_CHARACTERS = 500
KEPT_MS = 180 * 24 * 3_600 * 1_000

_log = logging.getLogger(__name__)


class IngestSource(KeyedFunction):
    """Visits of sources. What a bundle knows of one is the memory of its address."""

    stage: ClassVar[str] = "ingest"
    concurrency = VISITS
    queued = VISITS
    memory_policy = MemoryPolicy(events=1, max_age_ms=KEPT_MS)
    counters: ClassVar[Sequence[str]] = ("document", "unchanged", "listing", "removed", "failed")

    @classmethod
    def plan(
        cls, arguments: Mapping[str, Any], columns: Columns, team: "Definitions"
    ) -> "IngestSource":
        """Check the call. Raises BadCall."""
        check_call("ingest_source", arguments, (), columns, TAKES)
        return cls()

    def output_columns(self) -> list[tuple[str, Type]]:
        return [(name, parse_type(declared)) for name, declared in GIVES.items()]

    async def open(self) -> None:
        from connectors.sources import Sources
        from connectors.transcription import Transcriber

        self._sources = Sources(transcriber=Transcriber.from_settings())

    async def close(self) -> None:
        await self._sources.aclose()

    async def run(self, entry: Entry, memory: list[dict[str, Any]]) -> Result:
        source = Source.of(entry.row)
        outcome = await self._visited(source, memory)
        remember = ingest.remembered(memory, source.bundle_id, outcome.known)
        counts = {str(outcome.values["status"]): 1}
        return Result(outcome.values, remember=remember, counts=counts)

    async def _visited(self, source: Source, memory: list[dict[str, Any]]) -> Outcome:
        from connectors.sources import SourceFailed

        known = ingest.recalled(memory, source.bundle_id)
        if refused := ingest.refusal(source):
            return ingest.not_found(source, known, *refused, gone=False)
        try:
            visit = await self._sources.visit(source.url, source.kind, known.noted if known else {})
        except SourceFailed as error:
            return ingest.not_found(source, known, error.reason, str(error), error.gone)
        except Exception as defect:  # a bundle must hear of each of its sources
            _log.exception("a visit of %s failed", source.url)
            message = f"{type(defect).__name__}: {defect}"[:MESSAGE_CHARACTERS]
            return ingest.not_found(source, known, "internal_error", message, gone=False)
        return ingest.found(source, known, visit.kind, visit.document, visit.noted, visit.vanished)
