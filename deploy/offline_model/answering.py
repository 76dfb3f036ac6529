"""A schema and a reading in; a value that the schema allows and the data suggests out.

Decisions come first (labels, scores, yes or no), texts second, because reasons and letters speak of
what was decided. Whatever comes out is validated; a part that is not valid is replaced by the
smallest value that is.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from deploy.offline_model import texts
from deploy.offline_model.deciding import Decider, is_decision
from deploy.offline_model.extracting import best_fact
from deploy.offline_model.fitting import MAX_ITEMS, smallest
from deploy.offline_model.judging import Judge
from deploy.offline_model.letters import is_letter, is_subject
from deploy.offline_model.lists import completed, item_count, rows
from deploy.offline_model.place import TOLD, Place, described, tells
from deploy.offline_model.reading import Reading
from deploy.offline_model.schema import Compiled, Schema, merged, nullable, type_of
from deploy.offline_model.text import plain_key

MAX_DEPTH = 8
MAX_REPAIRS = 12
_SET_BY_SCHEMA = frozenset({"anyOf", "oneOf", "format", "pattern", "const"})


@dataclass
class Answerer:
    reading: Reading
    schema: Compiled
    judge: Judge = field(init=False)
    decide: Decider = field(init=False)

    def __post_init__(self) -> None:
        self.judge = Judge(self.reading)
        self.decide = Decider(self.reading, self.judge)

    def answer(self) -> Any:
        """The whole reply."""
        root = self.schema.resolve(self.schema.root)
        return self._made_valid(self.value(root, Place("reply", described(root, "reply"))))

    def _made_valid(self, value: Any) -> Any:
        for _ in range(MAX_REPAIRS):
            error = next(iter(self.schema.validator.iter_errors(value)), None)
            if error is None:
                return value
            path = list(error.absolute_path)
            if not path or not isinstance(error.schema, dict):
                break
            _replace_at(value, path, smallest(error.schema, self.schema.root))
        least = smallest(self.schema.root, self.schema.root)
        return least if self.schema.valid(least) else value

    def value(self, schema: Schema, place: Place) -> Any:
        """A value for one place of the reply."""
        schema = self.schema.resolve(schema)
        if "description" in schema:
            place = replace(place, description=str(schema["description"]))
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self.decide.label(schema, place)
        if schema.get("anyOf") or schema.get("oneOf"):
            return self._branch(schema, place)
        kind = type_of(schema)
        if place.depth > MAX_DEPTH:
            return None if nullable(schema) else smallest(schema, self.schema.root)
        if kind == "object":
            return self._object(schema, place)
        if kind == "array":
            return self._list(schema, place)
        if kind in ("integer", "number"):
            return self.decide.number(schema, place)
        if kind == "boolean":
            return self.decide.yes(place)
        return None if kind == "null" else texts.text(self.reading, schema, place)

    def _object(self, schema: Schema, place: Place) -> dict[str, Any]:
        properties = self._properties(schema)
        required = schema.get("required", ())
        inside = replace(
            place,
            depth=place.depth + 1,
            siblings=frozenset(properties),
            verdicts=dict(place.verdicts),
        )
        made = self.decide.together(properties, inside)
        for name in sorted(properties, key=lambda one: not is_decision(properties[one])):
            part = properties[name]
            if name not in made:
                own = replace(inside, name=name, description=described(part, name))
                made[name] = self.value(part, own)
                if is_decision(part):
                    inside.verdicts[name], inside.margin = made[name], own.margin
        return {name: made[name] for name in properties if name in required or tells(made[name])}

    def _properties(self, schema: Schema) -> dict[str, Schema]:
        """The object's properties, and those that it requires without describing them."""
        listed = schema.get("properties", {})
        found = {name: self.schema.resolve(part) for name, part in listed.items()}
        for name in schema.get("required", ()):
            if name not in found:
                found[name] = self.schema.resolve(schema.get("additionalProperties", {}))
        return found

    def _branch(self, schema: Schema, place: Place) -> Any:
        """The value of the `anyOf` or `oneOf` branch that suits the data best."""
        key = "anyOf" if schema.get("anyOf") else "oneOf"
        rest = {name: one for name, one in schema.items() if name != key}
        branches = [self.schema.resolve(one) for one in schema[key]]
        if all("const" in one for one in branches):
            told = {str(one["const"]): one.get("description", one.get("title")) for one in branches}
            constants = [one["const"] for one in branches]
            return self.decide.label({**rest, "enum": constants, TOLD: told}, place)
        full = [one for one in branches if type_of(one) != "null"]
        may_be_null = len(full) < len(branches)
        if not full or (may_be_null and place.depth > MAX_DEPTH):
            return None
        value = self.value(merged(max(full, key=self._suits), rest), place)
        return value if tells(value) or not may_be_null else None

    def _suits(self, branch: Schema) -> float:
        """How well a branch suits the data: its words, and the fields that can be filled."""
        about = f"{branch.get('title', '')} {branch.get('description', '')}"
        fit = self.judge.evidence.text(about)
        parts = branch.get("properties", {})
        for part in parts.values():
            constant = self.schema.resolve(part).get("const")
            if isinstance(constant, str):
                fit += self.judge.evidence.text(plain_key(constant))
        filled = sum(best_fact(self.reading, name, "", least=0.75) is not None for name in parts)
        return fit + filled / max(len(parts), 1)

    def _list(self, schema: Schema, place: Place) -> list[Any]:
        first = [
            self.value(part, replace(place, depth=place.depth + 1, number=number))
            for number, part in enumerate(schema.get("prefixItems", ()))
        ]
        if first and "items" not in schema:
            return first[: schema.get("maxItems", len(first))]
        item = self.schema.resolve(schema.get("items", {}))
        if isinstance(item.get("enum"), list):
            least, most = schema.get("minItems", 0), schema.get("maxItems", MAX_ITEMS)
            made = self.decide.labels(item, place, least, most)
        elif type_of(item) in ("", "string") and not item.keys() & _SET_BY_SCHEMA:
            count = item_count(self.reading, schema, place)
            made = list(texts.listed(self.reading, schema, item, place, count))
        else:
            made = self._items(schema, item, place)
        return completed(first + made, item, schema, self.schema.root)

    def _items(self, schema: Schema, item: Schema, place: Place) -> list[Any]:
        """Items one by one: a row of the data each, or each with its turn."""
        table = rows(self.reading, place.name) if type_of(item) == "object" else []
        if table:
            table = table[: schema.get("maxItems", MAX_ITEMS)]
            return [
                Answerer(row, self.schema).value(item, replace(place, depth=place.depth + 1))
                for row in table
            ]
        count = item_count(self.reading, schema, place)
        names = frozenset(item.get("properties", {}))
        if not any(is_letter(name, "", names) or is_subject(name, names) for name in names):
            known = max(len(self.reading.passages), 1)
            count = max(min(count, known), schema.get("minItems", 0))
        inside = replace(
            place, depth=place.depth + 1, total=count, used=[], description=described(item, "item")
        )
        if "description" not in item:
            inside.description = place.description
        return [self.value(item, replace(inside, number=number)) for number in range(count)]


def _replace_at(value: Any, path: list[Any], new: Any) -> None:
    for part in path[:-1]:
        value = value[part]
    value[path[-1]] = new
