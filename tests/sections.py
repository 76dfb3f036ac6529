"""Measured sections in, a results file that holds them, and the others as they were, out; tables.

A section begins with `## name: title`; the name is what it is replaced by.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path


def replace(file: Path, head: str, sections: Iterable[str]) -> None:
    """Replace these sections of the file, and keep the others with their dates."""
    found = re.split(r"^(?=## )", file.read_text(), flags=re.M)[1:] if file.exists() else []
    texts = {text[3:].partition(":")[0]: text for text in [*found, *sections]}
    file.write_text("\n".join([head, *(text.rstrip() + "\n" for text in texts.values())]))


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """The lines of a Markdown table, an empty one last."""
    cells = ([str(value).replace("|", "\\|") for value in row] for row in rows)
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(row) + " |" for row in cells), ""]
