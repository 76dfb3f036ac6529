"""A node of a schema that asks for a decision in; the label, number, or yes or no for it out.

Where a reply holds a score and a label that the rubric ties together, they are decided as one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from deploy.offline_model.evidence import numbers
from deploy.offline_model.extracting import best_fact
from deploy.offline_model.fitting import fitted_number
from deploy.offline_model.judging import Judge, label_place, score_ranges
from deploy.offline_model.place import Place, described, label_descriptions, text_labels
from deploy.offline_model.ranking import likeness
from deploy.offline_model.reading import Fact, Reading
from deploy.offline_model.rubric import Criterion
from deploy.offline_model.schema import Schema, bounds, nullable, type_of
from deploy.offline_model.text import plain_key

_JUDGED = re.compile(
    r"\b(?:score|rating|grade|priority|severity|level|rank|likelihood|probability"
    r"|confidence|urgency"
    r"|risk|fit|quality|sentiment|impact|stars?|strength|relevance|importance|certainty|health"
    r"|percent(?:age)?)\b"
)
_CONFIDENCE = re.compile(r"\b(?:confidence|certainty|probability)\b")
OUTSIDE_BAND = 1.2  # how much a score outside a label's band speaks against the label
UNCLEAR = 0.15  # support below which a label that may be null is null
WIDEST_JUDGED = 1_000


@dataclass(frozen=True)
class _Score:
    name: str
    schema: Schema
    low: float
    high: float


@dataclass
class Decider:
    reading: Reading
    judge: Judge

    def together(self, properties: Mapping[str, Schema], place: Place) -> dict[str, Any]:
        """A score and the label that a rubric sets for it; empty if there is no such pair."""
        score = next((one for name in properties if (one := _score(name, properties[name]))), None)
        if score is None:
            return {}
        found: dict[str, Any] = {}
        value = self.judge.score(
            score.name, described(score.schema, score.name), score.low, score.high
        )
        for name, schema, criteria in self._rubrics(properties):
            label, value = self._agreed(name, schema, criteria, score, value)
            found[name] = label
            break
        found[score.name] = fitted_number(value, score.schema)
        place.verdicts.update(found)
        return found

    def _rubrics(
        self, properties: Mapping[str, Schema]
    ) -> list[tuple[str, Schema, dict[str, list[Criterion]]]]:
        """The label properties that have criteria; those whose criteria name scores first."""
        found = []
        for name, schema in properties.items():
            labels = text_labels(schema)
            if len(labels) > 1:
                told = label_descriptions(schema)
                criteria = self.judge.criteria(labels, described(schema, name), told)
                if any(criteria.values()):
                    found.append((name, schema, criteria))
        found.sort(key=lambda one: not score_ranges(one[2], float("-inf"), float("inf")))
        return found

    def _agreed(
        self,
        name: str,
        schema: Schema,
        criteria: dict[str, list[Criterion]],
        score: _Score,
        value: float,
    ) -> tuple[str, float]:
        """The label, and the score moved to where it agrees with it."""
        labels, told, about = (
            text_labels(schema),
            label_descriptions(schema),
            described(schema, name),
        )
        width = score.high - score.low
        share = (value - score.low) / width
        spans = score_ranges(criteria, score.low, score.high)
        worded = any(_has_words(one) for one in criteria.values())
        choice = self.judge.choose(
            labels, name, about, told, None if worded or not spans else value, share
        )
        if not spans:
            return choice.label, _drawn_to(choice.label, labels, value, score)
        label = choice.label
        if worded:
            fit = {
                one: choice.supports[one] - OUTSIDE_BAND * _distance(value, spans.get(one), width)
                for one in labels
            }
            label = max(labels, key=lambda one: fit[one])
        return label, _into(value, spans.get(label, (score.low, score.high)), share)

    def label(self, schema: Schema, place: Place) -> Any:
        """One value of an enum."""
        labels = text_labels(schema)
        texts_allowed = schema.get("type") is None or "string" in schema["type"]
        if not labels or not texts_allowed:
            return self._number_label(schema, place)
        told = label_descriptions(schema)
        fact = best_fact(self.reading, place.name, "", least=0.95)
        if fact and not told:
            same = [one for one in labels if one.lower() == str(fact.value).lower()]
            if same:
                return same[0]
        if len(labels) == 1:
            return labels[0]
        choice = self.judge.choose(labels, place.name, place.description, told)
        if None in schema["enum"] and choice.supports[choice.label] < UNCLEAR:
            return None
        place.margin = choice.margin
        return choice.label

    def _number_label(self, schema: Schema, place: Place) -> Any:
        options = [one for one in schema["enum"] if _is_number(one)]
        if not options:
            return schema["enum"][0]
        score = self.judge.score(place.name, place.description, min(options), max(options))
        return min(options, key=lambda one: (abs(one - score), one))

    def labels(self, item: Schema, place: Place, least: int, most: int) -> list[Any]:
        """Every value of an enum that the data supports, the best first."""
        labels = text_labels(item)
        if not labels:
            return list(item["enum"][: max(least, 1)])
        told = label_descriptions(item)
        supports = self.judge.choose(labels, place.name, place.description, told).supports
        order = sorted(labels, key=lambda one: -supports[one])
        enough = max(0.35, 0.5 * supports[order[0]])
        chosen = [one for one in order if supports[one] >= enough]
        return (chosen if len(chosen) >= least else order[:least])[:most]

    def yes(self, place: Place) -> bool:
        fact = best_fact(self.reading, place.name, "", least=0.9)
        if fact and isinstance(fact.value, bool):
            return fact.value
        return self.judge.yes(place.name, place.description)

    def number(self, schema: Schema, place: Place) -> float | int | None:
        """A number copied from the data, judged, or found beside the words that describe it."""
        low, high = bounds(schema)
        plain = plain_key(place.name)
        if _CONFIDENCE.search(plain) and high is not None and low is not None:
            clear = max(0.35, min(0.95, 0.55 + 0.5 * place.margin))
            return fitted_number(low + (high - low) * clear, schema)
        fact = best_fact(self.reading, place.name, place.description, least=0.75)
        known = _as_number(fact) if fact else None
        if known is not None and (low is None or known >= low) and (high is None or known <= high):
            return fitted_number(known, schema)
        narrow = low is not None and high is not None and high - low <= WIDEST_JUDGED
        if _JUDGED.search(plain) or narrow:
            least = 0 if low is None else low
            most = max(least + 1, 100) if high is None else high
            return fitted_number(
                self.judge.score(place.name, place.description, least, most), schema
            )
        near = self._number_near(f"{plain} {place.description}")
        if near is not None:
            return fitted_number(near, schema)
        if nullable(schema):
            return None
        return fitted_number(float(schema.get("default") or 0), schema)

    def _number_near(self, about: str) -> float | None:
        """The number of the data that stands beside the most words of a description."""
        scored = [
            (likeness(" ".join(sorted(number.context)), about), -place, number.value)
            for place, number in enumerate(self.reading.evidence.numbers)
        ]
        best = max(scored, default=(0.0, 0, 0.0))
        return best[2] if best[0] > 0.2 else None


def is_decision(schema: Schema) -> bool:
    """Whether a node asks for a decision, which texts may then speak of."""
    kinds = ("integer", "number", "boolean")
    return "enum" in schema or "const" in schema or type_of(schema) in kinds


def _score(name: str, schema: Schema) -> _Score | None:
    low, high = bounds(schema)
    plain = plain_key(name)
    if low is None or high is None or low >= high or "enum" in schema:
        return None
    if type_of(schema) not in ("integer", "number") or _CONFIDENCE.search(plain):
        return None
    return _Score(name, schema, low, high) if _JUDGED.search(plain) else None


def _drawn_to(label: str, labels: list[str], value: float, score: _Score) -> float:
    """A score drawn towards where the label stands among its kind."""
    at = label_place(label)
    if at is None or sum(label_place(one) is not None for one in labels) < 2:
        return value
    return 0.55 * value + 0.45 * (score.low + at * (score.high - score.low))


def _has_words(criteria: list[Criterion]) -> bool:
    return any(clause.units and not clause.conditions for one in criteria for clause in one.clauses)


def _distance(score: float, span: tuple[float, float] | None, width: float) -> float:
    if span is None:
        return 0.15
    return max(span[0] - score, score - span[1], 0.0) / width


def _into(score: float, span: tuple[float, float], share: float) -> float:
    """The score if it lies within the span, else a point of the span that fits its share."""
    low, high = span
    if low <= score <= high:
        return score
    return low + (high - low) * (0.12 + 0.3 * share if score < low else 0.6 + 0.3 * share)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _as_number(fact: Fact) -> float | None:
    if isinstance(fact.value, bool):
        return None
    if isinstance(fact.value, (int, float)):
        return float(fact.value)
    return next((number.value for number in numbers(str(fact.value))), None)
