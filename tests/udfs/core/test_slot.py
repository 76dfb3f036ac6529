"""The pure half of every keyed function: order, dedupe, schedule, memory, restore."""

from hypothesis import given
from hypothesis import strategies as st

from udfs.core.slot import Entry, MemoryPolicy, Slot, decode, encode, known_by


class DictStore(dict[str, bytes]):
    """Flink's MapState as the slot sees it."""

    def put(self, key: str, value: bytes) -> None:
        self[key] = value

    def remove(self, key: str) -> None:
        self.pop(key, None)


def add(slot: Slot, key: str, name: str = "x", now_ms: int = 0) -> Entry:
    return slot.add(key, {"name": name}, {"ce_id": name.encode()}, now_ms, None)


def start_next(slot: Slot, now_ms: int = 0) -> Entry | None:
    entry = slot.next_ready(now_ms)
    if entry:
        slot.start(entry)
    return entry


def test_one_event_of_a_key_is_in_flight_and_the_others_queue_in_order() -> None:
    slot = Slot(DictStore())
    first, second, other = add(slot, "a", "1"), add(slot, "a", "2"), add(slot, "b", "3")
    assert [start_next(slot), start_next(slot), start_next(slot)] == [first, other, None]
    slot.finish(first.sequence)
    assert start_next(slot) == second


def test_a_restored_slot_starts_again_what_was_unfinished_in_order() -> None:
    store = DictStore()
    slot = Slot(store)
    entries = [add(slot, key, str(n)) for n, key in enumerate("abab")]
    for _ in range(2):
        start_next(slot)
    slot.finish(entries[0].sequence)
    restored = Slot(store).load()
    started = [start_next(restored), start_next(restored), start_next(restored)]
    assert [e.row["name"] if e else None for e in started] == ["1", "2", None]
    assert started[0] and started[0].headers == {"ce_id": b"1"}
    assert add(restored, "c").sequence == 4


def test_a_repeat_is_told_from_a_conflict_also_after_a_restore() -> None:
    store = DictStore()
    slot = Slot(store)
    assert slot.seen("id#1", b"hash") == "new"
    for known in (slot, Slot(store).load()):
        assert known.seen("id#1", b"hash") == "repeat"
        assert known.seen("id#1", b"else") == "conflict"
        assert known.seen("id#2", b"hash") == "new" or known is not slot


def test_an_event_is_known_by_its_id_its_attempt_and_its_content_not_by_when_it_came() -> None:
    headers = {"ce_id": b"id", "attempt": b"2"}
    identity, content = known_by("k", {"n": 1, "event_time": "12:00"}, headers, {"event_time"})
    assert identity == "id#2"
    assert content.hex() == "366550ca56d68c95"  # as savepoints have it
    assert known_by("k", {"n": 1, "event_time": "13:00"}, headers, {"event_time"})[1] == content
    assert known_by("k", {"n": 2, "event_time": "12:00"}, headers, {"event_time"})[1] != content
    assert known_by("k", {"n": 1, "event_time": "12:00"}, headers, ())[1] != content


def test_seen_ids_are_bounded_by_two_generations() -> None:
    store = DictStore()
    slot = Slot(store, seen_per_generation=10)
    for n in range(100):
        assert slot.seen(f"{n}", b"") == "new"
    assert len(store) <= 20
    assert slot.seen("99", b"") == "repeat"
    restored = Slot(store, seen_per_generation=10).load()
    assert restored.seen("99", b"") == "repeat"
    assert restored.seen("0", b"") == "new"


def test_a_scheduled_event_waits_for_its_time_and_not_for_the_end_of_input() -> None:
    slot = Slot(DictStore(), due_ms=lambda e: e.row["name"] == "late" and 500 or 0)
    late, soon = add(slot, "a", "late", now_ms=100), add(slot, "b", "soon", now_ms=100)
    assert slot.next_due_ms == 500 and slot.scheduled == 1
    assert [start_next(slot, 100), start_next(slot, 499)] == [soon, None]
    assert start_next(slot, 500) == late
    add(slot, "c", "late", now_ms=100)
    assert slot.next_ready(100) is None
    assert slot.next_ready(100, all_due=True)


def test_memory_keeps_the_last_events_and_forgets_the_old() -> None:
    store = DictStore()
    slot = Slot(store, memory_policy=MemoryPolicy(events=2, max_age_ms=1000))
    for n in range(3):
        slot.remember("a", {"n": n}, now_ms=10_000 + n)
    assert slot.recall("a", 10_003) == [{"n": 1}, {"n": 2}]
    assert slot.recall("a", 12_000) == []
    slot.remember("b", {"n": 9}, now_ms=20_000)
    assert "m/a" not in store and "m/b" in store


def test_state_of_a_newer_version_is_refused_in_a_sentence() -> None:
    assert decode(encode({"a": "é"})) == {"a": "é"}
    try:
        decode(b"\x7f{}")
    except ValueError as error:
        assert "newer than the job" in str(error)
    else:
        raise AssertionError("a newer version was read")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["add", "start", "finish"]))))
def test_no_event_is_lost_doubled_or_overtaken_within_its_key(steps: list[tuple[str, str]]) -> None:
    store = DictStore()
    slot, offered, finished, running = Slot(store), [], [], []
    for key, step in steps:
        if step == "add":
            offered.append(add(slot, key))
        elif step == "start" and (entry := start_next(slot)):
            assert entry.key not in {e.key for e in running}
            running.append(entry)
        elif step == "finish" and running:
            finished.append(slot.finish(running.pop(0).sequence))
    while running or slot.pending:
        while entry := start_next(slot):
            running.append(entry)
        finished.append(slot.finish(running.pop(0).sequence))
    assert sorted(e.sequence for e in finished) == [e.sequence for e in offered]
    for key in "abc":
        order = [e.sequence for e in finished if e.key == key]
        assert order == sorted(order)
    assert not store


def test_what_waits_can_be_taken_back_and_what_is_in_flight_cannot() -> None:
    store = DictStore()
    slot = Slot(store)
    first = add(slot, "a", "1")
    for key, name in (("a", "2"), ("a", "1"), ("a", "3"), ("b", "1")):
        add(slot, key, name)
    assert start_next(slot) == first
    assert slot.withdraw("a", {"name": "1"}) == 1  # the third; the first is in flight
    assert slot.withdraw("a", {"name": "9"}) == slot.withdraw("c", {"name": "1"}) == 0
    assert slot.withdraw("b", {"name": "1"}) == 1
    assert slot.ready == 0 and start_next(slot) is None
    slot.finish(first.sequence)
    assert slot.withdraw("a", {"name": "2"}) == 1
    last = start_next(slot)
    assert last is not None and last.row == {"name": "3"}
    assert len(slot.pending) == len(store) == 1
    slot.finish(last.sequence)
    assert not store and start_next(Slot(store).load()) is None


def test_a_scheduled_event_can_be_taken_back() -> None:
    slot = Slot(DictStore(), due_ms=lambda entry: 50)
    add(slot, "a", "1")
    add(slot, "a", "2")
    assert slot.withdraw("a", {"name": "1"}) == 1
    assert slot.scheduled == 1
    entry = start_next(slot, 60)
    assert entry is not None and entry.row == {"name": "2"}
