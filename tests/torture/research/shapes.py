"""What good records of the research team's topics hold, and which jobs read them. Data only."""

from tests.torture.case import SHAPES, Input, Json, Shape, encoded, fresh

FINE = "http://shop.localhost:SHOP/fine/"
READERS: dict[str, tuple[str, ...]] = {
    "research_requests": ("ingest_sources", "complete_bundles"),
    "found_sources": ("ingest_sources",),
    "source_documents": ("index_documents", "mine_questions", "complete_bundles"),
    "stored_documents": ("complete_bundles",),
    "mined_questions": ("complete_bundles",),
    "bundle_versions": ("write_brief",),
}
TOPICS = tuple(READERS)
NAMES = [f"research/{job}" for job in dict.fromkeys(j for jobs in READERS.values() for j in jobs)]
READ = ("page: document", "stored", "mined")
BRIEFED = (*READ, "version: 1 of 1", "brief")
# What a good record comes to. Of some a bundle only takes note: nothing comes of them alone.
GOOD: dict[str, tuple[str, ...]] = {
    "research_requests": BRIEFED,
    "found_sources": READ,
    "source_documents": ("stored", "mined"),
    "stored_documents": (),
    "mined_questions": (),
    "bundle_versions": ("brief",),
}
CONTENT = "Cooled goods are moved in forty trucks. Each of them is seen live on a map. "


def request(key: str, *urls: str, **changes: object) -> Input:
    """Somebody asks for a brief on these sources."""
    sources = [{"url": url} for url in urls]
    value = {"topic": f"Cooled goods {key}", "sources": sources} | changes
    return Input("research_requests", key.encode(), encoded(value))


def _request(key: str) -> Json:
    return {"topic": "Cooled goods", "sources": [{"url": FINE, "kind": None}]}


def _found(key: str) -> Json:
    parent = "http://shop.localhost:SHOP/feed/"
    return {"url": FINE, "kind": "page", "parent_url": parent, "title": "Cooled goods", "depth": 1}


def _document(key: str) -> Json:
    text = f"{CONTENT}It stands under {key}."
    return {"url": FINE, "kind": "page", "status": "document", "title": "Cooled goods",
            "content": text, "content_hash": fresh("hash")}  # fmt: skip


def _stored(key: str) -> Json:
    counts = dict.fromkeys(("chunk_count", "changed_count", "removed_count"), 1)
    return {"url": FINE, "content_hash": "hash", **counts}


def _mined(key: str) -> Json:
    return {"url": FINE, "content_hash": "hash", "questions": ["How are goods cooled?"]}


def _version(key: str) -> Json:
    return {
        "topic": "Cooled goods", "version": 1, "complete": True, "expected": 1, "arrived": 1,
        "sources": [{"url": FINE, "title": "Cooled goods", "kind": "page"}], "missing": [],
        "changes": [], "questions": ["How are goods cooled?"],
    }  # fmt: skip


SHAPES.update(
    research_requests=Shape(_request, "sources", "topic"),
    found_sources=Shape(_found, "url", "title"),
    source_documents=Shape(_document, "status", "title"),
    stored_documents=Shape(_stored, "chunk_count", "content_hash"),
    mined_questions=Shape(_mined, "questions", "content_hash"),
    bundle_versions=Shape(_version, "version", "topic"),
)
