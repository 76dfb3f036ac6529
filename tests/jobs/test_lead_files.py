"""Reading a person's leads: every spelling that is clear, every problem with its line, no half."""

import csv
import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.errors import TidemillError
from jobs.lead_files import Event, Problem, read_events, read_unchecked

COLUMNS = [
    ("lead_id", "STRING"),
    ("lead_data", "ROW<name STRING, email STRING NOT NULL, company_name STRING> NOT NULL"),
    ("headcount", "INT"),
    ("tags", "ARRAY<STRING>"),
    ("asked", "BOOLEAN"),
]
SAMPLE = Path(__file__).resolve().parents[2] / "sql" / "sdr" / "sample"


def read(
    folder: Path, content: str | bytes, name: str = "leads.csv"
) -> tuple[list[Event], list[Problem]]:
    file = folder / name
    file.write_bytes(content.encode() if isinstance(content, str) else content)
    return read_events(file, COLUMNS)


def values(found: list[Event]) -> list[object]:
    return [json.loads(event.value) for event in found]


def only_problem(result: tuple[list[Event], list[Problem]]) -> Problem:
    found, problems = result
    assert not found
    (problem,) = problems
    return problem


@pytest.mark.parametrize(
    "content",
    [
        "lead_id,name,email,company_name\na,Ada,ada@x.example,Analytical\n",
        "lead_id;name;email;company_name\r\na;Ada;ada@x.example;Analytical\r\n",
        "Lead ID\tName\tE-Mail\tCompany Name\na\tAda\tada@x.example\tAnalytical",
        "\ufefflead_id,lead_data.name,lead_data.email,lead_data.company_name\n\n"
        "a , Ada,ada@x.example,Analytical\n,,,\n",
        "shoe size|email|NAME|lead_id|companyname\n42|ada@x.example|Ada|a|Analytical\n",
        '"lead_id","name","email","company_name"\n"a","Ada","ada@x.example","Analytical"',
    ],
    ids=["comma", "semicolon", "tab-spelling", "bom-dotted-blanks", "bar-extra", "quotes"],
)
def test_a_csv_in_any_clear_spelling_is_the_same_events(tmp_path: Path, content: str) -> None:
    found, problems = read(tmp_path, content)
    assert problems == []
    assert [event.key for event in found] == ["a"]
    data = {"name": "Ada", "email": "ada@x.example", "company_name": "Analytical"}
    assert values(found) == [{"lead_data": data}]


def test_what_excel_calls_unicode_text_is_read(tmp_path: Path) -> None:
    found, _ = read(tmp_path, "email\tname\nzoë@x.example\tZoë\n".encode("utf-16"), "leads.txt")
    assert values(found) == [{"lead_data": {"email": "zoë@x.example", "name": "Zoë"}}]


def test_cells_have_the_types_of_their_columns(tmp_path: Path) -> None:
    found, problems = read(
        tmp_path,
        'email,headcount,tags,asked\na@x.example,42,"[""a"", ""b""]",yes\nb@x.example,,,\n',
    )
    assert problems == []
    first, second = values(found)
    assert first == {
        "asked": True,
        "headcount": 42,
        "lead_data": {"email": "a@x.example"},
        "tags": ["a", "b"],
    }
    assert second == {
        "asked": None,
        "headcount": None,
        "lead_data": {"email": "b@x.example"},
        "tags": None,
    }


def test_a_line_break_in_a_cell_keeps_the_line_numbers(tmp_path: Path) -> None:
    problem = only_problem(read(tmp_path, 'name,email\n"A\n\nB",a@x.example\nC,\n'))
    assert (problem.line, problem.expected) == (5, "STRING (NOT NULL)")


def test_a_lead_without_an_id_has_one_made_of_its_content(tmp_path: Path) -> None:
    (first,), _ = read(tmp_path, "email,name\na@x.example,A\n")
    (again,), _ = read(tmp_path, "name;email\nA;a@x.example\n")
    (json_line,), _ = read(
        tmp_path, '{"lead_data": {"name": "A", "email": "a@x.example"}}', "l.jsonl"
    )
    (other,), _ = read(tmp_path, "email,name\na@x.example,B\n")
    assert first.key == again.key == json_line.key != other.key
    assert len(first.key) == 36


def test_json_lines_are_taken_as_they_stand_or_flat(tmp_path: Path) -> None:
    found, problems = read(
        tmp_path,
        '{"lead_id": "a", "lead_data": {"email": "a@x.example", "more": 1}, "x": [2]}\r\n\n'
        '{"lead_id": "b", "E-Mail": "b@x.example", "headcount": 3, "a.b": 1}\n'
        '{"lead_id": "c", "name": "\u2028", "email": "c@x.example"}',
        "leads.jsonl",
    )
    assert problems == []
    assert values(found) == [
        {"lead_data": {"email": "a@x.example", "more": 1}, "x": [2]},
        {"lead_data": {"email": "b@x.example"}, "headcount": 3, "a.b": 1},
        {"lead_data": {"email": "c@x.example", "name": "\u2028"}},
    ]
    assert [event.line for event in found] == [1, 3, 4]


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"lead_data": {"name": "A"}}', "lead_data.email: found null or nothing"),
        ('{"lead_data": {"email": 7}}', "lead_data.email: found the number 7"),
        ('{"lead_data": "A"}', "lead_data: found text"),
        ('{"lead_data": {"email": "a@x.example"}, "headcount": "9"}', "headcount: found text"),
        ('{"lead_data": {"email": "a@x.example"}, "headcount": NaN}', "NaN is no JSON number"),
        ('{"lead_data": {"email": "a@x.example"}, "headcount": 9' + "9" * 5000 + "}", "digits"),
        ('{"lead_data": {"email": "a@x.example"}, "lead_data": {}}', "names a key twice"),
        ('{"lead_data": {"email": "\\ud800@x.example"}}', "lone surrogate"),
        ('{"lead_data": {"email": "a@x.example"}, "x": "\\ud800"}', "lone surrogate"),
        ('{"lead_id": 1, "lead_data": {"email": "a@x.example"}}', "lead_id: found '1'"),
        ('{"lead_id": "a\\nb", "lead_data": {"email": "a@x.example"}}', "lead_id is no key"),
        ('{"lead_id": "", "lead_data": {"email": "a@x.example"}}', "lead_id: found ''"),
        ('{"lead_data": {"email": "a@', "not JSON"),
        ("[1]", "a JSON list"),
        ("[" * 100_000, "too deeply"),
        ("null", "a JSON NoneType"),
        ("a;b", "not JSON"),
        ('{"lead_data": {"email": "' + "a" * (1 << 20) + '"}}', "bytes"),
    ],
)
def test_a_bad_json_line_is_told_and_nothing_is_sent(tmp_path: Path, line: str, what: str) -> None:
    good = '{"lead_id": "good", "lead_data": {"email": "g@x.example"}}'
    problem = only_problem(read(tmp_path, f"{good}\n{line}\n", "leads.jsonl"))
    assert problem.line == 2
    assert what in str(problem)
    assert len(str(problem)) < 300


