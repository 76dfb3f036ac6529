"""A schema and a reading in; a value that the schema allows and the data suggests out.

Decisions come first (labels, scores, yes or no), texts second, because reasons and letters speak of
what was decided. Whatever comes out is validated; a part that is not valid is replaced by the
smallest value that is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from deploy.offline_model import texts
from deploy.offline_model.extracting import best_fact
from deploy.offline_model.fitting import fitted_number, fitted_text, smallest, varied
from deploy.offline_model.judging import Judge, score_ranges
from deploy.offline_model.letters import is_letter, is_subject
from deploy.offline_model.ranking import likeness
from deploy.offline_model.reading import Fact, Reading
from deploy.offline_model.reporting import wanted_count
from deploy.offline_model.schema import Compiled, Schema, bounds, merged, nullable, type_of
from deploy.offline_model.text import plain_key

MAX_DEPTH = 8
MAX_ITEMS = 1_000
_JUDGED = re.compile(
    r"\b(?:score|rating|grade|priority|severity|level|rank|likelihood|probability|confidence|urgency|risk"
    r"|fit|quality|sentiment|impact|stars?|strength|relevance|importance|certainty|percent(?:age)?|health)\b"
)
_CONFIDENCE = re.compile(r"\b(?:confidence|certainty|probability)\b")
_DECISION_TYPES = ("integer", "number", "boolean")
_LIST_WORDS = r"(?:items?|points?|e-?mails?|messages?|letters?|sentences?|entries|elements|steps?|questions?|tags?|facts?|tasks?|ideas?|reasons?|bullets?|findings?|keywords?)"  # fmt: skip


@dataclass
class Place:
    """Where in the reply a value stands: its name, what is said of it, and its turn in a list."""

    name: str
    description: str
    depth: int = 0
    number: int = 0
    total: int = 1
    siblings: frozenset[str] = frozenset()
    verdicts: dict[str, Any] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)


@dataclass
class Answerer:
    reading: Reading
    schema: Compiled
    judge: Judge = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(self.reading)

    def answer(self) -> Any:
        """The whole reply."""
        root = self.schema.resolve(self.schema.root)
        value = self.value(root, Place("reply", str(root.get("description", ""))))
        return self._made_valid(value)

    def _made_valid(self, value: Any) -> Any:
        for _ in range(12):
            error = next(iter(self.schema.validator.iter_errors(value)), None)
            if error is None:
                return value
            path = list(error.absolute_path)
            fallback = smallest(error.schema, self.schema.root)
            if not path or not _replace_at(value, path, fallback):
                break
        least = smallest(self.schema.root, self.schema.root)
        return least if self.schema.valid(least) or not self.schema.valid(value) else value

    def value(self, schema: Schema, place: Place) -> Any:
        """A value for one place of the reply."""
        schema = self.schema.resolve(schema)
        if "description" in schema:
            place = replace(place, description=str(schema["description"]))
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._label(schema, place)
        if schema.get("anyOf") or schema.get("oneOf"):
            return self._branch(schema, place)
        if place.depth > MAX_DEPTH:
            return None if nullable(schema) else smallest(schema, self.schema.root)
        kind = type_of(schema)
        if kind == "object":
            return self._object(schema, place)
        if kind == "array":
            return self._list(schema, place)
        if kind in ("integer", "number"):
            return self._number(schema, place)
        if kind == "boolean":
            return self._yes(schema, place)
        if kind == "null":
            return None
        return texts.text(self.reading, schema, place)

    # -- objects -----------------------------------------------------------------------------

    def _object(self, schema: Schema, place: Place) -> dict[str, Any]:
        properties = {
            name: self.schema.resolve(one) for name, one in schema.get("properties", {}).items()
        }
        required = set(schema.get("required", ()))
        for name in required - properties.keys():
            extra = schema.get("additionalProperties", {})
            properties[name] = self.schema.resolve(extra) if isinstance(extra, dict) else {}
        inside = replace(
            place,
            depth=place.depth + 1,
            siblings=frozenset(properties),
            verdicts=dict(place.verdicts),
        )
        made: dict[str, Any] = {}
        self._decide_together(properties, inside, made)
        for name in sorted(properties, key=lambda one: not self._is_decision(properties[one])):
            if name in made:
                continue
            own = replace(inside, name=name, description=_described(properties[name], name))
            made[name] = self.value(properties[name], own)
            if self._is_decision(properties[name]):
                inside.verdicts[name] = made[name]
        return {name: made[name] for name in properties if name in required or _tells(made[name])}

    def _is_decision(self, schema: Schema) -> bool:
        return "enum" in schema or "const" in schema or type_of(schema) in _DECISION_TYPES

    def _decide_together(
        self, properties: Mapping[str, Schema], place: Place, made: dict[str, Any]
    ) -> None:
        """A score and a label that the rubric ties together are decided as one."""
        scores = [n for n, s in properties.items() if _is_score(n, s)]
        labels = [n for n, s in properties.items() if _texts_of(s)]
        for label_name in labels:
            schema = properties[label_name]
            told = _told(schema)
            options = [one for one in schema["enum"] if isinstance(one, str)]
            description = _described(schema, label_name)
            criteria = self.judge.criteria(options, description, told)
            if not scores or made.get(scores[0]) is not None:
                continue
            score_name = scores[0]
            score_schema = properties[score_name]
            low, high = bounds(score_schema)
            assert low is not None and high is not None
            score = self.judge.score(score_name, _described(score_schema, score_name), low, high)
            spans = score_ranges(criteria, low, high)
            share = (score - low) / (high - low)
            if spans or any(criteria.values()):
                choice = self.judge.choose(
                    options, label_name, description, told, score if spans else None, share
                )
                label = choice.label
                if spans and not any(_has_words(criteria[one]) for one in options):
                    score = _into(score, spans.get(label, (low, high)), share)
                elif spans:
                    free = {one: self.judge.choose([one], label_name, description, told, None, share).supports[one]
                            - 1.2 * _distance(score, spans.get(one), high - low) for one in options}  # fmt: skip
                    label = max(options, key=lambda one: free[one])
                    score = _into(score, spans.get(label, (low, high)), share)
                else:
                    score = self._near(label, options, score, low, high)
                made[label_name] = label
                place.verdicts[label_name] = label
            made[score_name] = fitted_number(score, score_schema)
            place.verdicts[score_name] = made[score_name]

    def _near(self, label: str, options: list[str], score: float, low: float, high: float) -> float:
        """A score drawn towards where the label stands among its kind."""
        from deploy.offline_model.judging import label_place

        at = label_place(label)
        if at is None or len([one for one in options if label_place(one) is not None]) < 2:
            return score
        return 0.55 * score + 0.45 * (low + at * (high - low))

    # -- decisions ---------------------------------------------------------------------------

    def _label(self, schema: Schema, place: Place) -> Any:
        options = [one for one in schema["enum"] if isinstance(one, str)]
        if not options or (
            schema.get("type") not in (None, "string", ["string", "null"], ["null", "string"])
        ):
            numbers = [
                one
                for one in schema["enum"]
                if isinstance(one, (int, float)) and not isinstance(one, bool)
            ]
            if not numbers:
                return schema["enum"][0]
            score = self.judge.score(place.name, place.description, min(numbers), max(numbers))
            return min(numbers, key=lambda one: (abs(one - score), one))
        fact = best_fact(self.reading, place.name, "", least=0.95)
        if (
            fact
            and str(fact.value).lower() in {one.lower() for one in options}
            and not _told(schema)
        ):
            return next(one for one in options if one.lower() == str(fact.value).lower())
        if len(options) == 1:
            return options[0]
        choice = self.judge.choose(options, place.name, place.description, _told(schema))
        if None in schema["enum"] and choice.supports[choice.label] < 0.15:
            return None
        place.verdicts["margin"] = choice.margin
        return choice.label

    def _yes(self, schema: Schema, place: Place) -> bool:
        fact = best_fact(self.reading, place.name, "", least=0.9)
        if fact and isinstance(fact.value, bool):
            return fact.value
        return self.judge.yes(place.name, place.description)

    def _number(self, schema: Schema, place: Place) -> float | int | None:
        low, high = bounds(schema)
        plain = plain_key(place.name)
        if _CONFIDENCE.search(plain) and high is not None and low is not None:
            margin = float(place.verdicts.get("margin", 0.4))
            return fitted_number(
                low + (high - low) * max(0.35, min(0.95, 0.55 + 0.5 * margin)), schema
            )
        fact = best_fact(self.reading, place.name, place.description, least=0.75)
        if fact is not None and (number := _as_number(fact)) is not None:
            if (low is None or number >= low) and (high is None or number <= high):
                return fitted_number(number, schema)
        if low is not None and high is not None and (_JUDGED.search(plain) or high - low <= 1_000):
            return fitted_number(self.judge.score(place.name, place.description, low, high), schema)
        if _JUDGED.search(plain):
            return fitted_number(
                self.judge.score(place.name, place.description, low or 0, high or 100), schema
            )
        near = self._number_near(f"{plain} {place.description}")
        if near is not None:
            return fitted_number(near, schema)
        if nullable(schema):
            return None
        return fitted_number(float(schema.get("default", 0) or 0), schema)

    def _number_near(self, about: str) -> float | None:
        """The number of the data that stands beside the most words of a description."""
        scored = [
            (likeness(" ".join(sorted(number.context)), about), -place, number.value)
            for place, number in enumerate(self.reading.evidence.numbers)
        ]
        best = max(scored, default=(0.0, 0, 0.0))
        return best[2] if best[0] > 0.2 else None

    def _branch(self, schema: Schema, place: Place) -> Any:
        key = "anyOf" if schema.get("anyOf") else "oneOf"
        rest = {k: v for k, v in schema.items() if k != key}
        branches = [self.schema.resolve(one) for one in schema[key]]
        constants = [one["const"] for one in branches if "const" in one]
        if len(constants) == len(branches):
            told = {
                str(one["const"]): str(one.get("description", one.get("title", "")))
                for one in branches
            }
            return self._label({**rest, "enum": constants, "x-told": told}, place)
        full = [one for one in branches if type_of(one) != "null"]
        best = max(full, key=lambda one: self._suits(one), default=None)
        if best is None:
            return None
        if place.depth > MAX_DEPTH and len(full) < len(branches):
            return None
        value = self.value(merged(best, rest), place)
        if len(full) < len(branches) and not _tells(value):
            return None
        return value

    def _suits(self, branch: Schema) -> float:
        """How well a branch of `anyOf` suits the data: its words, and the fields that can be filled."""
        words = " ".join([str(branch.get("title", "")), str(branch.get("description", ""))])
        fit = self.judge.evidence.text(words) if words.strip() else 0.0
        names = list(branch.get("properties", {}))
        for name in names:
            constant = self.schema.resolve(branch["properties"][name]).get("const")
            if isinstance(constant, str):
                fit += self.judge.evidence.text(plain_key(constant))
        filled = sum(best_fact(self.reading, name, "", least=0.75) is not None for name in names)
        return fit + (filled / len(names) if names else 0.0)

    # -- lists -------------------------------------------------------------------------------

    def _list(self, schema: Schema, place: Place) -> list[Any]:
        first = [
            self.value(
                one,
                replace(place, name=f"{place.name} {number}", depth=place.depth + 1, number=number),
            )
            for number, one in enumerate(schema.get("prefixItems", ()))
        ]
        if first and "items" not in schema:
            return first[: schema.get("maxItems", len(first))]
        item = self.schema.resolve(schema.get("items", {}))
        least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
        if isinstance(item.get("enum"), list):
            return self._labels(item, least, most, place)
        kind = type_of(item)
        if kind in ("", "string") and not (
            item.keys() & {"anyOf", "oneOf", "format", "pattern", "const"}
        ):
            made = texts.listed(self.reading, schema, item, place, self._count(schema, place, 3))
        else:
            made = self._items(schema, item, place)
        return self._enough(made, item, schema, place)

    def _items(self, schema: Schema, item: Schema, place: Place) -> list[Any]:
        rows = _rows(self.reading, place.name) if type_of(item) == "object" else []
        count = (
            self._count(schema, place, len(rows) or 3)
            if not rows
            else min(len(rows), schema.get("maxItems", 50))
        )
        names = frozenset(item.get("properties", {}))
        if not rows and not (any(is_letter(n, "", names) or is_subject(n, names) for n in names)):
            count = min(count, max(schema.get("minItems", 0), len(self.reading.passages), 1))
        made = []
        used: list[str] = []
        for number in range(count):
            inner = self if not rows else Answerer(rows[number], self.schema)
            made.append(inner.value(item, replace(
                place, depth=place.depth + 1, number=number, total=count, used=used,
                description=str(item.get("description", place.description)))))  # fmt: skip
        return made

    def _count(self, schema: Schema, place: Place, usual: int) -> int:
        """How many items: what the schema, the description or the instructions ask for."""
        least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
        about = wanted_count(place.description, _LIST_WORDS)
        if about is None:
            noun = plain_key(place.name).rstrip("s").split()[-1:] or ["item"]
            about = wanted_count(
                self.reading.instruction_text[:8_000],
                re.escape(noun[0]) if noun[0] != "email" else "e-?mail",
            )
        if about is None:
            about = max(usual, least) if most == MAX_ITEMS else min(most, max(usual, least))
        return int(max(least, min(about, most)))

    def _labels(self, item: Schema, least: int, most: int, place: Place) -> list[Any]:
        options = [one for one in item["enum"] if isinstance(one, str)]
        if not options:
            return list(item["enum"][: max(least, 1)])
        choice = self.judge.choose(options, place.name, place.description, _told(item))
        order = sorted(options, key=lambda one: -choice.supports[one])
        top = choice.supports[order[0]]
        chosen = [one for one in order if choice.supports[one] >= max(0.35, 0.5 * top)]
        return (chosen or order[:least])[:most] if len(chosen) >= least else order[:least]

    def _enough(self, made: list[Any], item: Schema, schema: Schema, place: Place) -> list[Any]:
        """Items without repeats where none may be, and as many as there must be."""
        least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
        found: list[Any] = []
        for one in made:
            if not (schema.get("uniqueItems") and one in found):
                found.append(one)
        while len(found) < min(least, MAX_ITEMS):
            one = made[len(found) % len(made)] if made else self._nothing(item)
            number = len(found)
            repeated = schema.get("uniqueItems") and one in found
            found.append(varied(one, number, item) if repeated else one)
        return found[:most]

    def _nothing(self, item: Schema) -> Any:
        least = smallest(item, self.schema.root)
        return fitted_text("Nothing more is known.", item) if least == "" else least


def _described(schema: Schema, name: str) -> str:
    return str(schema.get("description") or schema.get("title") or plain_key(name))


def _tells(value: Any) -> bool:
    return value is not None and value != "" and value != [] and value != {}


def _told(schema: Schema) -> dict[str, str]:
    """What a schema says of each of its labels, if it does."""
    told = (
        schema.get("x-told") or schema.get("enumDescriptions") or schema.get("x-enum-descriptions")
    )
    if isinstance(told, list):
        told = dict(zip(map(str, schema["enum"]), map(str, told), strict=False))
    known = {str(one) for one in schema["enum"]}
    return {k: v for k, v in told.items() if k in known and v} if isinstance(told, dict) else {}


def _texts_of(schema: Schema) -> bool:
    return (
        isinstance(schema.get("enum"), list)
        and len([o for o in schema["enum"] if isinstance(o, str)]) > 1
    )


def _is_score(name: str, schema: Schema) -> bool:
    low, high = bounds(schema)
    plain = plain_key(name)
    if type_of(schema) not in ("integer", "number") or low is None or high is None or low >= high:
        return False
    return (
        _JUDGED.search(plain) is not None
        and _CONFIDENCE.search(plain) is None
        and "enum" not in schema
    )


def _has_words(criteria: list[Any]) -> bool:
    return any(clause.units and not clause.conditions for one in criteria for clause in one.clauses)


def _distance(score: float, span: tuple[float, float] | None, width: float) -> float:
    if span is None:
        return 0.15
    return max(span[0] - score, score - span[1], 0.0) / width


def _into(score: float, span: tuple[float, float], share: float) -> float:
    """The score if it lies within the span, else the point of the span that fits its share."""
    low, high = span
    if low <= score <= high:
        return score
    return low + (high - low) * (0.12 + 0.3 * share if score < low else 0.6 + 0.3 * share)


def _as_number(fact: Fact) -> float | None:
    from deploy.offline_model.evidence import numbers

    if isinstance(fact.value, bool):
        return None
    if isinstance(fact.value, (int, float)):
        return float(fact.value)
    return next((number.value for number in numbers(str(fact.value))), None)


def _rows(reading: Reading, name: str) -> list[Reading]:
    """One reading for each object of a list in the data that bears the name."""
    rows: dict[tuple[str, ...], list[Fact]] = {}
    wanted = plain_key(name)
    for fact in reading.facts:
        for depth, part in enumerate(fact.path[:-1]):
            above = plain_key(fact.path[depth - 1]) if depth else ""
            if part.isdigit() and (above == wanted or above.rstrip("s") == wanted.rstrip("s")):
                rows.setdefault(fact.path[: depth + 1], []).append(fact)
                break
    return [
        replace(
            reading,
            facts=facts,
            passages=[p for p in reading.passages if any(p.text in str(f.value) for f in facts)],
        )
        for facts in rows.values()
    ]


def _replace_at(value: Any, path: list[Any], new: Any) -> bool:
    for part in path[:-1]:
        value = value[part]
    if isinstance(value, (dict, list)):
        value[path[-1]] = new  # type: ignore[index]
        return True
    return False
