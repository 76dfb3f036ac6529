"""Whole teams at work by chance: each lead is in one place at all times, and a loss is found."""

from __future__ import annotations

import random

import pytest

from jobs.evidence import Fact
from jobs.fates import Fate
from tests.jobs.fates_world import WAY, Topics

NEXT = {
    "incoming_leads": "lead_ingestion_output",
    "leads_to_activate": "email_campaigns",
    "leads_to_nurture": "email_campaigns",
}


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
