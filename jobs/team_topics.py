"""A team's name in, its topics out: their columns, and which job reads and writes them.

Read from the words of its SQL files, without Flink, so that a command answers at once. What this
says of a table is what `jobs.tables` says of it after Flink has taken it (a test compares them).
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from jobs.errors import TidemillError
from jobs.script import CreateTable, Script, job_names, load_script, load_tables, table_references
from jobs.splitter import Token
from jobs.sql_dir import sql_dir
from udfs.core.decode import Column
from udfs.core.types import parse_type

PARTITIONS = 4  # of a topic that is created
TOPIC_CONFIG = "topic.config."  # begins options that are settings of the topic, in Kafka's words
_TYPE_ENDS = frozenset({"METADATA", "COMMENT", "PRIMARY", "UNIQUE", "CONSTRAINT", "AS"})
_NO_COLUMN = frozenset({"PRIMARY", "UNIQUE", "CONSTRAINT", "WATERMARK"})


@dataclass(frozen=True)
class Topic:
    """A declared Kafka table. `name` is the topic's, which is nearly always the table's too."""

    table: str
    options: Mapping[str, str]
    columns: tuple[Column, ...]
    external: bool = False

    @property
    def name(self) -> str:
        return self.options.get("topic", self.table)

    @property
    def key(self) -> str:
        """Its key column."""
        return next((c.name for c in self.columns if c.source == "key"), "")

    @property
    def config(self) -> dict[str, str]:
        """What its options say of the topic itself, for when it is created."""
        return topic_config(self.options)

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Key and value columns with their types as text."""
        return [(c.name, str(c.type)) for c in self.columns if c.source in ("key", "value")]


@dataclass(frozen=True)
class TeamTopics:
    """All topics of a team, and its jobs by the names that they have on the cluster."""

    team: str
    topics: Mapping[str, Topic]  # by table name
    scripts: Sequence[Script]

    @property
    def dead_letters(self) -> str:
        return f"{self.team}_dead_letters"

    @property
    def traces(self) -> str:
        return f"{self.team}_agent_traces"

    @property
    def decisions(self) -> str:
        """Where the desk says what people decided about dead letters."""
        return f"{self.team}_dead_letter_decisions"

    @property
    def jobs(self) -> list[str]:
        return [script.job_name for script in self.scripts]

    @property
    def external(self) -> list[Topic]:
        """Those that someone outside writes."""
        return [topic for topic in self.topics.values() if topic.external]

    def by_name(self, topic: str) -> Topic | None:
        return next((t for t in self.topics.values() if topic in (t.name, t.table)), None)

    @cached_property
    def reads(self) -> dict[str, list[str]]:
        """Job → the names of the topics that it reads."""
        found = {}
        for script in self.scripts:
            statements = [step.statement for step in script.steps]
            statements += [insert.statement for insert in script.inserts]
            names = [name for s in statements for name, _ in table_references(s)]
            found[script.job_name] = self._named(names)
        return found

    @cached_property
    def writes(self) -> dict[str, list[str]]:
        """Job → the names of the topics that it writes, dead letters and traces left out."""
        return {s.job_name: self._named([i.target for i in s.inserts]) for s in self.scripts}

    def _named(self, tables: Sequence[str]) -> list[str]:
        return [self.topics[name].name for name in dict.fromkeys(tables) if name in self.topics]


def team_topics(team: str) -> TeamTopics:
    """What the files of a team say. Raises TidemillError and ScriptError."""
    folder, variables = sql_dir(), dict(os.environ)
    if not variables.get("KAFKA_BOOTSTRAP_SERVERS"):
        raise TidemillError(
            "KAFKA_BOOTSTRAP_SERVERS is not set, and no local stack runs",
            "run `tidemill up`, or set it to your own brokers",
        )
    tables = load_tables(folder, team, variables)
    scripts = [load_script(folder, f"{team}/{job}", variables) for job in job_names(folder, team)]
    return TeamTopics(team, declared_topics(tables), scripts)


def topic_config(options: Mapping[str, str]) -> dict[str, str]:
    """`'topic.config.cleanup.policy' = 'compact'` as a setting of the topic."""
    return {
        name.removeprefix(TOPIC_CONFIG): value
        for name, value in options.items()
        if name.startswith(TOPIC_CONFIG)
    }


def declared_topics(tables: Sequence[CreateTable]) -> dict[str, Topic]:
    """The Kafka tables among some, each with what it has by LIKE."""
    found: dict[str, Topic] = {}
    for table in tables:
        like = found.get(table.like or "")
        options = {**(like.options if like else {}), **table.options}
        columns = (*(like.columns if like else ()), *_columns(table))
        keys = set(options.get("key.fields", "").split(";"))
        found[table.name] = Topic(
            table.name,
            options,
            tuple(replace(c, source=_source(c, keys)) for c in columns),
            table.is_external,
        )
    return {name: t for name, t in found.items() if t.options.get("connector") == "kafka" and t.key}


def _source(column: Column, keys: set[str]) -> str:
    if column.source in ("key", "value"):
        return "key" if column.name in keys else "value"
    return column.source


def _columns(table: CreateTable) -> list[Column]:
    """The columns that a statement declares itself, computed ones left out."""
    columns = []
    for tokens in _definitions(table.statement.tokens):
        name, words = tokens[0].name, [token.upper for token in tokens]
        if name is None or words[0] in _NO_COLUMN or words[1] == "AS":
            continue
        end = _type_end(tokens)
        try:
            declared = parse_type(" ".join(token.text for token in tokens[1:end]))
        except ValueError as error:
            raise table.statement.error(tokens[1], f"column {name}: {error}") from None
        columns.append(Column(name, declared, _metadata(name, tokens[end:])))
    return columns


def _metadata(name: str, rest: Sequence[Token]) -> str:
    """`value`, or the metadata field that a column stands for."""
    if not rest or rest[0].upper != "METADATA":
        return "value"
    if len(rest) > 2 and rest[1].upper == "FROM":
        return rest[2].value or name
    return name


def _type_end(tokens: Sequence[Token]) -> int:
    depth = 0
    for index, token in enumerate(tokens):
        depth += (token.text in "(<") - (token.text in ")>")
        if index > 1 and not depth and token.upper in _TYPE_ENDS:
            return index
    return len(tokens)


def _definitions(tokens: Sequence[Token]) -> list[list[Token]]:
    """What stands between the commas of the parentheses behind the table's name."""
    found: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        if depth == 0 and token.upper in ("COMMENT", "WITH", "LIKE"):
            break
        closes = token.text in (")", ">")
        depth -= closes
        if depth == 0 and closes:
            break
        if depth == 1 and token.text == ",":
            found.append([])
        elif depth:
            found[-1].append(token)
        depth += token.text in ("(", "<")
    return [definition for definition in found if len(definition) > 1]


def require_external(team: TeamTopics, named: str | None) -> Topic:
    """The topic that a person means: the one named, else the team's one external topic."""
    if named is not None:
        topic = team.by_name(named)
        if topic is None:
            known = ", ".join(t.name for t in team.topics.values())
            raise TidemillError(f"team {team.team} has no topic {named}", f"its topics are {known}")
        return topic
    if len(team.external) == 1:
        return team.external[0]
    names = ", ".join(t.name for t in team.external) or "none"
    raise TidemillError(
        f"team {team.team} has {len(team.external)} external topics ({names})",
        "name the one that you mean with --topic"
        if team.external
        else f"begin the COMMENT of a table in sql/{team.team}/tables.sql with `external: …`",
    )
