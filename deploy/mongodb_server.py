"""A folder and a port in, a server that speaks MongoDB's wire protocol on loopback out.

mongo-java-server with H2 files, in a JVM through JPype. It knows neither $vectorSearch nor BSON
vectors. Two of its habits are corrected here: it reports a wire version that current drivers
refuse, and it commits in the background, so that `kill -9` loses acknowledged writes. Here every
write command is committed before its reply.

`python -m deploy.mongodb_server --folder FOLDER --port PORT`
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deploy.jars import compiler_jar, server_jars
from deploy.server_process import arguments, end_process, start_jvm, wait_for_stop

JVM_OPTIONS = ("-Xms64m", "-Xmx300m", "-XX:+UseSerialGC")
WIRE_VERSION = 13  # of MongoDB 5.0, the oldest that pymongo 4.20 accepts


def run(folder: Path, port: int) -> None:
    """Open the store, serve until SIGTERM, close it in order."""
    folder.mkdir(parents=True, exist_ok=True)
    start_jvm([*server_jars("mongodb"), compiler_jar()], JVM_OPTIONS)
    import jpype

    store = _open_store(folder / "data.h2")
    backend = jpype.JClass("de.bwaldvogel.mongo.backend.h2.H2Backend")(store)
    backend.version(_version())
    server = jpype.JClass("de.bwaldvogel.mongo.MongoServer")(_committing(backend))
    server.bind("127.0.0.1", port)
    print(f"MongoDB serves on 127.0.0.1:{port}", flush=True)
    wait_for_stop()
    server.shutdownNow()
    store.close()
    end_process()


def _open_store(file: Path) -> Any:
    """An MVStore whose file stays bounded: 20 MB after 30,000 updates of 2,000 documents.

    A commit after each write leaves small chunks that are soon obsolete. H2 keeps those 45 s for
    disks that reorder writes; a killed process loses no written page, so they are reused at once.
    """
    import jpype

    builder = jpype.JClass("org.h2.mvstore.MVStore").Builder()
    store = builder.fileName(str(file)).cacheSize(32).autoCompactFillRate(70).open()
    store.setRetentionTime(0)
    store.setVersionsToKeep(0)
    return store


def _version() -> Any:
    import jpype

    known = jpype.JClass("de.bwaldvogel.mongo.ServerVersion").MONGO_5_0

    @jpype.JImplements("de.bwaldvogel.mongo.MongoVersion")
    class Version:
        @jpype.JOverride
        def getVersionArray(self) -> Any:
            return known.getVersionArray()

        @jpype.JOverride
        def getWireVersion(self) -> int:
            return WIRE_VERSION

        @jpype.JOverride
        def toVersionString(self) -> str:
            return "5.0.0"

    return Version()


def _committing(backend: Any) -> Any:
    """The backend's interface again, with a commit between a write and its reply."""
    import jpype

    compiler = jpype.JClass("org.codehaus.janino.SimpleCompiler")()
    compiler.cook(Path(__file__).with_name("java").joinpath("Committing.java").read_text())
    loader = compiler.getClassLoader()
    handler = jpype.JClass(loader.loadClass("Committing"))(backend)
    interface = jpype.JClass("de.bwaldvogel.mongo.MongoBackend")
    return jpype.JClass("java.lang.reflect.Proxy").newProxyInstance(
        loader, jpype.JArray(jpype.JClass("java.lang.Class"))([interface.class_]), handler
    )


if __name__ == "__main__":
    options = arguments("MongoDB-wire server of the local stack")
    run(options.folder, options.port)
