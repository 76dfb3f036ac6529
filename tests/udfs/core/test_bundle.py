"""A bundle's events in any order that topics allow, with repeats: each version once, and right."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.udfs.core.orchestration_world import Map
from udfs.bundles import BundleState
from udfs.core.bundle import DEADLINE_S, QUIET_MS, Bundle
from udfs.core.fold import BadEvent, Emitted, Fold
from udfs.core.slot import decode

TRACE, NEXT_TRACE = "1" * 32, "2" * 32


class Deliveries:
    """One slot with its store, as the operator drives it: repeats of an id are dropped."""

    def __init__(self) -> None:
        self.store: dict[str, bytes] = {}
        self.now_ms = 1_000
        self.fired: list[Emitted] = []
        self.restart()

    def restart(self) -> None:
        self.fold = Fold(Map(self.store), BundleState).load()

    def send(self, ce_id: str, kind: str, event: dict[str, Any], trace: str = TRACE) -> None:
        headers = {"ce_id": ce_id.encode(), "traceparent": f"00-{trace}-{'3' * 16}-01".encode()}
        if self.fold.seen(ce_id, b"") == "new":
            row = {"bundle_id": "b", "kind": kind, "event": json.dumps(event)}
            self.fired += self.fold.take("b", row, headers, self.now_ms)

    def wait(self, ms: int) -> None:
        self.now_ms += ms
        self.fired += self.fold.wake(self.now_ms)

    @property
    def versions(self) -> list[dict[str, Any]]:
        return [one.values for one in self.fired]


Event = tuple[str, str, dict[str, Any]]


def request(*urls: str, name: str = "r", deadline_s: int | None = None) -> Event:
    sources = [{"url": url, "kind": None} for url in urls]
    return name, "requested", {"topic": "Tides", "sources": sources, "deadline_s": deadline_s}


def checked(url: str, status: str, **more: Any) -> Event:
    name = f"c-{url}-{status}-{more.get('content_hash')}"
    return name, "checked", {"url": url, "status": status, **more}


def document(url: str, content: str = "a", changed: int = 0) -> list[Event]:
    """What three topics say of a document that came, in the order of cause."""
    of = {"url": url, "content_hash": content}
    return [
        checked(url, "document", content_hash=content, title=f"The {url}", kind="page"),
        (f"s-{url}-{content}", "stored", {**of, "chunk_count": 5, "changed_count": changed}),
        (f"m-{url}-{content}", "mined", {**of, "questions": [f"What of {url}?"]}),
    ]


def send(to: Deliveries, events: list[Event], trace: str = TRACE) -> None:
    for name, kind, event in events:
        to.send(f"{name}-{trace}", kind, event, trace)


def told(versions: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What counts of each version, whatever the order of arrival."""
    return [
        (
            one["version"],
            one["complete"],
            one["expected"],
            sorted(s["url"] for s in one["sources"]),
            sorted((m["url"], m["reason"]) for m in one["missing"]),
            sorted((c["url"], c["what"]) for c in one["changes"]),
            sorted(one["questions"]),
        )
        for one in versions
    ]


LISTED = checked("feed", "listing", found_urls=["e1", "e2"])
TOPICS: dict[str, list[Event]] = {
    "requests": [request("feed", "page", "gone")],
    "documents": [
        LISTED,
        document("page")[0],
        checked("gone", "failed", reason="http_404"),
        document("e1")[0],
        document("e2")[0],
    ],
    "stored": [document(url)[1] for url in ("page", "e1", "e2")],
    "mined": [document(url)[2] for url in ("page", "e1", "e2")],
}
EXPECTED = [
    (
        1,
        False,
        4,
        ["e1", "e2", "page"],
        [("gone", "http_404")],
        [],
        ["What of e1?", "What of e2?", "What of page?"],
    )
]


@given(st.data())
def test_any_interleaving_of_topics_with_repeats_and_restarts_fires_the_same_version(
    data: st.DataObject,
) -> None:
    bundle = Deliveries()
    left = {name: list(events) for name, events in TOPICS.items()}
    sent: list[Event] = []
    while any(left.values()):
        name = data.draw(st.sampled_from([name for name, events in left.items() if events]))
        sent.append(left[name].pop(0))
        send(bundle, [sent[-1]])
        if data.draw(st.booleans()):
            send(bundle, [data.draw(st.sampled_from(sent))])  # delivered once more
        if data.draw(st.booleans()):
            bundle.restart()
    send(bundle, sent)
    bundle.wait(10 * DEADLINE_S * 1000)
    assert told(bundle.versions) == EXPECTED


