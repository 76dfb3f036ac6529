"""What topics, offsets and operators say in, where every lead is out: each in exactly one place.

    leads in = mailed + nurturing + disqualified + opted out + parked + dead + discarded + in flight

A lead is a distinct record of an external topic. Its way is followed from place to place (see
`jobs.evidence`): an event on a topic that a job reads is *open* until something was made of it. An
open event is in flight where that is measured: it lies at or behind the offset that the job's group
has committed, or the job's operators say that they hold it. A lead with an open event of which
neither is true is nowhere, one with two fates is counted twice: both are listed, and unbalance.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

from jobs.evidence import CAMPAIGNS, EDITED_FROM, MAILS, Fact, LetterName
from jobs.team_topics import TeamTopics

Offsets = Mapping[tuple[str, int], int]


class Fate(StrEnum):
    """Where a lead is. DONE is the end of the ways of teams that send no mail. DEAD waits for a
    person; DISCARDED is one that a person has let go."""

    MAILED = "mailed"
    NURTURING = "nurturing"
    DISQUALIFIED = "disqualified"
    DONE = "done"
    OPTED_OUT = "opted out"
    PARKED = "parked"
    DEAD = "dead"
    DISCARDED = "discarded"
    IN_FLIGHT = "in flight"
    NOWHERE = "nowhere"
    TWICE = "counted twice"


# Where the mails of one lead came to different ends, the first of these is the lead's.
_MAIL_FATES = (Fate.PARKED, Fate.DEAD, Fate.OPTED_OUT, Fate.MAILED, Fate.DISCARDED)
_BY_STATUS = {
    "sent": Fate.MAILED,
    "duplicate": Fate.MAILED,
    "opted_out": Fate.OPTED_OUT,
    "parked": Fate.PARKED,
    "refused": Fate.DEAD,
    "failed": Fate.DEAD,
}


@dataclass(frozen=True)
class Flow:
    """The topics that decide: who reads each, and what it means to be where nobody reads."""

    external: frozenset[str]
    readers: Mapping[str, str]  # topic → job, each topic behind those that it is made from
    ends: Mapping[str, Fate]  # MAILS: its records say more
    dead_letters: str

    @property
    def topics(self) -> list[str]:
        """All of them, in an order in which no record comes before what it was made from."""
        return [*self.readers, *self.ends, self.dead_letters]


def flow(team: TeamTopics) -> Flow:
    """The way of a team's events, from its external topics to its ends."""
    read = {topic for topics in team.reads.values() for topic in topics}
    written = dict.fromkeys(topic for topics in team.writes.values() for topic in topics)
    ends = {topic: Fate.DONE for topic in written if topic not in read}
    if MAILS in ends:  # the other topics that nobody reads are copies for people to look at
        known = {MAILS: Fate.MAILED, "leads_disqualified": Fate.DISQUALIFIED}
        ends = {topic: known[topic] for topic in ends if topic in known}
    external = [topic.name for topic in team.external]
    readers = _readers(team, external, set(ends))
    return Flow(frozenset(external), readers, ends, team.dead_letters)


def _readers(team: TeamTopics, external: Sequence[str], ends: set[str]) -> dict[str, str]:
    """Topic → job for all that leads to an end, followed from the outside inwards."""
    leading: dict[str, str] = {}
    reached = set(ends)
    while True:
        found = {
            topic: job
            for job in team.jobs
            if reached & set(team.writes[job])
            for topic in team.reads[job]
        }
        if found.keys() == leading.keys():
            break
        leading, reached = found, reached | found.keys()
    ordered: dict[str, str] = {}
    following = list(external)
    while following:
        topic = following.pop(0)
        if topic in leading and topic not in ordered:
            ordered[topic] = leading[topic]
            following += team.writes[leading[topic]]
    return ordered


@dataclass(frozen=True)
class Measured:
    """What Kafka, Flink and the ledger say. `held` is how many events are in a job's operators:
    None where nobody can tell, because the job does not run."""

    committed: Mapping[str, Offsets]
    held: Mapping[str, int | None]
    resolved: Mapping[str, str] = field(default_factory=dict)  # parked effects: status, by a person
    discarded: AbstractSet[LetterName] = frozenset()  # dead letters, by the desk


