"""Updates of sources in any order, with repeats and restarts: whose word stands, and why."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.board import MOST, SUBSCRIBED, KeptBoard, ReadBoard, SubscribedBoard
from udfs.core.board import (
    CELLS_PER_SOURCE,
    EVIDENCE,
    NAME_CHARS,
    VALUE_CHARS,
    Board,
    Refusal,
    Update,
)
from udfs.core.board_view import BoardView, Entry
from udfs.core.fold import Fold, KeyState
from udfs.core.types import parse_type
from udfs.keyed_function import BadCall

Json = dict[str, Any]
AT = "2026-01-01T00:00:00"
LATER = "2026-01-01T01:00:00"


class Map(dict[str, bytes]):
    """Flink's MapState."""

    def put(self, key: str, value: bytes) -> None:
        self[key] = value

    def remove(self, key: str) -> None:
        del self[key]


class Deliveries:
    """One slot as the operator drives it: repeats of an id are dropped, restarts read it back."""

    def __init__(self, new: Any, *, dedupes: bool = True) -> None:
        self.store, self.new, self.dedupes = Map(), new, dedupes
        self.out: list[Json] = []
        self.restart()

    def restart(self) -> None:
        self.fold = Fold(self.store, self.new).load()

    def send(self, ce_id: str, row: Json) -> None:
        if not self.dedupes or self.fold.seen(ce_id, b"") == "new":
            headers = {"ce_id": ce_id.encode()}
            emitted = self.fold.take("b", row, headers, 0)
            assert len({one.index for one in emitted}) == len(emitted)  # else ids would be the same
            self.out += [one.values for one in emitted]


def proposed(source: str, subject: str = "s", value: str | None = "v", **more: Any) -> Json:
    row: Json = {
        "source": source,
        "subject": subject,
        "predicate": "p",
        "value": value,
        "confidence": 0.5,
        "said_at": AT,
        "valid_until": None,
        "expected_version": None,
        "supersedes": None,
        "evidence": None,
    }
    return {**row, **more}


def keep(rows: Sequence[tuple[str, Json]], restarts: Sequence[int] = ()) -> list[Json]:
    kept = Deliveries(KeptBoard)
    for number, (ce_id, row) in enumerate(rows):
        if number in restarts:
            kept.restart()
        kept.send(ce_id, row)
    return kept.out


def read(
    entries: Sequence[Json], weights: dict[str, float], restarts: Sequence[int] = ()
) -> list[Json]:
    def new(key: str, pieces: Any) -> KeyState:
        return SubscribedBoard(key, pieces, MOST)

    view = Deliveries(new, dedupes=ReadBoard.dedupes)
    for number, entry in enumerate(entries):
        if number in restarts:
            view.restart()
        row = {**entry, "weight": weights.get(entry["source"], 0.0), "wakes": True}
        view.send(entry["entry_id"], row)
    return view.out


SOURCES = ("ada", "bob", "eve")
ids = st.integers(0, 30).map(lambda n: f"u{n}")
updates = st.builds(
    proposed,
    st.sampled_from(SOURCES),
    st.sampled_from(("s1", "s2")),
    st.sampled_from((None, "x", "y")),
    expected_version=st.sampled_from((None, None, 0, 1, 2)),
    supersedes=st.one_of(st.none(), st.none(), ids),
    valid_until=st.sampled_from((None, None, LATER)),
    evidence=st.one_of(st.none(), st.lists(ids, max_size=3)),
)
logs = st.lists(updates, max_size=30).map(lambda rows: [(f"u{n}", r) for n, r in enumerate(rows)])


@given(logs)
def test_what_one_source_says_changes_nothing_of_another(log: list[tuple[str, Json]]) -> None:
    together = keep(log)
    for source in SOURCES:
        alone = keep([(ce_id, row) for ce_id, row in log if row["source"] == source])
        mine = [row for row in together if row["source"] == source]
        for row in (*alone, *mine):  # to name another's entry is refused, in two different words
            if row["reason"] in ("not_yours", "stale_entry"):
                row["reason"] = row["message"] = "refused"
        assert mine == alone