@pytest.mark.parametrize(
    ("content", "line", "what"),
    [
        ("", 1, "no records"),
        ("email,name\n", 1, "no records"),
        ("name,company_name\nA,B\n", 1, "no column lead_data.email"),
        ("\n\nsize,colour\n1,red\n", 3, "no column lead_data.email"),
        ("emial,name\na@x.example,A\n", 1, "lead_data.email, if that is meant"),
        ("email,lead_data.email\na@x.example,b@x.example\n", 1, "mean lead_data.email"),
        ("email,name\na@x.example,A,B\n", 2, "3 cells where the header has 2"),
        ("email,name\na@x.example\n", 2, "1 cells where the header has 2"),
        ('email,name\na@x.example,"A\n', 2, "not CSV"),
        ('email,name\na@x.example,"A"B\n', 2, "not CSV"),
        ("email,headcount\na@x.example,many\n", 2, "headcount: found 'many'"),
        ("email,headcount\na@x.example,1.5\n", 2, "headcount: found the number 1.5"),
        ("email,asked\na@x.example,maybe\n", 2, "asked: found text"),
        ("lead_id,email\na,a@x.example\na,b@x.example\n", 3, "also that of line 2"),
        (b"email,name\na@x.example,Jos\xe9\n", 2, "not UTF-8"),
    ],
)
def test_a_bad_csv_is_told_with_its_line(
    tmp_path: Path, content: str | bytes, line: int, what: str
) -> None:
    problem = only_problem(read(tmp_path, content))
    assert problem.line == line
    assert what in str(problem)


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    found, problems = read(tmp_path, "email,headcount\na@x.example,1\n,2\nb@x.example,x\n")
    assert found == []
    assert [problem.line for problem in problems] == [3, 4]


def test_the_same_line_twice_is_the_same_event_twice(tmp_path: Path) -> None:
    found, problems = read(tmp_path, "email\na@x.example\na@x.example\n")
    assert problems == []
    assert found[0].key == found[1].key


def test_a_name_that_two_columns_have_names_neither(tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    file.write_text("name,b.name\n1,2\n")
    columns = [("id", "STRING"), ("a", "ROW<name STRING>"), ("b", "ROW<name STRING>")]
    (event,), problems = read_events(file, columns, key="id")
    assert problems == []
    assert json.loads(event.value) == {"b": {"name": "2"}}


@pytest.mark.parametrize("content", [b"PK\x03\x04...", b"\x1f\x8b\x08"])
def test_a_workbook_or_archive_is_refused_as_what_it_is(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TidemillError, match="save it as CSV"):
        read(tmp_path, content)


def test_a_file_that_is_not_there_or_a_folder_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(TidemillError, match="cannot read"):
            read_events(path, COLUMNS)


cell = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\x00"), max_size=20
).map(str.strip)


@given(
    rows=st.lists(st.tuples(cell, cell), min_size=1, max_size=5), delimiter=st.sampled_from(",;\t|")
)
def test_what_a_csv_writer_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter)
    writer.writerow(["email", "name"])
    writer.writerows((email or "a@x.example", name) for email, name in rows)
    file = tmp_path_factory.mktemp("csv") / "leads.csv"
    file.write_bytes(text.getvalue().encode())
    found, problems = read_events(file, COLUMNS)
    assert problems == []
    written = [(email or "a@x.example", name or None) for email, name in rows]
    read_back = [json.loads(event.value)["lead_data"] for event in found]
    assert [(r["email"], r["name"]) for r in read_back] == written


@given(st.binary(max_size=80), st.sampled_from(["x.csv", "x.jsonl", "x"]))
def test_any_bytes_give_events_or_problems(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    file = tmp_path_factory.mktemp("any") / name
    file.write_bytes(content)
    try:
        found, problems = read_events(file, COLUMNS)
    except TidemillError:
        return
    assert bool(found) != bool(problems)


def test_unchecked_lines_go_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(b'{"lead_id": "a", "lead_data": 1}\r\n\n\xff\xfe;;\n[1]\n')
    found = read_unchecked(file)
    assert [event.value for event in found] == [
        b'{"lead_id": "a", "lead_data": 1}',
        b"\xff\xfe;;",
        b"[1]",
    ]
    assert [event.line for event in found] == [1, 3, 4]
    assert found[0].key == "a"
    assert read_unchecked(file)[1].key == found[1].key
