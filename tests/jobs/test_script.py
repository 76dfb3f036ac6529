"""Reading a team's SQL: what each statement is, the keyed form, every refusal with its place."""

import zipfile
from pathlib import Path

import pytest

from jobs.errors import ScriptError, TidemillError
from jobs.script import (
    CreateFunction,
    CreateModel,
    CreateTable,
    CreateView,
    Insert,
    KeyedCall,
    Script,
    SetOption,
    StatementSet,
    functions_called,
    load_script,
    read_script,
    read_tables,
    rewrite,
    table_references,
)
from jobs.splitter import Statement, split

PATH = "sql/sdr/job.sql"
CALL = (
    "CREATE TEMPORARY VIEW done AS\n"
    "SELECT * FROM run_agent(input => TABLE todo PARTITION BY lead_id, agent => 'writer');\n"
)
SINK = "INSERT INTO out SELECT * FROM done"


def script(sql: str) -> Script:
    return read_script(sql, PATH, (), "sdr", "job")


def one(sql: str) -> Statement:
    (statement,) = split(sql, PATH)
    return statement


def refusal(sql: str) -> ScriptError:
    with pytest.raises(ScriptError) as caught:
        script(sql)
    return caught.value


# --- what a script is made of


def test_every_kind_of_statement_is_known() -> None:
    found = script(
        """SET 'table.exec.state.ttl' = '1 d';
CREATE TABLE `a b` (x INT) COMMENT 'external: the web form''s'
  WITH ('connector' = 'kafka', 'topic' = 'a;b') LIKE kafka_topic;
CREATE TEMPORARY VIEW v AS SELECT 1 AS x;
CREATE TEMPORARY SYSTEM FUNCTION f AS 'team.functions.f' LANGUAGE PYTHON;
CREATE MODEL m INPUT (x STRING) OUTPUT (y STRING) WITH ('provider' = 'openai');
"""
        + CALL
        + SINK
    )
    table = found.steps[1]
    kinds = [type(step) for step in found.steps]
    assert kinds == [SetOption, CreateTable, CreateView, CreateFunction, CreateModel, KeyedCall]
    assert isinstance(table, CreateTable)
    assert (table.name, table.like, table.is_external) == ("a b", "kafka_topic", True)
    assert table.options == {"connector": "kafka", "topic": "a;b"}
    assert table.comment == "external: the web form's"
    assert isinstance(found.sink, Insert)
    assert (found.sink.target, found.sink.statement.line) == ("out", 9)
    assert (found.name, found.job_name) == ("sdr/job", "sdr.job")


def test_a_statement_set_exposes_its_inserts() -> None:
    found = script(
        "EXECUTE STATEMENT SET BEGIN\nINSERT INTO a SELECT 1;\nINSERT INTO b SELECT 2;\nEND"
    )
    assert isinstance(found.sink, StatementSet)
    assert [(i.target, i.statement.line) for i in found.inserts] == [("a", 2), ("b", 3)]


