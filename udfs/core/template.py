"""Instructions as Jinja2 text in, a sandboxed template out; row values in, prompt text out.

An undefined variable is an error, never an empty string: a prompt that silently lost its lead is
worse than a dead letter. None prints as nothing; a row or list prints as JSON.
"""

import json
import traceback
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

DATA_OPEN, DATA_CLOSE = "<data>", "</data>"


class TemplateError(ValueError):
    """Instructions that do not parse or do not render; `line` counts from 1 in their text."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


def data_block(value: object) -> str:
    """A value between data marks that its own text cannot close. Also the filter `data`."""
    text = _printed(value)
    text = text if isinstance(text, str) else str(text)
    inert = text.replace("</data", "<\\/data")
    return f"{DATA_OPEN}\n{inert}\n{DATA_CLOSE}"


def _printed(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, (dict, list, tuple)):
        return json.dumps(value, ensure_ascii=False, default=str)
    return value


@lru_cache(1)
def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        undefined=StrictUndefined, finalize=_printed, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["data"] = data_block
    return environment


@lru_cache(256)
def compiled(instructions: str) -> Template:
    """The template, compiled once per process. Raises `TemplateError`."""
    try:
        tree = _environment().parse(instructions)
        if list(meta.find_referenced_templates(tree)):
            raise TemplateError("include, import and extends are not supported: write it here")
        return _environment().from_string(instructions)
    except TemplateSyntaxError as error:
        raise TemplateError(str(error.message), error.lineno) from None
    except RecursionError:
        raise TemplateError("nested too deeply") from None


@lru_cache(256)
def variables(instructions: str) -> frozenset[str]:
    """The names that the template takes from outside."""
    environment = _environment()
    names = meta.find_undeclared_variables(environment.parse(instructions))
    return frozenset(names - environment.globals.keys())


def render(instructions: str, values: Mapping[str, Any]) -> str:
    """The prompt text for one row. Raises `TemplateError` for whatever goes wrong inside."""
    template = compiled(instructions)
    try:
        return template.render(values)
    except Exception as error:  # whatever the template's expressions raise
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == "<template>"]
        message = str(error) or type(error).__name__
        raise TemplateError(message, lines[-1] if lines else None) from None
