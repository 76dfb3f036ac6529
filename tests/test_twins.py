"""Direct calls between agents: what is counted is what runs, and no command is lost or doubled."""

import asyncio
from pathlib import Path

from tests.bench.chart import Bars, draw
from tests.bench.twins import mesh, pool


def test_what_is_counted_for_many_agents_is_what_runs_with_few() -> None:
    for count in (2, 3, 12):
        ran, counted = asyncio.run(mesh.told_by_each(count)), mesh.counted(count)
        assert (ran.connections, ran.messages) == (counted.connections, counted.messages)


def test_a_killed_worker_of_the_twin_loses_no_command() -> None:
    outcome = pool.worker_dies(1_000, 3, 5.0)
    assert outcome.results == 1_000
    assert len(outcome.by_worker) > 1  # the killed one may not have come to an answer


def test_a_worker_that_joins_the_twin_gets_work() -> None:
    outcome, _ = pool.worker_joins(1_000, 1, 400.0)  # 6 s, so that it has begun by then
    assert outcome.results == 1_000
    assert len(outcome.by_worker) == 2


def test_the_chart_is_a_picture(tmp_path: Path) -> None:
    counts = Bars("connections", [("10 agents", 45, 11), ("none", 0, 0)])
    draw("Needed", [counts, Bars("s", [("all", 2.0, 3.5)], seconds=True)], tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert counts.share(45) == 1.0 > counts.share(11) > counts.share(0)
