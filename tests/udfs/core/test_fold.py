"""States of keys under one slot: woken in time, kept in pieces, forgotten when they are gone."""

from collections.abc import Mapping
from typing import Any

from tests.udfs.core.orchestration_world import Map
from udfs.core.fold import Emitted, Fold


class Alarm:
    """Says its name when it is due; an event sets the time, and time 0 forgets the key."""

    def __init__(self, name: str, pieces: Mapping[str, dict[str, Any]]) -> None:
        self.name, self.gone = name, False
        self.due_ms: int | None = pieces.get("due", {}).get("ms")
        self._changed: dict[str, dict[str, Any] | None] = {}

    def take(self, row: dict[str, Any], headers: Mapping[str, bytes], now_ms: int) -> list[Emitted]:
        self.due_ms = row["ms"] or None
        self.gone = self.due_ms is None
        self._changed = {"due": None if self.gone else {"ms": self.due_ms}}
        return []

    def wake(self, now_ms: int) -> list[Emitted]:
        self.due_ms, self.gone, self._changed = None, True, {"due": None}
        return [Emitted({"name": self.name}, {}, 0)]

    def changed_pieces(self) -> dict[str, dict[str, Any] | None]:
        changed, self._changed = self._changed, {}
        return changed


def set_alarm(fold: Fold, name: str, ms: int) -> None:
    fold.take(name, {"ms": ms}, {}, 0)


def woken(fold: Fold, now_ms: int) -> list[str]:
    return [one.values["name"] for one in fold.wake(now_ms)]


def test_keys_wake_when_they_are_due_and_not_when_they_were_before_that_changed() -> None:
    fold = Fold(Map({}), Alarm).load()
    for name, ms in (("a", 30), ("b", 10), ("c", 20), ("b", 50), ("c", 0)):
        set_alarm(fold, name, ms)
    assert woken(fold, 29) == []
    assert woken(fold, 50) == ["a", "b"]
    assert woken(fold, 2**63) == []


def test_a_key_that_is_gone_leaves_nothing_behind() -> None:
    kept: dict[str, bytes] = {}
    fold = Fold(Map(kept), Alarm).load()
    set_alarm(fold, "a", 10)
    assert list(kept) == ['k/["a","due"]']
    woken(fold, 10)
    assert kept == {}
    set_alarm(fold, "a", 20)
    assert woken(fold, 20) == ["a"]


def test_what_was_due_is_due_after_a_restart() -> None:
    kept: dict[str, bytes] = {}
    before = Fold(Map(kept), Alarm).load()
    for name, ms in (("b", 40), ("a", 30)):
        set_alarm(before, name, ms)
    after = Fold(Map(kept), Alarm).load()
    assert woken(after, 30) == ["a"]
    assert woken(after, 40) == ["b"]
