"""The local stack: what `up` starts and mends, what survives, what `down` leaves."""

from __future__ import annotations

import os
import signal
import smtplib
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from pymongo import MongoClient

from deploy import stack, start
from deploy.processes import MARK
from deploy.record import StackRecord


def pids(home: Path) -> dict[str, int]:
    return {name: record.pid for name, record in StackRecord.load(home).processes.items()}


def is_alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def produce(servers: str, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": servers})
    admin.create_topics([NewTopic("kept", 2, 1)])["kept"].result()
    unsent: list[object] = []
    producer = Producer({"bootstrap.servers": servers, "acks": "all", "linger.ms": 0})
    for number in range(count):
        producer.produce(
            "kept", str(number), callback=lambda error, _: unsent.append(error) if error else None
        )
    assert producer.flush(30) == 0
    assert unsent == []


def consume(servers: str, count: int) -> set[str]:
    consumer = Consumer(
        {"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"}
    )
    consumer.subscribe(["kept"])
    try:
        return {message.value().decode() for message in consumer.consume(count, timeout=30)}
    finally:
        consumer.close()


def insert(uri: str, count: int) -> None:
    with MongoClient(uri) as client:
        for number in range(count):
            client.test.kept.insert_one({"_id": number})


def stored(uri: str) -> int:
    with MongoClient(uri) as client:
        return int(client.test.kept.count_documents({}))


def send_mail(url: str, count: int) -> None:
    with smtplib.SMTP(url.removeprefix("smtp://")) as client:
        for number in range(count):
            client.sendmail("a@example.com", [f"{number}@example.com"], f"Subject: {number}\n\nHi")


def test_acknowledged_writes_survive_kill_9_of_every_server(home: Path) -> None:
    before = stack.up(["kafka", "mongodb", "mail"])
    produce(before["KAFKA_BOOTSTRAP_SERVERS"], 500)
    insert(before["MONGODB_URI"], 500)
    send_mail(before["SMTP_URL"], 20)
    for pid in pids(home).values():
        os.kill(pid, signal.SIGKILL)

    after = stack.up(["kafka", "mongodb", "mail"])

    assert after == before, "a mended part is where it was"
    assert len(consume(after["KAFKA_BOOTSTRAP_SERVERS"], 500)) == 500
    assert stored(after["MONGODB_URI"]) == 500
    assert len(list((home / "mail").glob("*.eml"))) == 20


def test_data_survives_down_and_fresh_wipes_it(home: Path) -> None:
    insert(stack.up(["mongodb"])["MONGODB_URI"], 5)
    stack.down()
    assert stored(stack.up(["mongodb"])["MONGODB_URI"]) == 5
    assert stored(stack.up(["mongodb"], fresh=True)["MONGODB_URI"]) == 0


def test_a_second_up_touches_nothing(home: Path) -> None:
    stack.up(["mongodb", "mail"])
    before = pids(home)
    events: list[str] = []
    stack.up(["mongodb", "mail"], report=lambda part, event: events.append(event))
    assert pids(home) == before
    assert all(event.startswith("already running") for event in events)


def test_only_the_dead_part_is_started_again(home: Path) -> None:
    stack.up(["websites", "mail"])
    before = pids(home)
    os.kill(before["mail"], signal.SIGKILL)
    stack.up(["websites", "mail"])
    assert pids(home)["websites"] == before["websites"]
    assert pids(home)["mail"] != before["mail"]


def test_a_part_that_hangs_is_started_again(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack.up(["mail"])
    before = pids(home)["mail"]
    os.kill(before, signal.SIGSTOP)
    old = {before}
    monkeypatch.setattr(start, "ANSWER_LIMIT_S", 1.0)
    monkeypatch.setattr(
        start, "_age_s", lambda records: 3600.0 if {r.pid for r in records} == old else 0.0
    )
    monkeypatch.setattr("deploy.parts.PROBE_S", 0.5)
    stack.up(["mail"])
    assert pids(home)["mail"] != before
    assert not is_alive(before)


def test_down_leaves_no_process(home: Path) -> None:
    stack.up(["kafka", "mail", "websites"])
    started = pids(home)
    stack.down()
    assert not [name for name, pid in started.items() if is_alive(pid)]
    assert not (home / "stack.json").exists()
    marked = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK, "").startswith(str(home)):
                marked.append(process)
        except psutil.Error:
            continue
    assert marked == []


def test_a_taken_port_is_told_in_a_sentence(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        port = foreign.getsockname()[1]
        monkeypatch.setenv("TIDEMILL_MAIL_PORT", str(port))
        with pytest.raises(stack.StackError) as caught:
            stack.up(["websites", "mail"])
    assert str(caught.value).startswith(f"Port {port} for mail is taken by `")
    assert f"(pid {os.getpid()})" in str(caught.value)
    assert "TIDEMILL_MAIL_PORT=" in str(caught.value)
    assert pids(home) == {}, "a failed start leaves nothing"


def test_a_failed_start_stops_what_it_started_and_shows_the_log(home: Path) -> None:
    (home / "kafka").mkdir()
    (home / "kafka" / "data").write_text("not a folder")
    started: list[int] = []

    def note(part: str, event: str) -> None:
        started.extend(pids(home).values())

    with pytest.raises(stack.StackError) as caught:
        stack.up(["kafka", "mail"], report=note)
    assert "kafka ended while starting" in str(caught.value)
    assert "kafka.log" in str(caught.value)
    assert len(str(caught.value).splitlines()) > 3
    assert started
    assert not [pid for pid in started if is_alive(pid)]
    assert "KAFKA_BOOTSTRAP_SERVERS" not in stack.environment()


def test_a_recycled_pid_is_not_killed(home: Path) -> None:
    stack.up(["mail"])
    record = StackRecord.load(home)
    os.kill(record.processes["mail"].pid, signal.SIGKILL)
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        old = record.processes["mail"]
        recycled = type(old)(**{**vars(old), "pid": stranger.pid, "session": stranger.pid})
        record.processes["mail"] = recycled
        record.save()
        assert stack.status(["mail"])[0].state == "dead"
        stack.down()
        assert stranger.poll() is None
        stranger.kill()


def test_two_ups_at_once_start_one_stack(home: Path) -> None:
    command = [sys.executable, "-m", "deploy.commands", "up", "mail"]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert sorted("already running" in output for output in outputs) == [False, True]


def test_the_users_own_service_is_used(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONGODB_URI", "mongodb://db.example.com")
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    environment = stack.up(["mongodb", "model", "mail"])
    assert set(pids(home)) == {"mail"}
    assert environment["MONGODB_URI"] == "mongodb://db.example.com"
    assert environment["OPENAI_API_KEY"] == "key"
    assert "OPENAI_BASE_URL" not in environment
    states = {part.name: part.state for part in stack.status()}
    assert (states["mongodb"], states["model"], states["mail"]) == ("yours", "yours", "running")
    assert states["kafka"] == "stopped"


def test_a_switch_that_is_set_now_wins_over_the_one_that_was_set_before(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_CLOCK_SPEED", "10080")
    assert stack.up(["mail"])["TIDEMILL_CLOCK_SPEED"] == "10080"
    monkeypatch.delenv("TIDEMILL_CLOCK_SPEED")
    assert stack.environment()["TIDEMILL_CLOCK_SPEED"] == "10080"
    monkeypatch.setenv("TIDEMILL_CLOCK_SPEED", "1")
    assert stack.environment()["TIDEMILL_CLOCK_SPEED"] == "1"
    assert stack.up(["mail"])["TIDEMILL_CLOCK_SPEED"] == "1"


def test_a_fresh_start_keeps_where_jobs_of_the_users_own_cluster_go_on(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FLINK_REST_URL", "http://flink.example.com:8081")
    (home / "flink").mkdir(parents=True)
    (home / "flink" / "deployments.json").write_text("{}")
    stack.up(["mail", "flink"], fresh=True)
    assert (home / "flink" / "deployments.json").exists()


def test_addresses_exported_from_the_stack_are_not_the_users_own(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = stack.up(["mail"])
    for name, value in first.items():
        monkeypatch.setenv(name, value)
    assert stack.status(["mail"])[0].state == "running"
    stack.down()
    with socket.create_server(("127.0.0.1", int(first["SMTP_URL"].rpartition(":")[2]))):
        second = stack.up(["mail"], fresh=True)
    assert second["SMTP_URL"] != first["SMTP_URL"]
    assert stack.environment() == second


def test_an_unknown_part_is_named(home: Path) -> None:
    with pytest.raises(stack.StackError, match="no part redis: expected kafka, mongodb"):
        stack.up(["redis"])


def test_a_record_of_another_version_is_a_sentence(home: Path) -> None:
    (home / "stack.json").write_text('{"version": 0}')
    with pytest.raises(stack.StackError, match="stack.json is not of this version"):
        stack.status()
    (home / "stack.json").unlink()