@dataclass
class Event:
    """One event on a topic that a job reads; redelivered, it lies there more than once."""

    topic: str
    places: list[tuple[int, int]] = field(default_factory=list)
    emails: int = 0
    steps: set[object] = field(default_factory=set)  # of a campaign: mails that came to an end
    settled: bool = False
    failures: set[Fate] = field(default_factory=set)  # DEAD or DISCARDED, of each dead letter

    @property
    def missing(self) -> int:
        """How many answers of its job are still to come: one, or one for each mail."""
        if self.failures:
            return 0
        if self.topic == CAMPAIGNS:
            return max(self.emails, 1) - len(self.steps)
        return 0 if self.settled else 1


@dataclass
class Lead:
    """One lead and all that was seen of it."""

    key: str
    trace_id: str
    events: dict[tuple[str, str, int], Event] = field(default_factory=dict)  # topic, id, attempt
    mails: dict[tuple[str, object], Fact] = field(default_factory=dict)  # campaign, step
    ends: set[Fate] = field(default_factory=set)
    fate: Fate = Fate.NOWHERE
    because: str = ""
    by_another: bool = False  # mailed, but by another lead of the same person

    def live(self) -> list[Event]:
        """Events that no later attempt has replaced."""
        last: dict[tuple[str, str], int] = {}
        for topic, event_id, attempt in self.events:
            last[topic, event_id] = max(attempt, last.get((topic, event_id), 0))
        return [event for name, event in self.events.items() if last[name[:2]] == name[2]]


@dataclass(frozen=True)
class Balance:
    """The leads with their fates. `strays` are records that come from no lead that there is."""

    leads: Sequence[Lead]
    tombstones: int
    repeats: int
    strays: int
    waiting: int  # of those in flight: not yet read, or read since the last checkpoint

    @property
    def counts(self) -> Mapping[Fate, int]:
        return Counter(lead.fate for lead in self.leads)

    @property
    def wrong(self) -> list[Lead]:
        """Leads that are nowhere, or in two places."""
        return [lead for lead in self.leads if lead.fate in (Fate.NOWHERE, Fate.TWICE)]

    @property
    def by_another(self) -> int:
        return sum(lead.by_another for lead in self.leads)


def balance(found: Iterable[Fact], way: Flow, measured: Measured) -> Balance:
    """Where each lead is, from everything that lies on the topics of the flow."""
    ways = _Ways(way, measured.discarded)
    rank = {topic: at for at, topic in enumerate(way.topics)}
    for one in sorted(found, key=lambda f: (rank[f.topic], _edits(f), f.partition, f.offset)):
        ways.add(one)
    leads = list(ways.leads.values())
    inside: dict[str, list[tuple[Lead, int]]] = defaultdict(list)
    waiting = 0
    for lead in leads:
        open_events = _judge(lead, measured)
        read = [e for e in open_events if not _is_waiting(e, way, measured)]
        for event in read:
            inside[way.readers[event.topic]].append((lead, event.missing))
        waiting += lead.fate is Fate.IN_FLIGHT and not read
    for job, held in inside.items():
        _check_held(job, held, measured.held.get(job))
    return Balance(leads, ways.tombstones, ways.repeats, ways.strays, waiting)


def _edits(fact: Fact) -> int:
    """What a person edited comes behind what it was edited from, on whichever partition."""
    return fact.attempt if fact.says.get(EDITED_FROM) else 0


