"""Splitting SQL text: nothing lost, nothing split inside quotes, every place in the file exact."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobs.errors import ScriptError
from jobs.splitter import Statement, split, tokenize

PATH = "sql/sdr/lead_scoring.sql"
BETWEEN = re.compile(r"(?:[ \t\r\n\f\ufeff;]|(?:--|//)[^\r\n]*|/\*(?:[^*]|\*(?!/))*\*/)*\Z")
BREAK = re.compile(r"\r\n|\r|\n")

inside = st.text(st.sampled_from("a;'`\"-*/\n\r é𝒳\\BEGIN END"), max_size=8)
string = inside.map(lambda s: "'" + s.replace("'", "''") + "'")
escaped = inside.map(
    lambda s: "E'" + s.replace("\\", "\\\\").replace("'", "\\'").rstrip("\\") + "'"
)
unicode_string = inside.map(lambda s: "U&'" + s.replace("'", "''") + "'")
quoted = inside.map(lambda s: "`" + s.replace("`", "``") + "`")
line_comment = st.builds(
    lambda mark, s: mark + re.sub(r"[\r\n]", " ", s) + "\n", st.sampled_from(["--", "//"]), inside
)
block_comment = inside.map(lambda s: "/* " + s.replace("*/", "* /").replace("*", "") + " */")
hint = string.map(lambda s: f"/*+ OPTIONS('k'={s}) */")
word = st.sampled_from("SELECT a FROM t WHERE x = 1.5 <> ( ) , => END BEGIN SET ünï $x".split())
blank = st.sampled_from([" ", "\n", "\r\n", "\r", "\t", "  "])

token = st.one_of(word, string, escaped, unicode_string, quoted, hint)
gap = st.lists(st.one_of(blank, line_comment, block_comment), max_size=3).map(
    lambda parts: " " + " ".join(parts) + " "
)
plain_statement = st.lists(st.tuples(token, gap), min_size=1, max_size=6).map(
    lambda pairs: ["x" + gap_text + part for part, gap_text in pairs]
)


@st.composite
def scripts(draw: st.DrawFn) -> tuple[str, int]:
    """A text, and how many statements it has."""
    statements = draw(st.lists(plain_statement, max_size=5))
    text = draw(gap)
    for parts in statements:
        text += " ".join(parts) + draw(gap) + ";" + draw(gap)
    return text, len(statements)


def texts(sql: str) -> list[str]:
    return [statement.text for statement in split(sql, PATH)]


@given(scripts())
def test_semicolons_in_strings_names_and_comments_do_not_split(case: tuple[str, int]) -> None:
    text, count = case
    assert len(split(text, PATH)) == count


@given(scripts())
def test_nothing_but_blanks_comments_and_semicolons_lies_between_statements(
    case: tuple[str, int],
) -> None:
    text, _ = case
    end = 0
    for statement in split(text, PATH):
        assert text[statement.start : statement.end] == statement.text
        assert BETWEEN.match(text[end : statement.start])
        end = statement.end
    assert BETWEEN.match(text[end:])


@given(scripts())
def test_lines_and_columns_are_those_of_the_file(case: tuple[str, int]) -> None:
    text, _ = case
    lines = BREAK.split(text)
    for statement in split(text, PATH):
        assert lines[statement.line - 1][statement.column - 1] == statement.text[0]
        for found in statement.tokens:
            first_line = BREAK.split(found.text)[0]
            assert lines[found.line - 1][found.column - 1 :].startswith(first_line)


@given(scripts())
def test_a_planner_position_is_mapped_to_the_file(case: tuple[str, int]) -> None:
    text, _ = case
    for statement in split(text, PATH):
        for found in statement.tokens:
            before = statement.text[: found.start - statement.start]
            rows = BREAK.split(before)
            utf16_column = len(rows[-1].encode("utf-16-le")) // 2 + 1
            expected = (found.line, found.column)
            assert statement.position(len(rows), utf16_column) == expected


@given(st.text(st.characters(), max_size=60))
@example("'\ud800")
@example("EXECUTE STATEMENT SET BEGIN EXECUTE STATEMENT SET BEGIN ; END; END")
@example("BEGIN STATEMENT SET; BEGIN STATEMENT SET; END; END;")
@example("EXECUTE STATEMENT SET BEGIN END")
def test_arbitrary_text_raises_nothing_but_script_errors(text: str) -> None:
    try:
        statements = split(text, PATH)
    except ScriptError as error:
        assert str(error).startswith(PATH)
        assert "\n" not in str(error)
    else:
        assert all(isinstance(statement, Statement) for statement in statements)


@given(st.text(st.sampled_from("'`-/*+;eEuU&\n\\BEGINSTATMD "), max_size=60))
def test_any_mix_of_quotes_and_comment_marks_splits_or_says_where(text: str) -> None:
    try:
        assert all(statement.text for statement in split(text, PATH))
    except ScriptError as error:
        assert 1 <= error.line <= len(BREAK.split(text))


def test_a_statement_set_is_one_statement_with_its_inserts() -> None:
    sql = """-- header
