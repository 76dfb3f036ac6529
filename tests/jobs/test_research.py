"""`tidemill research` and `ask`, the parts that need no cluster: what they send, see and show."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from connectors.kafka import KafkaError, KafkaRecord
from jobs.ask import checked, print_passage
from jobs.bundles import Bundles, Seen
from jobs.errors import TidemillError
from jobs.research import (
    bundle_name,
    bundles_table,
    progress,
    research,
    say_finished,
    source_of,
    unbalanced,
    written,
)
from udfs.core.citations import Passage

TRACE = "1" * 32
SITE = "http://mill.example/"


@pytest.fixture
def bundles(monkeypatch: pytest.MonkeyPatch) -> Bundles:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    return Bundles()


def put(bundles: Bundles, topic: str, value: Any, name: str | None = None) -> Seen:
    headers = [("traceparent", f"00-{TRACE}-{'2' * 16}-01".encode())]
    headers += [("ce_id", name.encode())] if name else []
    offset = sum(len(seen.repeats) for seen in bundles.found.values())
    record = KafkaRecord(topic, 0, offset, 1_000, b"mills", json.dumps(value).encode(), headers)
    bundles.take(record)
    return bundles.found["mills"]


def test_a_source_is_followed_from_waiting_to_ready(bundles: Bundles) -> None:
    seen = put(bundles, "research_requests", {"topic": "Mills", "sources": [{"url": SITE}]})
    (source,) = seen.sources()
    states = [seen.state(source)]
    of = {"url": SITE, "content_hash": "h"}
    put(bundles, "source_documents", {**of, "status": "document", "title": "Mills"})
    states.append(seen.state(source))
    put(bundles, "stored_documents", of)
    states.append(seen.state(source))
    put(bundles, "mined_questions", {**of, "questions": []})
    states.append(seen.state(source))
    assert states == ["waiting", "read", "stored", "ready"]
    assert seen.bundle.settled and unbalanced(bundles.found) == ["mills"]
    put(bundles, "research_briefs", {"version": 1, "brief": "# Mills", "citations": []})
    assert seen.latest and unbalanced(bundles.found) == []


def test_a_record_that_comes_twice_counts_once_and_the_first_brief_stands(
    bundles: Bundles,
) -> None:
    put(bundles, "research_briefs", {"version": 1, "brief": "first"}, "b")
    put(bundles, "research_briefs", {"version": 1, "brief": "first again"}, "b")
    seen = put(bundles, "research_briefs", {"version": 1, "brief": "another"}, "c")
    assert seen.latest == {"version": 1, "brief": "first"}


def test_a_broker_that_does_not_answer_for_a_moment_is_asked_again(
    bundles: Bundles, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = put(bundles, "research_requests", {"topic": "M", "sources": [{"url": SITE}]})

    def away(*_: object) -> Any:
        raise KafkaError("No leaders found.")

    monkeypatch.setattr("jobs.bundles.read_all", away)
    assert bundles.look(patience_s=60)["mills"] is seen
    with pytest.raises(KafkaError):
        bundles.look()


def test_junk_on_a_topic_is_told_and_stops_nothing(bundles: Bundles) -> None:
    put(bundles, "source_documents", {"status": "document"})
    put(bundles, "source_documents", ["no", "object"])
    seen = put(bundles, "stored_documents", {"url": SITE, "content_hash": "h"})
    assert len(seen.failures) == 2


def test_progress_shows_what_is_waited_for_first_and_no_escapes(bundles: Bundles) -> None:
    urls = [f"{SITE}{n}" for n in range(30)]
    put(bundles, "research_requests", {"topic": "M", "sources": [{"url": url} for url in urls]})
    failed = {"url": urls[0], "status": "failed", "reason": "http_404\x1b[31m"}
    seen = put(bundles, "source_documents", failed)
    told = rendered(progress(seen, 0, 3.0))
    assert "29 waiting, 1 failed" in told and "6 more" in told
    assert urls[0] not in told and "\x1b" not in told
    assert "mills" in rendered(bundles_table(bundles.found))


def test_in_a_pipe_each_source_is_told_once_when_its_round_is_done(bundles: Bundles) -> None:
    pages = [{"url": f"{SITE}{name}"} for name in ("a", "b\x1b[31m", "c")]
    put(bundles, "research_requests", {"topic": "M", "sources": pages})
    document = {"url": pages[0]["url"], "title": "The A", "content_hash": "h", "questions": []}
    put(bundles, "source_documents", {**document, "status": "document"})
    seen = put(bundles, "source_documents", {**pages[1], "status": "failed", "reason": "dns"})
    console, said = Console(file=io.StringIO(), width=30), set[str]()
    say_finished(console, seen, TRACE, said)
    put(bundles, "stored_documents", document)
    put(bundles, "mined_questions", document)
    say_finished(console, seen, TRACE, said)
    say_finished(console, seen, "9" * 32, set())
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert told == f"failed    {SITE}b\\x1b[31m (dns)\nready     The A\n"


def test_a_bundles_name_is_shown_whole_however_narrow_the_terminal() -> None:
    name = "the-tide-mill-at-saltern-reach"
    console = Console(file=io.StringIO(), width=70)
    console.print(bundles_table({name: Seen(asked=True)}))
    told = console.file.getvalue()  # type: ignore[attr-defined]
    cells = [line.split("│")[1].strip() for line in told.splitlines() if line.startswith("│")]
    assert "".join(cells) == name


def test_a_brief_is_written_to_a_file_or_into_a_folder(tmp_path: Path) -> None:
    assert written("# Mills", tmp_path, "a/b-v1.md") == tmp_path / "a-b-v1.md"
    assert written("# Eels", tmp_path / "eels.md", "b-v1.md").read_text() == "# Eels"
    with pytest.raises(TidemillError, match="could not be written to .*: No such file"):
        written("# Mills", tmp_path / "nowhere" / "x.md", "b-v1.md")


def rendered(what: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    console.print(what)
    return console.file.getvalue()  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", ["ftp://a.example/", "nowhere/at/all", "file:///etc/passwd"])
def test_what_is_no_source_is_refused_before_anything_is_sent(given: str) -> None:
    with pytest.raises(TidemillError, match="is no source"):
        source_of(given)


def test_without_a_source_nothing_is_submitted() -> None:
    with pytest.raises(TidemillError, match="there is no source to read"):
        research("Tide mills")


def test_an_address_is_sent_as_it_was_given() -> None:
    given = "HTTP://Mill.example/a?b#c"
    assert source_of(given) == {"url": given, "kind": None}


def test_a_topic_has_one_name_and_another_topic_another() -> None:
    assert bundle_name("Tide mills") == "tide-mills"
    assert bundle_name("Tide mills") == bundle_name("Tide mills")
    names = {bundle_name(topic) for topic in ("潮", "汐", "Tide", "Tidé", "x" * 80, "x" * 81)}
    assert len(names) == 6 and all(len(name) <= 40 for name in names)


FOUND = [{"chunk_id": "c1", "url": SITE, "title": "Mills", "text": "A mill grinds corn at ebb."}]


def test_an_answers_citations_are_checked_like_a_briefs() -> None:
    good = {"text": "At ebb.", "citations": [{"chunk_id": "c1", "quote": "grinds corn at ebb"}]}
    bad = {"text": "At noon.", "citations": [{"chunk_id": "c1", "quote": "grinds corn at noon"}]}
    claims, _, unanswered = checked({"claims": [good, bad], "unanswered": ""}, FOUND)
    assert [len(claim.proven) for claim in claims] == [1, 0] and unanswered == ""


def test_a_passage_is_shown_with_its_source_and_without_its_escapes() -> None:
    passage = Passage("c1", SITE, "Mills\x1b]0;x\x07", "A mill grinds corn at ebb.")
    console = Console(file=io.StringIO(), width=100)
    print_passage(console, 1, passage, ["grinds corn"])
    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "[1]" in told and SITE in told and "A mill grinds corn at ebb." in told
    assert "\x1b" not in told and "\x07" not in told


def test_a_folder_is_allowed_and_sent_as_its_url(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEMILL_HOME", str(tmp_path / "home"))
    folder = tmp_path / "notes"
    folder.mkdir()
    assert source_of(str(folder)) == {"url": folder.resolve().as_uri(), "kind": "folder"}