class _Ways:
    """Facts put together to leads."""

    def __init__(self, way: Flow, discarded: AbstractSet[LetterName]) -> None:
        self.way, self.jobs = way, set(way.readers.values())
        self._discarded = discarded
        self.leads: dict[tuple[str, str], Lead] = {}
        self.tombstones = self.repeats = self.strays = 0
        self._lead_at: dict[str, Lead] = {}
        self._event_at: dict[str, tuple[str, Event]] = {}
        self._by_trace: dict[str, list[Lead]] = defaultdict(list)

    def add(self, fact: Fact) -> None:
        """Take one fact; what it was made from comes before it."""
        if fact.topic in self.way.external:
            lead = self._came_in(fact)
        else:
            lead = None if fact.tombstone else self._made(fact)
        if lead is None:
            return
        if fact.topic in self.way.readers:
            name = (fact.topic, fact.event_id, fact.attempt)
            event = lead.events.setdefault(name, Event(fact.topic))
            event.places.append((fact.partition, fact.offset))
            event.emails = max(event.emails, fact.says.get("emails", 0))
            self._lead_at[fact.place] = lead
            self._event_at[fact.place] = (fact.event_id, event)
        elif fact.topic in self.way.ends and fact.topic != MAILS:
            lead.ends.add(self.way.ends[fact.topic])

    def _came_in(self, fact: Fact) -> Lead | None:
        if fact.tombstone:
            self.tombstones += 1
            return None
        name = (fact.event_id, fact.says.get("content", ""))
        lead = self._lead_at.get(fact.says.get(EDITED_FROM, "")) or self.leads.get(name)
        if lead is None:
            lead = self.leads[name] = Lead(fact.key, fact.trace_id)
            self._by_trace[fact.trace_id].append(lead)
        self.repeats += (fact.topic, fact.event_id, fact.attempt) in lead.events
        return lead

    def _made(self, fact: Fact) -> Lead | None:
        """The lead of what a job has made, and what that says of the event it was made from."""
        if fact.topic == self.way.dead_letters and fact.says["job"] not in self.jobs:
            return None
        lead = self._lead_at.get(fact.source) or self._likely(fact)
        if lead is None:
            self.strays += 1
            return None
        campaign, event = self._event_at.get(fact.source, ("", Event(fact.topic)))
        if "step" in fact.says:
            step = fact.says["step"]
            event.steps.add(step)
            _note_mail(lead, (campaign, step), fact)
        elif fact.topic == self.way.dead_letters:
            fate = _dead_fate(fact, self._discarded)
            event.failures.add(fate)
            if fact.source not in self._event_at:
                lead.ends.add(fate)
        else:
            event.settled = True
        return lead

    def _likely(self, fact: Fact) -> Lead | None:
        """The one lead of that trace, or of that trace and key, where a place is not known."""
        found = self._by_trace.get(fact.trace_id, [])
        if len(found) > 1:
            found = [lead for lead in found if lead.key == fact.key]
        return found[0] if len(found) == 1 else None


def _note_mail(lead: Lead, name: tuple[str, object], fact: Fact) -> None:
    """Keep what stands of a mail: the last attempt's word; of that, that it was sent."""
    known = lead.mails.get(name)
    rank = (fact.attempt, "status" in fact.says)
    if known is None or rank > (known.attempt, "status" in known.says):
        lead.mails[name] = fact


def _judge(lead: Lead, measured: Measured) -> list[Event]:
    """Set the lead's fate, as far as its own records tell; returns its open events."""
    live = lead.live()
    open_events = [event for event in live if event.missing > 0]
    fates = lead.ends.union(*(event.failures for event in live))
    if Fate.DEAD in fates:
        fates.discard(Fate.DISCARDED)
    mailed = {_mail_fate(mail, measured) for mail in lead.mails.values()}
    if open_events:
        campaigns = all(event.topic == CAMPAIGNS for event in open_events)
        fates |= {Fate.NURTURING if campaigns and lead.mails else Fate.IN_FLIGHT}
    else:
        fates |= {min(mailed, key=_MAIL_FATES.index)} if mailed else set()
    lead.fate = next(iter(fates)) if len(fates) == 1 else Fate.TWICE if fates else Fate.NOWHERE
    if len(fates) != 1:
        lead.because = " and ".join(sorted(fates)) or "what was made of it is not known"
    lead.by_another = lead.fate is Fate.MAILED and all(
        mail.says.get("status") == "duplicate" for mail in lead.mails.values()
    )
    return open_events


def _dead_fate(fact: Fact, discarded: AbstractSet[LetterName]) -> Fate:
    return Fate.DISCARDED if fact.letter in discarded else Fate.DEAD


def _mail_fate(mail: Fact, measured: Measured) -> Fate:
    if "reason" in mail.says and "status" not in mail.says:
        return _dead_fate(mail, measured.discarded)
    status = mail.says["status"]
    if status == "parked" or mail.says.get("reason") == "already_parked":
        status = measured.resolved.get(str(mail.says.get("effect_id")), "parked")
    return _BY_STATUS.get(status, Fate.PARKED)  # a word that we do not know is for a human


def _is_waiting(event: Event, way: Flow, measured: Measured) -> bool:
    """Whether its job has still to read it, or would read it again after a failure."""
    committed = measured.committed.get(way.readers[event.topic], {})
    return any(offset >= committed.get((event.topic, p), 0) for p, offset in event.places)


def _check_held(job: str, inside: Sequence[tuple[Lead, int]], held: int | None) -> None:
    """Leads whose event a job has read are in its operators, or they are nowhere."""
    entries = sum(missing for _, missing in inside)
    if held is not None and entries <= held:
        return
    because = (
        f"{job} has read it and does not run: nobody can tell what it holds"
        if held is None
        else f"{job} has read it, made nothing of it, and holds {held} of {entries} such events"
    )
    for lead, _ in inside:
        if lead.fate is not Fate.TWICE:
            lead.fate, lead.because = Fate.NOWHERE, because
