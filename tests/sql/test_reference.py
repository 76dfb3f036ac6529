"""What sql/REFERENCE.md says of functions and agents' files is what they take and give."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from udfs.core.definition_file import _PARTS, AgentPart
from udfs.core.types import Type, parse_type
from udfs.keyed_function import BadCall
from udfs.keyed_functions import KEYED_FUNCTIONS

TEXT = (Path(__file__).parents[2] / "sql" / "REFERENCE.md").read_text()
SECTIONS = {
    name: (kind, body)
    for name, kind, body in re.findall(r"^### `(\w+)`, (.*)\n((?:(?!#).*\n)*)", TEXT, re.MULTILINE)
}
ARGUMENTS: dict[str, dict[str, Any]] = {"work": {"function": "udfs.tools.crm.look_up_account"}}
Columns = list[tuple[str, Type]]


def columns(body: str, which: str) -> Iterator[tuple[str, str]]:
    """The names and types of a line `In:` or `Out:`."""
    line = re.search(rf"^{which}: (.*)\.$", body, re.MULTILINE)
    assert line, body
    yield from re.findall(r"`(\w+)` ([A-Z_]+(?:[(<]\w+[)>])?)", line[1])


def test_every_function_has_its_section() -> None:
    assert sorted(SECTIONS) == sorted(KEYED_FUNCTIONS)


@pytest.mark.parametrize("name", sorted(SECTIONS.keys() - {"run_agent"}))
def test_a_function_takes_and_gives_what_its_section_says(name: str) -> None:
    kind, body = SECTIONS[name]
    given: Columns = [(column, parse_type(told)) for column, told in columns(body, "In")]
    arguments, team = ARGUMENTS.get(name, {}), None
    function = KEYED_FUNCTIONS[name](arguments, given, team)  # type: ignore[arg-type]
    for left_out in given:
        less = [column for column in given if column != left_out]
        with pytest.raises(BadCall):
            KEYED_FUNCTIONS[name](arguments, less, team)  # type: ignore[arg-type]
    with pytest.raises(BadCall, match="slots"):
        KEYED_FUNCTIONS[name](arguments | {"slots": 0}, given, team)  # type: ignore[arg-type]
    view = [(column, str(found.kind)) for column, found in function.view_columns(given)]
    own = view[len(given) :] if kind == "per row" else view
    told = [
        (column, parse_type(t).kind if t != "ARRAY" else t) for column, t in columns(body, "Out")
    ]
    assert [one for one in own if one[0] != "headers"] == told


def test_every_key_of_an_agents_file_is_told_with_its_default() -> None:
    table = TEXT.partition("## An agent's file")[2]
    told = dict(re.findall(r"^\| `([\w.]+)` \| .* \| ?(.*?) ?\|$", table, re.MULTILINE))
    assert sorted(told) == sorted(keys(AgentPart, ()))
    for path, part in _PARTS.items():
        for key, field in part.model_fields.items():
            if type(field.default) in (int, float):
                name = ".".join((*map(str, path), key))
                assert told[name].replace(",", "") == f"{field.default:g}", name


def keys(part: type[BaseModel], path: tuple[str, ...]) -> Iterator[str]:
    for name in part.model_fields:
        inner = _PARTS.get((*path, name))
        yield from keys(inner, (*path, name)) if inner else [".".join((*path, name))]
