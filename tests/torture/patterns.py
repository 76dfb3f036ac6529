"""Cases 1 to 30 on topics of the four patterns in, what came of each out.

What a guard refuses is followed to its dead letter, with the very bytes that came; of what is odd
and allowed nothing may come but that the job reads on. No job may restart.
"""

import os
import time
from collections import defaultdict

from connectors.kafka import committed_offsets, end_offsets, read_all
from tests.torture.case import SHAPES, Case, Input, Json, Shape, encoded, fresh
from tests.torture.oracle import origin
from tests.torture.records import EVERYWHERE, MIB, padded
from tests.torture.run import Found, Report, restarts_since
from tests.torture.world import Place, World

# Topic → who reads it, whether one of its fields must be there.
READERS = {
    "account_objectives": ("orchestration.research_accounts", False),
    "command_results": ("orchestration.research_accounts", True),
    "node_events": ("hierarchy.nodes", True),
    "incident_signals": ("blackboard.post_signals", True),
    "board_updates": ("blackboard.keep_board", True),
    "orders": ("market.accept_orders", True),
    "orders_accepted": ("market.match_orders", True),
    "traders": ("market.trade", True),
}
TOPICS = tuple(READERS)
NAMES = [job.replace(".", "/") for job in dict.fromkeys(job for job, _ in READERS.values())]
PATIENCE_S = 180.0
ORDER = {"command": "order", "side": "buy", "price_ticks": 10, "lots": 2}


def _result(key: str) -> Json:
    place = {"command_id": f"{key}/crm", "attempt": 1, "status": "done"}
    return {**place, "result": '{"owner": "Mara"}', "reason": "none given"}


def _trader(key: str) -> Json:
    numbers = {"limit_ticks": 10, "lots": 2, "interval_ms": 60_000, "margin_percent": 5}
    return {"symbol": "torture-hour", "side": "buy", **numbers}


SHAPES |= {
    "account_objectives": Shape(
        lambda key: {"company_name": "Okafor Cold Chain", "question": "Who owns the account?"},
        "company_name", "question"),
    "command_results": Shape(_result, "command_id", "reason"),
    "node_events": Shape(
        lambda key: {"kind": "joined", "member_id": "law", "member_kind": "node",
                     "about": "law and contracts"}, "kind", "about"),
    "incident_signals": Shape(
        lambda key: {"signal_id": key, "kind": "log", "service": "checkout",
                     "text": "INFO all is well"}, "service", "text"),
    "board_updates": Shape(
        lambda key: {"subject": "checkout", "predicate": "state", "value": "all is well",
                     "confidence": 0.5}, "subject", "value"),
    "orders": Shape(
        lambda key: {"symbol": "torture-hour", "order_id": key, **ORDER}, "order_id", "symbol"),
    "orders_accepted": Shape(
        lambda key: {"account": "Robin Okafor", "order_id": key, **ORDER}, "command", "account"),
    "traders": Shape(_trader, "side", "symbol"),
}  # fmt: skip


def cases() -> list[Case]:
    """Every row of the table on every topic, and records that are too large."""
    found = []
    for topic, (_, needs) in READERS.items():
        for number, name, letter, make, ends in EVERYWHERE:
            if number == 15 and not needs:
                continue
            told = tuple(end for end in ends(topic) if end != "result")
            record = make(topic, fresh(f"p{number}"))
            found.append(Case(number, name, topic, letter, (record,), told))
        large = padded(MIB + 1)(topic, fresh("p12"))
        found.append(Case(12, "1 MiB", topic, "D", (large,), ("dead letter: too_large",)))
        other = TOPICS[(TOPICS.index(topic) + 3) % len(TOPICS)]
        if needs:
            key = fresh("p18")
            wrong = Input(topic, key.encode(), encoded(SHAPES[other].make(key)))
            told = ("dead letter: missing_field",)
            found.append(Case(18, f"of {other}", topic, "D", (wrong,), told))
    return found


def run_all(place: World, report: Report) -> list[Found]:
    """Every case on a stack on which nothing runs yet."""
    place.submit(*NAMES)
    before, given = place.restarts(), cases()
    place.feed(given)
    _read_to_the_end(report)
    letters = _letters()
    restarts = restarts_since(place, before)
    found = []
    for case in given:
        (at,) = place.fed[id(case)]
        words = [_word(case.inputs[0], letter) for letter in letters.get(at, ())]
        found.append(Found(case, tuple(words), restarts))
    good = [one for one in found if one.good]
    report(f"patterns: {len(good)} of {len(found)} cases as expected, {restarts} restarts")
    return found


def _read_to_the_end(report: Report) -> None:
    """Return when every job has committed the end of its topics, so has read and told all."""
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    deadline = time.monotonic() + PATIENCE_S
    for topic, (job, _) in READERS.items():
        ends = end_offsets(servers, [topic])
        while any(committed_offsets(servers, job, [topic])[at] < end for at, end in ends.items()):
            if time.monotonic() > deadline:
                report(f"{job} has not read {topic} to its end")
                return
            time.sleep(1)


def _letters() -> dict[Place, list[tuple[str, bytes]]]:
    """Dead letters by the place of what they are of: reason and payload, each once."""
    teams = dict.fromkeys(job.partition(".")[0] for job, _ in READERS.values())
    found: dict[Place, dict[tuple[str, bytes], None]] = defaultdict(dict)
    topics = [f"{team}_dead_letters" for team in teams]
    for record in read_all(os.environ["KAFKA_BOOTSTRAP_SERVERS"], topics):
        headers = dict(record.headers)
        at = origin(record.topic, headers, record.topic)
        if at is not None:
            found[at][(headers["dlq_reason"] or b"").decode(), record.value or b""] = None
    return {at: list(letters) for at, letters in found.items()}


def _word(given: Input, letter: tuple[str, bytes]) -> str:
    reason, payload = letter
    return f"dead letter: {reason}{'' if payload == (given.value or b'') else ', other bytes'}"
