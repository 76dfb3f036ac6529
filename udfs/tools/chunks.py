"""A question in, the passages of the event's bundle that come nearest to it out.

Which bundle is searched is a column of the row that the agent works on, never an argument.
"""

from typing import Any

from udfs.core.tool import FromEvent

PASSAGES_MOST = 12
RESULT_CHARS = 7_500  # of all passages: a tool's result is kept whole up to 8,000


async def search_chunks(query: str, k: int = 6, *, bundle_id: FromEvent) -> list[dict[str, Any]]:
    """Search the bundle's sources for passages about something, the nearest first.

    Args:
        query: What to look for, as a question or a sentence in plain words.
        k: How many passages, 1 to 12.

    Returns:
        Passages with the `chunk_id` to cite them by, the source's url and title, and their text.
    """
    from connectors.vectors import search

    query = " ".join(query.split())
    if not query or not bundle_id:
        return []
    found = await search(bundle_id, query[:1_000], max(1, min(k, PASSAGES_MOST)))
    return within_limit([passage(one) for one in found])


def passage(chunk: dict[str, Any]) -> dict[str, Any]:
    """What an agent gets of a chunk."""
    return {name: chunk.get(name) for name in ("chunk_id", "url", "title", "text")}


def within_limit(passages: list[dict[str, Any]], chars: int = RESULT_CHARS) -> list[dict[str, Any]]:
    """As many of the first passages as a result takes: whole, for a cut one could not be cited."""
    kept: list[dict[str, Any]] = []
    used = 0
    for one in passages:
        used += sum(len(str(value)) + len(name) + 8 for name, value in one.items())
        if kept and used > chars:
            break
        kept.append(one)
    return kept