@given(logs, st.lists(st.integers(0, 30)), st.data())
def test_repeats_and_restarts_change_nothing(
    log: list[tuple[str, Json]], restarts: list[int], data: st.DataObject
) -> None:
    repeated: list[tuple[str, Json]] = []
    for one in log:
        repeated.append(one)
        repeated += data.draw(st.lists(st.sampled_from(repeated), max_size=2))
    assert keep(repeated, restarts) == keep(log)


@given(logs)
def test_versions_of_a_cell_count_its_entries(log: list[tuple[str, Json]]) -> None:
    seen: dict[tuple[str, str], int] = {}
    for entry in keep(log):
        if entry["status"] == "accepted":
            cell = entry["subject"], entry["source"]
            assert entry["version"] == seen.get(cell, 0) + 1
            seen[cell] = entry["version"]


@given(logs)
def test_a_view_says_what_stands_and_the_heaviest_prevails(log: list[tuple[str, Json]]) -> None:
    board = [row for row in keep(log) if row["status"] == "accepted"]
    weights = {"ada": 1.0, "bob": 0.5, "eve": 0.5}
    rows = read(board, weights)
    assert len(rows) == len(board)
    for number, row in enumerate(rows):
        last = {(e["subject"], e["source"]): e for e in board[: number + 1]}
        standing = {e["entry_id"]: e for e in last.values() if e["value"] is not None}
        assert set(row["entry_ids"]) == set(standing)
        of_fact = [e for e in standing.values() if e["subject"] == row["subject"]]
        heaviest = min(of_fact, key=lambda e: (-weights[e["source"]], e["source"]), default=None)
        assert row["source"] == (heaviest and heaviest["source"])
        assert row["value"] == (heaviest and heaviest["value"])
        assert row["disputed"] == (len({e["value"] for e in of_fact}) > 1)
        gone = {e["entry_id"] for e in board[: number + 1]} - set(standing)
        for entry in row["entries"]:
            assert entry["grounded"] == gone.isdisjoint(standing[entry["entry_id"]]["evidence"])
            first = heaviest and entry["entry_id"] == heaviest["entry_id"]
            assert entry["subject"] != row["subject"] or entry["prevails"] == first
    assert read([e for e in board for _ in range(2)], weights, range(0, 60, 7)) == rows


def refusal(board: Board, **more: Any) -> str:
    """What speaks against an update; the board is as before."""
    row = {**proposed("eve"), "entry_id": "new", **more}
    before = json.dumps([str(c) for c in board._cells.values()])
    with pytest.raises(Refusal) as caught:
        board.take(Update(**{**row, "evidence": tuple(row["evidence"] or ())}))
    assert json.dumps([str(c) for c in board._cells.values()]) == before
    assert not board.changed_pieces()
    return caught.value.reason


def a_board() -> Board:
    board = Board()
    for n, source in enumerate(("ada", "eve")):
        board.take(Update(f"e{n}", source, "s", "p", "v", 0.5, AT))
    board.changed_pieces()
    return board


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"supersedes": "e0"}, "not_yours"),
        ({"supersedes": "e7"}, "stale_entry"),
        ({"expected_version": 0}, "stale_version"),
        ({"expected_version": 2}, "stale_version"),
        ({"subject": " "}, "invalid_update"),
        ({"subject": "s" * (NAME_CHARS + 1)}, "invalid_update"),
        ({"source": ""}, "invalid_update"),
        ({"value": "v" * (VALUE_CHARS + 1)}, "invalid_update"),
        ({"confidence": 1.01}, "invalid_update"),
        ({"confidence": float("nan")}, "invalid_update"),
        ({"evidence": ["e"] * (EVIDENCE + 1)}, "invalid_update"),
        ({"valid_until": AT}, "invalid_update"),
    ],
)
def test_an_update_that_is_not_right_is_refused_and_leaves_no_trace(
    more: Json, reason: str
) -> None:
    assert refusal(a_board(), **more) == reason


