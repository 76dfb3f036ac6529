"""Names of scripts in, every problem out: planned by Flink, offline, and linted. Nothing runs."""

import os
from collections.abc import Callable, Sequence

from deploy.flink_cluster import job_configuration
from jobs.assemble import assemble
from jobs.errors import TidemillError
from jobs.lint import lint, lint_team
from jobs.planner import environments
from jobs.script import Script, job_names
from jobs.sql_dir import expand, load, sql_dir
from jobs.topics import KafkaTopics
from udfs.core.definition import DefinitionError

_NOWHERE = "127.0.0.1:9092"


def check_all(names: Sequence[str], report: Callable[[str, str], None]) -> list[Exception]:
    """Check scripts, or all scripts of all teams. Returns the problems, in order."""
    os.environ.setdefault("KAFKA_BOOTSTRAP_SERVERS", _NOWHERE)
    teams = [e.name for e in sql_dir().iterdir() if e.joinpath("tables.sql").is_file()]
    expanded = expand(names or sorted(teams))
    problems: list[Exception] = []
    for team in dict.fromkeys(name.partition("/")[0] for name in expanded):
        whole, broken = _scripts(team)
        problems += broken
        chosen = [script for script in whole if script.name in expanded]
        paths = {script.path for script in chosen}
        problems += [p for p in lint_team(whole) if p.path in paths]
        for script in chosen:
            found = _check(script)
            report(script.name, "ok" if not found else f"{len(found)} problem(s)")
            problems += found
    return problems


def _scripts(team: str) -> tuple[list[Script], list[Exception]]:
    whole: list[Script] = []
    broken: list[Exception] = []
    for job in job_names(sql_dir(), team):
        try:
            whole.append(load(f"{team}/{job}"))
        except TidemillError as error:
            if str(error) not in map(str, broken):
                broken.append(error)
    return whole, broken


def _check(script: Script) -> list[Exception]:
    problems: list[Exception] = list(lint(script))
    if problems:
        return problems
    stream, table = environments(job_configuration())
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    try:
        job = assemble(script, sql_dir(), stream, table, KafkaTopics(script.job_name), servers)
        job.explain()
    except (TidemillError, DefinitionError) as error:
        problems.append(error)
    return problems
