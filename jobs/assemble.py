"""A script in, one assembled Flink job out: tables, guarded sources, views, keyed calls, sinks.

The order is the script's. A table becomes a guarded source when a statement first reads it, and a
sink when an INSERT writes it; dead letters and traces of every Python operator of the job end in
the team's topics. `tidemill check` stops before `execute`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import reduce
from importlib.resources.abc import Traversable
from typing import Protocol

from py4j.protocol import Py4JError
from pyflink.common import Configuration, JobClient
from pyflink.datastream import DataStream, StreamExecutionEnvironment
from pyflink.table import Schema, StatementSet, StreamTableEnvironment, Table
from pyflink.util.exceptions import TableException

from jobs import ai_calls, mongodb_sinks, store_calls
from jobs.errors import ScriptError, TidemillError
from jobs.keyed_views import check_columns, keyed_view
from jobs.planner import root_message, script_error
from jobs.script import (
    CreateTable,
    CreateView,
    Insert,
    KeyedCall,
    Script,
    SetOption,
    functions_called,
    rewrite,
    table_references,
)
from jobs.sources import guard_source
from jobs.splitter import Statement
from jobs.standard_tables import standard_tables, standard_topics
from jobs.tables import TableFacts, table_facts, view_columns
from jobs.team import Team
from jobs.topics import sink_name
from udfs.core.types import Type
from udfs.flink_types import data_type
from udfs.functions import functions
from udfs.keyed_function import BadCall
from udfs.keyed_functions import KEYED_FUNCTIONS
from udfs.side_outputs import DEAD_LETTER_ROW, TRACE_ROW

PLANNER_ERRORS = (Py4JError, TableException)
ACTING = frozenset({"AI_COMPLETE", "AI_EMBEDDING", store_calls.NAME})


class Topics(Protocol):
    """Where topics live: `jobs.topics.KafkaTopics`, or files in `tidemill test`."""

    endless: bool

    def source(self, facts: TableFacts) -> str: ...
    def sink(self, facts: TableFacts) -> str: ...


@dataclass
class Job:
    """An assembled job. `reads` and `writes` are the declared tables it touches, `models` are what
    its agents ask: None for the worker's own choice."""

    script: Script
    stream: StreamExecutionEnvironment
    statements: StatementSet
    reads: list[TableFacts]
    writes: list[TableFacts]
    models: set[str | None]

    def explain(self) -> str:
        """Flink's plan. Raises ScriptError where a query and its sink do not fit."""
        try:
            return str(self.statements.explain())
        except PLANNER_ERRORS as error:
            raise self._planning_failed(error) from error

    def plan(self) -> "Job":
        """Let Flink plan it, once. Raises ScriptError where a query and its sink do not fit."""
        try:
            self.statements.attach_as_datastream()
        except PLANNER_ERRORS as error:
            raise self._planning_failed(error) from error
        return self

    def execute(self, resume: str | None = None) -> JobClient:
        """Submit what is planned, going on from this savepoint or checkpoint; returns at once."""
        if resume:
            settings = Configuration()
            settings.set_string("execution.state-recovery.path", resume)
            settings.set_string("execution.state-recovery.ignore-unclaimed-state", "true")
            self.stream.configure(settings)
        return self.stream.execute_async(self.script.job_name)

    def _planning_failed(self, error: Exception) -> ScriptError:
        """The planner names the sink, not the statement: find the INSERT that writes to it."""
        message = root_message(error)
        at = self.script.sink.statement
        for insert in self.script.inserts:
            if f"'{insert.target}'" in message or f"{insert.target} " in message:
                at = insert.statement
        return script_error(error, self.script.path, at)


