"""The rules of effects: what is refused before any claim, and what each ledger entry leads to."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from udfs.core.effect import (
    BODY_CHARACTERS,
    Claim,
    Entry,
    Intent,
    Mail,
    Outcome,
    Park,
    Wait,
    address_hash,
    check,
    decide,
    one_line,
    plain_text,
)

NOW_MS = 1_700_000_000_000
LEASE_S = 95.0
INTENT = Intent(
    job="sdr.send_email",
    effect_key="ada@acme.example/outreach/1",
    event_id="event-1",
    key="lead-1",
    to="ada@acme.example",
    subject="Your pilot",
    body="Dear Ada,\n\nshall we talk?\n",
)
ENTRY = Entry(
    effect_id=INTENT.effect_id,
    status="claimed",
    claim="c1",
    owner="o1",
    claimed_at=NOW_MS,
    payload_hash=INTENT.payload_hash,
    job=INTENT.job,
    event_id=INTENT.event_id,
    attempt=1,
    key=INTENT.key,
    to_hash=address_hash("ada@acme.example"),
)


def entry(status: str, **changes: object) -> Entry:
    return replace(ENTRY, status=status, **changes)  # type: ignore[arg-type]


def reason(**changes: object) -> str | None:
    """The reason why a changed intent is refused, None where it is a mail."""
    outcome = check(replace(INTENT, **changes), NOW_MS)  # type: ignore[arg-type]
    if isinstance(outcome, Mail):
        return None
    assert outcome.status == "refused"
    assert outcome.dead
    assert outcome.detail
    return outcome.reason


def test_an_ordinary_intent_is_a_mail() -> None:
    mail = check(INTENT, NOW_MS)
    assert isinstance(mail, Mail)
    assert (mail.to, mail.subject, mail.body) == (INTENT.to, INTENT.subject, INTENT.body)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"to": None}, "invalid_address"),
        ({"to": "   "}, "invalid_address"),
        ({"to": "nobody"}, "invalid_address"),
        ({"to": "a b@acme.example"}, "invalid_address"),
        ({"to": "Ada <ada@acme.example>"}, "invalid_address"),
        ({"to": "ada@[127.0.0.1]"}, "invalid_address"),
        ({"to": "ada@localhost"}, "invalid_address"),
        ({"to": "ädä@acme.example"}, "invalid_address"),
        ({"to": "ada\x00@acme.example"}, "invalid_address"),
        ({"to": f"{'a' * 65}@acme.example"}, "invalid_address"),
        ({"to": "ada@acme.example, bob@acme.example"}, "several_recipients"),
        ({"to": "ada@acme.example;bob@acme.example"}, "several_recipients"),
        ({"to": "ada@acme.example bob@acme.example"}, "several_recipients"),
        ({"to": "ada@acme.example\r\nBcc: all@acme.example"}, "header_injection"),
        ({"to": "ada@acme.example\n"}, "header_injection"),
        ({"subject": "Hello\r\nBcc: all@acme.example"}, "header_injection"),
        ({"subject": "Hello\rthere"}, "header_injection"),
        ({"subject": "s" * 256}, "subject_too_long"),
        ({"subject": ""}, "empty_subject"),
        ({"subject": "\u200b\u202e \x07"}, "empty_subject"),
        ({"subject": None}, "empty_subject"),
        ({"subject": "half \ud83d"}, "invalid_text"),
        ({"body": "half \udc00"}, "invalid_text"),
        ({"body": ""}, "empty_body"),
        ({"body": None}, "empty_body"),
        ({"body": "\n \u2060\n"}, "empty_body"),
        ({"body": "b" * (BODY_CHARACTERS + 1)}, "body_too_long"),
        ({"effect_key": ""}, "invalid_key"),
        ({"effect_key": "k" * 513}, "invalid_key"),
        ({"valid_until_ms": NOW_MS - 1}, "expired"),
    ],
)
def test_an_intent_that_breaks_a_rule_is_refused(changes: dict[str, object], expected: str) -> None:
    assert reason(**changes) == expected


def test_an_intent_before_its_time_is_deferred() -> None:
    outcome = check(replace(INTENT, not_before_ms=NOW_MS + 1), NOW_MS)
    assert isinstance(outcome, Outcome)
    assert (outcome.status, outcome.dead) == ("deferred", False)
    assert isinstance(check(replace(INTENT, not_before_ms=NOW_MS), NOW_MS), Mail)


def test_an_international_domain_is_sent_in_ascii_and_opts_out_in_every_spelling() -> None:
    mail = check(replace(INTENT, to=" Ada@Bücher.example "), NOW_MS)
    assert isinstance(mail, Mail)
    assert mail.to == "Ada@xn--bcher-kva.example"
    assert address_hash("ada@bücher.example") in mail.to_hashes
    assert address_hash("ADA@XN--BCHER-KVA.example") in mail.to_hashes


def test_text_loses_what_cannot_be_seen_and_keeps_what_can() -> None:
    assert one_line("Re:\t\u202egnp.exe\u202c\u200b  now\x07") == "Re: gnp.exe now"
    assert one_line("שלום עולם 👩\u200d💻") == "שלום עולם 👩\u200d💻"
    assert plain_text("a\r\nb\rc\u2028d\x0be\x00\ufeff\tf") == "a\nb\nc\nd\ne\tf"


@given(st.text(), st.text(), st.text())
def test_no_text_makes_a_second_header_line(to: str, subject: str, body: str) -> None:
    mail = check(replace(INTENT, to=to, subject=subject, body=body), NOW_MS)
    if isinstance(mail, Mail):
        assert len(f"{mail.to}{mail.subject}".splitlines()) == 1
        assert mail.to.isascii() and mail.to.count("@") == 1
        mail.body.encode()


@given(st.lists(st.text(), min_size=2, max_size=2), st.lists(st.text(), min_size=2, max_size=2))
def test_effect_ids_never_collide(one: list[str], other: list[str]) -> None:
    first = replace(INTENT, job=one[0], effect_key=one[1])
    second = replace(INTENT, job=other[0], effect_key=other[1])
    assert (first.effect_id == second.effect_id) == (one == other)


def test_an_entry_survives_the_ledger() -> None:
    stands = entry("parked", parked_at=NOW_MS, reason="no_answer", detail="lost")
    assert Entry.of({**stands.document(), "added_by": "a later version"}) == stands
    assert "sent_at" not in stands.document()
    assert "acme" not in str(stands.document())


OTHER = {"event_id": "event-2", "key": "lead-2"}


@pytest.mark.parametrize(
    ("stands", "changes", "expected"),
    [
        (entry("sent"), {}, "sent"),
        (entry("sent"), {"attempt": 2}, "sent"),
        (entry("sent"), {"body": "other"}, "refused/conflict"),
        (entry("sent"), {"body": "other", "attempt": 2}, "refused/conflict"),
        (entry("sent"), OTHER, "duplicate/already_mailed"),
        (entry("sent"), {**OTHER, "body": "other"}, "duplicate/already_mailed"),
        (entry("parked", reason="no_answer"), {"attempt": 2}, "parked/no_answer"),
        (entry("parked"), {"subject": "other"}, "refused/conflict"),
        (entry("parked"), OTHER, "duplicate/already_parked"),
        (entry("claimed"), {"body": "other"}, "refused/conflict"),
        (entry("refused", reason="smtp_550"), {}, "refused/smtp_550"),
        (entry("refused", attempt=2, reason="smtp_550"), {}, "refused/smtp_550"),
        (entry("failed", reason="smtp_450"), {}, "failed/smtp_450"),
        (entry("opted_out", reason="opt_out"), {}, "opted_out/opt_out"),
        (entry("refused"), {"body": "other"}, "refused/conflict"),
        (entry("waiting"), {"body": "other"}, "refused/conflict"),
    ],
)
def test_a_redelivery_has_an_answer(
    stands: Entry, changes: dict[str, object], expected: str
) -> None:
    intent = replace(INTENT, **changes)  # type: ignore[arg-type]
    outcome = decide(stands, intent, NOW_MS, LEASE_S)
    assert isinstance(outcome, Outcome)
    assert "/".join(filter(None, (outcome.status, outcome.reason))) == expected


@pytest.mark.parametrize(
    ("stands", "changes"),
    [
        (None, {}),
        (entry("waiting"), {}),
        (entry("waiting"), OTHER),
        (entry("waiting"), {"attempt": 2, "body": "corrected"}),
        (entry("refused"), {"attempt": 2, "to": "corrected@acme.example"}),
        (entry("failed"), {"attempt": 2}),
        (entry("opted_out"), {"attempt": 2}),
        (entry("failed"), OTHER),
    ],
)
def test_only_what_was_surely_not_mailed_is_claimed(
    stands: Entry | None, changes: dict[str, object]
) -> None:
    intent = replace(INTENT, **changes)  # type: ignore[arg-type]
    assert decide(stands, intent, NOW_MS, LEASE_S) == Claim(stands)


@pytest.mark.parametrize("changes", [{}, OTHER, {"attempt": 2}])
def test_a_claim_is_waited_for_and_then_parked(changes: dict[str, object]) -> None:
    intent, stands = replace(INTENT, **changes), entry("claimed")  # type: ignore[arg-type]
    assert decide(stands, intent, NOW_MS, LEASE_S) == Wait(LEASE_S)
    assert decide(stands, intent, NOW_MS + 94_000, LEASE_S) == Wait(1.0)
    assert decide(stands, intent, NOW_MS + 95_000, LEASE_S) == Park(stands)


def test_a_clock_that_went_back_does_not_make_the_wait_longer_than_a_lease() -> None:
    step = decide(entry("claimed"), INTENT, NOW_MS - 3_600_000, LEASE_S)
    assert step == Wait(LEASE_S)
