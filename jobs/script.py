"""A job's name in, `Script` out: what `sql/<team>/tables.sql` and `<job>.sql` say, in order.

    load_script(sql_dir, "sdr/lead_scoring", variables) -> Script
    load_tables(sql_dir, "sdr", variables) -> tuple[CreateTable, ...]
    Script.tables      CreateTable …            of tables.sql, `${NAME}` replaced
    Script.steps       SetOption, CreateTable, CreateView, CreateFunction, CreateModel, KeyedCall …
    Script.sink        Insert | StatementSet    the last statement; `Script.inserts` for either
Each has its `statement` (text, line, tokens, `position`); names are as written, without quotes.

A job script is Flink SQL that prepares, then one INSERT or one statement set: one Flink job.
Everything else is a ScriptError with file, line, what was expected and what to do. The planner's
part is not done here: whether tables and columns exist, and types fit.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources.abc import Traversable

from jobs.errors import ScriptError, TidemillError
from jobs.keyed_call import KeyedCall, find_table_call, read_keyed_call
from jobs.references import (
    FunctionCall,
    functions_called,
    restated,
    rewrite,
    table_references,
)
from jobs.splitter import Statement, Token, split
from jobs.variables import refuse_variables, substituted

__all__ = [
    "CreateFunction",
    "CreateModel",
    "CreateTable",
    "CreateView",
    "FunctionCall",
    "Insert",
    "KeyedCall",
    "Script",
    "SetOption",
    "StatementSet",
    "functions_called",
    "load_script",
    "load_tables",
    "read_script",
    "read_tables",
    "restated",
    "rewrite",
    "table_references",
]

# What a script may set: how its own SQL is planned, and how often it commits what it writes exactly
# once. The rest belongs to deploy/.
ALLOWED_OPTIONS = (
    "table.exec.",
    "table.optimizer.",
    "table.local-time-zone",
    "execution.checkpointing.interval",
)
_JOB = re.compile(r"([a-z][a-z0-9_]*)/([a-z][a-z0-9_]*)\Z")


@dataclass(frozen=True)
class SetOption:
    statement: Statement
    key: str
    value: str


@dataclass(frozen=True)
class CreateTable:
    """A topic or a store as a table. `options` are those of its own WITH, `like` its template."""

    statement: Statement
    name: str
    comment: str
    options: dict[str, str]
    like: str | None

    @property
    def is_external(self) -> bool:
        """Whether events come from outside the team: COMMENT 'external: who writes them'."""
        return self.comment.lower().startswith("external")


@dataclass(frozen=True)
class CreateView:
    statement: Statement
    name: str


@dataclass(frozen=True)
class CreateFunction:
    statement: Statement
    name: str


@dataclass(frozen=True)
class CreateModel:
    statement: Statement
    name: str


@dataclass(frozen=True)
class Insert:
    statement: Statement
    target: str


@dataclass(frozen=True)
class StatementSet:
    statement: Statement
    inserts: tuple[Insert, ...]


Step = SetOption | CreateTable | CreateView | CreateFunction | CreateModel | KeyedCall


@dataclass(frozen=True)
class Script:
    """One Flink job as its files say it."""

    team: str
    job: str
    path: str
    tables: tuple[CreateTable, ...]
    steps: tuple[Step, ...]
    sink: Insert | StatementSet

    @property
    def name(self) -> str:
        return f"{self.team}/{self.job}"

    @property
    def job_name(self) -> str:
        """Its name on the cluster, which is its consumer group's too."""
        return f"{self.team}.{self.job}"

    @property
    def inserts(self) -> tuple[Insert, ...]:
        return self.sink.inserts if isinstance(self.sink, StatementSet) else (self.sink,)

    @property
    def keyed_calls(self) -> tuple[KeyedCall, ...]:
        return tuple(step for step in self.steps if isinstance(step, KeyedCall))


def load_script(sql_dir: Traversable, name: str, variables: Mapping[str, str]) -> Script:
    """The job `name`, "<team>/<job>". Raises ScriptError and TidemillError."""
    found = _JOB.match(name)
    if not found:
        raise TidemillError(f"{name!r} names no job", "write <team>/<job>, as in sdr/lead_scoring")
    team, job = found[1], found[2]
    tables = load_tables(sql_dir, team, variables)
    path = f"sql/{team}/{job}.sql"
    source = sql_dir.joinpath(team).joinpath(f"{job}.sql")
    if job == "tables" or not source.is_file():
        jobs = ", ".join(job_names(sql_dir, team)) or "none"
        raise TidemillError(f"there is no job {path}", f"the jobs of {team} are: {jobs}")
    return read_script(_text(source, path), path, tables, team, job)