@dataclass
class Assembly:
    """One script on its way to becoming a job."""

    script: Script
    team: Team
    stream: StreamExecutionEnvironment
    environment: StreamTableEnvironment
    topics: Topics
    bootstrap_servers: str
    facts: dict[str, TableFacts] = field(default_factory=dict)
    reads: dict[str, TableFacts] = field(default_factory=dict)
    writes: dict[str, TableFacts] = field(default_factory=dict)
    rejected: list[Table] = field(default_factory=list)
    dead_letters: list[DataStream] = field(default_factory=list)
    traces: list[DataStream] = field(default_factory=list)
    registered: set[str] = field(default_factory=set)

    def run(self) -> Job:
        for table in self.script.tables:
            self._declare(table)
        for name, ddl in standard_tables(self.script.team, self.bootstrap_servers).items():
            self.environment.execute_sql(ddl)
            self.facts[name] = table_facts(self.environment, name)
        for step in self.script.steps:
            self._step(step)
        self.statements = self.environment.create_statement_set()
        for insert in self.script.inserts:
            self._insert(insert)
        self._side_outputs("dead_letters", self.dead_letters, DEAD_LETTER_ROW, self.rejected)
        self._side_outputs("agent_traces", self.traces, TRACE_ROW)
        reads, writes = list(self.reads.values()), list(self.writes.values())
        models = {agent.model.name for agent in self.team.used.values()}
        return Job(self.script, self.stream, self.statements, reads, writes, models)

    def _declare(self, table: CreateTable) -> None:
        if table.name in standard_topics(self.script.team):
            raise table.statement.error(
                None,
                f"{table.name} is declared by Tidemill for every team",
                next_step="take it out",
            )
        self._execute(table.statement)
        try:
            self.facts[table.name] = table_facts(self.environment, table.name)
        except ValueError as error:
            raise table.statement.error(None, f"table {table.name}: {error}") from None

    def _step(self, step: object) -> None:
        if isinstance(step, SetOption):
            self.environment.get_config().set(step.key, step.value)
        elif isinstance(step, CreateTable):
            self._declare(step)
        elif isinstance(step, KeyedCall):
            self._keyed(step)
        else:
            self._execute(self._prepared(step.statement))  # type: ignore[attr-defined]
        if isinstance(step, CreateView) and _acts(step.statement):
            self._pin(step)

    def _pin(self, view: CreateView) -> None:
        """Make a stream of a view that asks a model or writes to a store.

        The planner prunes columns for each INSERT apart; where two need different ones it would
        plan the call twice, `deterministic=False` or not.
        """
        columns = view_columns(self.environment, view.name)
        stream = self.environment.to_data_stream(self.environment.from_path(f"`{view.name}`"))
        self.environment.drop_temporary_view(view.name)
        schema = Schema.new_builder()
        for name, declared in columns:
            schema.column(name, data_type(declared))
        self.environment.create_temporary_view(view.name, stream, schema.build())

    def _execute(self, statement: Statement) -> None:
        try:
            self.environment.execute_sql(statement.text)
        except PLANNER_ERRORS as error:
            raise script_error(error, statement.path, statement) from error

    def _prepared(self, statement: Statement) -> Statement:
        """The statement with its sources registered and its Python functions in place."""
        for name, line in table_references(statement):
            facts = self.facts.get(name)
            if facts is None or name in self.reads:
                continue
            self.reads[name] = facts
            if facts.connector == "mongodb":
                raise ScriptError(
                    statement.path,
                    line,
                    f"{name} is a mongodb table, and those are sinks only",
                    next_step="read the topic that fills it, or look it up with an agent's tool",
                )
            if facts.connector == "kafka":
                self._guard(facts, statement)
        available = functions(self.script.job_name)
        for call in functions_called(statement):
            name = call.name.lower()
            if name in available and name not in self.registered:
                self.environment.create_temporary_function(name, available[name]())
                self.registered.add(name)
        statement, stored = store_calls.replaced(
            statement, self.facts, self.environment, self.registered
        )
        self.writes.update({facts.name: facts for facts in stored})
        return ai_calls.replaced(
            statement, self.team, self.environment, self.registered, self.script.job_name
        )

    def _guard(self, facts: TableFacts, statement: Statement) -> None:
        try:
            self.environment.execute_sql(self.topics.source(facts))
            rejected = guard_source(self.environment, facts, self.script.job_name)
        except TidemillError as error:
            raise statement.error(None, error.message, next_step=error.hint) from None
        except PLANNER_ERRORS as error:
            raise script_error(error, statement.path, statement) from error
        self.rejected.append(rejected)

    def _keyed(self, call: KeyedCall) -> None:
        plan = KEYED_FUNCTIONS.get(call.function)
        if plan is None:
            known = ", ".join(sorted(KEYED_FUNCTIONS))
            what = f"there is no keyed function {call.function}"
            raise call.error("function", what, f"one of {known}")
        self._prepared(call.statement)
        try:
            columns = view_columns(self.environment, call.input_view)
            function = plan(call.arguments, columns, self.team)
            check_columns(call, columns, function)
            endless = self.topics.endless
            side = keyed_view(
                self.environment, call, function, self.script.job_name, endless=endless
            )
        except BadCall as bad:
            raise call.error(bad.argument, bad.what, bad.expected) from None
        except ValueError as error:
            raise call.error("input", f"{call.input_view}: {error}") from None
        except PLANNER_ERRORS as error:
            raise script_error(error, call.statement.path, call.statement) from error
        if side.dead_letters is not None:
            self.dead_letters.append(side.dead_letters)
        if side.traces is not None:
            self.traces.append(side.traces)

    def _insert(self, insert: Insert) -> None:
        facts = self.facts.get(insert.target)
        if facts is None:
            known = ", ".join(sorted(self.facts))
            raise insert.statement.error(
                insert.statement.tokens[2],
                f"there is no table {insert.target}",
                f"one of {known}",
                "declare it in tables.sql",
            )
        statement = self._prepared(insert.statement)
        try:
            if facts.connector == "mongodb":
                job = self.script.job_name
                self.rejected.append(
                    mongodb_sinks.insert(self.environment, facts, statement, self.registered, job)
                )
            else:
                self.statements.add_insert_sql(self._kafka_insert(facts, statement).text)
        except PLANNER_ERRORS as error:
            raise script_error(error, statement.path, statement) from error
        self.writes[facts.name] = facts

    def _kafka_insert(self, facts: TableFacts, statement: Statement) -> Statement:
        if facts.connector != "kafka":
            return statement
        self._declare_sink(facts)
        return rewrite(statement, [(2, 3, sink_name(facts.name))])

    def _declare_sink(self, facts: TableFacts) -> None:
        name = sink_name(facts.name)
        if name not in self.registered:
            self.environment.execute_sql(self.topics.sink(facts))
            self.registered.add(name)

    def _side_outputs(
        self, table: str, streams: list[DataStream], rows: Type, tables: Sequence[Table] = ()
    ) -> None:
        """One INSERT for what all operators of the job have to say to one topic."""
        whole = [*tables]
        if streams:
            stream = streams[0].union(*streams[1:]) if len(streams) > 1 else streams[0]
            schema = Schema.new_builder()
            for name, declared in rows.fields:
                schema.column(name, data_type(declared))
            whole.append(self.environment.from_data_stream(stream, schema.build()))
        if whole:
            facts = self.facts[table]
            self._declare_sink(facts)
            self.writes[table] = facts
            self.statements.add_insert(sink_name(table), reduce(Table.union_all, whole))


def _acts(statement: Statement) -> bool:
    """Whether the statement calls what costs money or changes the outside."""
    return any(c.name.upper() in ACTING for c in functions_called(statement))


def assemble(
    script: Script,
    sql_dir: Traversable,
    stream: StreamExecutionEnvironment,
    environment: StreamTableEnvironment,
    topics: Topics,
    bootstrap_servers: str,
) -> Job:
    """The job of a script. Raises ScriptError with file and line."""
    team = Team(sql_dir, script.team)
    return Assembly(script, team, stream, environment, topics, bootstrap_servers).run()
