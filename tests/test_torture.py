"""A tenth of `make torture`: the same code, each tenth case, a small flood, one planted defect."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import isolate
from tests.torture import controls, injection, reach, run, volume
from tests.torture.oracle import Outside
from tests.torture.research import model, oracle, shapes
from tests.torture.research import run as research
from tests.torture.world import NAMES, world

pytestmark = pytest.mark.timeout(900)
SEED = 7


@pytest.fixture(autouse=True)
def alone(tmp_path: Path) -> Iterator[None]:
    """None of the session's addresses."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path / "home")
        yield


def test_a_tenth_of_all_bad_input_ends_as_expected_and_stops_no_job() -> None:
    with world() as place:
        place.submit(*NAMES)
        found = run.run_wave(place, Outside(), run.tenth(run.all_cases(), SEED), print)
    assert [str(one) for one in found if not one.good] == []
    assert len(found) > 40


def test_a_share_of_bad_input_to_the_research_team_ends_as_expected_and_stops_no_job() -> None:
    with world(topics=shapes.TOPICS) as place:
        place.submit(*shapes.NAMES)
        outside, cases = oracle.Outside(), research.tenth(research.all_cases(), SEED)
        found = run.run_wave(
            place, outside, cases, print, topics=(), patience_s=research.PATIENCE_S
        )
        found += research.effects(outside)
    assert [str(one) for one in found if not one.good] == []
    assert len(found) > 30


def test_a_brief_that_would_act_is_told_from_one_that_shows() -> None:
    shown = f"- Read <https://goods.example/> \\<b>now\\</b>, mail x@{injection.EVIL} [1]"
    assert not oracle.ACTS.search(shown)
    acting = (model.IMAGE, f"<https://{injection.EVIL}/pay>", "[a](https://b.example)", "<b>")
    assert all(oracle.ACTS.search(text) for text in acting)


def test_poison_among_thousands_of_records_stops_no_job_and_a_planted_defect_is_seen() -> None:
    with tempfile.TemporaryDirectory() as folder, volume.ground():
        done = volume.flood("flood", 20_000, SEED, Path(folder))
        assert done.breaches == {}
        assert len(done.dead) > 100 and done.kinds > 40
        seen = controls.guarding(SEED, print, controls.GUARDING[1:2])
    assert [str(control) for control in seen if not control.caught] == []


def test_no_url_and_no_name_leads_to_a_private_network() -> None:
    assert [one for one in reach.reached() if not one.good] == []


def test_what_weakens_the_fetchers_guard_is_seen() -> None:
    assert [str(control) for control in controls.fetching(print) if not control.caught] == []


def test_the_defects_still_fit_the_code(tmp_path: Path) -> None:
    copies = [planted.copy(tmp_path) for planted in controls.GUARDING]
    assert all((copy / "udfs").is_dir() for copy in copies)
