"""A script in, what would hurt it later out: read from its words and from who reads whom.

The planner says whether SQL is right; these rules say where it is right and still loses, doubles
or stops. Each finding is a ScriptError at its line.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobs.errors import ScriptError
from jobs.script import (
    CreateTable,
    CreateView,
    Insert,
    KeyedCall,
    Script,
    functions_called,
    table_references,
)
from jobs.splitter import Statement
from jobs.standard_tables import standard_topics

WINDOWS = frozenset({"TUMBLE", "HOP", "CUMULATE", "SESSION"})
AGGREGATES = frozenset(
    "COUNT SUM AVG MIN MAX COLLECT LISTAGG FIRST_VALUE LAST_VALUE ARRAY_AGG JSON_ARRAYAGG "
    "JSON_OBJECTAGG STDDEV_POP STDDEV_SAMP VAR_POP VAR_SAMP".split()
)


@dataclass
class Lineage:
    """What a table or view may hold: topics with repeats, and rows without event time."""

    repeats: set[str] = field(default_factory=set)
    keyed: set[str] = field(default_factory=set)


def lint(script: Script) -> list[ScriptError]:
    """All findings in one script."""
    lineage = {t.name: Lineage({t.name} if _repeats(t) else set()) for t in script.tables}
    findings: list[ScriptError] = []
    for step in script.steps:
        if isinstance(step, CreateView):
            findings += _statement(step.statement, lineage)
            lineage[step.name] = _derived(step.statement, lineage)
        elif isinstance(step, KeyedCall):
            lineage[step.view_name] = Lineage(set(), {step.function})
    for insert in script.inserts:
        findings += _statement(insert.statement, lineage)
    return findings


def _repeats(table: CreateTable) -> bool:
    """Topics are at-least-once unless their writer says otherwise."""
    return table.options.get("sink.delivery-guarantee") != "exactly-once"


def _derived(statement: Statement, lineage: dict[str, Lineage]) -> Lineage:
    derived = Lineage()
    for name, _ in table_references(statement):
        known = lineage.get(name, Lineage())
        derived.repeats |= known.repeats
        derived.keyed |= known.keyed
    if _deduplicates(statement):
        derived.repeats = set()
    return derived


def _deduplicates(statement: Statement) -> bool:
    """`ROW_NUMBER() OVER (PARTITION BY … ce_id …) … = 1`."""
    words = [token.upper for token in statement.tokens]
    return "ROW_NUMBER" in words and any("ce_id" in t.text for t in statement.tokens)


def _statement(statement: Statement, lineage: dict[str, Lineage]) -> Iterator[ScriptError]:
    yield from _casts(statement)
    derived = _derived(statement, lineage)
    calls = list(functions_called(statement))
    windows = [call for call in calls if call.name.upper() in WINDOWS]
    if windows and derived.keyed:
        yield ScriptError(
            statement.path,
            windows[0].line,
            f"an event-time window over the output of {sorted(derived.keyed)[0]}",
            "rows with event time; a keyed function ends it, a watermark would overtake its runs",
            "write the rows to a topic, and window that topic in the next job",
        )
    line = _combines(statement, [call.name.upper() for call in calls])
    if line and derived.repeats:
        topic = sorted(derived.repeats)[0]
        yield ScriptError(
            statement.path,
            line,
            f"an aggregate, window or join reads {topic}, whose events may come twice",
            "each event once",
            "put a view in between: ROW_NUMBER() OVER (PARTITION BY headers['ce_id'] ORDER BY "
            "event_time) = 1, or declare the topic 'sink.delivery-guarantee' = 'exactly-once'",
        )


def _combines(statement: Statement, calls: Iterable[str]) -> int:
    """The line of the first aggregate, window or join of two tables; 0 where there is none."""
    if (set(calls) & (AGGREGATES | WINDOWS)) and not _deduplicates(statement):
        return statement.line
    tokens = statement.tokens
    for at, token in enumerate(tokens):
        if token.upper == "JOIN" and tokens[at + 1].upper not in ("UNNEST", "LATERAL"):
            return token.line
    return 0


def _casts(statement: Statement) -> Iterator[ScriptError]:
    for call in functions_called(statement):
        if call.name.upper() != "CAST":
            continue
        token = statement.tokens[call.start + 2]
        behind = statement.tokens[call.start + 3].upper
        constant = token.kind in ("string", "number") or token.upper in ("NULL", "TRUE", "FALSE")
        if not (constant and behind == "AS"):
            yield ScriptError(
                statement.path,
                call.line,
                "CAST stops the job at the first value that does not convert",
                "TRY_CAST, which gives null",
                "and route the nulls where they belong",
            )


def lint_team(scripts: list[Script]) -> list[ScriptError]:
    """What no single script shows: topics that are read and that nobody writes."""
    if not scripts:
        return []
    tables = {table.name: table for table in scripts[0].tables}
    written = {insert.target for script in scripts for insert in script.inserts}
    written |= set(standard_topics(scripts[0].team))
    findings = []
    for script in scripts:
        for statement in _reading(script):
            for name, line in table_references(statement):
                table = tables.get(name)
                if (
                    table is None
                    or name in written
                    or table.is_external
                    or not table.options.get("topic")
                ):
                    continue
                findings.append(
                    ScriptError(
                        statement.path,
                        line,
                        f"nobody writes the topic {name}",
                        f"an INSERT INTO {name} in a script of {script.team}",
                        "or declare who does: COMMENT 'external: …' in tables.sql",
                    )
                )
    return findings


def _reading(script: Script) -> Iterator[Statement]:
    for step in (*script.steps, *script.inserts):
        if isinstance(step, CreateView | KeyedCall | Insert):
            yield step.statement