@pytest.mark.parametrize(
    ("sql", "line", "what"),
    [
        ("DROP TABLE a;" + SINK, 1, "DROP TABLE"),
        ("ALTER TABLE a RENAME TO b;" + SINK, 1, "ALTER TABLE"),
        ("ADD JAR 'x.jar';" + SINK, 1, "ADD JAR"),
        ("USE CATALOG x;" + SINK, 1, "USE CATALOG"),
        ("EXPLAIN SELECT 1;" + SINK, 1, "EXPLAIN SELECT"),
        ("SELECT 1;" + SINK, 1, "SELECT"),
        ("(SELECT 1);" + SINK, 1, "("),
        ("EXECUTE INSERT INTO a SELECT 1", 1, "EXECUTE INSERT"),
        ("INSERT OVERWRITE a SELECT 1", 1, "INSERT OVERWRITE"),
        ("CREATE CATALOG c WITH ('type'='jdbc');" + SINK, 1, "CREATE CATALOG"),
        ("CREATE MATERIALIZED TABLE t AS SELECT 1;" + SINK, 1, "CREATE MATERIALIZED"),
        ("CREATE TABLE t AS SELECT 1;" + SINK, 1, "CREATE TABLE … AS"),
        ("DELETE FROM a;" + SINK, 1, "DELETE FROM"),
        ("UPDATE a SET x = 1;" + SINK, 1, "UPDATE A"),
        ("\n/**/ drop\ntable a;" + SINK, 2, "DROP TABLE"),
        ("SET 'pipeline.jars' = 'x';" + SINK, 1, "pipeline.jars"),
        ("SET 'execution.checkpointing.mode' = 'x';" + SINK, 1, "checkpointing.mode"),
        ("SET 'table.sql-dialect' = 'hive';" + SINK, 1, "table.sql-dialect"),
        ("SET x = y;" + SINK, 1, "not readable"),
        ("RESET;" + SINK, 1, "RESET"),
        ("INSERT INTO a SELECT 1;\nINSERT INTO b SELECT 2", 2, "follows the sink"),
        ("INSERT INTO a SELECT 1;\nCREATE VIEW v AS SELECT 1", 2, "follows the sink"),
        ("CREATE VIEW v AS SELECT 1;\nCREATE VIEW w AS SELECT 1", 2, "writes nothing"),
        ("-- nothing\n", 1, "writes nothing"),
        ("INSERT INTO db.a SELECT 1", 1, "db.a is dotted"),
        ("CREATE VIEW v AS SELECT 1;\nCREATE VIEW v AS SELECT 2;" + SINK, 2, "taken"),
        ("EXECUTE STATEMENT SET BEGIN\nDROP TABLE a;\nEND", 2, "DROP TABLE"),
        ("EXECUTE STATEMENT SET BEGIN\nCREATE VIEW v AS SELECT 1;\nEND", 2, "CREATE VIEW"),
        ("CREATE TABLE t (x INT) WITH (\n'topic' = '${TOPIC}');" + SINK, 2, "${TOPIC}"),
    ],
)
def test_what_has_no_place_in_a_script_is_refused_at_its_line(
    sql: str, line: int, what: str
) -> None:
    error = refusal(sql)
    assert error.line == line
    assert what in str(error)
    assert str(error).startswith(f"{PATH}:{line}: ")


# --- keyed calls


def test_a_keyed_call_is_read_whole() -> None:
    found = script(
        """-- first line
CREATE TEMPORARY VIEW `done` AS
SELECT *
FROM Send_Email(
  input => TABLE to_send PARTITION BY `effect key`, tenant,
  retries => 3, -- how often
  wait_s => -1.5, label => 'it''s; U', dry => TRUE, other => NULL
);
INSERT INTO out SELECT * FROM done"""
    )
    (call,) = found.keyed_calls
    assert (call.view_name, call.function, call.input_view) == ("done", "send_email", "to_send")
    assert call.partition_by == ("effect key", "tenant")
    assert call.arguments == {
        "retries": 3,
        "wait_s": -1.5,
        "label": "it's; U",
        "dry": True,
        "other": None,
    }
    assert (call.line, call.lines["input"], call.lines["retries"]) == (4, 5, 6)
    assert call.error("wait_s", "no").line == 7
    assert call.error("missing", "no").line == 4


