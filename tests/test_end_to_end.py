"""The SDR team on a whole local stack, workers of each kind killed on the way.

The oracle reads what the outside holds: the mail sink's files and the topics.
"""

import email
import email.policy
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from connectors.kafka import KafkaRecord, read_all
from connectors.settings import settings
from deploy import stack as local_stack
from jobs import balance
from jobs.cluster import Cluster
from jobs.fates import Fate
from jobs.send import send
from jobs.team_topics import team_topics
from tests.conftest import isolate, tidemill

LEADS = 12
WAIT_S = 240
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def whole_stack(tmp_path: Path) -> Iterator[dict[str, str]]:
    """Every part, on free ports, with the agents' clock compressed."""
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, tmp_path / "home")
        patch.setenv("TIDEMILL_CLOCK_SPEED", "60000")
        try:
            environment = local_stack.up()
            for name, value in environment.items():
                patch.setenv(name, value)
            yield {**environment, "TIDEMILL_HOME": os.environ["TIDEMILL_HOME"]}
        finally:
            local_stack.down()


def leads() -> list[dict[str, object]]:
    """Own leads: some to engage, some to nurture, some hopeless, two of one person."""
    kinds = [
        ("CTO", "We must replace nightly batches by live streams before June; budget approved."),
        ("Data engineer", "Looking into event streaming for our insurance claims next year."),
        ("Student", "I write a thesis about message brokers and look for free material."),
    ]
    found = []
    for number in range(LEADS):
        title, text = kinds[number % len(kinds)]
        person = number if number != 3 else 0
        found.append(
            {
                "lead_id": f"e2e-{number}",
                "lead_data": {
                    "name": f"Person {person}",
                    "email": f"person{person}@company{person}.example",
                    "company_name": f"Company {person} Logistics",
                    "company_website": None,
                    "job_title": title,
                    "lead_source": "webinar",
                    "project_description": text,
                },
            }
        )
    return found


def test_every_lead_is_accounted_for_and_no_mail_is_sent_twice_though_workers_die(
    whole_stack: dict[str, str], tmp_path: Path
) -> None:
    done = tidemill("submit", "sdr", environment=whole_stack, timeout_s=300)
    assert done.returncode == 0, done.stdout + done.stderr
    file = tmp_path / "leads.jsonl"
    file.write_text("".join(json.dumps(lead) + "\n" for lead in leads()))
    send("sdr", file, None, False)
    wait_for(lambda: topic_count("lead_ingestion_output") > 0)
    cluster = Cluster(whole_stack["FLINK_REST_URL"])
    restarts_before = restarts(cluster)
    kill(processes("run_process_main")[0])
    kill(processes("beam_boot")[0])
    wait_for(lambda: topic_count("email_campaigns") > 0)
    wait_for(lambda: bool(processes("beam_boot")))
    kill(taskmanager_of(processes("beam_boot")[0]))
    wait_for(settled)
    wait_for(lambda: restarts(cluster) >= restarts_before + 2)  # Flink gathers it every 10 s

    outcomes = [json.loads(r.value or b"") for r in records("sent_emails")]
    by_effect = {row["effect_id"] for row in outcomes if row["status"] == "sent"}
    mails = sent_mails()
    assert Counter(mails).most_common(1)[0][1] == 1, "a mail was sent twice"
    assert set(mails) == by_effect, "what was recorded is what was mailed"
    assert {row["status"] for row in outcomes} <= {"sent", "duplicate", "parked"}
    found, certain = balance.settled(balance.Watch(team_topics("sdr")))
    assert certain and not found.wrong
    assert found.counts[Fate.IN_FLIGHT] == 0 and len(found.leads) == LEADS


def sent_mails() -> list[str]:
    """The effect ids of the mails in the sink's folder."""
    found = []
    for path in (settings().home / "mail").glob("*.eml"):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.compat32)
        found.append(str(message["Message-ID"]).strip("<>").partition("@")[0])
    return found


def records(topic: str) -> list[KafkaRecord]:
    return list(read_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], [topic]))


def topic_count(topic: str) -> int:
    return len(records(topic))


def settled() -> bool:
    """Every lead has come to its end: scored, and every campaign's mails have an outcome."""
    scored = {r.key for r in records("lead_scoring_output")}
    campaigns = {r.key: json.loads(r.value or b"") for r in records("email_campaigns")}
    routed = {r.key for t in ("leads_to_activate", "leads_to_nurture") for r in records(t)}
    wanted = {(k, n + 1) for k, c in campaigns.items() for n in range(len(c["emails"]))}
    rows = [(r.key, json.loads(r.value or b"")) for r in records("sent_emails")]
    done = {(key, row["step"]) for key, row in rows}
    return len(scored) == LEADS and routed == set(campaigns) and wanted == done


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "the team came to a halt"
        time.sleep(0.5)


def restarts(cluster: Cluster) -> int:
    """How often the jobs were restarted, by Flink's own count."""
    total = 0
    for job in cluster.jobs():
        found = cluster.get(f"/jobs/{job.id}/metrics", get="numRestarts")
        total += sum(int(float(metric["value"])) for metric in found)
    return total


def processes(module: str) -> list[psutil.Process]:
    """The stack's processes that run this Python module."""
    home = str(settings().home)
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("TIDEMILL_HOME") == home
            if ours and process.name() != "sh" and module in str(process.cmdline()):
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def taskmanager_of(worker: psutil.Process) -> psutil.Process:
    return next(p for p in worker.parents() if "TaskManagerRunner" in " ".join(p.cmdline()))


def kill(process: psutil.Process) -> None:
    """`kill -9`, and proof that it is gone."""
    os.kill(process.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
