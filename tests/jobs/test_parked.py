"""The desk for parked mails over real topics, ledger and sink: each is settled, none doubled."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from connectors.kafka import KafkaRecord
from deploy.mail_sink import MailSink
from jobs.errors import TidemillError
from jobs.parked_mails import ask_ledger, digits, half_decided, told_of
from tests.jobs.desk_world import on_a_terminal
from tests.jobs.parked_world import MailWorld, new_mail_world
from udfs.core import events


@pytest.fixture
def office(
    stack: dict[str, str], database: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[MailWorld]:
    with MailSink(tmp_path / "mail") as sink:
        folder = tmp_path / "sql"
        folder.mkdir()
        yield new_mail_world(folder, stack["KAFKA_BOOTSTRAP_SERVERS"], monkeypatch, sink)


def test_what_is_parked_is_listed_with_whom_it_was_for_and_how_to_look(office: MailWorld) -> None:
    assert "No mail of team" in office.desk()
    office.campaign("lead-1", "ada@acme.example")
    office.work("crash")
    office.campaign("lead-2", "bob@acme.example")
    office.campaign("lead-3", "bob@acme.example")  # another event that wants the same mail
    office.work("lost")
    first, second = office.rows()
    entry = next(e for e in office.entries() if e["key"] == "lead-1")
    assert first[0] == entry["_id"][:8] and first[2] == office.world.team.jobs[0]
    assert first[3:6] == ["lead-1", "ada@acme.example", "Your pilot, lead-1"]
    assert first[6] == "the server's answer to it was lost"
    assert first[7] == f"<{entry['_id']}@tidemill.example>"
    assert second[3:6] == ["lead-2", "bob@acme.example", "Your pilot, lead-2"]
    assert office.fates() == {"parked": 3}


@pytest.mark.parametrize("width", [80, 140])
def test_the_list_fits_the_terminal_and_strangers_cannot_act_on_it(
    office: MailWorld, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    office.campaign("lead-\x1b[2J1", "ada@acme.example", subject="A \x1b]0;x\x07 [red]pilot[/red]")
    office.work("crash")
    screen = on_a_terminal(monkeypatch, width)
    office.desk()
    lines = screen.getvalue().splitlines()
    assert max(len(line) for line in lines if line[:1] in "┏┡│└") == width
    assert not {"\x1b", "\x07"} & set(screen.getvalue())
    assert "[red]pilot[/red]" in " ".join(screen.getvalue().split())
    (entry,) = office.entries()
    assert f"{entry['_id'][:8]}  <{entry['_id']}@tidemill.example>" in lines


def test_a_mail_that_is_there_counts_as_sent_and_nothing_is_sent(office: MailWorld) -> None:
    office.campaign("lead-1", "ada@acme.example")
    office.work("lost")
    (id_,) = office.ids()
    assert "1 recorded as sent" in office.desk("sent", id_)
    assert office.fates() == {"mailed": 1} and office.mails() == [1]
    assert "1 settled so already" in office.desk("sent", id_)
    assert "No mail of team" in office.desk() and len(office.campaigns) == 1
    with pytest.raises(TidemillError, match="is not parked any more, it is sent; `tidemill parked"):
        office.desk("again", id_)


def test_a_mail_that_is_not_there_is_sent_by_the_next_attempt_of_its_event(
    office: MailWorld,
) -> None:
    id_ = office.parked_one()
    output = office.desk("again", id_, "--because", "not in the log")
    assert f"1 driven again, to {office.team}_campaigns" in output
    first, second = office.campaigns
    assert (second.key, second.value) == (first.key, first.value)
    assert second.headers == (*first.headers, ("attempt", b"2"))
    (event,) = office.world.records(office.world.team.decisions)
    said = json.loads(event.value or b"")
    assert event.header("ce_type") == b"parked_mail.redriven"
    assert said["effect_id"].startswith(id_) and said["because"] == "not in the log"
    assert "1 settled so already" in office.desk("again", id_)
    assert "No mail of team" in office.desk() and office.fates() == {"nurturing": 1}
    with pytest.raises(TidemillError, match="is not parked any more, it is driven again"):
        office.desk("sent", id_)
    assert [outcome.status for outcome in office.work()] == ["sent"]
    assert office.fates() == {"mailed": 1} and office.mails() == [1]
    assert "1 settled so already" in office.desk("again", id_)
    assert len(office.campaigns) == 2


DIES = """
import os, signal, sys
from connectors.kafka_transaction import Transactions
from jobs import parked_mails, settle
from jobs.team_topics import team_topics

