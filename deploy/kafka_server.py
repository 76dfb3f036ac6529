"""A folder and a port in, a real Kafka broker (KRaft, one node) on loopback out.

One process: Kafka's own jars in a JVM through JPype. An acknowledged record is in the page cache,
so it survives `kill -9` of this process (not a power cut). SIGTERM shuts the log down cleanly.

`python -m deploy.kafka_server --folder FOLDER --port PORT --controller-port PORT`
"""

from __future__ import annotations

from pathlib import Path

from deploy.jars import server_jars
from deploy.server_process import arguments, start_jvm, wait_for_stop

MAX_MESSAGE_BYTES = 16 * 1024 * 1024
JVM_OPTIONS = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:MaxDirectMemorySize=96m")


def configuration(folder: Path, port: int, controller_port: int) -> dict[str, str]:
    """Broker settings of a single node: every internal topic has one replica."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.quorum.voters": f"1@127.0.0.1:{controller_port}",
        "controller.listener.names": "CONTROLLER",
        "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "log.dirs": str(folder / "data"),
        "auto.create.topics.enable": "false",
        "num.partitions": "1",
        "offsets.topic.num.partitions": "4",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.num.partitions": "4",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        "message.max.bytes": str(MAX_MESSAGE_BYTES),
        "replica.fetch.max.bytes": str(MAX_MESSAGE_BYTES),
        # Internal logs preallocate their indexes; small segments keep a laptop's disk small.
        "log.segment.bytes": str(256 * 1024 * 1024),
        "log.index.size.max.bytes": str(1024 * 1024),
        "log.cleaner.dedupe.buffer.size": str(16 * 1024 * 1024),
        "num.network.threads": "2",
        "num.io.threads": "4",
        "background.threads": "2",
        # A broker that was killed is fenced only after this: it delays its own return.
        "broker.session.timeout.ms": "3000",
        "broker.heartbeat.interval.ms": "500",
    }


def run(folder: Path, port: int, controller_port: int) -> None:
    """Format the folder if it is new, start the broker, serve until SIGTERM."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = configuration(folder, port, controller_port)
    file = folder / "server.properties"
    file.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    start_jvm(server_jars("kafka"), JVM_OPTIONS)
    import jpype

    if not (folder / "data" / "meta.properties").exists():
        cluster_id = str(jpype.JClass("org.apache.kafka.common.Uuid").randomUuid())
        command = jpype.JArray(jpype.JString)(["format", "-t", cluster_id, "-c", str(file)])
        if jpype.JClass("kafka.tools.StorageTool").execute(command, jpype.java.lang.System.out):
            raise SystemExit(f"Kafka could not format {folder / 'data'}.")
    properties = jpype.JClass("java.util.Properties")()
    for key, value in settings.items():
        properties.setProperty(key, value)
    server = jpype.JClass("kafka.server.KafkaRaftServer")(
        jpype.JClass("kafka.server.KafkaConfig").fromProps(properties),
        jpype.JClass("org.apache.kafka.common.utils.Time").SYSTEM,
    )
    server.startup()
    print(f"Kafka serves on 127.0.0.1:{port}", flush=True)
    wait_for_stop()
    server.shutdown()
    server.awaitShutdown()


if __name__ == "__main__":
    options = arguments("Kafka broker of the local stack", "--controller-port")
    run(options.folder, options.port, options.controller_port)
