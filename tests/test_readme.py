"""What README says of settings is what the settings are."""

import re
from pathlib import Path

from connectors.settings import Settings

README = Path(__file__).parent.parent / "README.md"


def test_the_table_of_settings_has_every_variable_and_no_other() -> None:
    table = README.read_text().partition("<!-- settings")[2].partition("\n\nPorts")[0]
    told = re.findall(r"^\| `([A-Z_]+)` \|", table, re.MULTILINE)
    known = [str(field.validation_alias) for field in Settings.model_fields.values()]
    assert sorted(told) == sorted(known)


def test_every_file_that_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README.read_text())
    assert links and all((README.parent / link).exists() for link in links)
