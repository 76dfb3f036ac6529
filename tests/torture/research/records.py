"""Cases 1 to 30 out, on every topic that a job of the research team reads."""

from collections.abc import Sequence

from tests.torture.case import Case, Input, changed, document, encoded, fresh, good, now_ms
from tests.torture.records import DAY_MS, EVERYWHERE, MIB, Row, padded
from tests.torture.research.shapes import BRIEFED, FINE, GOOD, READERS, TOPICS, request

OF_ONE_JOB = "incoming_leads"


def _case(row: Row, topic: str) -> Case:
    number, name, letter, make, ends = row
    told = ends(OF_ONE_JOB)
    words = GOOD[topic] if told == ("result",) else told * len(READERS[topic])
    return Case(number, name, topic, letter, (make(topic, fresh(f"r{number}")),), words)


def _dead(topic: str, reason: str) -> tuple[str, ...]:
    return (f"dead letter: {reason}",) * len(READERS[topic])


def cases() -> list[Case]:
    found = [_case(row, topic) for row in EVERYWHERE for topic in TOPICS]
    return found + _large() + _wrong_topic() + _repeated() + _requests() + _keys()


def _large() -> list[Case]:
    """Too large alone, and together."""
    external = TOPICS[0]
    found = [
        Case(12, "1 MiB", topic, "D", (padded(MIB + 1)(topic, fresh("r12")),),
             _dead(topic, "too_large"), wave="large-1")
        for topic in TOPICS
    ]  # fmt: skip
    record = padded(10 * MIB)(external, fresh("r12"))
    ends = _dead(external, "too_large, cut")
    found.append(Case(12, "10 MiB", external, "D", (record,), ends, wave="large-10"))
    value = b"{" * 1024 + b"0" * (MIB - 1024)
    bomb = tuple(changed(good(external, fresh("r29")), value=value) for _ in range(300))
    found.append(
        Case(29, "300 MiB in one batch", external, "T", bomb, _dead(external, "not_json") * 300,
             wave="bomb", packing="bomb")
    )  # fmt: skip
    return found


def _wrong_topic() -> list[Case]:
    pairs = (
        ("research_requests", "source_documents"),
        ("source_documents", "research_requests"),
        ("bundle_versions", "mined_questions"),
        ("stored_documents", "bundle_versions"),
    )
    found = []
    for of, on in pairs:
        key = fresh("r18")
        record = Input(on, key.encode(), encoded(document(of, key)))
        found.append(Case(18, f"of {of}", on, "D", (record,), _dead(on, "missing_field")))
    return found


def _repeated() -> list[Case]:
    found = []
    for topic in TOPICS:
        same = (good(topic, fresh("r21")),) * 100
        found.append(Case(21, "the same event 100 times", topic, "I", same, GOOD[topic]))
        old = changed(good(topic, fresh("r23")), timestamp_ms=now_ms() - 30 * DAY_MS)
        found.append(Case(23, "30 days late", topic, "K", (old,), GOOD[topic]))
    for topic, second in (
        ("research_requests", ("dead letter: id_conflict",)),
        ("bundle_versions", ("dead letter: id_conflict",)),
        ("mined_questions", ("dead letter: id_conflict",)),
    ):
        key = fresh("r22")
        first = changed(good(topic, key), headers=(("ce_id", key.encode()),))
        other = changed(good(topic, key, name="Warm goods"), headers=first.headers)
        name = "an id again, other content"
        found.append(Case(22, name, topic, "R", (first, other), (*GOOD[topic], *second)))
    return found


def _requests() -> list[Case]:
    """Requests that ask for what nobody can do."""
    topic = "research_requests"

    def one(number: int, name: str, letter: str, record: Input, ends: Sequence[str]) -> Case:
        return Case(number, name, topic, letter, (record,), tuple(ends))

    failed = ("page: failed: {0}", "dead letter: {0}", "version: 0 of 1", "brief")
    none = changed(request(fresh("q")), value=b'{"topic": "None", "sources": []}')
    blank = changed(request(fresh("q")), value=b'{"topic": "None", "sources": [{"url": null}]}')
    return [
        one(15, "no sources at all", "D", none, ["dead letter: no_sources"]),
        one(15, "a source without a url", "D", blank, _dead(topic, "missing_field")),
        one(14, "questions and deadline beyond all measure", "K",
            request(fresh("q"), FINE, questions_wanted=-5, deadline_s=2_000_000_000), BRIEFED),
        one(14, "a kind that there is not", "D",
            request(fresh("q"), sources=[{"url": FINE, "kind": "spy"}]),
            [word.format("unknown_kind") for word in failed]),
        one(14, "a url of 5,000 characters", "R", request(fresh("q"), FINE + "x" * 5_000),
            [word.format("odd_url") for word in failed]),
        one(21, "one source named 100 times", "I", request(fresh("q"), *[FINE] * 100),
            [*BRIEFED, *["page: unchanged"] * 99, *["stored"] * 99]),
    ]  # fmt: skip


def _keys() -> list[Case]:
    keys = ("1", '"1"', "1_2", "1|2", "1/2", "[1]", "bundle id")
    inputs = tuple(request(key, FINE) for key in keys)
    name = 'keys 1, "1", 1_2, 1|2, 1/2, [1]'
    return [Case(30, name, "research_requests", "K", inputs, BRIEFED * len(inputs))]
