"""Words for jobs in, scripts out: a folder of teams, found from here or from the wheel."""

import os
from collections.abc import Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from jobs.errors import TidemillError
from jobs.script import Script, job_names, load_script


def sql_dir() -> Traversable:
    """TIDEMILL_SQL, else `sql/` here or in a folder above, else what came with the package."""
    named = os.environ.get("TIDEMILL_SQL")
    if named:
        if not Path(named).is_dir():
            raise TidemillError(
                f"TIDEMILL_SQL names {named}, which is no folder", "set it to a folder of teams"
            )
        return Path(named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if any((folder / "sql").glob("*/tables.sql")):
            return folder / "sql"
    shipped: Traversable = files("jobs").parent / "sql"  # type: ignore[attr-defined]
    if not shipped.is_dir():
        raise TidemillError(
            "there is no folder sql/ here", "go to your project, or set TIDEMILL_SQL"
        )
    return shipped


def variables() -> dict[str, str]:
    """What `${NAME}` in a tables.sql may stand for: every variable of the environment."""
    return dict(os.environ)


def load(name: str, folder: Traversable | None = None) -> Script:
    """The script `team/job` with the environment's variables."""
    return load_script(folder or sql_dir(), script_name(name), variables())


def script_name(word: str) -> str:
    """`team/job` of that, or of the job's name at the cluster: `team.job`."""
    return word if "/" in word else word.replace(".", "/", 1)


def job_name(name: str) -> str:
    """The name at the cluster of the script `team/job`."""
    return name.replace("/", ".")


def expand(words: Sequence[str]) -> list[str]:
    """`team/job` (or `team.job`) as the one script, `team` as all of its."""
    folder, expanded = sql_dir(), []
    for name in map(script_name, words):
        team, slash, _ = name.partition("/")
        expanded += [name] if slash else [f"{team}/{job}" for job in _jobs_of(folder, team)]
    return expanded


def _jobs_of(folder: Traversable, team: str) -> list[str]:
    if not folder.joinpath(team).is_dir():
        teams = ", ".join(sorted(e.name for e in folder.iterdir() if e.is_dir()))
        raise TidemillError(f"there is no team sql/{team}", f"teams are: {teams}")
    return job_names(folder, team)
