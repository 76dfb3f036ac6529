"""`tidemill test` over every script that ships: straight, then stopped and resumed."""

import os
import subprocess
import sys

import pytest

from jobs.sql_dir import expand, sql_dir


@pytest.mark.timeout(900)
def test_every_script_agrees_with_its_golden_output() -> None:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TIDEMILL_")}
    command = [sys.executable, "-m", "jobs.cli", "test"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("agrees") == 2 * len(expand(["sdr"])), done.stdout
    for name in expand(["sdr"]):
        team, job = name.split("/")
        assert sql_dir().joinpath(team, "tests", job, "expected").is_dir()
