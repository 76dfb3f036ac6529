"""A statement's tokens in, the keyed call that it is out, or the sentence why it is not one.

Keyed Python functions (`run_agent`, `send_email`, …) are called in exactly one form:

    CREATE TEMPORARY VIEW v AS
    SELECT * FROM fn(input => TABLE x PARTITION BY a, b, name => 'literal', …);

The syntax is that of Flink's process table functions, and Flink takes several partition columns in
parentheses, `PARTITION BY (a, b)`; both are read. Everything near it is an error that says so,
for Flink itself would answer with something about signatures.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from jobs.errors import ScriptError
from jobs.splitter import Statement, Token

Literal = str | int | float | bool | None

FORM = (
    "CREATE TEMPORARY VIEW name AS SELECT * FROM function"
    "(input => TABLE view PARTITION BY column, option => 'literal')"
)
_ALONE = "write the call as a view of its own and read that view"
# Flink's own functions that take a table; all others that do are ours.
FLINK_TABLE_FUNCTIONS = frozenset(
    """TUMBLE HOP CUMULATE SESSION ML_PREDICT ML_EVALUATE ML_DETECT_ANOMALIES ML_FORECAST
    VECTOR_SEARCH TO_CHANGELOG FROM_CHANGELOG DESCRIPTOR TABLE""".split()
)


@dataclass(frozen=True)
class KeyedCall:
    """A view made by a keyed function: `arguments` are the options, `input` is not among them."""

    statement: Statement
    view_name: str
    function: str  # lower case
    input_view: str
    partition_by: tuple[str, ...]
    arguments: dict[str, Literal]
    lines: dict[str, int]  # of each argument's name, and of "input" and "partition_by"

    @property
    def line(self) -> int:
        return self.lines["function"]

    def error(
        self,
        argument: str,
        what: str,
        expected: str | None = None,
        next_step: str | None = None,
    ) -> ScriptError:
        """The error to raise about one argument, or the whole call where it is missing."""
        line = self.lines.get(argument, self.line)
        return ScriptError(self.statement.path, line, what, expected, next_step)


def find_table_call(
    statement: Statement, flink_functions: AbstractSet[str] = frozenset()
) -> Token | None:
    """The name of the first function in the statement that is given a TABLE and is not Flink's.

    `flink_functions`, lower case, are those that the script itself creates.
    """
    tokens = statement.tokens
    opened: list[Token | None] = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1] if index else None
        if token.text == "(":
            opened.append(before if before and before.name is not None else None)
        elif token.text == ")" and opened:
            opened.pop()
        elif token.upper == "TABLE" and opened and before and before.text in ("(", ",", "=>"):
            function = opened[-1]
            if not function or function.upper in FLINK_TABLE_FUNCTIONS:
                continue
            if (function.name or "").lower() not in flink_functions:
                return function
    return None


def read_keyed_call(statement: Statement, function: Token) -> KeyedCall:
    """The call in a statement in which `find_table_call` found `function`."""
    return _Reader(statement, function).read()


class _Reader:
    """Goes through the tokens from left to right; each method takes what it is named for."""

    def __init__(self, statement: Statement, function: Token) -> None:
        self.statement = statement
        self.function = function
        self.tokens = statement.tokens
        self.index = 0

    def read(self) -> KeyedCall:
        self.words("CREATE", "TEMPORARY", "VIEW")
        view_name = self.identifier("the view's name")
        self.words("AS", "SELECT", "*", "FROM")
        if self.token is not self.function:
            raise self.wrong(f"the call of {self.function.name} does not stand alone", _ALONE)
        lines = {"function": self.function.line}
        self.index += 1
        self.words("(")
        self.words("INPUT", "=>", "TABLE")
        lines["input"] = self.line
        input_view = self.identifier("the input's name")
        lines["partition_by"] = self.line
        partition_by = self.partition_columns()
        arguments: dict[str, Literal] = {}
        while self.at(","):
            self.index += 1
            line = self.line
            name = self.identifier("an option's name").lower()
            if name in arguments or name == "input":
                raise self.wrong(f"the argument {name} is given twice", "leave one out", line)
            self.words("=>")
            arguments[name], lines[name] = self.literal(), line
        self.words(")")
        if self.token:
            found = self.token.text
            raise self.wrong(f"{found!r} stands behind the call of {self.function.name}", _ALONE)
        return KeyedCall(
            statement=self.statement,
            view_name=view_name,
            function=(self.function.name or "").lower(),
            input_view=input_view,
            partition_by=tuple(partition_by),
            arguments=arguments,
            lines=lines,
        )

    @property
    def token(self) -> Token | None:
        return self.tokens[self.index] if self.index < len(self.tokens) else None

    @property
    def line(self) -> int:
        return (self.token or self.tokens[-1]).line

    def at(self, word: str, ahead: int = 0) -> bool:
        index = self.index + ahead
        return index < len(self.tokens) and self.tokens[index].upper == word

    def words(self, *expected: str) -> None:
        for word in expected:
            if not self.at(word):
                raise self.wrong(f"{word} is missing {self.before()}")
            self.index += 1

    def before(self) -> str:
        return f"before {self.token.text!r}" if self.token else "at the end"

    def identifier(self, called: str) -> str:
        token = self.token
        if not token or token.name is None:
            raise self.wrong(f"{called} is missing {self.before()}")
        self.index += 1
        if self.at("."):
            dotted = f"{token.name}.{self.tokens[self.index + 1].text}"
            raise self.wrong(
                f"{called} is dotted, {dotted}, and a keyed function takes plain names",
                "give the field a name of its own in the view that is the input",
            )
        return token.name

    def partition_columns(self) -> list[str]:
        if not self.at("PARTITION"):
            raise self.wrong(
                f"PARTITION BY is missing {self.before()}: it is the key that state belongs to",
                "name the column whose events one worker handles in order",
            )
        self.words("PARTITION", "BY")
        parenthesised = self.at("(")
        if parenthesised:
            self.index += 1
        columns = [self.identifier("a partition column")]
        while self.at(",") and (parenthesised or not self.at("=>", ahead=2)):
            self.index += 1
            columns.append(self.identifier("a partition column"))
        if parenthesised:
            self.words(")")
        if self.at("("):
            raise self.wrong(
                f"PARTITION BY {columns[-1]}(…) is an expression, and a keyed function takes "
                "plain columns",
                "give it a name in the view that is the input",
            )
        return columns

    def literal(self) -> Literal:
        sign = -1 if self.at("-") else 1
        if self.at("-") or self.at("+"):
            self.index += 1
        token = self.token
        if not token:
            raise self.wrong("a value is missing at the end")
        value = _literal(token, sign)
        if value is not None or token.upper == "NULL":
            self.index += 1
            if not self.token or self.token.text in (",", ")"):
                return value
        raise self.wrong(
            f"the value at {token.text!r} is not a literal",
            "write a string, a number, TRUE, FALSE or NULL",
            token.line,
        )

    def wrong(self, what: str, next_step: str = "", line: int = 0) -> ScriptError:
        return ScriptError(
            self.statement.path, line or self.line, what, FORM, next_step or "write that form"
        )


def _literal(token: Token, sign: int) -> Literal:
    if token.kind == "number":
        whole = token.text.isdecimal()
        return sign * (int(token.text) if whole else float(token.text))
    if token.kind == "string":
        return token.value
    return {"TRUE": True, "FALSE": False}.get(token.upper)
