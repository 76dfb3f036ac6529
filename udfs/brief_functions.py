"""Columns of a bundle's version and of an agent's draft in, the composed brief out, for SQL.

compose_brief(ROW(topic, guest_name, company, version, questions_wanted, expected),
              sources, missing, changes, mined_questions, sections, questions, passages)
brief_of_nothing(ROW(…), missing)        the brief of a bundle of which nothing could be read
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pyflink.table.udf import udf

from udfs.core import brief
from udfs.core.types import decode, parse_type
from udfs.flink_types import data_type, to_flink

BRIEF = parse_type(
    "ROW<`brief` STRING, `questions` ARRAY<STRING>,"
    " `citations` ARRAY<ROW<`number` INT, `url` STRING, `title` STRING, `chunk_id` STRING,"
    " `quote` STRING, `verified` BOOLEAN>>,"
    " `coverage` ROW<`expected` INT, `arrived` INT, `cited` INT, `claims` INT,"
    " `claims_proven` INT, `claims_doubtful` INT, `claims_without_source` INT,"
    " `citations_dropped` INT, `missing` ARRAY<ROW<`url` STRING, `reason` STRING>>>>"
)
_BUNDLE = ("topic", "guest_name", "company", "version", "questions_wanted", "expected")
_CITATION = ("chunk_id", "quote")


def _dicts(rows: Iterable[Any] | None, *names: str) -> list[dict[str, Any]]:
    """Rows as PyFlink hands them over, by the names of their fields."""
    return [dict(zip(names, row, strict=True)) for row in rows or () if row is not None]


def _version(bundle: Any, **more: Any) -> brief.Version:
    given = dict(zip(_BUNDLE, bundle, strict=True))
    given["topic"] = given["topic"] or ""
    return brief.Version(**given, **more)


def _sections(rows: Iterable[Any] | None) -> list[dict[str, Any]]:
    sections = _dicts(rows, "heading", "claims")
    for section in sections:
        section["claims"] = _dicts(section["claims"], "text", "citations")
        for claim in section["claims"]:
            claim["citations"] = _dicts(claim["citations"], *_CITATION)
    return sections


def _compose(
    bundle: Any,
    sources: Sequence[Any] | None,
    missing: Sequence[Any] | None,
    changes: Sequence[Any] | None,
    mined_questions: Sequence[str] | None,
    sections: Sequence[Any] | None,
    questions: Sequence[Any] | None,
    passages: Sequence[Any] | None,
) -> Any:
    version = _version(
        bundle,
        sources=_dicts(sources, "url", "title", "kind"),
        missing=_dicts(missing, "url", "reason"),
        changes=_dicts(changes, "url", "what"),
        mined_questions=[q for q in mined_questions or () if q],
    )
    return _typed(
        brief.compose(
            version,
            _sections(sections),
            _dicts(questions, "question", "depth"),
            _dicts(passages, "chunk_id", "url", "title", "text"),
        )
    )


def _of_nothing(bundle: Any, missing: Sequence[Any] | None) -> Any:
    version = _version(
        bundle, sources=(), missing=_dicts(missing, "url", "reason"), changes=(), mined_questions=()
    )
    return _typed(brief.nothing_read(version))


def _typed(value: dict[str, Any]) -> Any:
    return to_flink(BRIEF)(decode(value, BRIEF))


BRIEF_FUNCTIONS: dict[str, Callable[[], Any]] = {
    "compose_brief": lambda: udf(_compose, result_type=data_type(BRIEF), deterministic=False),
    "brief_of_nothing": lambda: udf(_of_nothing, result_type=data_type(BRIEF), deterministic=False),
}
