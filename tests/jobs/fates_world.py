"""Topics as facts for tests of the balance: what lies there, what jobs have read and hold."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from jobs.evidence import Fact, LetterName
from jobs.fates import Balance, Fate, Flow, Measured, balance
from udfs.core.events import child_id, trace_context

DEAD = "sdr_dead_letters"
WAY = Flow(
    frozenset({"incoming_leads"}),
    {
        "incoming_leads": "sdr.lead_ingestion",
        "lead_ingestion_output": "sdr.lead_scoring",
        "leads_to_activate": "sdr.active_outreach",
        "leads_to_nurture": "sdr.nurture_campaign",
        "email_campaigns": "sdr.send_email",
    },
    {"leads_disqualified": Fate.DISQUALIFIED, "sent_emails": Fate.MAILED},
    DEAD,
)


@dataclass
class Topics:
    """Records as facts; and what jobs have read and hold."""

    facts: list[Fact] = field(default_factory=list)
    committed: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    held: dict[str, int | None] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)
    discarded: set[LetterName] = field(default_factory=set)

    def put(
        self, topic: str, parent: Fact | None = None, /, *, says: Any = None, **fields: Any
    ) -> Fact:
        offset = sum(f.topic == topic for f in self.facts)
        name = fields.pop("lead", "lead-1")
        event_id = child_id(parent.event_id, topic) if parent else name
        made = Fact(
            topic=topic,
            partition=0,
            offset=offset,
            timestamp_ms=0,
            key=parent.key if parent else name,
            event_id=event_id,
            attempt=parent.attempt if parent else 1,
            trace_id=parent.trace_id if parent else trace_context({"ce_id": name.encode()})[0],
            source=parent.place if parent else "",
            says=says if says is not None else {} if parent else {"content": "a"},
        )
        self.facts.append(replace(made, **fields))
        return self.facts[-1]

    def die(self, parent: Fact, reason: str = "refusal", stage: str = "agent", **more: Any) -> Fact:
        says = {"reason": reason, "stage": stage, "job": WAY.readers[parent.topic], **more}
        return self.put(DEAD, parent, says=says)

    def campaign(self, emails: int, **fields: Any) -> Fact:
        """A new lead up to its campaign."""
        lead = self.put("incoming_leads", **fields)
        researched = self.put("lead_ingestion_output", lead)
        topic = "leads_to_activate" if emails == 1 else "leads_to_nurture"
        route = self.put(topic, researched)
        return self.put("email_campaigns", route, says={"emails": emails})

    def mail(self, campaign: Fact, step: int, status: str = "sent", **says: Any) -> Fact:
        return self.put("sent_emails", campaign, says={"status": status, "step": step, **says})

    def read(self, *topics: str, holds: int | None = 0) -> None:
        """The jobs of these topics have read and committed all that is there."""
        for topic in topics:
            job = WAY.readers[topic]
            end = sum(f.topic == topic for f in self.facts)
            self.committed.setdefault(job, {})[topic, 0] = end
            self.held[job] = holds

    def read_all(self) -> None:
        self.read(*WAY.readers)

    def balance(self) -> Balance:
        measured = Measured(self.committed, self.held, self.resolved, self.discarded)
        return balance(self.facts, WAY, measured)
