"""`tidemill test` over every script that ships: straight, then stopped and resumed."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from jobs.sql_dir import expand, sql_dir
from tests.conftest import tidemill

# Each half in a process of its own: a run waits half of its time, and no JVM lives for ever.
HALVES = 2


def shipped() -> list[str]:
    teams = [entry.name for entry in sql_dir().iterdir() if entry.joinpath("tables.sql").is_file()]
    return expand(sorted(teams))


def test_every_script_has_a_golden_output() -> None:
    for name in shipped():
        team, job = name.split("/")
        assert sql_dir().joinpath(team, "tests", job, "expected").is_dir()


@pytest.mark.timeout(1200)
def test_every_script_agrees_with_its_golden_output() -> None:
    halves = [shipped()[number::HALVES] for number in range(HALVES)]
    with ThreadPoolExecutor(HALVES) as threads:
        done = list(threads.map(agreeing, halves))
    assert sum(done) == 2 * len(shipped())


def agreeing(names: list[str]) -> int:
    """How many runs of these scripts agree; says which does not."""
    done = tidemill("test", *names, environment={}, timeout_s=1100)
    assert done.returncode == 0, done.stdout + done.stderr[-5_000:]
    return done.stdout.count("agrees")