def test_several_partition_columns_may_stand_in_parentheses_as_flink_has_it() -> None:
    found = script(CALL.replace("BY lead_id", "BY (lead_id, tenant)") + SINK)
    assert found.keyed_calls[0].partition_by == ("lead_id", "tenant")


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("SELECT * ", "SELECT lead_id ", "* is missing"),
        ("SELECT * ", "SELECT *, 1 ", "FROM is missing"),
        ("'writer');", "'writer') WHERE a = 1;", "'WHERE' stands behind"),
        ("'writer');", "'writer') AS d;", "'AS' stands behind"),
        ("'writer');", "'writer'), other;", "',' stands behind"),
        ("TEMPORARY VIEW", "VIEW", "TEMPORARY is missing"),
        ("VIEW done AS", "VIEW done (a) AS", "AS is missing"),
        ("BY lead_id", "BY lead.id", "lead.id"),
        ("BY lead_id", "BY UPPER(lead_id)", "is an expression"),
        (" PARTITION BY lead_id", "", "PARTITION BY is missing"),
        ("BY lead_id", "BY lead_id ORDER BY x", ") is missing"),
        ("TABLE todo", "TABLE (SELECT 1)", "input's name is missing"),
        ("TABLE todo", "TABLE db.todo", "db.todo"),
        ("input =>", "leads =>", "INPUT is missing"),
        ("input => ", "", "INPUT is missing"),
        ("'writer'", "UPPER('x')", "not a literal"),
        ("'writer'", "lead_id", "not a literal"),
        ("'writer'", "'a' || 'b'", "not a literal"),
        ("'writer'", "", "not a literal"),
        ("agent => 'writer'", "agent => 'a', AGENT => 'b'", "given twice"),
        ("agent => 'writer'", "'writer'", "'writer'"),
        ("run_agent(", "TABLE(run_agent(", "does not stand alone"),
        ("run_agent(", "my.run_agent(", "does not stand alone"),
        ("FROM run_agent", "FROM todo, run_agent", "does not stand alone"),
        ("'writer');", "'writer'", ") is missing at the end"),
        ("FROM run_agent(", "FROM outer_agent(input => TABLE x, y => run_agent(", "PARTITION BY"),
    ],
)
def test_a_near_miss_of_the_keyed_form_is_told_with_the_form(old: str, new: str, what: str) -> None:
    sql = CALL.replace(old, new, 1)
    assert sql != CALL
    error = refusal(sql + ("" if sql.endswith("'writer'\n") else SINK))
    assert what in str(error)
    assert "expected CREATE TEMPORARY VIEW name AS SELECT * FROM function(input => TABLE" in str(
        error
    )
    assert error.line == 2 or "TEMPORARY is" in what or "AS is" in what


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO out SELECT * FROM run_agent(input => TABLE todo PARTITION BY a)",
        "INSERT INTO out SELECT * FROM (SELECT * FROM run_agent(TABLE todo PARTITION BY a))",
        "EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT * FROM f(input => TABLE b); END",
        "SELECT * FROM run_agent(input => TABLE todo PARTITION BY a)",
    ],
)
def test_a_keyed_call_elsewhere_is_refused(sql: str) -> None:
    assert "expected CREATE TEMPORARY VIEW" in str(refusal(sql))


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM TABLE(TUMBLE(TABLE t, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
        "SELECT * FROM HOP(DATA => TABLE t, TIMECOL => DESCRIPTOR(ts), SIZE => INTERVAL '1' DAY)",
        "SELECT * FROM SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), INTERVAL '1' MINUTE)",
        "SELECT * FROM ML_PREDICT(INPUT => TABLE t, MODEL => MODEL m, ARGS => DESCRIPTOR(x))",
        "SELECT * FROM t, LATERAL TABLE(VECTOR_SEARCH(TABLE v, DESCRIPTOR(e), t.e, 3))",
        "SELECT * FROM t, LATERAL TABLE(split_words(t.x)) AS w(word)",
    ],
)
def test_flinks_own_table_functions_pass_through(query: str) -> None:
    found = script(f"CREATE TEMPORARY VIEW v AS {query}; INSERT INTO out SELECT * FROM v")
    assert isinstance(found.steps[0], CreateView)


def test_a_function_that_the_script_creates_is_flinks() -> None:
    found = script("CREATE FUNCTION run_agent AS 'a.B';" + CALL + SINK)
    assert not found.keyed_calls


# --- tables.sql

TABLE = "CREATE TABLE t (x INT) WITH ('servers' = '${KAFKA_BOOTSTRAP_SERVERS}', 'a' = '${A}/b')"


def tables(sql: str, **variables: str) -> tuple[CreateTable, ...]:
    return read_tables(sql, "sql/sdr/tables.sql", variables)


def test_variables_are_replaced_in_strings_and_cannot_end_them() -> None:
    (table,) = tables("\n" + TABLE, KAFKA_BOOTSTRAP_SERVERS="h:1,h:2", A="it's, 'b'")
    assert table.options == {"servers": "h:1,h:2", "a": "it's, 'b'/b"}
    assert table.statement.line == 2
    assert "'it''s, ''b''/b'" in table.statement.text


def test_all_missing_variables_are_told_at_once_with_what_they_are() -> None:
    with pytest.raises(ScriptError) as caught:
        tables(TABLE + ";\nCREATE TABLE u (x INT) WITH ('b' = '${B}')", A="")
    message = str(caught.value)
    assert "KAFKA_BOOTSTRAP_SERVERS (the Kafka brokers, host:port), A, B" in message


@pytest.mark.parametrize(
    "name", ["KAFKA_PASSWORD", "OPENAI_API_KEY", "SECRET_X", "TOKEN", "MY_ACCESS_KEYS"]
)
def test_a_secret_never_becomes_sql_text(name: str) -> None:
    with pytest.raises(ScriptError, match="looks like a secret"):
        tables(TABLE.replace("${A}", f"${{{name}}}"), **{name: "x"})


def test_an_address_with_a_password_is_refused_and_not_printed() -> None:
    with pytest.raises(ScriptError, match="holds a password") as caught:
        tables(
            TABLE.replace("${A}", "${MONGODB_URI}"),
            KAFKA_BOOTSTRAP_SERVERS="h:1",
            MONGODB_URI="mongodb://me:hunter2@h:1",
        )
    assert "hunter2" not in str(caught.value)


