"""`tidemill research` on a running stack in, seconds to its first stored chunk out: row `research`.

Once with the team's jobs still to be submitted, then with them running. The sources are those of
the demo: a site of this machine, with a blog and a podcast.
"""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from connectors.mongodb import client
from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from jobs.demo_research import PAGES, SITE
from tests.bench import ground
from tests.bench.figures import Figure, Section

PARTS = ("kafka", "mongodb", "flink", "model", "websites")
LIMIT_S = 240.0


def measure(rounds: int) -> list[Section]:
    with (
        tempfile.TemporaryDirectory() as folder,
        stack.private(PARTS, {**client_environment(), "TIDEMILL_ALLOW_LOCAL_WEB": "true"}),
    ):
        times = [_first_chunk_s(f"round-{number}", Path(folder)) for number in range(rounds + 1)]
    chunks, briefs = zip(*times, strict=True)
    figures = [
        Figure("first chunk stored, the team not submitted yet", chunks[0], 30, "s"),
        Figure("first chunk stored, the team running", median(chunks[1:]), 30, "s"),
        Figure("the brief, the team not submitted yet", briefs[0], None, "s"),
        Figure("the brief, the team running", median(briefs[1:]), None, "s"),
    ]
    return [Section("research", "`tidemill research` on a warm stack", figures)]


def _first_chunk_s(bundle: str, folder: Path) -> tuple[float, float]:
    """Seconds until the first chunk of a new bundle is stored, and until its brief is printed."""
    (site,) = stack.status(["websites"])
    address = SITE.format(port=site.address.rpartition(":")[2].strip("/"))
    command = [sys.executable, "-m", "jobs.cli", "research", "The tide mill at Saltern Reach"]
    command += [f"{address}{page}" for page in PAGES]
    command += ["--bundle", bundle, "--out", str(folder / "brief.md")]
    log, started, first = folder / "log.txt", time.monotonic(), 0.0
    with log.open("w") as output, client() as mongo:
        asked = subprocess.Popen(
            command, env=dict(os.environ), cwd=ground.ROOT, stdout=output, stderr=output
        )
        chunks = mongo[settings().mongodb_database]["chunks"]
        while asked.poll() is None and time.monotonic() < started + LIMIT_S:
            if not first and chunks.find_one({"bundle_id": bundle}, {"_id": 1}):
                first = time.monotonic() - started
            time.sleep(0.1)
    if asked.poll() != 0 or not first:
        asked.kill()
        asked.wait(10)
        raise RuntimeError(f"no brief of {bundle}:\n{log.read_text()[-2000:]}")
    whole = time.monotonic() - started
    ground.say(f"{bundle}: first chunk after {first:.1f} s, the brief after {whole:.1f} s")
    return first, whole
