"""The local Flink cluster: its configuration, and its TaskManagers' return."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx2
import psutil
import pytest
import yaml

from deploy import flink_cluster, stack
from deploy.parts import TASKMANAGERS, get_json
from deploy.record import StackRecord


def test_job_settings_hold_nothing_of_a_machine() -> None:
    found = flink_cluster.job_configuration()
    assert found["execution.checkpointing.interval"] == "10 s"
    assert found["execution.checkpointing.incremental"] == "true"
    assert found["restart-strategy.type"] == "exponential-delay"
    assert not [key for key, value in found.items() if "file:" in value or "/" in value]


def test_the_cluster_listens_on_loopback_and_keeps_checkpoints(tmp_path: Path) -> None:
    conf = flink_cluster.write_configuration(tmp_path, rest_port=1, rpc_port=2)
    found = yaml.safe_load((conf / "config.yaml").read_text())
    hosts = {value for key, value in found.items() if key.endswith(("bind-host", "address"))}
    assert hosts == {"127.0.0.1"}
    assert found["rest.port"] == "1"
    assert "--add-opens" in found["env.java.opts.all"]
    assert found["execution.checkpointing.dir"] == (tmp_path / "flink" / "checkpoints").as_uri()


def test_memory_flags_are_the_sums_that_flink_expects(tmp_path: Path) -> None:
    conf = flink_cluster.write_configuration(tmp_path, rest_port=1, rpc_port=2)
    command = flink_cluster.taskmanager_command(conf, tmp_path / "log", "taskmanager-1")
    assert {"-Xmx480m", "-XX:MaxDirectMemorySize=192m"} <= set(command)


def registered(environment: dict[str, str]) -> set[str]:
    found = get_json(f"{environment['FLINK_REST_URL']}/taskmanagers")["taskmanagers"]
    return {worker["id"] for worker in found}


def test_taskmanagers_are_replaced_where_needed(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = stack.up(["flink"])
    logs = [f"{environment['FLINK_REST_URL']}/jobmanager/log"]
    logs += [
        f"{environment['FLINK_REST_URL']}/taskmanagers/{n}/log" for n in registered(environment)
    ]
    assert all("Loading configuration property" in httpx2.get(log).text for log in logs)
    first = StackRecord.load(home).processes
    assert {first[name].identity for name in TASKMANAGERS} <= registered(environment)

    os.kill(first["flink-taskmanager-1"].pid, signal.SIGKILL)
    stack.up(["flink"])
    second = StackRecord.load(home).processes
    assert second["flink-jobmanager"] == first["flink-jobmanager"]
    assert second["flink-taskmanager-2"] == first["flink-taskmanager-2"]
    assert second["flink-taskmanager-1"].identity in registered(environment)

    monkeypatch.setenv("MONGODB_URI", "mongodb://db.example.com")
    stack.up(["flink"])
    third = StackRecord.load(home).processes
    assert third["flink-jobmanager"] == first["flink-jobmanager"]
    for name in TASKMANAGERS:
        worker = psutil.Process(third[name].pid).environ()
        assert worker["MONGODB_URI"] == "mongodb://db.example.com"
        assert worker["FLINK_REST_URL"] == environment["FLINK_REST_URL"]
        assert worker["TIDEMILL_HOME"] == str(home)

    stack.down()
    records = [*first.values(), *second.values(), *third.values()]
    assert not [record for record in records if record.family()]
