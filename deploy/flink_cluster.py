"""The wheel's Flink and our settings in, the command lines of a local session cluster out.

The processes are started directly, without Flink's shell scripts: each is one pid that the stack
records, with its own log and an environment that its Python workers inherit.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import yaml

from connectors.settings import settings
from deploy.jars import flink_python_jar, jars
from deploy.java import COMPILE_LATER, COMPILE_LIGHTLY, java_home

FOLDER = Path(__file__).with_name("flink")
_JOBMANAGER_CLASS = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASKMANAGER_CLASS = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"


def flink_home() -> Path:
    """The Flink distribution inside the PyFlink wheel."""
    import pyflink

    return Path(pyflink.__file__).parent


def job_configuration() -> dict[str, str]:
    """Settings of every job, wherever it runs: checkpoints, restarts, bundles, buffers."""
    return _read(FOLDER / "job.yaml")


def local_configuration(home: Path) -> dict[str, str]:
    """What a job on this machine needs besides: folders that outlive a cluster, and this Python.

    For the MiniCluster and the local cluster, never for a remote one.
    """
    return {
        "execution.checkpointing.dir": (home / "flink" / "checkpoints").as_uri(),
        "execution.checkpointing.savepoint-dir": (home / "flink" / "savepoints").as_uri(),
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }


def write_configuration(home: Path, rest_port: int, rpc_port: int) -> Path:
    """Write `config.yaml` of the local cluster; returns its folder (FLINK_CONF_DIR)."""
    folder = home / "flink" / "conf"
    for path in (folder, home / "flink" / "tmp"):
        path.mkdir(parents=True, exist_ok=True)
    configuration = {
        **_read(flink_home() / "conf" / "config.yaml", only="env.java.opts.all"),
        **job_configuration(),
        **_read(FOLDER / "cluster.yaml"),
        **(_read(FOLDER / "adaptive.yaml") if settings().flink_scheduler == "adaptive" else {}),
        **local_configuration(home),
        "jobmanager.rpc.port": str(rpc_port),
        "rest.port": str(rest_port),
        "rest.bind-port": str(rest_port),
        "io.tmp.dirs": str(home / "flink" / "tmp"),
    }
    # A plain `flink run` with this FLINK_CONF_DIR finds its own log settings here, too.
    for file in (flink_home() / "conf").glob("log4j*.properties"):
        shutil.copy(file, folder)
    (folder / "config.yaml").write_text(yaml.safe_dump(configuration, width=1000))
    return folder


def jobmanager_command(conf: Path, log: Path) -> list[str]:
    settings = _read(conf / "config.yaml")
    memory = [
        f"-Xmx{settings['jobmanager.memory.heap.size']}",
        f"-XX:MaxMetaspaceSize={settings['jobmanager.memory.jvm-metaspace.size']}",
    ]
    lean = ["-XX:+UseSerialGC", *COMPILE_LIGHTLY]  # it coordinates, it moves no records
    options = ["-Xms64m", *memory, *lean, "-XX:+ExitOnOutOfMemoryError"]
    shown = ["-D", f"web.log.path={log}"]
    return _java(settings, options) + [_JOBMANAGER_CLASS, "--configDir", str(conf), *shown]


def taskmanager_command(conf: Path, log: Path, name: str) -> list[str]:
    settings = _read(conf / "config.yaml")

    def megabytes(*names: str) -> int:
        return sum(int(settings[f"taskmanager.memory.{name}"].removesuffix("m")) for name in names)

    heap = megabytes("framework.heap.size", "task.heap.size")
    direct = megabytes("framework.off-heap.size", "task.off-heap.size", "network.max")
    options = [
        "-Xms128m",
        f"-Xmx{heap}m",
        f"-XX:MaxDirectMemorySize={direct}m",
        f"-XX:MaxMetaspaceSize={megabytes('jvm-metaspace.size')}m",
        "-XX:+UseG1GC",
        "-XX:G1HeapRegionSize=4m",  # else each record of a megabyte is pinned, and large ones fail
        *COMPILE_LATER,
    ]
    command = _java(settings, options) + [_TASKMANAGER_CLASS, "--configDir", str(conf)]
    shown = ["-D", f"taskmanager.log.path={log}"]
    return [*command, "-D", f"taskmanager.resource-id={name}", *shown]


def worker_environment(addresses: dict[str, str], conf: Path) -> dict[str, str]:
    """What a TaskManager and so its Python workers see: addresses, Java, this Python first."""
    return {
        **addresses,
        "JAVA_HOME": str(java_home()),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "FLINK_HOME": str(flink_home()),
        "FLINK_CONF_DIR": str(conf),
        "FLINK_LIB_DIR": str(flink_home() / "lib"),
        "FLINK_OPT_DIR": str(flink_home() / "opt"),
        "FLINK_PLUGINS_DIR": str(flink_home() / "plugins"),
    }


def _java(settings: dict[str, str], options: list[str]) -> list[str]:
    """A JVM's command line, without `log.file`: where that is set, Flink has RocksDB write its own
    log beside it, under a name made of the whole path of a state. Of a state that is put together
    from several subtasks the name is longer than file names may be, and the job never restores."""
    class_path = [*sorted((flink_home() / "lib").glob("*.jar")), flink_python_jar(), *jars()]
    return [
        str(java_home() / "bin" / "java"),
        *options,
        *settings["env.java.opts.all"].split(),
        f"-Dlog4j.configurationFile={(FOLDER / 'log4j.properties').as_uri()}",
        "-classpath",
        os.pathsep.join(str(path) for path in class_path),
    ]


def _read(path: Path, only: str | None = None) -> dict[str, str]:
    """A Flink YAML file, nested or flat, as flat text pairs."""
    flat: dict[str, str] = {}

    def walk(prefix: str, node: object) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(f"{prefix}.{key}" if prefix else str(key), value)
        else:
            flat[prefix] = str(node).lower() if isinstance(node, bool) else str(node)

    walk("", yaml.safe_load(path.read_text()))
    return flat if only is None else {only: flat[only]}
