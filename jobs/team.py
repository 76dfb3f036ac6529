"""A folder `sql/<team>/` in, its agents' definitions out, read once and checked."""

from functools import cache
from importlib import import_module
from importlib.resources.abc import Traversable
from typing import Any

from jobs.errors import TidemillError
from udfs.core.definition import AgentDefinition, load_definition


class Team:
    """The definitions of one team, read on the client: they travel in the job graph."""

    def __init__(self, sql_dir: Traversable, name: str) -> None:
        self.folder, self.name = sql_dir.joinpath(name), name
        self.agent = cache(self._agent)

    def agent_names(self) -> list[str]:
        return sorted(e.name[:-5] for e in self.folder.iterdir() if e.name.endswith(".yaml"))

    def _agent(self, name: str) -> AgentDefinition:
        """The agent `name`. Raises TidemillError, or DefinitionError with the place in the file."""
        file = self.folder.joinpath(f"{name}.yaml")
        path = f"sql/{self.name}/{name}.yaml"
        if not file.is_file():
            known = ", ".join(self.agent_names()) or "none yet"
            raise TidemillError(f"there is no agent {path}", f"agents of {self.name}: {known}")
        definition = load_definition(file.read_text(encoding="utf-8"), path)
        for tool in definition.tools:
            self._check_tool(path, tool)
        return definition

    def _check_tool(self, path: str, dotted: str) -> Any:
        module, _, function = dotted.rpartition(".")
        try:
            found = getattr(import_module(module), function)
        except (ImportError, AttributeError, ValueError) as error:
            hint = "name a function as package.module.function, importable here and on the workers"
            raise TidemillError(f"{path}: there is no tool {dotted} ({error})", hint) from None
        return found