def load_tables(
    sql_dir: Traversable, team: str, variables: Mapping[str, str]
) -> tuple[CreateTable, ...]:
    """The tables of a team. Raises ScriptError and TidemillError."""
    path = f"sql/{team}/tables.sql"
    source = sql_dir.joinpath(team).joinpath("tables.sql")
    if not source.is_file():
        folders = [e.name for e in sql_dir.iterdir() if e.joinpath("tables.sql").is_file()]
        teams = ", ".join(sorted(folders)) or "none"
        raise TidemillError(f"there is no {path}", f"teams with a tables.sql are: {teams}")
    return read_tables(_text(source, path), path, variables)


def job_names(sql_dir: Traversable, team: str) -> list[str]:
    """The jobs of a team: its .sql files but tables.sql."""
    files = sorted(entry.name for entry in sql_dir.joinpath(team).iterdir())
    return [f[:-4] for f in files if f.endswith(".sql") and f != "tables.sql"]


def _text(source: Traversable, path: str) -> str:
    try:
        return source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ScriptError(path, line, "this is not UTF-8", "text", "save it as UTF-8") from None


# --- tables.sql


def read_tables(text: str, path: str, variables: Mapping[str, str]) -> tuple[CreateTable, ...]:
    """The tables that a tables.sql creates, `${NAME}` replaced."""
    tables: list[CreateTable] = []
    for statement in substituted(split(text, path), variables):
        step = _step(statement, set())
        if not isinstance(step, CreateTable):
            raise statement.error(
                None,
                f"tables.sql has a statement that begins with {_opening(statement)}",
                "CREATE TABLE only",
                "move it to the script of the job that needs it",
            )
        tables.append(step)
    _refuse_doubles(tables)
    return tuple(tables)


# --- <job>.sql


def read_script(
    text: str, path: str, tables: tuple[CreateTable, ...], team: str, job: str
) -> Script:
    """The job that a script's text makes."""
    statements = split(text, path)
    steps: list[Step] = []
    functions: set[str] = set()
    sink: Insert | StatementSet | None = None
    for statement in statements:
        refuse_variables(statement)
        step = _step(statement, functions)
        if sink:
            raise statement.error(
                None,
                f"a statement follows the sink in line {sink.statement.line}",
                "one INSERT or one statement set, last",
                "several INSERTs: EXECUTE STATEMENT SET BEGIN … END;",
            )
        if isinstance(step, Insert | StatementSet):
            sink = step
            continue
        if isinstance(step, CreateFunction):
            functions.add(step.name.lower())
        steps.append(step)
    if not sink:
        last = statements[-1].line if statements else 1
        raise ScriptError(
            path, last, "the script writes nothing", "INSERT INTO a table as its last statement"
        )
    _refuse_doubles([*tables, *steps])
    return Script(team, job, path, tables, tuple(steps), sink)


def _refuse_doubles(steps: list[CreateTable] | list[Step]) -> None:
    seen: dict[str, Statement] = {}
    for step in steps:
        if isinstance(step, SetOption):
            continue
        name = step.view_name if isinstance(step, KeyedCall) else step.name
        kind = "function" if isinstance(step, CreateFunction) else "table"
        kind = "model" if isinstance(step, CreateModel) else kind
        first = seen.setdefault(f"{kind} {name}", step.statement)
        if first is not step.statement:
            place = f"{first.path}:{first.line}"
            raise step.statement.error(
                None, f"the name {name} is taken: {place} creates it", next_step="rename one"
            )


_CREATED = re.compile(r"CREATE (TEMPORARY )?(SYSTEM )?(TABLE|VIEW|FUNCTION|MODEL)\b")
_BUILDERS: dict[str, type[CreateView] | type[CreateFunction] | type[CreateModel]] = {
    "VIEW": CreateView,
    "FUNCTION": CreateFunction,
    "MODEL": CreateModel,
}


