"""The text of a SQL file in, its statements out, each with its tokens and its place in the file.

    split(text, path) -> list[Statement]     ScriptError where a string or comment never ends

A `;` outside strings, quoted names and comments ends a statement. `EXECUTE STATEMENT SET BEGIN …
END` and `BEGIN STATEMENT SET; … END` are one statement; the INSERTs inside are its `inner`.
A statement's text runs from its first token to its last: comments and blanks between statements
belong to none, and nothing else is left out.

The words are those of Flink 2.3's parser (Calcite): `--` and `//` comments, `/* … */` that does
not nest, `/*+ hints */` whose strings may hold `*/`, `''` in strings, E'…' with backslashes, no
double quotes, lines that end at LF, CR LF or CR, columns counted in UTF-16 units.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from jobs.errors import ScriptError

_BREAK = re.compile(r"\r\n|\r|\n")
_BLANK = re.compile(r"[ \t\r\n\f\ufeff]+")
_PLAIN = re.compile(
    r"(?P<word>(?:[^\W\d]|\$)[\w$]*)"
    r"|(?P<number>(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)"
    r"|(?P<operator>=>|<=|>=|<>|!=|\|\||[-!#%&()*+,./:;<=>?@\[\\\]^{|}~])"
)
# Possessive (`*+`, `++`), so that text which never closes costs one pass, not one per character.
_CLOSED = {
    "string": re.compile(r"'(?:[^']|'')*+'"),
    "escaped": re.compile(r"[eE]'(?:[^'\\]|\\.|'')*+'", re.DOTALL),
    "unicode": re.compile(r"[uU]&'(?:[^']|'')*+'"),
    "quoted": re.compile(r"`(?:[^`]|``)*+`"),
    "hint": re.compile(r"/\*\+(?:[^'*]|'(?:[^']|'')*+'|\*(?!/))*+\*/"),
    "comment": re.compile(r"/\*(?:[^*]|\*(?!/))*+\*/"),
    "line": re.compile(r"(?:--|//)[^\r\n]*+"),
}
_OPENING = (
    ("'", "string", "string"),
    ("`", "quoted", "quoted name"),
    ("E'", "escaped", "string"),
    ("e'", "escaped", "string"),
    ("U&'", "unicode", "string"),
    ("u&'", "unicode", "string"),
    ("/*+", "hint", "hint"),
    ("/*", "comment", "comment"),
    ("--", "line", "comment"),
    ("//", "line", "comment"),
)
_FIRST = frozenset(opening[0] for opening, _, _ in _OPENING)
_CLOSING = {"string": "'", "quoted name": "`", "hint": "*/", "comment": "*/"}


class Token(NamedTuple):
    """One word of SQL. `kind`: word, quoted, string, number, operator. Lines and columns from 1."""

    kind: str
    text: str
    start: int  # offset in the file
    line: int
    column: int

    @property
    def upper(self) -> str:
        """The keyword that it may be; a quoted name or a string is none."""
        return self.text.upper() if self.kind in ("word", "operator") else ""

    @property
    def end(self) -> int:
        return self.start + len(self.text)

    @property
    def name(self) -> str | None:
        """The identifier that it is, without its quotes; None for anything else."""
        if self.kind == "quoted":
            return self.text[1:-1].replace("``", "`")
        return self.text if self.kind == "word" else None

    @property
    def value(self) -> str | None:
        """The value of a string; None for anything else."""
        if self.kind != "string":
            return None
        quote = self.text.index("'")
        body = self.text[quote + 1 : -1].replace("''", "'")
        if self.text[0] in "uU":
            return re.sub(r"\\([0-9A-Fa-f]{4})", lambda m: chr(int(m[1], 16)), body)
        if self.text[0] in "eE":
            return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[1]), body, flags=re.DOTALL)
        return body


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}


@dataclass(frozen=True)
class Statement:
    """One statement, as it stands in the file `path`, whose first character is line, column."""

    text: str
    line: int
    column: int
    tokens: tuple[Token, ...]
    path: str
    inner: tuple["Statement", ...] = ()

    @property
    def start(self) -> int:
        """The offset in the file of its first character."""
        return self.tokens[0].start

    @property
    def end(self) -> int:
        """The offset in the file behind its last character."""
        return self.tokens[-1].end

    def position(self, line: int, column: int = 1) -> tuple[int, int]:
        """The file's (line, column) of a position that the planner counts within this statement."""
        lines = _BREAK.split(self.text)
        row = min(max(line, 1), len(lines)) - 1
        units = lines[row].encode("utf-16-le", "surrogatepass")[: 2 * max(column - 1, 0)]
        at = len(units.decode("utf-16-le", "replace")) + 1
        return self.line + row, at + (self.column - 1 if row == 0 else 0)

    def error(
        self,
        token: Token | None,
        what: str,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> ScriptError:
        """The error to raise at one of its tokens, or at its start."""
        line = token.line if token else self.line
        return ScriptError(self.path, line, what, expected, next_step)


def tokenize(text: str, path: str) -> Iterator[Token]:
    """The words of a text in order, without blanks and comments."""
    starts = [0, *(found.end() for found in _BREAK.finditer(text))]
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
            continue
        row = bisect_right(starts, position)
        kind, end = _word_at(text, position, path, row)
        if kind:
            column = position - starts[row - 1] + 1
            yield Token(kind, text[position:end], position, row, column)
        position = end


def _word_at(text: str, position: int, path: str, line: int) -> tuple[str | None, int]:
    """(kind, end) of the word at a position; no kind for a comment."""
    if text[position] in _FIRST:
        for opening, pattern, called in _OPENING:
            if text.startswith(opening, position):
                found = _CLOSED[pattern].match(text, position)
                if not found:
                    closing = _CLOSING[called]
                    raise ScriptError(
                        path,
                        line,
                        f"this {called} begins here and never ends",
                        f"a closing {closing}",
                        "close it; a quote inside a string is written twice: ''",
                    )
                named = {"string": "string", "quoted name": "quoted", "hint": "hint"}
                return named.get(called), found.end()
    found = _PLAIN.match(text, position)
    if not found:
        raise _unreadable(text[position], path, line)
    return found.lastgroup, found.end()


def _unreadable(character: str, path: str, line: int) -> ScriptError:
    if character == '"':
        return ScriptError(
            path,
            line,
            'a double quote (") means nothing in Flink SQL',
            "'single quotes' around a string, `back quotes` around a name",
            "change the quotes",
        )
    known = unicodedata.name(character, "a control character")
    return ScriptError(
        path,
        line,
        f"the character U+{ord(character):04X} ({known}) means nothing outside quotes",
        "SQL, with plain blanks and straight quotes",
        "type the line anew where it was pasted",
    )


def split(text: str, path: str) -> list[Statement]:
    """The statements of a file in order. Raises ScriptError only."""
    statements: list[Statement] = []
    run: list[Token] = []
    for token in tokenize(text, path):
        if token.text == ";" and not _in_set(run):
            _add(statements, run, text, path)
            run = []
        else:
            run.append(token)
    if _in_set(run):
        raise ScriptError(
            path,
            run[0].line,
            "this statement set begins here and never ends",
            "END; after its last INSERT",
            "write END; on a line of its own",
        )
    _add(statements, run, text, path)
    return statements


def _add(statements: list[Statement], run: list[Token], text: str, path: str) -> None:
    if not run:
        return
    head = _set_head(run)
    inner: list[Statement] = []
    if head:
        part: list[Token] = []
        for token in run[head:-1]:
            if token.text == ";":
                _add(inner, part, text, path)
                part = []
            else:
                part.append(token)
        _add(inner, part, text, path)
    first = run[0]
    statements.append(
        Statement(
            text=text[first.start : run[-1].end],
            line=first.line,
            column=first.column,
            tokens=tuple(run),
            path=path,
            inner=tuple(inner),
        )
    )


def _set_head(run: list[Token]) -> int:
    """How many tokens open the statement set that this run is, 0 if it is none."""
    words = [token.upper for token in run[:4]]
    if words == ["EXECUTE", "STATEMENT", "SET", "BEGIN"]:
        return 4
    return 4 if words == ["BEGIN", "STATEMENT", "SET", ";"] else 0


def _in_set(run: list[Token]) -> bool:
    """Whether a `;` here stands inside a statement set that is still open."""
    if len(run) == 3:
        return [token.upper for token in run] == ["BEGIN", "STATEMENT", "SET"]
    if not _set_head(run):
        return False
    return not (len(run) > 4 and run[-1].upper == "END" and _ends_set(run))


def _ends_set(run: list[Token]) -> bool:
    return run[-2].text == ";" or len(run) == 5
