"""Jars: only what the lock names and its checksum proves gets into the cache."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from deploy import jars

CONTENT = b"a jar, for all that this test knows"
COORDINATE = "org.example:thing:1.0"


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadingHTTPServer]:
    """A Maven repository on loopback that holds one jar, and an empty cache."""
    folder = tmp_path / "repository" / "org" / "example" / "thing" / "1.0"
    folder.mkdir(parents=True)
    (folder / "thing-1.0.jar").write_bytes(CONTENT)
    (folder / "thing-1.0.jar.sha1").write_text(hashlib.sha1(CONTENT).hexdigest())
    handler = partial(_Quiet, directory=str(tmp_path / "repository"))
    monkeypatch.setenv("TIDEMILL_CACHE", str(tmp_path / "cache"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/"
        monkeypatch.setenv("TIDEMILL_MAVEN_REPOSITORY", address)
        yield server
        server.shutdown()
        thread.join()


def write_lock(folder: Path, sha256: str, coordinate: str = COORDINATE) -> Path:
    lock = folder / "jars.lock"
    lock.write_text(f"# set coordinate sha256 bytes\nkafka {coordinate} {sha256} {len(CONTENT)}\n")
    return lock


def test_a_locked_jar_is_fetched_once(tmp_path: Path, mirror: ThreadingHTTPServer) -> None:
    lock = write_lock(tmp_path, hashlib.sha256(CONTENT).hexdigest())
    seen: list[tuple[int, int]] = []
    (path,) = jars.fetch(["kafka"], lambda done, total: seen.append((done, total)), lock)
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    mirror.shutdown()
    assert jars.fetch(["kafka"], lock=lock) == [path], "a warm call asks nobody"
    assert [file.name for file in path.parent.parent.iterdir()] == [path.parent.name]


def test_an_altered_jar_is_not_used(tmp_path: Path, mirror: ThreadingHTTPServer) -> None:
    lock = write_lock(tmp_path, "0" * 64)
    with pytest.raises(jars.JarError, match=r"has sha256 .*, but deploy/jars.lock expects 0000"):
        jars.fetch(["kafka"], lock=lock)
    assert list((tmp_path / "cache").rglob("*.jar")) == []


def test_a_jar_that_changed_on_disk_is_noticed(tmp_path: Path, mirror: object) -> None:
    lock = write_lock(tmp_path, hashlib.sha256(CONTENT).hexdigest())
    (path,) = jars.fetch(["kafka"], lock=lock)
    (jar,) = jars.locked(["kafka"], lock)
    assert jar.is_intact()
    path.write_bytes(CONTENT[::-1])
    assert jar.is_present()
    assert not jar.is_intact()


def test_a_jar_that_is_not_there_is_a_sentence(tmp_path: Path, mirror: object) -> None:
    lock = write_lock(tmp_path, "0" * 64, "org.example:other:2.0")
    with pytest.raises(jars.JarError, match="org.example:other:2.0 could not be fetched"):
        jars.fetch(["kafka"], lock=lock)


# The HTTP library leaves its socket to the garbage collector when nobody answers.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_no_network_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("TIDEMILL_MAVEN_REPOSITORY", "http://127.0.0.1:9")
    lock = write_lock(tmp_path, "0" * 64)
    with pytest.raises(jars.JarError, match="check the network or proxy"):
        jars.fetch(["kafka"], lock=lock)
    gc.collect()


def test_a_broken_lock_names_its_line(tmp_path: Path) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text("# fine\nkafka org.example:thing:1.0\n")
    with pytest.raises(jars.JarError, match="^jars.lock:2: expected 'set coordinate"):
        jars.locked(lock=lock)


def test_the_lock_covers_every_root() -> None:
    coordinates = {(jar.set_name, jar.coordinate) for jar in jars.locked()}
    for set_name, roots in jars.ROOTS.items():
        assert {(set_name, root) for root in roots} <= coordinates
    assert "http" not in jars.LOCK.read_text()
