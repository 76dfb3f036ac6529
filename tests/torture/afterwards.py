"""What takes more than bytes: a kill before a replay, a redrive, a submission; what came of it."""

import os
import re
import signal
import time
from collections.abc import Callable, Sequence

import psutil

from connectors.settings import settings
from tests.chaos.kills import VICTIMS, alive
from tests.conftest import tidemill
from tests.torture.case import Case, fresh, good
from tests.torture.model import rule
from tests.torture.oracle import Outside
from tests.torture.world import World

REPLAYED = 6
REDRIVEN = 60
WAIT_S = 60.0
NO_MODEL = "no-such-model"


def replay(place: World, outside: Outside) -> tuple[Case, list[str]]:
    """49: the model answers otherwise each time; the process dies between a first answer and the
    second. The first must stand, and not be asked for again."""
    keys = [fresh("l49") for _ in range(REPLAYED)]
    slow = [{**rule("lead_ingestion", key, "slow", delay_s=4, count=1)} for key in keys]
    for one in slow:
        one["match"] += r"[\s\S]*\ntool: "
    others = [rule("lead_ingestion", key, "nonce") for key in keys]
    case = Case(
        49, "another answer on replay", "lead_ingestion", "I",
        tuple(good("incoming_leads", key) for key in keys),
        ("result",) * REPLAYED + (f"first answers paid: {REPLAYED}",),
        tuple(slow + others),
    )  # fmt: skip
    since = place.asked()["count"]
    place.feed([case])
    _until(lambda: _struck(place, since, "slow") >= REPLAYED)
    _kill_run_processes()
    places = place.fed[id(case)]
    _until(lambda: len(outside.look().words(case, places)) >= REPLAYED)
    # Each lead: the first step, differing; the last step slow; and that once more after the kill.
    first = _struck(place, since, "nonce") - REPLAYED
    return case, [*outside.words(case, places), f"first answers paid: {first}"]


def redrive(place: World, outside: Outside) -> tuple[Case, list[str]]:
    """92: a model that refuses all, then is mended; all dead letters are driven again, twice."""
    keys = [fresh("l92") for _ in range(REDRIVEN)]
    case = Case(
        92, f"{REDRIVEN} dead letters driven again, twice", "active_outreach", "I",
        tuple(good("leads_to_activate", key) for key in keys),
        (f"first: {REDRIVEN} driven", "second: 0 driven", f"mails: {REDRIVEN}")
        + ("dead letter: refusal",) * REDRIVEN + ("result",) * REDRIVEN,
        tuple(rule("active_outreach", key, "refusal") for key in keys),
    )  # fmt: skip
    place.feed([case])
    places = list(place.fed[id(case)])
    _until(lambda: len(outside.look().words(case, places)) >= REDRIVEN)
    place.forget()
    words = []
    for turn in ("first", "second"):
        said = place.command("dead-letters", "sdr", "redrive", "--reason", "refusal")
        mine = sum(int(n) for n in re.findall(r"(\d+) driven again, to leads_to_activate", said))
        words.append(f"{turn}: {min(mine, REDRIVEN)} driven")
        _until(lambda: _again(outside, case, places) >= REDRIVEN)
    _until(lambda: _mails(place, keys) >= REDRIVEN)
    time.sleep(2)
    outside.look()
    results = ["result"] * _again(outside, case, places)
    return case, [
        *words,
        f"mails: {_mails(place, keys)}",
        *outside.words(case, places),
        *results,
    ]


def start(place: World) -> tuple[Case, list[str]]:
    """48: a model that there is not is refused when the job is submitted; what runs goes on."""
    case = Case(
        48, "an unknown model, at the start", "tidemill submit", "R",
        (good("lead_ingestion_output", "none"),), ("refused", "the old job runs on"),
    )  # fmt: skip
    rule = {"kind": "unknown_model", "match": f"^{NO_MODEL}$", "endpoint": "models"}
    place.control({"faults": [rule]})
    running = place.cluster.running("sdr.lead_scoring")
    environment = {**os.environ, "OPENAI_MODEL": NO_MODEL}
    done = tidemill(
        "submit", "--replace", "sdr/lead_scoring", environment=environment, timeout_s=120
    )
    refused = done.returncode != 0 and NO_MODEL in done.stdout + done.stderr
    same = running is not None and place.cluster.running("sdr.lead_scoring") == running
    return case, [
        "refused" if refused else "submitted",
        "the old job runs on" if same else "the old job is gone",
    ]


def _again(outside: Outside, case: Case, places: Sequence[tuple[str, int, int]]) -> int:
    """How many of the records came to a result as their second attempt."""
    keys = {record.key for record in case.inputs}
    again = [
        place
        for place, seen in outside.look().records.items()
        if place[0] == places[0][0] and seen.key in keys and place not in places
    ]
    return outside.words(case, again).count("result")


def _mails(place: World, keys: Sequence[str]) -> int:
    """How many mails lie in the sink for these leads."""
    wanted = {f"X-RcptTo: {key}@" for key in keys}
    heads = (path.read_bytes()[:400].decode("utf-8", "replace") for path in place.eml())
    return sum(any(want in head for want in wanted) for head in heads)


def _struck(place: World, since: int, kind: str) -> int:
    return sum(one["fault"] == kind for one in place.asked(since)["requests"])


def _kill_run_processes() -> None:
    home, word = str(settings().home), VICTIMS["run process"]
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("TIDEMILL_HOME") == home
            if ours and alive(process) and word in " ".join(process.cmdline()):
                os.kill(process.pid, signal.SIGKILL)
        except (psutil.Error, OSError):
            continue


def _until(condition: Callable[[], bool]) -> None:
    """Until it holds; what does not come shows in the words."""
    deadline = time.monotonic() + WAIT_S
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.5)
