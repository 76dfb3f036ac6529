"""Every lead in exactly one place: by hand for each fate, and by chance for whole teams at work."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from jobs.evidence import Fact
from jobs.fates import Balance, Fate, Flow, Measured, balance, flow
from jobs.team_topics import team_topics
from udfs.core.events import child_id, trace_id

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
NEXT = {
    "incoming_leads": "lead_ingestion_output",
    "leads_to_activate": "email_campaigns",
    "leads_to_nurture": "email_campaigns",
}


@dataclass
class Topics:
    """Records as facts; and what jobs have read and hold."""

    facts: list[Fact] = field(default_factory=list)
    committed: dict[str, dict[tuple[str, int], int]] = field(default_factory=dict)
    held: dict[str, int | None] = field(default_factory=dict)
    resolved: dict[str, str] = field(default_factory=dict)

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
            trace_id=parent.trace_id if parent else trace_id(name),
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
        return balance(self.facts, WAY, Measured(self.committed, self.held, self.resolved))


@pytest.fixture
def topics() -> Topics:
    return Topics()


def counts(found: Balance) -> Mapping[str, int]:
    return {str(fate): count for fate, count in found.counts.items() if count}


def test_the_flow_is_read_from_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    found = flow(team_topics("sdr"))
    assert (found.external, found.dead_letters) == (WAY.external, WAY.dead_letters)
    assert dict(found.readers) == dict(WAY.readers)
    assert dict(found.ends) == dict(WAY.ends)


@pytest.mark.parametrize(
    ("statuses", "fate"),
    [
        (["sent"], Fate.MAILED),
        (["sent", "sent", "sent"], Fate.MAILED),
        (["opted_out"], Fate.OPTED_OUT),
        (["sent", "opted_out", "opted_out"], Fate.OPTED_OUT),
        (["parked"], Fate.PARKED),
        (["sent", "parked", "sent"], Fate.PARKED),
        (["duplicate"], Fate.MAILED),
    ],
)
def test_a_lead_whose_mails_came_to_an_end(topics: Topics, statuses: list[str], fate: Fate) -> None:
    campaign = topics.campaign(len(statuses))
    for step, status in enumerate(statuses, 1):
        topics.mail(campaign, step, status)
    topics.read_all()
    assert counts(topics.balance()) == {fate: 1}


def test_the_second_lead_of_a_person_is_mailed_by_the_first(topics: Topics) -> None:
    topics.mail(topics.campaign(1), 1)
    topics.mail(topics.campaign(1, lead="lead-2"), 1, "duplicate", reason="already_mailed")
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"mailed": 2} and found.by_another == 1


def test_a_parked_mail_that_a_human_decided_is_no_longer_parked(topics: Topics) -> None:
    topics.mail(topics.campaign(1), 1, "parked", effect_id="e1")
    topics.mail(topics.campaign(1, lead="lead-2"), 1, "parked", effect_id="e2")
    other = topics.campaign(1, lead="lead-3")
    topics.mail(other, 1, "duplicate", reason="already_parked", effect_id="e3")
    topics.read_all()
    assert counts(topics.balance()) == {"parked": 3}
    topics.resolved = {"e1": "sent", "e2": "failed"}
    assert counts(topics.balance()) == {"mailed": 1, "dead": 1, "parked": 1}


def test_a_campaign_with_mails_to_come_is_nurturing_while_its_operator_holds_them(
    topics: Topics,
) -> None:
    topics.mail(topics.campaign(3), 1)
    topics.read_all()
    topics.held["sdr.send_email"] = 2
    assert counts(topics.balance()) == {"nurturing": 1}
    topics.held["sdr.send_email"] = 1
    found = topics.balance()
    assert counts(found) == {"nowhere": 1}
    assert "holds 1 of 2" in found.wrong[0].because


def test_a_campaign_whose_first_mail_is_to_come_is_in_flight(topics: Topics) -> None:
    topics.campaign(3)
    topics.read_all()
    topics.held["sdr.send_email"] = 3
    assert counts(topics.balance()) == {"in flight": 1}


def test_a_campaign_without_mails_ends_in_one_dead_letter(topics: Topics) -> None:
    campaign = topics.campaign(0)
    topics.die(campaign, "invalid_address", "effect", step=None)
    topics.read_all()
    assert counts(topics.balance()) == {"dead": 1}


def test_a_lead_that_is_not_yet_read_is_in_flight_and_waits(topics: Topics) -> None:
    topics.put("incoming_leads")
    found = topics.balance()
    assert counts(found) == {"in flight": 1} and found.waiting == 1


def test_a_lead_that_an_operator_holds_is_in_flight_and_does_not_wait(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.read("incoming_leads", holds=1)
    found = topics.balance()
    assert counts(found) == {"in flight": 1} and found.waiting == 0


def test_a_lead_that_was_read_and_that_nobody_holds_is_nowhere(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.read("incoming_leads", holds=0)
    found = topics.balance()
    assert [lead.key for lead in found.wrong] == ["lead-1"]
    assert "sdr.lead_ingestion has read it" in found.wrong[0].because


def test_what_a_stopped_job_holds_is_not_guessed(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.read("incoming_leads", holds=None)
    found = topics.balance()
    assert counts(found) == {"nowhere": 1}
    assert "does not run" in found.wrong[0].because


def test_a_stopped_job_that_has_read_nothing_is_no_trouble(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.held["sdr.lead_ingestion"] = None
    assert counts(topics.balance()) == {"in flight": 1}


def test_a_lead_with_a_dead_letter_and_a_result_is_counted_twice(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.die(lead)
    researched = topics.put("lead_ingestion_output", lead)
    topics.put("leads_disqualified", researched)
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"counted twice": 1}
    assert found.wrong[0].because == "dead and disqualified"


def test_a_lead_on_two_routes_that_both_end_well_is_told(topics: Topics) -> None:
    researched = topics.put("lead_ingestion_output", topics.put("incoming_leads"))
    topics.put("leads_disqualified", researched)
    topics.mail(
        topics.put(
            "email_campaigns", topics.put("leads_to_activate", researched), says={"emails": 1}
        ),
        1,
    )
    topics.read_all()
    assert counts(topics.balance()) == {"counted twice": 1}


def test_a_record_that_came_twice_is_one_lead_and_a_repeat(topics: Topics) -> None:
    first = topics.put("incoming_leads")
    topics.put("incoming_leads")
    topics.put("leads_disqualified", topics.put("lead_ingestion_output", first))
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"disqualified": 1} and found.repeats == 1


def test_other_content_under_the_same_id_is_a_lead_of_its_own(topics: Topics) -> None:
    first = topics.put("incoming_leads")
    second = topics.put("incoming_leads", says={"content": "other"})
    topics.put("leads_disqualified", topics.put("lead_ingestion_output", first))
    topics.die(second, "id_conflict")
    topics.read_all()
    assert counts(topics.balance()) == {"disqualified": 1, "dead": 1}


def test_a_redelivered_event_is_settled_by_either_of_its_places(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.put("lead_ingestion_output", lead)
    again = topics.put("lead_ingestion_output", lead)
    topics.put("leads_disqualified", again)
    topics.read_all()
    assert counts(topics.balance()) == {"disqualified": 1}


def test_tombstones_are_counted_apart(topics: Topics) -> None:
    topics.put("incoming_leads", tombstone=True)
    found = topics.balance()
    assert counts(found) == {} and found.tombstones == 1


def test_a_lead_that_was_driven_again_is_where_its_last_attempt_is(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.die(lead)
    topics.read_all()
    assert counts(topics.balance()) == {"dead": 1}
    again = topics.put("incoming_leads", attempt=2)
    assert counts(topics.balance()) == {"in flight": 1}
    topics.put("leads_disqualified", topics.put("lead_ingestion_output", again))
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"disqualified": 1} and found.repeats == 0


def test_a_campaign_that_was_driven_again_ends_with_its_second_mails(topics: Topics) -> None:
    campaign = topics.campaign(2)
    topics.mail(campaign, 1)
    topics.die(campaign, "rejected", "effect", step=2)
    topics.read_all()
    assert counts(topics.balance()) == {"dead": 1}
    again = topics.put(
        "email_campaigns",
        topics.facts[2],
        says={"emails": 2},
        event_id=campaign.event_id,
        attempt=2,
    )
    assert counts(topics.balance()) == {"nurturing": 1}
    topics.mail(again, 1)
    topics.mail(again, 2)
    topics.read_all()
    assert counts(topics.balance()) == {"mailed": 1}


def test_a_dead_letter_whose_record_is_gone_is_known_by_trace_and_key(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.put("incoming_leads", lead="lead-2", trace_id=lead.trace_id, says={"content": "b"})
    gone = replace(lead, topic="lead_ingestion_output", offset=77)
    says = {"reason": "refusal", "stage": "script", "job": "sdr.lead_scoring"}
    topics.put(DEAD, gone, says=says)
    topics.put(DEAD, replace(gone, key="nobody", trace_id="f" * 32), says=says)
    topics.put("lead_ingestion_output", lead)
    topics.read("incoming_leads", holds=1)
    found = topics.balance()
    assert found.strays == 1
    assert {lead.key: str(lead.fate) for lead in found.leads} == {
        "lead-1": "counted twice",  # its way goes on, and something of it died
        "lead-2": "in flight",
    }


def test_dead_letters_of_jobs_beside_the_way_are_not_the_leads(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    says = {"reason": "refusal", "stage": "agent", "job": "sdr.statistics"}
    topics.put(DEAD, lead, says=says)
    assert counts(topics.balance()) == {"in flight": 1}


# --- whole teams at work


class Team:
    """Jobs that read, hold, answer, die and redeliver as chance has it, and lose nothing."""

    def __init__(self, chance: random.Random) -> None:
        self.chance, self.topics = chance, Topics()
        self.position = dict.fromkeys(WAY.readers, 0)
        self.holding: dict[str, list[tuple[Fact, int]]] = {topic: [] for topic in WAY.readers}
        self.expected: dict[str, str] = {}
        self.done: set[tuple[str, str, int, int]] = set()

    def leads(self, number: int) -> None:
        for n in range(number):
            name = f"lead-{n}"
            for _ in range(self.chance.choice((1, 1, 1, 2))):
                self.topics.put("incoming_leads", lead=name)

    def step(self) -> None:
        topic = self.chance.choice(list(WAY.readers))
        if self.chance.random() < 0.5:
            self.read(topic)
        else:
            self.answer(topic)

    def read(self, topic: str) -> None:
        there = [f for f in self.topics.facts if f.topic == topic]
        for one in there[self.position[topic] : self.position[topic] + self.chance.randint(1, 5)]:
            self.position[topic] += 1
            for part in range(max(one.says.get("emails", 1), 1)):
                name = (topic, one.event_id, one.attempt, part)
                if name not in self.done:
                    self.done.add(name)
                    self.holding[topic].append((one, part))
        job = WAY.readers[topic]
        behind = self.chance.choice((0, 0, 2))  # the last checkpoint was a little earlier
        committed = self.topics.committed.setdefault(job, {}).get((topic, 0), 0)
        known = max(committed, self.position[topic] - behind)
        self.topics.committed[job][topic, 0] = known
        self.measure(topic)

    def measure(self, topic: str) -> None:
        self.topics.held[WAY.readers[topic]] = len(self.holding[topic])

    def answer(self, topic: str) -> None:
        held = self.holding[topic]
        if not held:
            return
        one, part = held.pop(self.chance.randrange(len(held)))
        self.measure(topic)
        for _ in range(self.chance.choice((1, 1, 1, 2))):  # at least once
            state = self.chance.getstate()
            self.chance.seed(f"{one.event_id}{part}")  # journaled: the same answer again
            self.made(one, part)
            self.chance.setstate(state)

    def made(self, one: Fact, part: int) -> None:
        topic, roll = one.topic, self.chance.random()
        if topic == "email_campaigns":
            status = self.chance.choice(("sent", "sent", "opted_out", "parked", "dead"))
            if status == "dead":
                self.topics.die(one, "rejected", "effect", step=part + 1)
            else:
                self.topics.mail(one, part + 1, status)
        elif roll < 0.1:
            self.topics.die(one)
        elif topic == "lead_ingestion_output":
            routes = ("leads_to_activate", "leads_to_nurture", "leads_disqualified")
            self.topics.put(self.chance.choice(routes), one)
        else:
            emails = 1 if topic == "leads_to_activate" else 3
            says = {"emails": emails} if NEXT[topic] == "email_campaigns" else {}
            self.topics.put(NEXT[topic], one, says=says)


@pytest.mark.parametrize("seed", range(40))
def test_a_team_at_work_balances_at_every_moment(seed: int) -> None:
    team = Team(random.Random(seed))
    team.leads(12)
    for _ in range(300):
        team.step()
        if team.chance.random() < 0.1:
            found = team.topics.balance()
            assert not found.wrong, [(lead.key, lead.because) for lead in found.wrong]
            assert sum(found.counts.values()) == 12 and found.strays == 0


@pytest.mark.parametrize("seed", range(40))
def test_a_record_that_a_job_lost_is_found(seed: int) -> None:
    team = Team(random.Random(seed))
    team.leads(12)
    for _ in range(2000):
        team.step()
    for topic in WAY.readers:
        while team.position[topic] < sum(f.topic == topic for f in team.topics.facts):
            team.read(topic)
        while team.holding[topic]:
            team.answer(topic)
    team.topics.read_all()
    whole = team.topics.balance()
    assert not whole.wrong and not whole.counts[Fate.IN_FLIGHT]
    made = [f for f in team.topics.facts if f.topic not in WAY.external]
    victim = team.chance.choice(made)
    lost = {f.place for f in made if _logical(f) == _logical(victim)}
    while more := {f.place for f in made if f.source in lost} - lost:
        lost |= more
    team.topics.facts = [f for f in team.topics.facts if f.place not in lost]
    assert [lead.key for lead in team.topics.balance().wrong] == [victim.key]


def _logical(one: Fact) -> tuple[str, str, str]:
    """What is the same for all deliveries of one event."""
    return one.topic, one.event_id, repr(one.says)