def test_names_that_hold_key_within_a_word_are_no_secrets() -> None:
    (table,) = tables("CREATE TABLE t (x INT) WITH ('a' = '${MONKEY_HOST}')", MONKEY_HOST="h")
    assert table.options == {"a": "h"}


def test_kafkas_own_variables_are_left_to_its_workers() -> None:
    option = "'properties.sasl.jaas.config' = 'x password=\"${env:KAFKA_PASSWORD}\";'"
    (table,) = tables(f"CREATE TABLE t (x INT) WITH ({option})")
    assert "${env:KAFKA_PASSWORD}" in table.statement.text


@pytest.mark.parametrize(
    ("sql", "what"),
    [
        ("CREATE TABLE t (x INT) WITH ('a' = '${}')", "no variable"),
        ("CREATE TABLE t (x INT) WITH ('a' = '${lower}')", "no variable"),
        ("CREATE TABLE t (x INT) WITH ('a' = '${A')", "no variable"),
        ("CREATE TABLE `${A}` (x INT) WITH ('a' = 'b')", "no variable"),
        ("CREATE TABLE ${A} (x INT) WITH ('a' = 'b')", "outside a string"),
        ("CREATE VIEW v AS SELECT 1", "CREATE TABLE only"),
        ("SET 'table.exec.state.ttl' = '1 d'", "CREATE TABLE only"),
        ("INSERT INTO a SELECT 1", "CREATE TABLE only"),
        ("CREATE TABLE t (x INT); CREATE TABLE t (y INT)", "taken"),
    ],
)
def test_what_has_no_place_in_tables_sql(sql: str, what: str) -> None:
    with pytest.raises(ScriptError) as caught:
        tables(sql, A="a")
    assert what in str(caught.value)


def test_a_value_with_a_line_break_is_refused() -> None:
    with pytest.raises(ScriptError, match="line break"):
        tables(TABLE, A="a\nb", KAFKA_BOOTSTRAP_SERVERS="h:1")


# --- files


def write_team(root: Path) -> None:
    team = root / "sdr"
    team.mkdir(parents=True)
    (team / "tables.sql").write_text(TABLE + ";\n", encoding="utf-8")
    (team / "lead_scoring.sql").write_text(CALL + SINK, encoding="utf-8")


VARIABLES = {"KAFKA_BOOTSTRAP_SERVERS": "h:1", "A": "a"}


def test_a_script_is_read_from_a_folder_or_from_a_wheel(tmp_path: Path) -> None:
    write_team(tmp_path / "sql")
    with zipfile.ZipFile(tmp_path / "t.whl", "w") as wheel:
        for file in sorted((tmp_path / "sql").rglob("*.sql")):
            wheel.write(file, file.relative_to(tmp_path).as_posix())
    for folder in (tmp_path / "sql", zipfile.Path(tmp_path / "t.whl", "sql/")):
        found = load_script(folder, "sdr/lead_scoring", VARIABLES)
        assert (found.job_name, found.path) == ("sdr.lead_scoring", "sql/sdr/lead_scoring.sql")
        assert [table.name for table in found.tables] == ["t"]


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lead_scoring", "<team>/<job>"),
        ("../sdr/lead_scoring", "<team>/<job>"),
        ("sdr/lead_scorin", "the jobs of sdr are: lead_scoring"),
        ("sdr/tables", "the jobs of sdr are: lead_scoring"),
        ("srd/lead_scoring", "teams with a tables.sql are: sdr"),
    ],
)
def test_a_name_that_is_no_job_is_answered_with_those_that_are(
    tmp_path: Path, name: str, what: str
) -> None:
    write_team(tmp_path)
    with pytest.raises(TidemillError) as caught:
        load_script(tmp_path, name, VARIABLES)
    assert what in str(caught.value)


def test_a_script_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    write_team(tmp_path)
    (tmp_path / "sdr" / "lead_scoring.sql").write_bytes(b"SELECT 1;\n-- caf\xe9")
    with pytest.raises(ScriptError, match=r"lead_scoring\.sql:2: this is not UTF-8"):
        load_script(tmp_path, "sdr/lead_scoring", VARIABLES)


