"""A source, what its bundle knew of it and what stands there now in, what the visit came to out.

    document    its text is new to the bundle, or is another than before
    unchanged   it is as the bundle has it: no text, nothing to be done again
    listing     a feed or a folder: its entries are sources of their own
    removed     the bundle had it, and it is there no more
    failed      nothing could be read, with the reason

What is known of a source is kept for each bundle apart, under the source's address: a bundle that
names an address that another one has read must get its text, too.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

Json = dict[str, Any]

KINDS = frozenset("page feed podcast folder file transcript episode".split())
DEPTH_MAX = 2
URL_CHARACTERS = 2_048
KEY_CHARACTERS = 512
CONTENT_BYTES = 900_000  # of JSON in ASCII, so that row and headers stay below a record's 1 MiB
LISTING_BYTES = 700_000
BUNDLES_MAX = 100


class EntryPort(Protocol):
    """An entry of a listing."""

    @property
    def url(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def title(self) -> str | None: ...
    @property
    def published_at(self) -> str | None: ...


class DocumentPort(Protocol):
    """What was read. A listing has no text; `total` counts entries that were left out, too."""

    @property
    def title(self) -> str | None: ...
    @property
    def published_at(self) -> str | None: ...
    @property
    def text(self) -> str | None: ...
    @property
    def entries(self) -> Sequence[EntryPort]: ...
    @property
    def total(self) -> int: ...


@dataclass(frozen=True)
class Source:
    """A row that asks for a visit. `listed_title` and `listed_at` are what its listing says."""

    bundle_id: str
    url: str
    kind: str | None
    parent_url: str | None
    listed_title: str | None
    listed_at: str | None
    depth: int

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> "Source":
        return cls(
            bundle_id=row["bundle_id"] or "",
            url=row["url"] or "",
            kind=row["asked_kind"] or None,
            parent_url=row["parent_url"],
            listed_title=row["listed_title"],
            listed_at=row["listed_at"],
            depth=row["depth"] or 0,
        )

    @property
    def is_from_web(self) -> bool:
        """Whether strangers named it: what a site lists may lead to sites only."""
        return self.parent_url is not None and not self.parent_url.lower().startswith("file:")


@dataclass(frozen=True)
class Known:
    """What a bundle has of a source. `noted` is for the next visit, in the fetcher's words."""

    noted: Mapping[str, str]
    content_hash: str | None = None
    title: str | None = None
    published_at: str | None = None

    def document(self) -> Json:
        return {**self.__dict__, "noted": dict(self.noted)}


@dataclass(frozen=True)
class Outcome:
    """Own columns of the row, and what the bundle knows from now on (None: nothing)."""

    values: Json
    known: Known | None


def refusal(source: Source) -> tuple[str, str] | None:
    """(reason, sentence) why a source is not even visited."""
    if not 0 < len(source.bundle_id) <= KEY_CHARACTERS:
        return "no_bundle", f"bundle_id must have 1 to {KEY_CHARACTERS} characters"
    if not 0 < len(source.url) <= URL_CHARACTERS:
        return "odd_url", f"a source's url must have 1 to {URL_CHARACTERS} characters"
    if source.kind is not None and source.kind not in KINDS:
        return "unknown_kind", f"expected one of {', '.join(sorted(KINDS))}, or null to find out"
    if not 0 <= source.depth <= DEPTH_MAX:
        return "too_deep", f"a listing of listings is followed {DEPTH_MAX} levels deep"
    if source.is_from_web and not source.url.lower().startswith(("http://", "https://")):
        return "scheme", "what a site lists is fetched by http and https only"
    return None


def recalled(memory: Sequence[Json], bundle_id: str) -> Known | None:
    """What a bundle knew of the source, of the memory of its address."""
    kept = memory[-1]["bundles"].get(bundle_id) if memory else None
    return Known(**kept) if kept else None


def remembered(memory: Sequence[Json], bundle_id: str, known: Known | None) -> Json:
    """The memory of an address from now on; the bundle that came last stands last."""
    bundles = dict(memory[-1]["bundles"]) if memory else {}
    bundles.pop(bundle_id, None)
    if known is not None:
        bundles[bundle_id] = known.document()
    return {"bundles": dict(list(bundles.items())[-BUNDLES_MAX:])}


