"""A folder `sql/<team>/` in, its agents' definitions out, read once and checked."""

from functools import cache
from importlib.resources.abc import Traversable

from jobs.errors import TidemillError
from udfs.core.definition import AgentDefinition, DefinitionError, load_definition
from udfs.core.tool import resolve_tools


class Team:
    """The definitions of one team, read on the client: they travel in the job graph."""

    def __init__(self, sql_dir: Traversable, name: str) -> None:
        self.folder, self.name = sql_dir.joinpath(name), name
        self.agent = cache(self._agent)
        self.used: dict[str, AgentDefinition] = {}

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
        try:
            resolve_tools(definition)
        except DefinitionError as error:
            raise DefinitionError(*(f"{path}: {problem}" for problem in error.problems)) from None
        self.used[name] = definition
        return definition
