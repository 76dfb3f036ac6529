"""Steps of the demo that need no Flink; the whole of it is what `make demo` runs."""

from __future__ import annotations

import io
import json
import time
import uuid
from pathlib import Path

import pytest
from rich.console import Console

from connectors.kafka import NewRecord, ensure_topics, produce_all
from connectors.mongodb import client
from connectors.settings import settings
from jobs import demo_view
from jobs.balance import Watch
from jobs.demo import JOBS, TEAM, seed, send_sample
from jobs.demo_view import Progress, print_summary
from jobs.errors import TidemillError
from jobs.sql_dir import sql_dir
from jobs.submission import Submission
from jobs.team_topics import team_topics
from udfs.core import events


@pytest.fixture
def servers(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.delenv("FLINK_REST_URL", raising=False)
    return stack["KAFKA_BOOTSTRAP_SERVERS"]


def test_the_demo_submits_every_job_of_the_team(servers: str) -> None:
    assert sorted(f"{TEAM}.{job}" for job in JOBS) == team_topics(TEAM).jobs


def test_the_sample_is_seeded_and_seeding_twice_is_the_same(servers: str) -> None:
    seeded = dict(seed())
    assert dict(seed()) == seeded and set(seeded) == {"crm_accounts", "firmographics", "opt_outs"}
    with client() as mongodb:
        database = mongodb[settings().mongodb_database]
        for collection, documents in seeded.items():
            assert database[collection].count_documents({}) >= documents > 0


def test_the_sample_has_at_least_60_leads_and_some_that_are_broken() -> None:
    text = sql_dir().joinpath(TEAM).joinpath("sample").joinpath("leads.jsonl").read_text()
    broken = 0
    for line in text.splitlines():
        try:
            json.loads(line)["lead_data"]["email"]
        except (ValueError, TypeError, KeyError):
            broken += 1
    assert len(text.splitlines()) >= 60 and 3 <= broken <= 12


def mail(servers: str, effect_id: str, folder: Path) -> None:
    """A sent mail of the first lead, as the jobs leave it behind."""
    source = "email_campaigns/0/0"
    headers = events.child_headers({"ce_id": effect_id.encode()}, "test")
    headers["source"] = source.encode()
    value = {"status": "sent", "step": 1, "effect_id": effect_id}
    produce_all(
        servers,
        [NewRecord("sent_emails", b"lead-1", json.dumps(value).encode(), tuple(headers.items()))],
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "1.eml").write_bytes(
        f"Message-ID: <{effect_id}@tidemill>\r\nFrom: a@b.example\r\nTo: c@d.example\r\n"
        "Subject: Hello \x1b[2J\r\n\r\nFirst line\r\nSecond line\r\n".encode()
    )


def test_progress_is_told_in_lines_where_there_is_no_terminal(
    servers: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_view, "LINE_S", 0.0)
    count, topic = send_sample(3)
    assert (count, topic) == (3, "incoming_leads")
    out = io.StringIO()
    console = Console(file=out, width=160)
    watch = Watch(team_topics(TEAM))
    with Progress(
        console, watch, time.monotonic(), {"sdr.lead_ingestion": "submitted"}
    ) as progress:
        found = progress.look()
        progress.look()
    assert len(found.leads) >= 3
    (line,) = out.getvalue().splitlines()
    assert "came in" in line and "0 of 1 jobs running" in line
    assert progress.stages()["came in"] == len(found.leads)


def test_the_summary_shows_one_whole_mail_and_where_everything_is(
    servers: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_HOME", str(tmp_path))
    send_sample(1)
    send_sample(1)
    watch = Watch(team_topics(TEAM))
    ensure_topics(servers, {"sent_emails": 2})
    mail(servers, uuid.uuid4().hex * 2, tmp_path / "mail")
    out = io.StringIO()
    progress = Progress(Console(file=out, width=160), watch, time.monotonic(), {})
    found = watch.look()
    print_summary(progress.console, progress, found, ended=False)
    shown = out.getvalue()
    for part in ("First line", "Second line", "mail (1 files)", "tidemill trace", "events in"):
        assert part in shown
    assert "have no second effect" in shown and "Not all leads" in shown
    assert "\x1b" not in shown and "\r" not in shown


def test_what_keeps_jobs_from_being_submitted_is_told(servers: str, tmp_path: Path) -> None:
    submission = Submission(["sdr/lead_ingestion"], tmp_path / "logs" / "submission.log")
    submission.start({"FLINK_REST_URL": ""})
    with pytest.raises(TidemillError, match="FLINK_REST_URL is not set.*see .*submission.log"):
        submission.join()
    assert submission.ended and submission.told == {"sdr.lead_ingestion": "to be submitted"}


def test_a_submission_that_is_not_started_ends_when_it_is_closed(tmp_path: Path) -> None:
    submission = Submission(["sdr/lead_ingestion"], tmp_path / "submission.log")
    submission.close()
    assert submission._process.wait(30) != 0
