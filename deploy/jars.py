"""Coordinates in `jars.lock` in, verified jar files on this machine out.

The lock names every jar with its sha256, so that fetching is a fixed list and nothing is resolved
on a user's machine. A file gets its final name only after its checksum was verified, and that name
contains the checksum: its presence is the proof, and a warm call costs one stat per jar.

`python -m deploy.jars` fetches what is missing; `--lock` resolves the roots anew and rewrites the
lock. Cache: ~/.cache/tidemill (TIDEMILL_CACHE). Mirror: TIDEMILL_MAVEN_REPOSITORY.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TRIES = 3  # of a file that the network loses on its way
LOCK = Path(__file__).with_name("jars.lock")

# Set → its root coordinates. Flink's jars carry their dependencies within, but for zstd: without it
# the first batch that a producer packed so stops every job. The servers' jars do not.
ROOTS = {
    "flink": (
        "org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",
        "org.apache.flink:flink-model-openai:2.3.0",
        "com.github.luben:zstd-jni:1.5.6-10",
    ),
    "kafka": ("org.apache.kafka:kafka_2.13:4.3.1", "org.slf4j:slf4j-simple:1.7.36"),
    "mongodb": (
        "de.bwaldvogel:mongo-java-server-h2-backend:1.47.0",
        "org.slf4j:slf4j-simple:1.7.36",
    ),
}
SELF_CONTAINED = {"flink"}

Progress = Callable[[int, int], None]  # bytes fetched, bytes in all


class JarError(Exception):
    """A jar could not be had, or is not what the lock says. One sentence."""


@dataclass(frozen=True)
class Jar:
    """One line of the lock."""

    set_name: str
    coordinate: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinate.split(":")
        return f"{artifact}-{version}.jar"

    @property
    def path(self) -> Path:
        return cache_folder() / self.sha256[:16] / self.file_name

    def is_present(self) -> bool:
        try:
            return self.path.stat().st_size == self.size_bytes
        except OSError:
            return False

    def is_intact(self) -> bool:
        """Reads the whole file; for `tidemill doctor`, not for every start."""
        return self.is_present() and _sha256(self.path) == self.sha256


def cache_folder() -> Path:
    root = os.environ.get("TIDEMILL_CACHE") or Path.home() / ".cache" / "tidemill"
    return Path(root) / "jars"


def jars() -> list[Path]:
    """Connector jars that a Flink job needs: Kafka, and the OpenAI model provider."""
    return fetch(["flink"])


def server_jars(*sets: str) -> list[Path]:
    """Class path of the local servers, or of one: `server_jars("kafka")`."""
    return fetch(sets or ("kafka", "mongodb"))


def flink_python_jar() -> Path:
    """PyFlink's own jar, which its wheel keeps outside the class path."""
    return _of_the_wheel("opt", "flink-python")


def compiler_jar() -> Path:
    """The jar in PyFlink's wheel that holds Janino, a compiler of Java that needs no JDK."""
    return _of_the_wheel("lib", "flink-table-runtime")


def _of_the_wheel(folder: str, name: str) -> Path:
    import pyflink

    found = sorted((Path(pyflink.__file__).parent / folder).glob(f"{name}-*.jar"))
    if not found:
        raise JarError(f"The apache-flink package holds no {folder}/{name}-*.jar: reinstall it.")
    return found[-1]


def locked(sets: Iterable[str] = tuple(ROOTS), lock: Path = LOCK) -> list[Jar]:
    """The lock's lines of these sets."""
    wanted = set(sets)
    found = []
    for number, line in enumerate(lock.read_text().splitlines(), start=1):
        if not line or line.startswith("#"):
            continue
        try:
            set_name, coordinate, sha256, size = line.split()
            jar = Jar(set_name, coordinate, sha256, int(size))
        except ValueError:
            raise JarError(
                f"{lock.name}:{number}: expected 'set coordinate sha256 bytes'; "
                "write the file anew with `make lock`."
            ) from None
        if set_name in wanted:
            found.append(jar)
    return found


def fetch(
    sets: Iterable[str] = tuple(ROOTS), progress: Progress | None = None, lock: Path = LOCK
) -> list[Path]:
    """Make sure that the jars of these sets are in the cache; returns their paths, each once."""
    wanted = list({jar.path: jar for jar in locked(sets, lock)}.values())
    missing = [jar for jar in wanted if not jar.is_present()]
    if missing:
        _download(missing, progress or (lambda done, total: None))
    return [jar.path for jar in wanted]


