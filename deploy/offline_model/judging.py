"""A reading in; labels, scores and yes/no decisions out, each from the rubric and the evidence.

A label is as good as its criteria are supported by the data. A score is how much speaks for what is
judged and how little against it, or what the rubric's bands and points say. Where a rubric ties the
two ("70 or more: engage"), they agree.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from deploy.offline_model.evidence import Evidence
from deploy.offline_model.lexicon import ideas_of, units
from deploy.offline_model.reading import Reading
from deploy.offline_model.rubric import Clause, Criterion, criterion, is_rest_label, label_criteria
from deploy.offline_model.scales import Points, bands, points
from deploy.offline_model.text import sentences, stem, stems, weight, words

_PLACES: dict[str, float] = {
    stem(word): place
    for place, listed in {
        0.02: (
            "disqualify disqualified reject rejected decline deny denied discard drop spam "
            "worst cold unqualified ignore fail failed sell avoid terrible trivial "
            "informational info p5 sev5 never"
        ),
        0.15: "low minor poor weak p4 sev4 negative unlikely small bad cosmetic slow backlog",
        0.3: "below fair nurture p3 maybe waitlist monitor watch hold wait lukewarm later",
        0.5: (
            "medium moderate normal average neutral mixed warm review partial investigate "
            "further conditional caution standard sev3 mid uncertain"
        ),
        0.75: "good above major elevated sev2 p2 likely interested important",
        0.85: (
            "high strong positive hot large urgent engage pursue accept approve approved "
            "qualified qualify pass hire buy invest advance proceed contact"
        ),
        1.0: (
            "critical severe excellent blocker sev1 p1 p0 highest best emergency extreme "
            "outstanding perfect certain immediate"
        ),
    }.items()
    for word in listed.split()
}
NEXT_TO_NOTHING = 10
CERTAIN = 0.6
_GRAVE = re.compile(
    r"severity|urgen|priorit|risk|impact|threat|danger|critical|grav|alarm|escalat"
    r"|triage|emergenc|incident",
    re.I,
)
_RANKS_DOWN = re.compile(
    r"\b1 (?:is|=|means|being|for)? ?(?:the )?(?:most|highest|worst|top|best|critical"
    r"|severe)|1 \((?:highest|most|critical)|"
    r"(?:lower|smaller) (?:number |value )?(?:is|means) (?:more|better|higher)",
    re.I,
)
_SENTIMENT = re.compile(r"sentiment|mood|tone|emotion|satisf|attitude", re.I)
_APPROVAL = frozenset(
    stem(w)
    for w in (
        "qualified fit suitable approved approve promising good eligible recommended "
        "worth hire engage viable pursue proceed positive"
    ).split()
)
_ESCALATION = frozenset(
    stem(w) for w in ("escalate escalation urgent page alarm alert critical emergency").split()
)


@dataclass
class Choice:
    label: str
    supports: dict[str, float]
    margin: float


@dataclass
class Judge:
    """Weighs one reading. `lines` are where its rubric stands."""

    reading: Reading
    lines: list[str] = field(init=False)
    evidence: Evidence = field(init=False)

    def __post_init__(self) -> None:
        self.evidence = self.reading.evidence
        self.lines = [*self.reading.instructions, *self.reading.background]

    def criteria(
        self, labels: Sequence[str], description: str, told: Mapping[str, str]
    ) -> dict[str, list[Criterion]]:
        """Criteria of each label, from the instructions, the property and the labels' own words."""
        found = label_criteria(labels, [*self.lines, *sentences(description)])
        for label, text in told.items():
            found[label].append(criterion(text))
        return found

    def choose(
        self,
        labels: Sequence[str],
        name: str,
        description: str,
        told: Mapping[str, str] | None = None,
        score: float | None = None,
        place: float | None = None,
    ) -> Choice:
        """The label that the data supports best; `score` is the reply's own, `place` it in 0–1."""
        found = self.criteria(labels, description, told or {})
        shared = _shared_words(found)
        level = self.level(name, description) if place is None else place
        placed = {label: at for label in labels if (at := label_place(label)) is not None}
        ordinal = len(placed) >= 2 and len(placed) >= len(labels) - 1
        supports: dict[str, float] = {}
        for label in labels:
            support = self._label_support(label, found[label], shared, score, own=not ordinal)
            if ordinal and label in placed:
                clarity = 0.7 if found[label] else 1.0
                support += clarity * (0.5 - abs(level - placed[label]))
            supports[label] = support
        best = max(labels, key=lambda label: supports[label])
        if supports[best] < 0.3 and not ordinal:
            usual = [one for one in labels if _is_rest(one, found[one])]
            if not usual and supports[best] < 0.15:
                usual = [one for one in labels if not _is_bad_news(one)]
            best = next(iter(usual), best)
        others = [supports[one] for one in labels if one != best]
        return Choice(best, supports, supports[best] - max(others, default=0.0))

    def _label_support(
        self,
        label: str,
        criteria: Sequence[Criterion],
        shared: Mapping[str, int],
        score: float | None,
        own: bool,
    ) -> float:
        values = [self.support(one, shared, score) for one in criteria if one.clauses]
        by_name = self.evidence.text(" ".join(words(label.replace("_", " ")))) if own else 0.0
        if not values:
            return 0.28 if _is_rest(label, criteria) else 0.8 * by_name
        best, mean = max(values), sum(values) / len(values)
        support = 0.75 * best + 0.25 * mean + 0.45 * max(by_name, 0.0)
        if _is_rest(label, criteria):
            support = max(support, 0.28)
        return support if min(values) > -0.9 else min(support, min(values))

    def support(
        self, one: Criterion, shared: Mapping[str, int] | None = None, score: float | None = None
    ) -> float:
        """How far the data meets a criterion, about -1 to 1."""
        values: list[float] = []
        absent: list[float] = []
        bound: list[float] = []
        for clause in one.clauses:
            numeric = self._numeric(clause, score)
            if numeric is not None:
                bound.append(numeric)
            elif clause.units and not clause.conditions:
                (absent if clause.negative else values).append(self._clause(clause, shared or {}))
        if absent:
            met = max(values, default=1.0) > 0.15
            values += (
                absent if met else [0.5 * value if 0 < value < 0.8 else value for value in absent]
            )
        value = 0.0
        if values:
            best, mean = max(values), sum(values) / len(values)
            value = 0.8 * best + 0.2 * mean if one.any_ else 0.4 * best + 0.6 * mean
        if bound and one.any_:
            return max(value, 0.9 * max(bound)) if max(bound) > 0 or values else -1.0
        if bound:
            if min(bound) < 0:
                return -1.0
            value = max(value, 0.0) + 0.8 if values else 0.9
        return value

    def _clause(self, clause: Clause, shared: Mapping[str, int]) -> float:
        total = found = 0.0
        for unit in clause.units:
            heavy = max(weight(one) / shared.get(one, 1) ** 1.5 for one in unit.stems)
            total += heavy
            found += heavy * self.evidence.unit(unit)
        value = max(-0.8, min(1.0, found / (1 + 0.5 * (total - 1)))) if total > 1 else found
        if not clause.negative:
            return value
        absent = 0.75 if self.evidence.size < NEXT_TO_NOTHING else 0.4
        return 0.9 if value < -0.2 else absent - 1.2 * value

    def _numeric(self, clause: Clause, score: float | None) -> float | None:
        """1 or -1 where a number decides the clause, None where there is none."""
        if not clause.conditions:
            return None
        if clause.conditions[0].of_score:
            if score is None:
                return None
            return 1.0 if any(c.low <= score <= c.high for c in clause.conditions) else -1.0
        wanted = {one for unit in clause.units for one in unit.stems}
        ideas = {idea.name for unit in clause.units for idea in unit.ideas}
        near = [
            number.value
            for number in self.evidence.numbers
            if wanted & number.context or any(ideas_of(c) & ideas for c in number.context)
        ]
        if not near:
            return None
        return 1.0 if any(c.low <= v <= c.high for c in clause.conditions for v in near) else -1.0

    def level(self, name: str, description: str) -> float:
        """Where the data stands on a scale, 0 to 1: how grave, how friendly or how promising."""
        about = f"{name} {description}"
        favourable, unfavourable = self.evidence.leaning()
        if _GRAVE.search(name) or (
            _GRAVE.search(description) and not re.search("score|fit|rating", name)
        ):
            easing = 0.3 * max(self.evidence.idea("minor"), self.evidence.idea("early_stage"), 0.0)
            easing += 0.15 * max(
                self.evidence.idea("question"), self.evidence.idea("feature_request"), 0.0
            )
            grave = self.evidence.gravity() - easing
            if re.search("risk", name, re.I):
                grave = 0.5 * grave + 0.5 * unfavourable / (favourable + unfavourable + 1)
            return _unit(grave)
        if _SENTIMENT.search(about):
            return _unit(0.5 + 0.5 * math.tanh((favourable - unfavourable) / 2.5))
        return self._promise(favourable, unfavourable, description)

    def _promise(self, favourable: float, unfavourable: float, description: str) -> float:
        balance = math.tanh((favourable - 1.3 * unfavourable) / 6)
        asked = criterion(description)
        met = max(self.support(asked), 0.0) if asked.clauses else 0.0
        rich = min(self.evidence.size / 60, 1.0)
        rich -= 0.6 if self.evidence.size < NEXT_TO_NOTHING else 0.0
        return _unit(0.25 + 0.52 * balance + 0.25 * rich + 0.1 * met)

    def score(self, name: str, description: str, low: float, high: float) -> float:
        """A number between the bounds, from points, bands or the level."""
        level = self.level(name, description)
        lines = [*self.lines, *sentences(description)]
        if rules := points(lines):
            total = sum(rule.points * self._earned(rule) for rule in rules)
            most = sum(rule.points for rule in rules if rule.points > 0) or 1.0
            return max(low, min(high, low + total * (high - low) / min(most, high - low)))
        found = bands(lines, low, high)
        if found and any(band.low < band.high for band in found) or len(found) > (high - low) / 2:
            best = max(
                found,
                key=lambda band: (
                    self.support(band.criterion)
                    - 0.5
                    * abs((band.low + band.high) / 2 - low - level * (high - low))
                    / (high - low)
                ),
            )
            return best.low + level * (best.high - best.low)
        if (
            _RANKS_DOWN.search(f"{description} {self.reading.instruction_text[:8_000]}")
            and high <= 10
        ):
            level = 1 - level
        return low + level * (high - low)

    def _earned(self, rule: Points) -> float:
        """The share of a rule's points that the data earns; taken only where it is certain."""
        one = rule.criterion
        support = self.support(one)
        if one.any_ and support > 0:
            values = [self._clause(clause, {}) for clause in one.clauses if clause.units]
            heads, others = values[: one.heads], values[one.heads :]
            support = max([0.5 * value for value in heads] + others, default=support)
        if rule.points < 0:
            return 1.0 if support > CERTAIN + 0.01 else 0.0
        return _unit((support - 0.3) / (CERTAIN - 0.3))

    def yes(self, name: str, description: str) -> bool:
        """Whether a statement named and described so holds for the data."""
        plain = " ".join(words(name.replace("_", " ")))
        found = label_criteria(["true", "false"], [*sentences(description)])
        if found["true"] or found["false"]:
            supports = {
                label: max((self.support(one) for one in found[label] if one.clauses), default=0.3)
                for label in found
            }
            return supports["true"] > supports["false"]
        name_stems = set(stems(plain))
        if name_stems & _ESCALATION:
            return self.level("severity", "") > 0.55
        if name_stems & _APPROVAL:
            return self.level(name, "") > 0.5
        about = re.sub(r"\b(?:whether|true|false|if|when|is|are|has|have|was)\b", " ", description)
        by_name = self._mean(plain)
        by_description = self.support(criterion(about)) if about.strip() else by_name
        return max(by_name, 0.5 * by_name + 0.5 * by_description) > 0.4

    def _mean(self, text: str) -> float:
        values = [self.evidence.unit(unit) for unit in units(text)]
        return sum(values) / len(values) if values else 0.0