def found(
    source: Source,
    known: Known | None,
    kind: str,
    document: DocumentPort | None,
    noted: Mapping[str, str],
    vanished: Sequence[EntryPort] = (),
) -> Outcome:
    """The outcome of a visit that found something; `document` is None where it is unchanged."""
    if document is None:
        assert known is not None, "what nothing was known of cannot be unchanged"
        return _unchanged(kind, replace(known, noted=noted))
    if document.text is None:
        return _listing(source, kind, document, noted, vanished)
    content, cut_off = _cut(document.text)
    now = Known(
        noted=noted,
        content_hash=hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest(),
        title=document.title or source.listed_title,
        published_at=_moment(document.published_at) or _moment(source.listed_at),
    )
    if known is not None and known.content_hash == now.content_hash:
        return _unchanged(kind, replace(known, noted=noted))
    message = f"{cut_off} characters at its end are left out" if cut_off else None
    values = _row(
        "document",
        kind,
        title=now.title,
        published_at=now.published_at,
        content=content,
        content_hash=now.content_hash,
        message=message,
    )
    return Outcome(values, now)


def not_found(
    source: Source, known: Known | None, reason: str, message: str, gone: bool
) -> Outcome:
    """The outcome of a visit that found nothing. A page that is only away keeps what is known."""
    had_it = known is not None and known.content_hash is not None
    status = "removed" if gone and had_it else "failed"
    kind = (known.noted.get("kind") if known else None) or source.kind
    values = _row(status, kind, title=source.listed_title, reason=reason, message=message)
    return Outcome(values, None if gone else known)


def _unchanged(kind: str, known: Known) -> Outcome:
    values = _row(
        "unchanged",
        kind,
        title=known.title,
        published_at=known.published_at,
        content_hash=known.content_hash,
    )
    return Outcome(values, known)


def _listing(
    source: Source,
    kind: str,
    document: DocumentPort,
    noted: Mapping[str, str],
    vanished: Sequence[EntryPort],
) -> Outcome:
    if source.depth >= DEPTH_MAX:
        message = f"a listing of listings is followed {DEPTH_MAX} levels deep"
        return Outcome(_row("failed", kind, reason="too_deep", message=message), None)
    entries, size = [], 0
    for entry in document.entries:
        size += len(json.dumps([_entry(entry), entry.url]))
        if size > LISTING_BYTES:
            break
        entries.append(_entry(entry))
    left_out = document.total - len(entries)
    values = _row(
        "listing",
        kind,
        title=document.title or source.listed_title,
        message=f"the first {len(entries)} of its {document.total} entries are taken"
        if left_out
        else None,
        found_urls=[entry["url"] for entry in entries],
        entries=[*entries, *map(_entry, vanished)],
    )
    return Outcome(values, Known(noted))


def _entry(entry: EntryPort) -> Json:
    """An entry as a ROW; its number, made of its address, is what its event's id is made of."""
    return {
        "url": entry.url,
        "kind": entry.kind,
        "title": entry.title,
        "published_at": _moment(entry.published_at),
        "number": _number(entry.url),
    }


def _row(status: str, kind: str | None, **given: Any) -> Json:
    names = "title published_at content content_hash found_urls entries reason message".split()
    values = {"status": status, "kind": kind, **{name: given.get(name) for name in names}}
    said = {name: value for name, value in values.items() if name != "content"}
    return {**values, "edition": _number(json.dumps(said, sort_keys=True))}


def _number(text: str) -> int:
    """A BIGINT that stands for a text: two of a million are alike once in 37 million times."""
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def _cut(text: str) -> tuple[str, int]:
    """Text that fits into a record, without halves of characters, and how much is left out."""
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    kept = text
    while (size := len(json.dumps(kept))) > CONTENT_BYTES:
        kept = kept[: int(len(kept) * CONTENT_BYTES / size * 0.999)]
    return kept, len(text) - len(kept)


def _moment(text: str | None) -> str | None:
    """A time as RFC 3339 in UTC, None where it is none."""
    try:
        moment = dt.datetime.fromisoformat(text or "")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
        return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
    except (ValueError, OverflowError):
        return None