# --- references, calls, rewriting


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("INSERT INTO a SELECT * FROM b", "b"),
        ("SELECT * FROM a, b AS c, `d e` f JOIN g ON x = y", "a b d e g"),
        ("SELECT EXTRACT(DAY FROM ts), TRIM(BOTH ' ' FROM x), SUBSTRING(x FROM 2) FROM a", "a"),
        ("SELECT * FROM a WHERE x IS DISTINCT FROM y AND z IS NOT DISTINCT FROM w", "a"),
        ("SELECT * FROM (SELECT * FROM a) AS t, b", "a b"),
        ("SELECT * FROM (a JOIN b ON TRUE)", "a b"),
        ("SELECT * FROM a WHERE x IN (SELECT y FROM b) ORDER BY x, y", "a b"),
        ("SELECT * FROM a CROSS JOIN UNNEST(a.xs) WITH ORDINALITY AS e (x, i)", "a"),
        ("SELECT * FROM a, LATERAL TABLE(f(a.x)) AS t (y), b", "a b"),
        ("SELECT * FROM TABLE(TUMBLE(TABLE a, DESCRIPTOR(ts), INTERVAL '1' MINUTE))", "a"),
        ("SELECT * FROM f(input => TABLE a PARTITION BY x, y => 'b')", "a"),
        ("SELECT x, y FROM a UNION ALL SELECT u, v FROM b", "a b"),
        ("SELECT * FROM db.a AS x, c.d.`e`", "db.a c.d.e"),
        ("WITH w AS (SELECT * FROM a), u (x) AS (SELECT * FROM w) SELECT * FROM u, b", "a b"),
        ("WITH a AS (SELECT * FROM a) SELECT * FROM a", "a"),
        ("CREATE TEMPORARY VIEW v (x, y) AS SELECT x, y FROM a", "a"),
        ("SELECT * FROM (VALUES (1, 2), (3, 4)) AS t (x, y)", ""),
        ("SELECT * FROM a FOR SYSTEM_TIME AS OF ts, b", "a b"),
        ("SELECT * FROM a /*+ OPTIONS('x'='y') */, b", "a b"),
        ("SELECT CASE WHEN x THEN y END, z FROM a GROUP BY x, y, z HAVING x > 1", "a"),
        ("INSERT INTO a (x, y) SELECT x, y FROM a", "a"),
    ],
)
def test_table_references_are_what_stands_in_table_position(sql: str, names: str) -> None:
    assert " ".join(name for name, _ in table_references(one(sql))) == names


def test_a_table_reference_has_its_line() -> None:
    statement = split("SELECT 1;\nSELECT *\nFROM a,\n  b", PATH)[1]
    assert table_references(statement) == [("a", 3), ("b", 4)]


def test_functions_called_are_found_with_their_first_literal() -> None:
    statement = one(
        "INSERT INTO a (x)\nSELECT AI_COMPLETE('scorer', JSON_OBJECT('x' VALUE x), h) AS r,\n"
        "  CAST(x AS VARCHAR(10)), f('a' || 'b'), LEFT(x, 2), `my f`()\n"
        "FROM b AS t (x, y) LEFT JOIN UNNEST(xs) AS u (z) ON x IN (1, 2)"
    )
    calls = functions_called(statement)
    names = [(call.name, call.literal) for call in calls]
    assert names == [
        ("AI_COMPLETE", "scorer"),
        ("JSON_OBJECT", None),
        ("CAST", None),
        ("f", None),
        ("LEFT", None),
        ("my f", None),
        ("UNNEST", None),
    ]
    complete = calls[0]
    assert complete.line == 2
    words = statement.tokens[complete.start : complete.stop]
    assert (words[0].text, words[-1].text) == ("AI_COMPLETE", ")")
    arguments = [
        " ".join(token.text for token in statement.tokens[begin:end])
        for begin, end in complete.arguments(statement)
    ]
    assert arguments == ["'scorer'", "JSON_OBJECT ( 'x' VALUE x )", "h"]
    assert calls[5].arguments(statement) == []


def test_rewriting_a_call_keeps_the_lines_behind_it() -> None:
    statement = split("\n\n  SELECT AI_COMPLETE('a',\n x),\n y FROM t", PATH)[0]
    (call,) = functions_called(statement)
    changed = rewrite(statement, [(call.start, call.stop, "complete_a(\nx)")])
    assert changed.text == "SELECT complete_a( x)\n,\n y FROM t"
    assert (changed.line, changed.column) == (statement.line, statement.column)
    assert changed.position(3, 2) == statement.position(3, 2) == (5, 2)
    assert [t.line for t in changed.tokens if t.text == "y"] == [5]
    again = rewrite(changed, [(1, 2, "z")])
    assert again.text == "SELECT z( x)\n,\n y FROM t"
