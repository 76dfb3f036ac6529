"""What the outside holds in (topics, mails, ledger, the model's log), a verdict out.

Nothing here is read from Tidemill's own accounts: an event is followed by its trace id alone.
"""

import email
import email.policy
import json
import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.kafka import KafkaError, KafkaRecord, partitions, read_all
from connectors.mongodb import client
from connectors.settings import settings

ROUTES = ("leads_to_activate", "leads_to_nurture", "leads_disqualified")
ONE_EACH = ("lead_ingestion_output", "lead_scoring_output", *ROUTES, "email_campaigns")
OUTPUTS = (*ONE_EACH, "sent_emails")
ENDS = ("leads_disqualified",)
DEAD_LETTERS = "sdr_dead_letters"
PATIENCE_S = 60.0


@dataclass
class Evidence:
    """Topics by name; mails by effect id; ledger documents; answered model calls by their hash."""

    records: dict[str, list[KafkaRecord]]
    mails: Counter[str] = field(default_factory=Counter)
    ledger: list[dict[str, Any]] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    most_calls: int = 0


@dataclass
class Verdict:
    """What is wrong, each as a list of names; and how it ended. `paid_again` and `parked` are no
    faults by themselves: a kill may cost each call and each mail that is in flight."""

    fates: Counter[str] = field(default_factory=Counter)
    unfinished: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)
    differing: list[str] = field(default_factory=list)
    forked: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)
    parked: int = 0
    paid: int = 0
    paid_again: int = 0

    @property
    def wrong(self) -> dict[str, int]:
        """Faults that no kill excuses, where there are any."""
        names = ("unfinished", "doubled", "unlisted", "differing", "forked", "disordered")
        return {name: len(found) for name in names if (found := getattr(self, name))}


def gather(mail_folder: Path, answers: Path) -> Evidence:
    """Read all of it, now; again where a broker that was killed is not itself yet."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return _gathered(mail_folder, answers)
        except KafkaError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _gathered(mail_folder: Path, answers: Path) -> Evidence:
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    there = partitions(servers)
    wanted = [t for t in (*OUTPUTS, DEAD_LETTERS) if t in there]
    records: dict[str, list[KafkaRecord]] = {topic: [] for topic in (*OUTPUTS, DEAD_LETTERS)}
    for record in read_all(servers, wanted) if wanted else ():
        records[record.topic].append(record)
    with client() as mongo:
        ledger = list(mongo[settings().mongodb_database]["ledger"].find())
    calls, most = _calls(answers)
    return Evidence(records, mails(mail_folder), ledger, calls, most)


def judge(fed: Sequence[str], evidence: Evidence, ends: Sequence[str] = ENDS) -> Verdict:
    """Follow every trace that was fed to its end: dead letters, mails' outcomes, or `ends`."""
    verdict = Verdict()
    known = set(fed)
    by_topic: dict[str, dict[str, list[KafkaRecord]]] = {}
    for topic, records in evidence.records.items():
        by_trace = by_topic.setdefault(topic, defaultdict(list))
        for record in records:
            if (trace := _trace(record)) in known:
                by_trace[trace].append(record)
    for trace in fed:
        fate = _fate(trace, by_topic, ends)
        verdict.fates[fate] += 1
        if fate == "unfinished":
            verdict.unfinished.append(trace)
        _one_of_each(trace, by_topic, verdict)
    _mail_by_mail(evidence, by_topic, verdict)
    verdict.parked = sum(entry["status"] == "parked" for entry in evidence.ledger)
    verdict.paid = evidence.calls.total()
    verdict.paid_again = sum(count - 1 for count in evidence.calls.values())
    _order(fed, by_topic, verdict)
    return verdict


