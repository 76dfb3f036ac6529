"""A record and a person in, the same record with another key or value out, checked and compared.

    from_editor(record)           its value in $VISUAL or $EDITOR
    from_file(record, path)       a file's bytes as its value
    with_values(record, topic, ["lead_data.email=ada@example.org"])

What is saved is what is driven, to the byte. JSON is laid out in lines for the editor only where
that changes no number and no key.
"""

import difflib
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.kafka import KafkaRecord, NewRecord
from jobs.errors import TidemillError
from jobs.team_topics import Topic
from udfs.core.types import Type

_TEXTS = ("STRING", "DECIMAL", "DATE", "TIME", "TIMESTAMP", "TIMESTAMP_LTZ", "BYTES")


def laid_out(text: str) -> str:
    """JSON in lines; anything else, and JSON that would not come back the same, as it is."""
    try:
        value = json.loads(
            text, object_pairs_hook=_pairs, parse_float=_float, parse_int=_int, parse_constant=_no
        )
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a key stands there twice")
    return dict(pairs)


def _float(text: str) -> float:
    if repr(float(text)) != text:
        raise ValueError("it would be written another way")
    return float(text)


def _int(text: str) -> int:
    if str(int(text)) != text:
        raise ValueError("it would be written another way")
    return int(text)


def _no(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def text_of(value: bytes | None) -> str:
    """A value as a person edits it. Raises TidemillError where it is no text."""
    try:
        return laid_out((value or b"").decode("utf-8"))
    except UnicodeDecodeError:
        raise TidemillError(
            "its value is no text, so that no editor can show it",
            "write the whole new value to a file and use --file FILE",
        ) from None


def from_editor(record: KafkaRecord) -> NewRecord:
    """The record with what a person makes of its value."""
    editor = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    if not editor:
        raise TidemillError(
            "neither VISUAL nor EDITOR says which editor is yours",
            "set EDITOR, or use --set PATH=VALUE or --file FILE",
        )
    shown = text_of(record.value)
    with tempfile.TemporaryDirectory(prefix="dead-letter-") as folder:
        file = Path(folder) / "payload.json"
        file.write_text(shown, encoding="utf-8", newline="")
        try:
            ended = subprocess.run([*shlex.split(editor), str(file)], check=False).returncode
        except (OSError, ValueError) as error:
            raise TidemillError(
                f"the editor {editor!r} does not start: {error}", "set EDITOR to another"
            ) from None
        if ended:
            raise TidemillError(f"the editor ended with code {ended}", "nothing was driven")
        written = file.read_bytes()
    if written.rstrip(b"\r\n") == shown.encode().rstrip(b"\r\n"):
        return _as_new(record, record.value)
    return _as_new(record, written.rstrip(b"\r\n"))


def from_file(record: KafkaRecord, path: Path) -> NewRecord:
    """The record with the bytes of a file as its value."""
    try:
        return _as_new(record, path.read_bytes())
    except OSError as error:
        raise TidemillError(
            f"{path} cannot be read: {error.strerror}", "name a file that holds the new value"
        ) from None


def with_values(record: KafkaRecord, topic: Topic, changes: Sequence[str]) -> NewRecord:
    """The record with values at paths of its columns; the key column's path sets the key."""
    key, value = record.key, None
    columns = {column.name: column for column in topic.columns}
    for change in changes:
        path, equals, text = change.partition("=")
        names = path.strip().split(".")
        column = columns.get(names[0])
        if not equals or column is None or column.source not in ("key", "value"):
            known = ", ".join(name for name, _ in topic.fields)
            raise TidemillError(
                f"--set {change} names no column of {topic.name}",
                f"write --set PATH=VALUE, as in lead_data.email=ada@example.org; it has {known}",
            )
        if column.source == "key":
            key = text.encode("utf-8", "surrogateescape")
        else:
            value = value if value is not None else json_object(record.value)
            _put(value, names, _value(text, _type_at(column.type, names[1:])), change)
    raw = record.value
    if value is not None:
        raw = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")
    return replace(_as_new(record, raw), key=key)


def json_object(value: bytes | None) -> dict[str, Any]:
    """The JSON object that a value is. Raises TidemillError."""
    try:
        found = json.loads(value or b"")
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TidemillError(
            "its value is no JSON object, so that --set has nothing to set",
            "edit it as text in your EDITOR, or use --file FILE",
        )
    return found


def _type_at(declared: Type | None, names: Sequence[str]) -> Type | None:
    """The type of what stands at a path, where it is declared."""
    for name in names:
        if declared is None:
            return None
        if declared.kind == "ROW":
            declared = dict(declared.fields).get(name)
        else:
            declared = declared.items[-1] if declared.items else None
    return declared


def _value(text: str, declared: Type | None) -> Any:
    """Text as it stands where text is declared, else the JSON that it is, else text."""
    if declared is not None and declared.kind in _TEXTS:
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _put(value: Any, names: Sequence[str], new: Any, change: str) -> None:
    at = value
    for index, name in enumerate(names):
        last = index == len(names) - 1
        if isinstance(at, list) and name.isdecimal() and int(name) < len(at):
            place: Any = int(name)
        elif isinstance(at, dict):
            place = name
        else:
            where = ".".join(names[:index])
            raise TidemillError(
                f"--set {change}: {where} is no object or list that has {name}",
                f"set the whole of it: --set '{names[0]}={{…}}'",
            )
        if last:
            at[place] = new
        else:
            at = at[place] if isinstance(at, list) else at.setdefault(place, {})


def _as_new(record: KafkaRecord, value: bytes | None) -> NewRecord:
    return NewRecord(record.topic, record.key, value, record.headers)


def difference(before: KafkaRecord, after: NewRecord) -> list[str]:
    """The lines of a unified diff; [] where nothing has changed."""
    if (before.key, before.value) == (after.key, after.value):
        return []
    came, now = (_lines(one.key, one.value) for one in (before, after))
    lines = list(difflib.unified_diff(came, now, "as it came", "as edited", lineterm="", n=2))
    return lines or ["(only spaces or the order of lines have changed)"]


def _lines(key: bytes | None, value: bytes | None) -> list[str]:
    shown = "(null)" if key is None else key.decode("utf-8", "backslashreplace")
    text = laid_out((value or b"").decode("utf-8", "backslashreplace"))
    return [f"key: {shown}", *text.splitlines()]
