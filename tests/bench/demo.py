"""`tidemill demo` from nothing running in, seconds to its first e-mail out: row `demo`.

Warm: everything is installed and every jar is there. A home of its own, so the stack is fresh.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from deploy.parts import PARTS
from tests.bench import ground
from tests.bench.figures import Figure, Section

LIMIT_S = 180.0
ROUNDS_MAX = 3


def measure(rounds: int) -> list[Section]:
    times = [_first_mail_s() for _ in range(min(rounds, ROUNDS_MAX))]
    for number, elapsed_s in enumerate(times):
        ground.say(f"round {number} first e-mail: {elapsed_s:.1f} s")
    figure = Figure(f"first e-mail, median of {len(times)}", median(times), 45, "s")
    return [Section("demo", "`make demo`, warm", [figure])]


def _first_mail_s() -> float:
    yours = {variable for part in PARTS.values() for variable in part.yours}
    environment = {name: value for name, value in os.environ.items() if name not in yours}
    environment |= {part.port_variable: "0" for part in PARTS.values()}
    command = [sys.executable, "-m", "jobs.cli"]
    with tempfile.TemporaryDirectory(prefix="tidemill-", ignore_cleanup_errors=True) as home:
        environment["TIDEMILL_HOME"] = home
        log = Path(home) / "demo.txt"
        started = time.monotonic()
        with log.open("w") as output:
            demo = subprocess.Popen(
                [*command, "demo"], env=environment, cwd=ground.ROOT, stdout=output, stderr=output
            )
        try:
            while not any((Path(home) / "mail").rglob("*.eml")):
                if demo.poll() not in (None, 0) or time.monotonic() > started + LIMIT_S:
                    raise RuntimeError(f"the demo sent no e-mail:\n{log.read_text()[-2000:]}")
                time.sleep(0.1)
            return time.monotonic() - started
        finally:
            demo.terminate()
            demo.wait(30)
            subprocess.run([*command, "down"], env=environment, cwd=ground.ROOT, check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
