"""Command-line arguments in, a server process of the local stack out, ended in order by SIGTERM.

What the parts that are Python processes share, and how two of them get a JVM into theirs.
"""

from __future__ import annotations

import argparse
import os
import signal
import threading
from collections.abc import Iterable
from pathlib import Path

from deploy.java import COMPILE_LATER, java_home, jvm_library

_LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSS",
)


def arguments(description: str, *more_ports: str) -> argparse.Namespace:
    """`--folder`, `--port`, and `more_ports` by their options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--folder", type=Path, required=True)
    for option in ("--port", *more_ports):
        parser.add_argument(option, type=int, required=True)
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    return options


def start_jvm(class_path: Iterable[Path], options: Iterable[str]) -> None:
    """Start the JVM; out of memory ends the process, so that `tidemill up` can mend it."""
    import jpype

    jpype.startJVM(
        str(jvm_library(java_home())),
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        *COMPILE_LATER,
        *_LOGGING,
        *options,
        classpath=[str(path) for path in class_path],
        convertStrings=True,
    )


def wait_for_stop() -> None:
    """Block until SIGTERM or SIGINT. Called after the JVM started, whose handlers it replaces."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    while not stop.wait(1):
        pass


def end_process() -> None:
    """Leave at once: all is closed, and JPype's own shutdown waits for every Java thread."""
    os._exit(0)
