"""A statement's tokens in, what it reads and calls out; or the statement with calls replaced.

    table_references(statement) -> [(name, line)]   what stands where SQL expects a table
    functions_called(statement) -> [FunctionCall]   what stands before a parenthesis as a function
    rewrite(statement, [(start, stop, text)])       other text for token spans, lines kept

This reads words, it does not parse: the planner does. It is for finding and naming things, and a
name that it reports for SQL that Flink would refuse anyway means nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from jobs.splitter import Statement, Token, tokenize

# Words behind which a parenthesis opens no call, or which no table or function is called.
KEYWORDS = frozenset(
    """ALL AND ANY AS ASC BETWEEN BY CASE CROSS DESC DISTINCT ELSE END EXCEPT EXISTS FETCH FOR FROM
    FULL GROUP HAVING IN INNER INSERT INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT MATCH
    MATCH_RECOGNIZE NATURAL NOT NULL OFFSET ON OR ORDER OUTER OVER PARTITION RIGHT ROWS SELECT SET
    SIMILAR SOME TABLE THEN TO UNION UNIQUE USING VALUES VIEW WHEN WHERE WINDOW WITH""".split()
)
_CALLABLE_KEYWORDS = frozenset({"LEFT", "RIGHT"})
_TYPES = frozenset(
    """ARRAY BINARY CHAR DEC DECIMAL FLOAT MAP MULTISET NUMERIC ROW TIME TIMESTAMP TIMESTAMP_LTZ
    VARBINARY VARCHAR""".split()
)
_FROM_ENDS = frozenset(
    """EXCEPT FETCH GROUP HAVING INTERSECT LIMIT OFFSET ORDER QUALIFY UNION WHERE WINDOW""".split()
)


@dataclass
class _Frame:
    """One level of parentheses: whether a SELECT began there, and where in its FROM we are."""

    wants_table: bool = False
    selects: bool = False
    in_from: bool = False
    names: set[str] = field(default_factory=set)  # common table expressions, once they are closed
    closes: str | None = None  # the expression that its closing parenthesis completes


def table_references(statement: Statement) -> list[tuple[str, int]]:
    """(name, line) of each table or view that the statement reads, in order, as often as it does.

    Names of several parts are joined by dots. WITH names of the statement itself are left out, and
    so is what it creates or inserts into.
    """
    found: list[tuple[str, int]] = []
    frames = [_Frame()]
    tokens = statement.tokens
    skip_to = _body_start(tokens)
    for index, token in enumerate(tokens):
        if index < skip_to:
            continue
        frame, word = frames[-1], token.upper
        if word == "(":
            frames.append(_Frame(wants_table=frame.wants_table, closes=_cte_name(tokens, index)))
            frame.wants_table = False
        elif word == ")":
            if len(frames) > 1:
                closed = frames.pop()
                if closed.closes:
                    frames[-1].names.add(closed.closes)
        elif word == "," and frame.in_from:
            frame.wants_table = True
        elif token.name is None:
            frame.wants_table = False
        elif word in KEYWORDS:
            _keyword(frame, word, tokens, index)
        elif frame.wants_table:
            frame.wants_table = False
            name, stop = _dotted(tokens, index)
            skip_to = stop
            known = any(name in level.names for level in frames)
            if not known and not _is(tokens, stop, "("):
                found.append((name, token.line))
    return found


def _keyword(frame: _Frame, word: str, tokens: tuple[Token, ...], index: int) -> None:
    if word in ("SELECT", "VALUES"):
        frame.selects, frame.in_from, frame.wants_table = word == "SELECT", False, False
    elif word == "FROM":
        if frame.selects and not _is(tokens, index - 1, "DISTINCT"):
            frame.in_from = frame.wants_table = True
    elif word in ("JOIN", "TABLE"):
        frame.wants_table = True
    elif word in _FROM_ENDS:
        frame.in_from = frame.wants_table = False
    elif word != "LATERAL":
        frame.wants_table = False


def _body_start(tokens: tuple[Token, ...]) -> int:
    """Where the reading begins: behind the name that a statement creates or inserts into."""
    first = tokens[0].upper
    if first == "INSERT":
        into = next((i for i, t in enumerate(tokens) if t.upper in ("INTO", "OVERWRITE")), 0)
        return _dotted(tokens, into + 1)[1]
    if first == "CREATE":
        ends = (i for i, t in enumerate(tokens) if t.upper in ("AS", "LIKE"))
        return next(ends, len(tokens))
    return 0


def _cte_name(tokens: tuple[Token, ...], index: int) -> str | None:
    """The name in `name AS (` or `name (columns) AS (`, if the parenthesis at index opens it."""
    if not _is(tokens, index - 1, "AS"):
        return None
    before = index - 2
    if _is(tokens, before, ")"):
        while before >= 0 and tokens[before].text != "(":
            before -= 1
        before -= 1
    return tokens[before].name if before >= 0 else None


@dataclass(frozen=True)
class FunctionCall:
    """A call `name(…)`; `start` and `stop` are its token span, `stop` behind the `)`."""

    name: str
    literal: str | None  # its first argument, where that is one string
    start: int
    stop: int
    line: int

    def arguments(self, statement: Statement) -> list[tuple[int, int]]:
        """The token spans of its arguments."""
        spans, depth, begin = [], 0, self.start + 2
        for index in range(begin, self.stop):
            text = statement.tokens[index].text
            if (text == "," and depth == 0) or index == self.stop - 1:
                if index > begin:
                    spans.append((begin, index))
                begin = index + 1
            depth += (text in "([") - (text in ")]")
        return spans


def functions_called(statement: Statement) -> list[FunctionCall]:
    """Every function call of the statement in order, the outer before the inner ones.

    CAST and the other functions with syntax of their own are among them; types and aliases with
    columns, `t(a, b)`, are not.
    """
    return list(_calls(statement.tokens))


def _calls(tokens: tuple[Token, ...]) -> Iterator[FunctionCall]:
    closing = _closing(tokens)
    for index, token in enumerate(tokens):
        if not _is(tokens, index + 1, "(") or token.name is None:
            continue
        if token.upper in KEYWORDS - _CALLABLE_KEYWORDS or token.upper in _TYPES:
            continue
        stop = closing.get(index + 1)
        if stop is None or _is_alias(tokens, index):
            continue
        first = tokens[index + 2]
        alone = tokens[index + 3].text in (",", ")") if index + 3 < len(tokens) else False
        literal = first.value if alone else None
        yield FunctionCall(token.name, literal, index, stop, token.line)


def _is_alias(tokens: tuple[Token, ...], index: int) -> bool:
    """Whether the name before a parenthesis is that of a table with its columns: `AS t(a, b)`."""
    if index == 0:
        return False
    before = tokens[index - 1]
    if before.upper in ("AS", "INTO", "VIEW", "TABLE", "WITH"):
        return True
    named = before.name is not None and before.upper not in KEYWORDS
    return named or before.text == ")" or before.kind in ("string", "number")


def _closing(tokens: tuple[Token, ...]) -> dict[int, int]:
    """For each `(`, the index behind its `)`."""
    opened: list[int] = []
    closing: dict[int, int] = {}
    for index, token in enumerate(tokens):
        if token.text == "(":
            opened.append(index)
        elif token.text == ")" and opened:
            closing[opened.pop()] = index + 1
    return closing


def _dotted(tokens: tuple[Token, ...], index: int) -> tuple[str, int]:
    """The name of one or more parts at an index, and the index behind it."""
    parts = [tokens[index].name or ""] if index < len(tokens) else []
    while _is(tokens, index + 1, ".") and index + 2 < len(tokens) and tokens[index + 2].name:
        parts.append(tokens[index + 2].name or "")
        index += 2
    return ".".join(parts), index + 1


def _is(tokens: tuple[Token, ...], index: int, text: str) -> bool:
    return 0 <= index < len(tokens) and tokens[index].upper == text


def rewrite(statement: Statement, spans: Iterable[tuple[int, int, str]]) -> Statement:
    """The statement with other text for spans of its tokens (start, stop, text), lines kept.

    Spans do not overlap. Text that stood on several lines is followed by as many line breaks, so
    that everything behind it keeps its line; columns on those lines move.
    """
    text = statement.text
    for start, stop, replacement in sorted(spans, reverse=True):
        begin = statement.tokens[start].start - statement.start
        end = statement.tokens[stop - 1].end - statement.start
        breaks = statement.tokens[stop - 1].line - statement.tokens[start].line
        flat = " ".join(replacement.splitlines())
        text = text[:begin] + flat + "\n" * breaks + text[end:]
    return restated(statement, text)


def restated(statement: Statement, text: str) -> Statement:
    """A statement at the same place whose text is another one."""
    lead = "\n" * (statement.line - 1) + " " * (statement.column - 1)
    tokens = tuple(tokenize(lead + text, statement.path))
    return Statement(text, statement.line, statement.column, tokens, statement.path)