CREATE TEMPORARY VIEW v AS SELECT 1 AS x;
EXECUTE STATEMENT SET
BEGIN
  INSERT INTO a SELECT CASE WHEN x = 1 THEN ';' END FROM v;
  /* ; END; */ INSERT INTO b
  SELECT x AS `END` FROM v;
END;
"""
    view, statement_set = split(sql, PATH)
    assert (view.line, statement_set.line, statement_set.column) == (2, 3, 1)
    assert statement_set.text.endswith("END")
    first, second = statement_set.inner
    assert (first.line, first.column) == (5, 3)
    assert (second.line, second.column) == (6, 16)
    assert second.text == "INSERT INTO b\n  SELECT x AS `END` FROM v"
    assert second.position(2, 10) == (7, 10)
    assert first.position(1, 8) == (5, 10)


def test_the_older_form_of_a_statement_set_is_known() -> None:
    (found,) = split("BEGIN STATEMENT SET; INSERT INTO a SELECT 1; END;", PATH)
    assert [inner.text for inner in found.inner] == ["INSERT INTO a SELECT 1"]


def test_the_last_statement_needs_no_semicolon() -> None:
    assert texts("SELECT 1;;\n; SELECT 2 -- end") == ["SELECT 1", "SELECT 2"]


def test_flinks_comments_and_strings() -> None:
    assert texts("SELECT 1 // not ; here\n, 2") == ["SELECT 1 // not ; here\n, 2"]
    assert texts(r"SELECT E'a\';b'; SELECT 'a\'; SELECT 2") == [
        r"SELECT E'a\';b'",
        r"SELECT 'a\'",
        "SELECT 2",
    ]
    assert texts("SELECT a FROM t /*+ OPTIONS('x'='*/;') */") == [
        "SELECT a FROM t /*+ OPTIONS('x'='*/;') */"
    ]
    assert len(texts("SELECT 1 /* /* ; */; SELECT 2")) == 2


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("'it''s'", "it's"),
        (r"E'a\'b\n'", "a'b\n"),
        (r"U&'\00e9t\00e9'", "été"),
        ("e'x'", "x"),
    ],
)
def test_the_value_of_a_string(sql: str, value: str) -> None:
    (found,) = tokenize(sql, PATH)
    assert found.value == value


@pytest.mark.parametrize(
    ("sql", "line", "word"),
    [
        ("SELECT 1;\n\nSELECT 'never\n\nends", 3, "string"),
        ("SELECT `name\n", 1, "quoted name"),
        ("\n/* comment", 2, "comment"),
        ("SELECT a FROM t /*+ OPTIONS('a'='b')", 1, "hint"),
        ("SELECT 1;\nEXECUTE STATEMENT SET BEGIN\nINSERT INTO a SELECT 1;", 2, "statement set"),
        ('SELECT "a;b"', 1, "double quote"),
        ("SELECT\n\u00a01", 2, "NO-BREAK SPACE"),
        ("SELECT \u2018a\u2019", 1, "QUOTATION MARK"),
        ("SELECT a\u200b", 1, "ZERO WIDTH"),
    ],
)
def test_what_never_ends_or_means_nothing_is_told_where_it_begins(
    sql: str, line: int, word: str
) -> None:
    with pytest.raises(ScriptError) as caught:
        split(sql, PATH)
    assert caught.value.line == line
    assert word in str(caught.value)
    assert str(caught.value).startswith(f"{PATH}:{line}: ")


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "SELECT 'a;' , `b` /* c */ -- d\n FROM t;\n" * 25_000,
        "'" + "a''" * 350_000,
        "/*+" + "'a'" * 350_000,
        "EXECUTE STATEMENT SET BEGIN " + "INSERT INTO a SELECT 1; " * 40_000,
        "/*" + "* /" * 350_000,
        "((((" * 250_000,
        ";" * 1_000_000,
        "E'" + "\\'" * 500_000,
    ],
    ids=["script", "string", "hint", "set", "comment", "parentheses", "semicolons", "escapes"],
)
def test_a_megabyte_is_read_in_one_pass(text: str) -> None:
    try:
        split(text, PATH)
    except ScriptError as error:
        assert "never ends" in str(error)