def _step(statement: Statement, functions: set[str]) -> Step | Insert | StatementSet:
    """What a statement is."""
    if statement.inner:
        return _statement_set(statement, functions)
    called = find_table_call(statement, functions)
    if called:
        return read_keyed_call(statement, called)
    opening = " ".join(token.upper for token in statement.tokens[:4])
    if opening.startswith("INSERT INTO "):
        return Insert(statement, _name(statement, 2))
    if opening.startswith("SET "):
        return _set_option(statement)
    created = _CREATED.match(opening)
    if created:
        return _created(statement, created)
    raise statement.error(
        None,
        f"a script has no place for {_opening(statement)}",
        "SET, CREATE TABLE, VIEW, FUNCTION or MODEL, and INSERT INTO or a statement set at the end",
        "take it out",
    )


def _opening(statement: Statement) -> str:
    words = [token.text for token in statement.tokens[:2]]
    return " ".join(words).upper() if all(w.isalpha() for w in words) else words[0]


def _statement_set(statement: Statement, functions: set[str]) -> StatementSet:
    inserts = []
    for inner in statement.inner:
        step = _step(inner, functions)
        if not isinstance(step, Insert):
            raise inner.error(
                None,
                f"a statement set has no place for {_opening(inner)}",
                "INSERT INTO only",
                "move it in front of the statement set",
            )
        inserts.append(step)
    return StatementSet(statement, tuple(inserts))


def _set_option(statement: Statement) -> SetOption:
    values = [token.value for token in statement.tokens]
    key, value = (values[1], values[3]) if len(values) == 4 else (None, None)
    if key is None or value is None or statement.tokens[2].text != "=":
        raise statement.error(None, "this SET is not readable", "SET 'key' = 'value'")
    if not key.startswith(ALLOWED_OPTIONS):
        raise statement.error(
            None,
            f"a script does not set {key}",
            "a planner option: "
            + ", ".join(f"{o}*" if o[-1] == "." else o for o in ALLOWED_OPTIONS),
            "set it for all jobs in deploy/, or for one with `tidemill submit -D`",
        )
    return SetOption(statement, key, value)


def _created(statement: Statement, found: re.Match[str]) -> Step:
    index = len(found[0].split())
    if [token.upper for token in statement.tokens[index : index + 3]] == ["IF", "NOT", "EXISTS"]:
        index += 3
    name = _name(statement, index)
    if found[3] == "TABLE":
        return _create_table(statement, name, index)
    builder = _BUILDERS[found[3]]
    return builder(statement, name)


def _name(statement: Statement, index: int) -> str:
    """The plain name at an index."""
    tokens = statement.tokens
    name = tokens[index].name if index < len(tokens) else None
    if name is None:
        raise statement.error(None, "a name is missing", "a table's, view's or function's name")
    if index + 1 < len(tokens) and tokens[index + 1].text == ".":
        raise statement.error(
            tokens[index],
            f"{name}.{tokens[index + 2].text if index + 2 < len(tokens) else ''} is dotted",
            "a plain name: a table's is its topic's",
            "leave catalog and database out",
        )
    return name


def _create_table(statement: Statement, name: str, index: int) -> CreateTable:
    comment, options, like = "", {}, None
    depth = 0
    tokens = statement.tokens
    for at in range(index, len(tokens)):
        token, rest = tokens[at], tokens[at + 1 :]
        depth += (token.text == "(") - (token.text == ")")
        if depth or not rest:
            continue
        if token.upper == "COMMENT":
            comment = rest[0].value or ""
        elif token.upper == "WITH" and rest[0].text == "(":
            options = _options(rest)
        elif token.upper == "LIKE":
            like = rest[0].name
        elif token.upper == "AS":
            raise statement.error(
                token,
                "CREATE TABLE … AS starts a job",
                "columns and WITH options",
                "use INSERT INTO",
            )
    return CreateTable(statement, name, comment, options, like)


def _options(tokens: tuple[Token, ...]) -> dict[str, str]:
    """The `'key' = 'value'` pairs behind a WITH."""
    options = {}
    for key, equals, value in zip(tokens, tokens[1:], tokens[2:], strict=False):
        if equals.text == "=" and key.value is not None and value.value is not None:
            options[key.value] = value.value
        if equals.text == ")":
            break
    return options