def test_a_source_that_floods_the_board_is_stopped_and_others_are_not() -> None:
    board = Board()
    for n in range(CELLS_PER_SOURCE):
        board.take(Update(f"f{n}", "eve", f"s{n}", "p", "v", 0.5, AT))
    board.changed_pieces()
    assert refusal(board, subject="one more") == "source_full"
    assert board.take(Update("a", "ada", "s0", "p", "v", 0.5, AT))[0]["version"] == 1
    assert board.take(Update("g", "eve", "s0", "p", "w", 0.5, AT))[0]["version"] == 2


def test_an_entry_that_moves_to_another_fact_is_taken_back_where_it_stood() -> None:
    first, second = keep([("u0", proposed("ada", "s1")), ("u1", proposed("ada", "s2"))])
    assert (first["subject"], second["subject"]) == ("s1", "s2")
    rows = keep([("u0", proposed("ada", "s1")), ("u1", proposed("ada", "s2", supersedes="u0"))])
    assert [(r["subject"], r["value"], r["version"], r["supersedes"]) for r in rows] == [
        ("s1", "v", 1, None),
        ("s1", None, 2, "u0"),
        ("s2", "v", 1, "u0"),
    ]


def test_a_flood_keeps_no_other_source_out_of_what_a_reader_is_told() -> None:
    view = BoardView()
    for n in range(50):
        view.take(Entry(f"f{n}", "eve", f"s{n}", "p", "v", 1.0, 1, AT, weight=9.0))
    view.take(Entry("a", "ada", "s", "p", "v", 0.5, 1, AT, weight=0.1))
    told, left_out = view.standing(AT, 10)
    assert (len(told), left_out) == (10, 41)
    assert "a" in {one["entry_id"] for one in told}


def test_an_entry_ends_when_its_validity_does_by_the_clock_of_the_log() -> None:
    view = BoardView()
    view.take(Entry("a", "ada", "s", "p", "v", 0.5, 1, AT, 1.0, valid_until=LATER))
    view.take(Entry("b", "bob", "s", "q", "w", 0.5, 1, AT, 1.0, evidence=("a",)))
    assert [e["grounded"] for e in view.standing(AT, 9)[0]] == [True, True]
    told, _ = view.standing(LATER + "Z", 9)
    assert [(e["entry_id"], e["grounded"]) for e in told] == [("b", False)]
    assert view.prevailing(("s", "p"), LATER)["value"] is None


def test_an_entry_that_comes_late_changes_nothing() -> None:
    view = BoardView()
    assert view.take(Entry("b", "ada", "s", "p", "second", 0.5, 2, AT, 1.0))
    assert not view.take(Entry("a", "ada", "s", "p", "first", 0.5, 1, AT, 1.0))
    assert view.prevailing(("s", "p"), AT)["value"] == "second"


def test_a_call_with_a_column_or_an_option_that_is_wrong_is_refused() -> None:
    columns = [(name, parse_type(declared)) for name, declared in SUBSCRIBED.items()]
    team: Any = None
    assert ReadBoard.plan({"most": 5}, columns, team).most == 5
    for arguments in ({"most": -1}, {"most": "all"}, {"least": 1}):
        with pytest.raises(BadCall):
            ReadBoard.plan(arguments, columns, team)
    for without in SUBSCRIBED:
        rest = [(name, declared) for name, declared in columns if name != without]
        with pytest.raises(BadCall, match=f"the input of read_board has {without} nowhere"):
            ReadBoard.plan({}, rest, team)


def test_an_update_without_a_time_is_a_dead_letter_and_not_a_failure() -> None:
    with pytest.raises(ValueError, match="no time"):
        keep([("u0", proposed("ada", said_at=None))])