def _download(missing: list[Jar], progress: Progress) -> None:
    total = sum(jar.size_bytes for jar in missing)
    done = 0
    guard = threading.Lock()

    def advance(count: int) -> None:
        nonlocal done
        with guard:
            done += count
            progress(done, total)

    with _scratch() as folder, ThreadPoolExecutor(4) as pool:
        running = [pool.submit(_download_one, jar, folder, advance) for jar in missing]
        try:
            for future in running:
                future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _download_one(jar: Jar, folder: Path, advance: Callable[[int], None]) -> None:
    fetched = _resolve(jar.coordinate, folder, advance)
    found = _sha256(fetched)
    if found != jar.sha256:
        raise JarError(
            f"{jar.coordinate} has sha256 {found[:16]}…, but deploy/jars.lock expects "
            f"{jar.sha256[:16]}…: the file was altered on its way, so it is not used; try again, "
            "and check TIDEMILL_MAVEN_REPOSITORY or the proxy if it stays so."
        )
    jar.path.parent.mkdir(parents=True, exist_ok=True)
    os.replace(fetched, jar.path)


def _resolve(coordinate: str, folder: Path, advance: Callable[[int], None]) -> Path:
    import requests
    from jgo.maven import PythonResolver

    @contextmanager
    def report(_name: str, _size: int) -> Iterator[Callable[[int], None]]:
        yield advance

    context = _context(folder, PythonResolver(progress_callback=report))
    for again in reversed(range(TRIES)):
        try:
            return Path(context.create_dependency(coordinate).artifact.resolve())
        except (requests.RequestException, RuntimeError, OSError) as error:
            cause = error
        time.sleep(1 if again else 0)
    raise JarError(
        f"{coordinate} could not be fetched ({type(cause).__name__}): check the network or "
        "proxy, or name a mirror in TIDEMILL_MAVEN_REPOSITORY, then run `make setup` again."
    ) from cause


def _context(folder: Path, resolver: Any = None) -> Any:
    from jgo.maven import MavenContext

    mirror = os.environ.get("TIDEMILL_MAVEN_REPOSITORY")
    return MavenContext(
        resolver=resolver,
        repo_cache=folder,
        remote_repos={"mirror": mirror.rstrip("/")} if mirror else None,
        timeout=60,
    )


@contextmanager
def _scratch() -> Iterator[Path]:
    """A folder beside the cache, so that moving a file out of it is one rename."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=".fetch-", dir=cache_folder()))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_lock(lock: Path = LOCK) -> list[Jar]:
    """Resolve every set's roots with their dependencies, hash all jars, rewrite the lock."""
    found: list[Jar] = []
    with _scratch() as folder:
        context = _context(folder)
        for set_name, roots in ROOTS.items():
            dependencies = [context.create_dependency(root) for root in roots]
            if set_name not in SELF_CONTAINED:
                direct, further = context.resolver.resolve(dependencies)
                dependencies = [*direct, *further]
            for dependency in dependencies:
                path = Path(dependency.artifact.resolve())
                name = f"{dependency.groupId}:{dependency.artifactId}:{dependency.version}"
                found.append(Jar(set_name, name, _sha256(path), path.stat().st_size))
    found.sort(key=lambda jar: (jar.set_name, jar.coordinate))
    lines = [f"{jar.set_name} {jar.coordinate} {jar.sha256} {jar.size_bytes}" for jar in found]
    header = "# set coordinate sha256 bytes. Written by `python -m deploy.jars --lock`."
    lock.write_text("\n".join([header, *lines]) + "\n")
    return found


def main(arguments: list[str]) -> int:
    """`python -m deploy.jars [--lock]`: fetch all with progress, or write the lock."""
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    try:
        if "--lock" in arguments:
            print(f"{LOCK.name}: {len(write_lock())} jars")
            return 0
        columns = (TextColumn("Java libraries"), BarColumn(), DownloadColumn())
        with Progress(*columns, disable=all(jar.is_present() for jar in locked())) as bar:
            task = bar.add_task("", total=None)
            paths = fetch(progress=lambda done, of: bar.update(task, completed=done, total=of))
        print(f"{len(paths)} jars in {cache_folder()}")
    except JarError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
