"""A tenth of `make chaos`: the same code, fewer leads, kills and hits, and all planted defects of
the mail's way. What the figures mean is in `tests/chaos`.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos import controls, failpoints, research, run
from tests.chaos.kills import Blow
from tests.chaos.variants import RESEARCHING, RUNNING
from tests.conftest import isolate

pytestmark = pytest.mark.timeout(900)
VICTIMS = ("run process", "Python worker", "TaskManager", "broker", "MongoDB server")


@pytest.fixture(autouse=True)
def alone(tmp_path: Path) -> Iterator[None]:
    """None of the session's addresses."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path / "home")
        yield


def test_every_lead_ends_once_and_no_mail_is_sent_twice_whatever_is_killed() -> None:
    outcome = run.run(120, len(VICTIMS), seed=7, report=print, victims=VICTIMS)
    assert {blow.victim for blow in outcome.blows} == set(VICTIMS)
    assert outcome.breaches == {}
    assert outcome.verdict.fates["mailed"] > 40
    assert outcome.verdict.fates["dead"] < 12


def test_each_bundle_has_its_chunks_and_a_brief_of_each_version_whatever_is_killed() -> None:
    outcome = research.run(40, len(research.VICTIMS), seed=7, report=print)
    assert {blow.victim for blow in outcome.blows} == set(research.VICTIMS)
    assert outcome.wrong == {}
    assert outcome.changed > 3 and outcome.briefs > outcome.bundles > 3 and outcome.chunks > 80


def test_a_call_is_paid_twice_unless_its_answer_was_on_the_way_at_a_kill() -> None:
    asked = {"status": 200, "endpoint": "chat", "messages_sha256": "a"}
    answers = [{**asked, "at": at, "finished_at": at + 1.0} for at in (10.0, 20.0, 30.0)]
    blow = Blow("run process", "kill", 1, 1, 1, at=10.5, seen_at=10.6)
    other = replace(blow, victim="MongoDB server", at=20.5, seen_at=20.6)
    counted = research.paid_twice(answers, [blow, other])
    assert counted == {"once": 1, "in flight": 1, "again": 1}


def test_a_process_killed_at_any_point_of_a_mails_way_sends_nothing_twice() -> None:
    hits = failpoints.every_point(5, seed=7, report=print)
    assert [hit for hit in hits if hit.wrong] == []
    assert sum(hit.parked for hit in hits) > 0
    assert all(hit.mailed > hit.effects // 2 for hit in hits)


def test_each_defect_planted_on_a_mails_way_is_seen() -> None:
    found = controls.sending(5, seed=7, report=print)
    assert [control for control in found if not control.caught] == []


def test_the_defects_of_a_runs_way_still_fit_the_code(tmp_path: Path) -> None:
    copies = [planted.copy(tmp_path) for planted in (*RUNNING, *RESEARCHING)]
    assert all((copy / "udfs").is_dir() for copy in copies)
