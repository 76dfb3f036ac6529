"""Runs in a real process: results come back, deaths cost nobody else anything, nothing lives on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from tests.udfs.run_samples import Sample
from udfs.core.slot import Entry
from udfs.keyed_function import Result
from udfs.runs import DEATHS_MAX, Runs


def entry(sequence: int, **row: object) -> Entry:
    return Entry(sequence, f"k{sequence}", row, {"ce_id": b"e"}, 0, value=lambda: "never pickled")


@contextmanager
def runs_of(folder: Path) -> Iterator[Runs]:
    with closing(Runs(Sample(folder))) as runs:
        yield runs


def gathered(runs: Runs, count: int) -> dict[tuple[object, int], Result]:
    found: dict[tuple[object, int], Result] = {}
    until(lambda: _gather(runs, found) >= count)
    return found


def _gather(runs: Runs, found: dict[tuple[object, int], Result]) -> int:
    for label, sequence, result in runs.finished():
        assert (label, sequence) not in found, "a run ended twice"
        found[label, sequence] = result
    return len(found)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def children() -> list[psutil.Process]:
    """This process's own; others' zombies have no command line."""
    found = []
    for process in psutil.Process().children():
        with suppress(psutil.Error):
            if "run_process_main" in " ".join(process.cmdline()):
                found.append(process)
    return found


def tries(folder: Path, sequence: int) -> int:
    return len(list(folder.glob(f"{sequence}.*")))


def test_results_come_back_under_their_label_and_a_defect_is_a_result(tmp_path: Path) -> None:
    with runs_of(tmp_path) as runs:
        runs.start("a", entry(1, seconds=0.2), [{"n": 1}])
        runs.start("b", entry(2), [])
        runs.start("b", entry(3, do="fail"), [])
        found = gathered(runs, 3)
        assert found["a", 1].values == {"reply": "k1 1"}
        assert found["b", 2].values == {"reply": "k2 0"}
        assert found["b", 3].reason == "internal_error" and "a defect" in found["b", 3].message
        assert found["a", 1].counts["run_ms"] >= 150
        assert runs.in_flight == 0


def test_a_killed_process_is_started_anew_with_what_was_in_flight(tmp_path: Path) -> None:
    with runs_of(tmp_path) as runs:
        for sequence in range(4):
            runs.start("a", entry(sequence, do="hang once"), [])
        assert runs.full
        until(lambda: tries(tmp_path, 3) == 1)
        children()[0].kill()
        assert all(result.values for result in gathered(runs, 4).values())
        assert [tries(tmp_path, sequence) for sequence in range(4)] == [2] * 4


@pytest.mark.parametrize("how", ["die", "exit"])
def test_a_run_that_kills_its_process_is_found_and_the_others_end_well(
    tmp_path: Path, how: str
) -> None:
    with runs_of(tmp_path) as runs:
        runs.start("a", entry(0, seconds=0.5), [])
        runs.start("a", entry(1, do=how), [])
        runs.start("b", entry(2, seconds=0.5), [])
        found = gathered(runs, 3)
        assert found["a", 1].reason == "process_killed"
        assert found["a", 0].values and found["b", 2].values
        assert tries(tmp_path, 1) == DEATHS_MAX
        runs.start("a", entry(3), [])
        assert gathered(runs, 1)["a", 3].values


def test_a_function_that_does_not_open_is_told_with_its_cause(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ValueError: the server is not configured"):
        Runs(Sample(tmp_path, opens=False))
    assert not children()


def test_close_finishes_cancels_and_leaves_no_process(tmp_path: Path) -> None:
    with runs_of(tmp_path) as runs:
        runs.start("a", entry(1, do="hang"), [])
        until(lambda: tries(tmp_path, 1) == 1)
    assert (tmp_path / "finished").exists() and (tmp_path / "closed").exists()
    assert not children()


def test_the_process_ends_when_its_operator_is_killed(tmp_path: Path) -> None:
    program = f"""
import time
from pathlib import Path
from tests.udfs.run_samples import Sample
from tests.udfs.test_runs import children, entry
from udfs.runs import Runs
runs = Runs(Sample(Path({str(tmp_path)!r})))
runs.start("a", entry(1, do="hang"), [])
print(children()[0].pid, flush=True)
time.sleep(3600)
"""
    operator = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert operator.stdout
    pid = int(operator.stdout.readline())
    until(lambda: tries(tmp_path, 1) == 1)
    os.kill(operator.pid, signal.SIGKILL)
    operator.wait(10)
    until(lambda: not psutil.pid_exists(pid))
    assert not (tmp_path / "finished").exists()