Transactions.batch = lambda self, records: os.kill(os.getpid(), signal.SIGKILL)
desk = parked_mails.ParkedDesk(team_topics(sys.argv[1]))
settle.again(desk, [desk.find(id_) for id_ in sys.argv[2:]])
"""


def test_what_a_killed_desk_left_half_decided_is_listed_and_the_same_command_completes_it(
    office: MailWorld,
) -> None:
    office.campaign("lead-1", "ada@acme.example")
    office.campaign("lead-2", "bob@acme.example")
    office.work("crash", "lost")
    killed = subprocess.run([sys.executable, "-c", DIES, office.team, *office.ids()], timeout=60)
    assert killed.returncode == -signal.SIGKILL
    rows = office.rows()
    assert [row[3] for row in rows] == ["lead-1", "lead-2"] and "not driven yet" in rows[0][6]
    assert office.fates() == {"parked": 2} and office.work() == []
    office.desk("sent", rows[1][0])  # it is there after all
    assert "1 driven again" in office.desk("again", rows[0][0])
    office.work()
    assert office.fates() == {"mailed": 2} and office.mails() == [1, 1] and office.ids() == []


def test_mails_of_one_event_are_driven_together_or_one_after_the_other(office: MailWorld) -> None:
    office.campaign("lead-1", *(f"{name}@acme.example" for name in "abcd"))
    office.work("crash", "crash", "crash")
    a, *others = office.ids()
    office.desk("again", a)
    assert [outcome.status for outcome in office.work()] == ["sent", "parked", "parked", "sent"]
    assert office.fates() == {"parked": 1} and office.ids() == others
    assert "1 driven again" in office.desk("again", *others)
    attempts = [record.header("attempt") for record in office.campaigns]
    assert attempts == [None, b"2", b"3"]
    assert len(office.world.records(office.world.team.decisions)) == 3
    office.work()
    assert office.fates() == {"mailed": 1} and office.mails() == [1, 1, 1, 1]


def test_a_mail_that_is_parked_again_is_settled_again(office: MailWorld) -> None:
    id_ = office.parked_one()
    office.desk("again", id_)
    office.work("crash")
    assert office.ids() == [id_] and office.fates() == {"parked": 1}
    assert "1 driven again" in office.desk("again", id_)
    office.work()
    assert office.campaigns[-1].header("attempt") == b"3"
    assert office.fates() == {"mailed": 1} and office.mails() == [1]


def test_a_mail_that_was_driven_again_and_found_after_all_is_not_driven_any_more(
    office: MailWorld,
) -> None:
    id_ = office.parked_one()
    office.desk("again", id_)
    office.work("crash")
    office.desk("sent", id_)
    with pytest.raises(TidemillError, match="is not parked any more, it is sent"):
        office.desk("again", id_)
    assert len(office.campaigns) == 2


def test_a_mail_that_another_event_took_over_and_lost_is_settled_as_any_other(
    office: MailWorld,
) -> None:
    id_ = office.parked_one()
    office.desk("again", id_)
    office.campaign("lead-2", "ada@acme.example")
    office.work("550 no such user", "crash")  # the attempt that was driven; the other event
    assert office.ids() == [id_]
    assert "1 driven again" in office.desk("again", id_)
    office.work()
    assert office.ids() == [] and office.mails() == [1]


def test_a_mail_whose_event_is_gone_stays_parked(office: MailWorld) -> None:
    id_ = office.parked_one()
    ends = [TopicPartition(f"{office.team}_campaigns", partition, -1) for partition in (0, 1)]
    admin = AdminClient({"bootstrap.servers": office.world.servers})
    for future in admin.delete_records(ends).values():
        future.result()
    result = office.world.command(office.team, "again", id_)
    assert result.exit_code == 1
    assert f"is gone from {office.team}_campaigns: retention" in result.output
    assert office.ids() == [id_] and office.campaigns == []
    assert "1 recorded as sent" in office.desk("sent", id_)


def test_an_id_that_means_no_parked_mail_is_told_before_anything_is_written(
    office: MailWorld,
) -> None:
    id_ = office.parked_one()
    (entry,) = office.entries()
    for n in "12":
        twin = {**entry, "_id": "feedfeed" + n * 56}
        ask_ledger(lambda ledger, twin=twin: ledger.claim(twin))  # type: ignore[misc]
    for words, told in {
        "abc": "'abc' is no id of a mail; write at least 6 of its hexadecimal digits",
        "lead-1": "'lead-1' is no id of a mail",
        "0" * 12: f"team {office.team} has no mail 000000000000; `tidemill parked",
        "feedfeed": r"feedfeed means several mails \(feedfeed1, feedfeed2\); write more of its id",
    }.items():
        for command in ("sent", "again"):
            with pytest.raises(TidemillError, match=told):
                office.desk(command, id_, words)
    assert len(office.ids()) == 3 and len(office.campaigns) == 1
    assert "1 recorded as sent" in office.desk("sent", f"<{entry['_id']}@tidemill.example>")


def outcome(effect_id: str, event_id: str, to: str, attempt: int = 1) -> KafkaRecord:
    value = json.dumps({"effect_id": effect_id, "to": to, "subject": "s"}).encode()
    given = {"ce_id": event_id.encode(), "attempt": b"%d" % attempt, "source": b"t/0/1"}
    headers = events.child_headers(given, "job.view")
    return KafkaRecord("mails", 0, 0, 0, b"k", value, tuple(headers.items()))


def test_the_outcome_of_a_mail_is_that_of_its_own_events_last_attempt() -> None:
    own = [outcome("e", "a", "new", 2), outcome("e", "a", "old")]
    others = [outcome("e", "b", "another", 9), outcome("f", "a", "another", 9)]
    junk = KafkaRecord("mails", 0, 0, 0, None, b"[1]", ())
    found = told_of([*own, *others, junk], {"e": {"_id": "e", "event_id": "a"}})
    assert {id_: one.to for id_, one in found.items()} == {"e": "new"}


def test_an_id_is_as_long_as_it_takes_to_tell_it_from_others() -> None:
    assert digits([]) == digits([uuid.uuid4().hex]) == 8
    assert digits(["a" * 64, "a" * 20 + "b" * 44]) == 21


def test_half_decided_is_what_was_said_after_its_last_drive() -> None:
    entry = {"reason": "resolved_not_sent", "claim": "a"}
    assert [half_decided(entry, driven) for driven in (set(), {"b"}, {"a"})] == [True, True, False]
    assert not half_decided({"reason": "no_answer", "claim": "a"}, set())
