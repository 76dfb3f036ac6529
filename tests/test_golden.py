"""`tidemill test` over every script that ships: straight, then stopped and resumed."""

import pytest

from jobs.sql_dir import expand, sql_dir
from tests.conftest import tidemill


@pytest.mark.timeout(1600)
def test_every_script_agrees_with_its_golden_output() -> None:
    done = tidemill("test", environment={}, timeout_s=1500)
    assert done.returncode == 0, done.stdout + done.stderr
    teams = [entry.name for entry in sql_dir().iterdir() if entry.joinpath("tables.sql").is_file()]
    scripts = expand(sorted(teams))
    assert done.stdout.count("agrees") == 2 * len(scripts), done.stdout
    for name in scripts:
        team, job = name.split("/")
        assert sql_dir().joinpath(team, "tests", job, "expected").is_dir()