def label_place(label: str) -> float | None:
    """Where a label stands on a scale from bad or little (0) to good or much (1), if it does."""
    low = label.lower().strip()
    if low in ("1", "2", "3", "4", "5"):
        return (int(low) - 1) / 4
    places = [
        _PLACES[one] for word in words(low.replace("_", " ")) if (one := stem(word)) in _PLACES
    ]
    if not places:
        return None
    return max(places) if len(places) > 1 else places[0]


def score_ranges(
    criteria: Mapping[str, Sequence[Criterion]], low: float, high: float
) -> dict[str, tuple[float, float]]:
    """The scores that a rubric ties to labels."""
    found: dict[str, tuple[float, float]] = {}
    for label, listed in criteria.items():
        for one in listed:
            for clause in one.clauses:
                for condition in clause.conditions:
                    if condition.of_score and label not in found:
                        found[label] = (max(condition.low, low), min(condition.high, high))
    return {label: span for label, span in found.items() if span[0] <= span[1]}


def _is_rest(label: str, criteria: Sequence[Criterion]) -> bool:
    return is_rest_label(label) or any(one.rest for one in criteria)


def _is_bad_news(label: str) -> bool:
    """A label such as "spam", which holds only where something speaks for it."""
    named = units(label.replace("_", " "))
    return any(idea.polarity < 0 for unit in named for idea in unit.ideas)


def _shared_words(criteria: Mapping[str, Sequence[Criterion]]) -> dict[str, int]:
    """For each word of a rubric, how many labels' criteria hold it."""
    seen: dict[str, set[str]] = {}
    for label, listed in criteria.items():
        for one in listed:
            for clause in one.clauses:
                for unit in clause.units:
                    for word in unit.stems:
                        seen.setdefault(word, set()).add(label)
    return {word: len(labels) for word, labels in seen.items()}


def _unit(value: float) -> float:
    return max(0.0, min(1.0, value))
