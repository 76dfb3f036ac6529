"""Events, spans, calls and mails of some traces in, one tree for each lead out.

An event hangs below the run that made it, or below the event that it was made from; a run below the
event that it took up. Which is which is told by places, ids and attempts; only calls of a run that
had several attempts are told apart by their time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from connectors.kafka import KafkaRecord
from jobs.evidence import Fact, fact, flat_headers
from jobs.team_topics import TeamTopics
from udfs.core import events

Span = Mapping[str, Any]


@dataclass
class Node:
    """A line of the tree. `kind` is event, run, call, dead, mail or error."""

    kind: str
    label: str
    facts: str = ""
    at_ms: int = 0
    children: list["Node"] = field(default_factory=list)


@dataclass
class Event:
    """One event, wherever and however often it lies on its topic."""

    fact: Fact
    span_id: str
    places: set[str] = field(default_factory=set)
    says: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Found:
    """Everything that is known of some traces."""

    events: dict[tuple[object, ...], Event] = field(default_factory=dict)
    spans: dict[tuple[str, int], Span] = field(default_factory=dict)  # by id and attempt
    calls: Sequence[Mapping[str, Any]] = ()
    files: Mapping[str, Path] = field(default_factory=dict)  # effect id → mail
    external: set[str] = field(default_factory=set)
    readers: dict[str, set[str]] = field(default_factory=dict)  # topic → jobs

    @property
    def trace_ids(self) -> list[str]:
        return sorted({event.fact.trace_id for event in self.events.values()})

    @property
    def effect_ids(self) -> set[str]:
        ids = (event.says.get("effect_id") for event in self.events.values())
        return {str(effect_id) for effect_id in ids if effect_id}

    def add_event(self, record: KafkaRecord, team: TeamTopics, traces: set[str]) -> None:
        """Take a record, if it belongs to one of these traces."""
        outside = next((t for t in team.external if t.name == record.topic), None)
        one = fact(record, team, outside)
        if one.trace_id not in traces or one.tombstone:
            return
        if outside:
            self.external.add(one.topic)
        self.readers[one.topic] = {job for job, read in team.reads.items() if one.topic in read}
        name = (
            one.topic,
            one.event_id,
            one.attempt,
            one.says.get("reason", ""),
            one.says.get("step"),
        )
        headers = flat_headers(record)
        known = self.events.setdefault(name, Event(one, events.trace_context(headers)[1]))
        known.places.add(one.place)
        known.says = one.says

    def add_span(self, span: Span) -> None:
        """Take a span; of one that a replay wrote again, the one that made the call."""
        name = (str(span.get("span_id")), _attempt(span))
        replayed = (span.get("attributes") or {}).get("journal") == "hit"
        if name not in self.spans or not replayed:
            self.spans[name] = span


def trees(found: Found) -> list[Node]:
    """One tree for each event that was made from none of the others, the oldest first."""
    return _Builder(found).trees()


class _Builder:
    def __init__(self, found: Found) -> None:
        self.found = found
        self.at = {place: event for event in found.events.values() for place in event.places}
        self.made: dict[int, list[Event]] = {}
        self.roots: list[Event] = []
        died = {
            _name(self.at[event.fact.source]): event
            for event in found.events.values()
            if "stage" in event.says and event.fact.source in self.at
        }
        for event in found.events.values():
            topic, event_id, attempt = _name(event)
            again = died.get((topic, event_id, attempt - 1))  # what drove it
            parent = again or self.at.get(event.fact.source)
            if parent is None or parent is event:
                self.roots.append(event)
            else:
                self.made.setdefault(id(parent), []).append(event)
        runs = [s for s in found.spans.values() if s.get("kind") in ("run", "effect")]
        self.runs = sorted(runs, key=_started_ms)
        self.calls: dict[int, list[Span]] = {}  # by id() of their run
        for span in sorted(found.spans.values(), key=_started_ms):
            own = [r for r in self.runs if r.get("span_id") == span.get("parent_span_id")]
            begun = [r for r in own if _started_ms(r) <= _started_ms(span)] or own
            if begun and span not in self.runs:
                self.calls.setdefault(id(begun[-1]), []).append(span)

    def trees(self) -> list[Node]:
        self.roots.sort(key=lambda e: e.fact.timestamp_ms)
        trees = [self._event(event, event.fact.timestamp_ms) for event in self.roots]
        if self.runs and trees:  # of events that retention has taken
            trees[-1].children += [self._run(span, []) for span in self.runs]
        return trees

    def _event(self, event: Event, started_ms: int) -> Node:
        node = event_node(event, started_ms, self.found)
        made = sorted(self.made.get(id(event), []), key=lambda e: e.fact.timestamp_ms)
        runs = self._runs(event, made)
        for span in runs:
            own = [e for e in made if _is_of(e, span)]
            made = [e for e in made if e not in own]
            node.children.append(self._run(span, [self._event(e, started_ms) for e in own]))
        node.children += self._journaled(event, runs)
        node.children += [self._event(e, started_ms) for e in made]
        return node

    def _runs(self, event: Event, made: Sequence[Event]) -> list[Span]:
        """Runs that took up this event, or that stand between it and what was made from it."""
        runs = [
            span
            for span in self.runs
            if span.get("job") in self.found.readers.get(event.fact.topic, ())
            and _attempt(span) in (0, event.fact.attempt)
            and (span.get("event_id") == event.fact.event_id or any(_is_of(e, span) for e in made))
        ]
        self.runs = [span for span in self.runs if span not in runs]
        return runs

    def _run(self, span: Span, made: list[Node]) -> Node:
        node = span_node(span)
        node.children += [span_node(call) for call in self.calls.get(id(span), ())] + made
        return node

    def _journaled(self, event: Event, runs: Sequence[Span]) -> list[Node]:
        """Calls that the journal knows and no span tells of: AI_COMPLETE's."""
        agents = {span.get("agent") for span in runs}
        return [
            call_node(call)
            for call in self.found.calls
            if self.found.readers.get(event.fact.topic)
            and call["event_id"] == event.fact.event_id
            and call["attempt"] == event.fact.attempt
            and call["agent"] not in agents
        ]