@given(st.data())
def test_every_change_ends_in_the_last_version_and_versions_count_by_one(
    data: st.DataObject,
) -> None:
    bundle = Deliveries()
    send(bundle, [request("p", "q")])
    contents: dict[str, str] = {}
    for turn in range(data.draw(st.integers(1, 8))):
        url = data.draw(st.sampled_from("pq"))
        contents[url] = f"v{turn}"
        events = document(url, contents[url])
        send(bundle, data.draw(st.permutations(events)) if data.draw(st.booleans()) else events)
        bundle.wait(data.draw(st.sampled_from([0, QUIET_MS // 2, QUIET_MS, DEADLINE_S * 1000])))
    bundle.wait(10 * DEADLINE_S * 1000)
    versions = bundle.versions
    assert [one["version"] for one in versions] == list(range(1, len(versions) + 1))
    assert len({one.index for one in bundle.fired}) == len(bundle.fired)
    last = versions[-1]
    assert sorted(s["url"] for s in last["sources"]) == sorted(contents)
    for one in versions[1:]:
        assert one["changes"], "a version that tells nothing new was fired"


def test_one_edit_of_three_events_makes_one_version_that_says_what_changed() -> None:
    bundle = Deliveries()
    send(bundle, [request("p", "q"), *document("p"), *document("q")])
    send(bundle, document("p", "b"))
    assert len(bundle.versions) == 1, "it waits for a quiet moment"
    bundle.wait(QUIET_MS)
    bundle.wait(10 * QUIET_MS)
    assert [one["version"] for one in bundle.versions] == [1, 2]
    assert bundle.versions[1]["changes"] == [{"url": "p", "what": "changed"}]
    assert bundle.versions[1]["complete"]


@pytest.mark.parametrize(
    ("changed", "what"),
    [
        (1, "changed (1 of 5 passages is new)"),
        (2, "changed (2 of 5 passages are new)"),
        (5, "changed"),
    ],
)
def test_a_change_says_how_much_of_a_source_is_new_since_the_last_version(
    changed: int, what: str
) -> None:
    bundle = Deliveries()
    send(bundle, [request("p"), *document("p", changed=5)])
    bundle.restart()
    send(bundle, document("p", "b", changed=changed))
    bundle.wait(QUIET_MS)
    assert bundle.versions[1]["changes"] == [{"url": "p", "what": what}]


def test_a_deadline_fires_a_partial_version_and_the_late_source_the_next() -> None:
    bundle = Deliveries()
    send(bundle, [request("p", "slow", deadline_s=60), *document("p")])
    bundle.wait(59_000)
    assert bundle.versions == []
    bundle.wait(1_000)
    assert told(bundle.versions)[0][1:5] == (
        False,
        2,
        ["p"],
        [("slow", "not heard of before the deadline")],
    )
    bundle.wait(10 * 60_000)
    assert len(bundle.versions) == 1
    send(bundle, document("slow"))
    bundle.wait(QUIET_MS)
    assert bundle.versions[1]["changes"] == [{"url": "slow", "what": "added"}]
    assert bundle.versions[1]["missing"] == [] and bundle.versions[1]["complete"]


def test_a_document_whose_chunks_were_never_stored_is_missing_and_says_so() -> None:
    bundle = Deliveries()
    send(bundle, [request("p", "q", deadline_s=1), *document("p"), document("q")[0]])
    bundle.wait(1_000)
    reason = "read, but its chunks were not stored before the deadline"
    assert bundle.versions[0]["missing"] == [{"url": "q", "reason": reason}]


def test_a_bundle_of_which_nothing_can_be_read_is_told_at_once() -> None:
    bundle = Deliveries()
    send(bundle, [request("p"), checked("p", "failed", reason="robots_denied")])
    assert bundle.versions[0]["arrived"] == 0
    assert bundle.versions[0]["missing"] == [{"url": "p", "reason": "robots_denied"}]


def test_asked_again_with_nothing_changed_it_fires_nothing() -> None:
    bundle = Deliveries()
    send(bundle, [request("p"), *document("p")])
    send(bundle, [checked("p", "unchanged", content_hash="a")], NEXT_TRACE)
    send(bundle, [request("p")], NEXT_TRACE)
    bundle.wait(10 * DEADLINE_S * 1000)
    assert len(bundle.versions) == 1


def test_a_source_that_was_read_before_the_state_began_arrives_unchanged() -> None:
    bundle = Deliveries()
    of = {"url": "p", "content_hash": "a"}
    send(bundle, [request("p"), checked("p", "unchanged", content_hash="a")])
    assert bundle.versions == []
    send(bundle, [("s", "stored", of)])
    assert bundle.versions[0]["complete"] and bundle.versions[0]["arrived"] == 1


def test_asked_again_it_waits_for_every_source_even_if_a_report_came_before_the_request() -> None:
    bundle = Deliveries()
    send(bundle, [request("p", "q"), *document("p"), *document("q")])
    send(bundle, document("p", "b"), NEXT_TRACE)
    send(bundle, [request("p", "q")], NEXT_TRACE)
    bundle.wait(QUIET_MS)
    assert len(bundle.versions) == 1, "q has not been looked at again"
    send(bundle, [checked("q", "unchanged", content_hash="a")], NEXT_TRACE)
    bundle.wait(QUIET_MS)
    assert told(bundle.versions)[1][5] == [("p", "changed")]


def test_a_source_that_is_asked_for_later_and_fails_makes_a_version_that_says_so() -> None:
    bundle = Deliveries()
    send(bundle, [request("p"), *document("p")])
    send(bundle, [request("p", "q")], NEXT_TRACE)
    send(bundle, [checked("p", "unchanged", content_hash="a")], NEXT_TRACE)
    send(bundle, [checked("q", "failed", reason="http_404")], NEXT_TRACE)
    bundle.wait(QUIET_MS)
    assert bundle.versions[1]["changes"] == [{"url": "q", "what": "missing"}]
    assert bundle.versions[1]["missing"] == [{"url": "q", "reason": "http_404"}]


def test_a_late_word_of_an_earlier_round_does_not_count_for_this_one() -> None:
    bundle = Deliveries()
    send(bundle, [request("p", "q"), *document("p"), *document("q")])
    send(bundle, [request("p")], NEXT_TRACE)
    send(bundle, [checked("p", "unchanged", reason="late")])
    send(bundle, document("q", "b"), NEXT_TRACE)
    bundle.wait(QUIET_MS)
    assert len(bundle.versions) == 1


def test_a_removed_page_leaves_the_bundle_and_a_failed_recheck_does_not() -> None:
    bundle = Deliveries()
    send(bundle, [request("p", "q"), *document("p"), *document("q")])
    send(bundle, [checked("q", "failed", reason="http_503")])
    bundle.wait(10 * QUIET_MS)
    assert len(bundle.versions) == 1, "its chunks are still there"
    send(bundle, [checked("q", "removed")])
    bundle.wait(QUIET_MS)
    assert bundle.versions[1]["changes"] == [{"url": "q", "what": "removed"}]
    assert (bundle.versions[1]["expected"], bundle.versions[1]["complete"]) == (1, True)


@pytest.mark.parametrize(
    ("kind", "event", "reason"),
    [
        ("requested", {"sources": []}, "no_sources"),
        ("checked", {"url": "p", "status": "read"}, "unknown_status"),
        ("stored", {}, "no_url"),
        ("guessed", {}, "unknown_kind"),
    ],
)
def test_an_event_that_says_nothing_is_refused_and_changes_nothing(
    kind: str, event: dict[str, Any], reason: str
) -> None:
    bundle = Bundle()
    with pytest.raises(BadEvent) as refused:
        bundle.take(kind, event, TRACE, {}, 0)
    assert refused.value.reason == reason
    assert bundle.changed_pieces() == {} and bundle.due_ms is None


def test_ten_thousand_sources_store_a_piece_per_event_not_the_bundle() -> None:
    bundle = Deliveries()
    urls = [f"e{n}" for n in range(10_000)]
    send(bundle, [request("feed"), checked("feed", "listing", found_urls=urls)])
    sizes = []
    for url in urls:
        before = dict(bundle.store)
        send(bundle, document(url)[:1])
        if len(sizes) < 20:
            sizes.append(sum(before.get(k) != v for k, v in bundle.store.items()))
        else:
            break
    assert max(sizes) <= 3, "its own piece, the seen id, the request's"
    kept = [decode(v) for k, v in bundle.store.items() if k.startswith("k/")]
    assert len(kept) == 10_002
