"""A document's chunks and what is stored of it in, what is to be changed in the store out.

A chunk is known by its text: one that a new version of the page still has costs no embedding and no
write, wherever it comes from. Where only its place has changed it is *moved*, and keeps its vector.
Another model makes all chunks new, for vectors of two models are never compared.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

CHANGE_COLUMNS = {
    "change": "STRING",
    "chunk_id": "STRING",
    "chunk_index": "INT",
    "text": "STRING",
    "start_char": "INT",
    "end_char": "INT",
    "token_count": "INT",
    "chunk_hash": "STRING",
    "embedding": "ARRAY<FLOAT>",
    "chunk_ids": "ARRAY<STRING>",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Stored:
    """What the store holds of a document: the place of each chunk by its id, as
    [index, first character, behind the last]. `cut` is how the text was cut, where it is known."""

    model: str = ""
    title: str | None = None
    content_hash: str | None = None
    cut: str = ""
    chunks: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def to_json(self) -> Row:
        return {
            "model": self.model,
            "title": self.title,
            "content_hash": self.content_hash,
            "cut": self.cut,
            "chunks": {name: list(place) for name, place in self.chunks.items()},
        }


@dataclass(frozen=True)
class Difference:
    """The changes, in the order in which they are made, and what is stored after them."""

    changes: list[Row]
    stored: Stored

    @property
    def is_changed(self) -> bool:
        return len(self.changes) > 1

    def count(self, *kinds: str) -> int:
        return sum(change["change"] in kinds for change in self.changes)


def document_id(bundle_id: str, url: str) -> str:
    return _id(bundle_id, url)


def identified(bundle_id: str, url: str, chunks: Sequence[Row]) -> dict[str, Row]:
    """Chunks by their id: made of bundle, url and text, so that a replay writes the same ones. A
    text that stands in the document twice is two chunks."""
    seen: Counter[str] = Counter()
    found = {}
    for index, chunk in enumerate(chunks):
        repeat = seen[chunk["chunk_hash"]]
        seen[chunk["chunk_hash"]] += 1
        found[_id(bundle_id, url, chunk["chunk_hash"], repeat)] = {**chunk, "chunk_index": index}
    return found


def compare(wanted: Mapping[str, Row], target: Stored, stored: Stored) -> Difference:
    """How the store comes from `stored` to the chunks that are `wanted`. `target` names their
    model, title and content. The last change is `done`: it names all chunks of the document."""
    same_model = stored.model == target.model
    known = stored.chunks if same_model else {}
    renamed = same_model and stored.title != target.title
    changes = []
    for name, chunk in wanted.items():
        if name not in known:
            changes.append(_change("added", name, chunk))
        elif renamed or list(known[name]) != place(chunk):
            changes.append(_change("moved", name, {**chunk, "text": None}))
    changes += [_change("removed", name, {}) for name in stored.chunks if name not in wanted]
    changes.append(_change("done", None, {"chunk_ids": list(wanted)}))
    places = {name: place(chunk) for name, chunk in wanted.items()}
    return Difference(changes, replace(target, chunks=places))


def place(chunk: Row) -> list[int]:
    return [chunk["chunk_index"], chunk["start_char"], chunk["end_char"]]


def _change(kind: str, name: str | None, chunk: Row) -> Row:
    return {column: chunk.get(column) for column in CHANGE_COLUMNS} | {
        "change": kind,
        "chunk_id": name,
    }


def _id(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False).encode()).hexdigest()[:32]