def _name(event: Event) -> tuple[str, str, int]:
    return event.fact.topic, event.fact.event_id, event.fact.attempt


def _is_of(event: Event, span: Span) -> bool:
    """Whether this run made that event: its traceparent names the run; a dead letter has its id."""
    if _attempt(span) not in (0, event.fact.attempt):
        return False
    if "stage" in event.says:
        return bool(span.get("event_id") == event.fact.event_id)
    return event.span_id == span.get("span_id")


def _attempt(span: Span) -> int:
    """The attempt of a run; 0 where the span does not say."""
    attempt = str((span.get("attributes") or {}).get("tidemill.attempt"))
    return int(attempt) if attempt.isdecimal() else 0


def _started_ms(span: Span) -> int:
    return int(span.get("started_at") or 0)


def event_node(event: Event, started_ms: int, found: Found) -> Node:
    """An event as a line: topic, key and place, or what a mail or a dead letter says."""
    one, says = event.fact, event.says
    times = f" ×{len(event.places)}" if len(event.places) > 1 else ""
    after = (
        f"+{(one.timestamp_ms - started_ms) / 1000:.1f} s" if one.timestamp_ms > started_ms else ""
    )
    attempt = f"attempt {one.attempt}" if one.attempt > 1 else ""
    place = f"{one.partition}/{one.offset}{times}"
    if "stage" in says:
        label = f"✗ dead letter: {says['reason']} ({says['message']})"
        return Node(
            "dead",
            label,
            _joined(f"stage {says['stage']}", attempt, place, after),
            one.timestamp_ms,
        )
    if "status" in says:
        step = f"mail {says['step']}" if says.get("step") else "mail"
        reason = f" ({says['reason']})" if says.get("reason") else ""
        file = found.files.get(str(says.get("effect_id")))
        facts = _joined(attempt, place, after, str(file) if file else "")
        return Node("mail", f"{step}: {says['status']}{reason}", facts, one.timestamp_ms)
    label = f"{one.topic}  {one.key}" if one.topic in found.external else one.topic
    identity = f"trace {one.trace_id}" if one.topic in found.external else ""
    emails = f"{says['emails']} e-mails" if "emails" in says else ""
    return Node("event", label, _joined(emails, attempt, place, after, identity), one.timestamp_ms)


def span_node(span: Span) -> Node:
    """A run, a model call, a tool call or an effect as a line."""
    attributes: Mapping[str, Any] = span.get("attributes") or {}
    failed = span.get("status") == "error"
    kind = "error" if failed else "run" if span.get("kind") in ("run", "effect") else "call"
    name = {
        "run": f"{span.get('job')}: {span.get('agent')}",
        "effect": f"{span.get('job')}: {span.get('name')}",
        "model_call": f"model {attributes.get('gen_ai.request.model', '')}".removesuffix("default"),
        "tool_call": f"tool {attributes.get('tool.name', '')}",
    }.get(str(span.get("kind")), str(span.get("name")))
    facts = _joined(
        f"{int(span.get('duration_ms') or 0)} ms",
        _tokens(
            attributes.get("gen_ai.usage.input_tokens"),
            attributes.get("gen_ai.usage.output_tokens"),
        ),
        {"hit": "from the journal", "differs": "from the journal, other arguments"}.get(
            str(attributes.get("journal")), ""
        ),
        f"failed: {span['reason']}" if failed and span.get("reason") else "",
    )
    return Node(kind, name.strip(), facts, _started_ms(span))


def call_node(call: Mapping[str, Any]) -> Node:
    """A journaled call as a line."""
    usage: Mapping[str, Any] = call.get("usage") or {}
    facts = _joined(
        f"{call['duration_ms']} ms",
        _tokens(usage.get("input_tokens"), usage.get("output_tokens")),
        "as the journal has it",
    )
    name = "" if call["kind"] == "model" else call["name"]
    label = f"{call['agent']}: {call['kind']} {name}".strip()
    return Node("run", label, facts, int(call["started_at"]))


def _tokens(given: Any, written: Any) -> str:
    return f"{given or 0} + {written or 0} tokens" if given or written else ""


def _joined(*parts: str) -> str:
    return ", ".join(part for part in parts if part)
