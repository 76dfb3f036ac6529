"""A team that mails, for a test: campaigns and mails on topics, its worker, a mail sink, a desk."""

from __future__ import annotations

import asyncio
import email
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from connectors.clock import SystemClock
from connectors.kafka import KafkaRecord, NewRecord
from connectors.ledger import MongoLedger, new_owner
from connectors.mongodb import async_client
from connectors.settings import settings
from connectors.smtp import SmtpSender
from deploy.mail_sink import MailSink
from jobs import evidence, fates
from jobs.balance import Watch
from jobs.evidence import flat_headers
from jobs.parked import app
from jobs.parked_mails import ask_ledger
from tests.jobs.desk_world import TABLES, World, new_world
from udfs.core import events
from udfs.core.effect import Intent, Outcome
from udfs.core.outbox import Outbox

MAIL_TABLES = """
CREATE TABLE {team}_campaigns (
  lead_id STRING,
  emails ARRAY<ROW<`to` STRING, subject STRING, body STRING>> NOT NULL,
  headers MAP<STRING, BYTES> METADATA
) COMMENT 'external: a test' WITH ('topic' = '{team}_campaigns') LIKE kafka_topic;
CREATE TABLE {team}_mails (
  lead_id STRING, effect_id STRING, step INT, `to` STRING, subject STRING, status STRING,
  reason STRING, headers MAP<STRING, BYTES> METADATA
) WITH ('topic' = '{team}_mails') LIKE kafka_topic;
"""
SCRIPT = """
INSERT INTO {team}_mails
SELECT lead_id, lead_id AS effect_id, 1 AS step, lead_id AS `to`, lead_id AS subject,
  lead_id AS status, lead_id AS reason, headers
FROM {team}_campaigns;
"""


@dataclass
class MailWorld:
    """Campaigns come in, `work` is what the job that mails does with them, `desk` a person."""

    world: World
    sink: MailSink
    done: set[tuple[str, int]] = field(default_factory=set)

    @property
    def team(self) -> str:
        return self.world.team.team

    @property
    def campaigns(self) -> list[KafkaRecord]:
        return self.world.records(f"{self.team}_campaigns")

    def campaign(self, key: str, *recipients: str, **mail: str) -> None:
        """An event that wants a mail to each of these."""
        common = {"subject": f"Your pilot, {key}", "body": "Shall we talk?\n"} | mail
        value = json.dumps({"emails": [{"to": to, **common} for to in recipients]}, indent=1)
        self.world.put(
            NewRecord(f"{self.team}_campaigns", key.encode(), value.encode(), (("x", b"1"),))
        )

    def work(self, *faults: str) -> list[Outcome]:
        """Deliver what has come, each attempt of an event once; the server makes these faults."""
        self.sink.misbehave(*faults)
        return asyncio.run(self._work())

    def parked_one(self) -> str:
        """The id of a mail that the server never answered for."""
        self.campaign("lead-1", "ada@acme.example")
        self.work("crash")
        (id_,) = self.ids()
        return id_

    async def _work(self) -> list[Outcome]:
        sender = SmtpSender(self.sink.url, settings().mail_from)
        outcomes = []
        async with async_client() as mongodb:
            ledger = MongoLedger(mongodb[settings().mongodb_database])
            await ledger.prepare()
            outbox = Outbox(ledger, sender, SystemClock(), new_owner(self.world.team.jobs[0]))
            for record in self.campaigns:
                headers = events.identified(
                    flat_headers(record),
                    topic=record.topic,
                    key=record.key,
                    value=record.value,
                    time="",
                )
                name = (headers["ce_id"].decode(), events.attempt(headers))
                if name not in self.done:
                    self.done.add(name)
                    outcomes += await self._deliver(outbox, record, headers)
        await sender.aclose()
        return outcomes

    async def _deliver(
        self, outbox: Outbox, record: KafkaRecord, headers: Mapping[str, bytes]
    ) -> list[Outcome]:
        outcomes = []
        for step, mail in enumerate(json.loads(record.value or b"")["emails"], 1):
            child = events.child_headers(headers, "send_email", step)
            wanted = Intent(
                job=self.world.team.jobs[0],
                effect_key=f"{mail['to']}|{step}",
                event_id=child["ce_id"].decode(),
                key=(record.key or b"").decode(),
                attempt=events.attempt(child),
                **mail,
            )
            outcome = await outbox.deliver(wanted)
            outcomes.append(outcome)
            value = {
                "effect_id": outcome.effect_id,
                "step": step,
                "to": mail["to"],
                "subject": mail["subject"],
                "status": outcome.status,
                "reason": outcome.reason,
            }
            told = events.child_headers(child, f"{self.world.team.jobs[0]}.handled_emails")
            told["source"] = record.place.encode()
            made = (record.key, json.dumps(value).encode(), tuple(told.items()))
            self.world.put(NewRecord(f"{self.team}_mails", *made))
        return outcomes

    def desk(self, *words: str) -> str:
        return self.world.command(self.team, *words).output

    def rows(self) -> list[list[str]]:
        """The list's lines, as a script reads them."""
        return [line.split("\t") for line in self.desk("list").splitlines() if "\t" in line]

    def ids(self) -> list[str]:
        return [row[0] for row in self.rows()]

    def mails(self) -> list[int]:
        """How often each Message-ID lies in the sink."""
        read = (email.message_from_bytes(file.read_bytes()) for file in self.sink.messages)
        return sorted(Counter(str(message["Message-ID"]) for message in read).values())

    def fates(self) -> dict[str, int]:
        """Where the leads are."""
        found = Watch(self.world.team).look()
        assert not found.wrong, [(lead.key, lead.because) for lead in found.wrong]
        return {str(fate): count for fate, count in found.counts.items() if count}

    def entries(self) -> list[dict[str, Any]]:
        """The ledger's."""
        return ask_ledger(lambda ledger: ledger.beginning_with(self.team, "", 99))


def new_mail_world(
    folder: Path, servers: str, monkeypatch: pytest.MonkeyPatch, sink: MailSink
) -> MailWorld:
    files = {
        "tables.sql": TABLES.format(team="{team}") + MAIL_TABLES,
        "report.sql": SCRIPT,
    }
    world = new_world(folder, servers, monkeypatch, app, files)
    monkeypatch.delenv("FLINK_REST_URL", raising=False)
    for module in (evidence, fates):  # what they are called in a team that nobody else has
        monkeypatch.setattr(module, "CAMPAIGNS", f"{world.team.team}_campaigns")
        monkeypatch.setattr(module, "MAILS", f"{world.team.team}_mails")
    return MailWorld(world, sink)