def _fate(
    trace: str, by_topic: dict[str, dict[str, list[KafkaRecord]]], ends: Sequence[str]
) -> str:
    """Where a trace ended. A dead letter is an end; so is a mail's outcome, once each has one."""
    dead = by_topic[DEAD_LETTERS].get(trace, [])
    campaigns = by_topic["email_campaigns"].get(trace, ())
    if campaigns:
        wanted = len(_value(campaigns[0])["emails"])
        outcomes = {_value(r)["step"]: r for r in by_topic["sent_emails"].get(trace, ())}
        effects = {r.key for r in dead}
        if len(outcomes) + len(effects) < wanted:
            return "unfinished"
        statuses = {str(_value(r)["status"]) for r in outcomes.values()}
        return "parked" if "parked" in statuses else "mailed" if statuses else "dead"
    if any(by_topic[topic].get(trace) for topic in ends):
        return "ended without a mail"
    return "dead" if dead else "unfinished"


def _one_of_each(
    trace: str, by_topic: dict[str, dict[str, list[KafkaRecord]]], verdict: Verdict
) -> None:
    """A replay may write a record again; it must be the same, under the same id."""
    routes = sum(bool(by_topic[topic].get(trace)) for topic in ROUTES)
    if routes > 1:
        verdict.forked.append(f"{trace}: {routes} routes")
    for topic in OUTPUTS:
        records = by_topic[topic].get(trace, [])
        contents: dict[bytes, set[bytes]] = defaultdict(set)
        for record in records:
            contents[record.header("ce_id") or b""].add(record.value or b"")
        limit = 3 if topic == "sent_emails" else 1
        if len(contents) > limit:
            verdict.forked.append(f"{trace}: {len(contents)} ids on {topic}")
        if any(len(values) > 1 for values in contents.values()):
            verdict.differing.append(f"{trace} on {topic}")
        if len(records) > len(contents):
            verdict.repeated.append(f"{trace} on {topic}")


def _mail_by_mail(
    evidence: Evidence, by_topic: dict[str, dict[str, list[KafkaRecord]]], verdict: Verdict
) -> None:
    """No mail twice; each that lies in the sink is recorded or parked, and the other way round."""
    verdict.doubled = [effect for effect, count in evidence.mails.items() if count > 1]
    rows = [_value(r) for records in by_topic["sent_emails"].values() for r in records]
    sent = {row["effect_id"] for row in rows if row["status"] == "sent"}
    parked = {entry["_id"] for entry in evidence.ledger if entry["status"] == "parked"}
    verdict.unlisted = [*(sent - set(evidence.mails)), *(set(evidence.mails) - sent - parked)]


def _order(
    fed: Sequence[str], by_topic: dict[str, dict[str, list[KafkaRecord]]], verdict: Verdict
) -> None:
    """Events of one key leave the first job in the order in which they came."""
    place = {trace: number for number, trace in enumerate(fed)}
    firsts: dict[bytes, list[tuple[int, int]]] = defaultdict(list)
    for trace, records in by_topic["lead_ingestion_output"].items():
        first = min(records, key=lambda r: r.offset)
        firsts[first.key or b""].append((first.offset, place[trace]))
    for key, found in firsts.items():
        order = [number for _, number in sorted(found)]
        if order != sorted(order):
            verdict.disordered.append(key.decode())


def _trace(record: KafkaRecord) -> str:
    parts = (record.header("traceparent") or b"").split(b"-")
    return parts[1].decode() if len(parts) == 4 else ""


def _value(record: KafkaRecord) -> dict[str, Any]:
    return dict(json.loads(record.value or b"{}"))


def mails(folder: Path, header: str = "Message-ID") -> Counter[str]:
    """The mails of a sink's folder, by effect id or by another header."""
    found: Counter[str] = Counter()
    for path in folder.glob("*.eml"):
        message = email.message_from_bytes(path.read_bytes(), policy=email.policy.compat32)
        found[str(message[header]).strip("<>").partition("@")[0]] += 1
    return found


def _calls(answers: Path) -> tuple[Counter[str], int]:
    """Answered calls by what was asked, and how many were under way at once."""
    calls: Counter[str] = Counter()
    moments: list[tuple[float, int]] = []
    for line in answers.read_text().splitlines() if answers.exists() else ():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # the model was killed in the middle of the line
        if entry["status"] == 200:
            calls[entry["messages_sha256"]] += 1
        moments += [(entry["at"], 1), (entry["finished_at"], -1)]
    most = under_way = 0
    for _, change in sorted(moments):
        under_way += change
        most = max(most, under_way)
    return calls, most
