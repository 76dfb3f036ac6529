"""Cases 1 to 30 out: records that are not what a topic holds, on every topic that a job reads."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

from tests.torture.case import (
    TOPICS,
    Case,
    Input,
    changed,
    document,
    done,
    encoded,
    everywhere,
    fresh,
    good,
    now_ms,
    required,
    some_text,
)
from tests.torture.model import AGENTS, ECHOING, answer, rule

Make = Callable[[str, str], Input]
MIB = 1 << 20
DAY_MS = 24 * 3600 * 1000
BILLION_LAUGHS = (
    b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><l>&c;</l>'
)
ALIASES = b"a: &a [x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n"
ODD_NAME = "R\u0000o\u202eb\u200bin \u041ek\u0430for\x1b[31m\r\nBcc: x@evil.example"


def valued(make: Callable[[bytes, str, str], bytes | None]) -> Make:
    """A record whose value is made of a good one's (and of topic and key)."""

    def record(topic: str, key: str) -> Input:
        whole = good(topic, key)
        return changed(whole, value=make(whole.value or b"", topic, key))

    return record


def extra(text: str) -> Make:
    """A good record with one more member, as JSON text, that no table declares."""
    return valued(lambda value, topic, key: value[:-1] + b", " + text.encode() + b"}")


def headed(*headers: tuple[str, bytes | None]) -> Make:
    return lambda topic, key: changed(good(topic, key), headers=headers)


def timed(when: Callable[[], int]) -> Make:
    return lambda topic, key: changed(good(topic, key), timestamp_ms=when())


def worded(text: str, field_of_lead: str = "name") -> Make:
    """A good record with this text in a field; mails have it in their subject."""

    def record(topic: str, key: str) -> Input:
        name = "subject" if topic == "email_campaigns" else field_of_lead
        return good(topic, key, **{name: text})

    return record


def padded(size: int) -> Make:
    """A record of this many bytes that holds one long text and is otherwise good."""

    def make(value: bytes, topic: str, key: str) -> bytes:
        return value[:-1] + b', "padding": "' + b"x" * (size - len(value) - 15) + b'"}'

    return valued(make)


def _spelled(value: bytes, old: bytes, new: bytes) -> bytes:
    """The value with its key replaced in words that JSON text may hold and UTF-8 may not."""
    return value.replace(old, new, 1)


def _without() -> Make:
    def make(value: bytes, topic: str, key: str) -> bytes:
        found = json.loads(value)
        del found[required(topic)]
        return encoded(found)

    return valued(make)


def _wrong_type(value: bytes, topic: str, key: str) -> bytes:
    found = json.loads(value)
    found[required(topic)] = {"of": 7} if isinstance(found[required(topic)], str | int) else 7
    return encoded(found)


def _declared(text: bytes) -> Make:
    """A good record whose first text is this JSON instead."""

    def make(value: bytes, topic: str, key: str) -> bytes:
        return value.replace(encoded(some_text(topic)), text)

    return valued(make)


class _Loaded:
    """What unpickling would run: it leaves a file where the oracle looks."""

    marker = Path("/tmp") / f"tidemill-torture-unpickled-{now_ms()}"

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (str(self.marker), "w")


def unpickled() -> bool:
    """Whether anything has unpickled what was sent."""
    return _Loaded.marker.exists()


def _dead(reason: str) -> Callable[[str], tuple[str, ...]]:
    return lambda topic: (f"dead letter: {reason}",)


def _on(topic: str) -> tuple[str, ...]:
    return (done(topic),)


def _nothing(topic: str) -> tuple[str, ...]:
    return ()


Ends = Callable[[str], tuple[str, ...]]
Row = tuple[int, str, str, Make, Ends]
EVERYWHERE: tuple[Row, ...] = (
    (1, "empty value", "D", valued(lambda *_: b""), _dead("empty")),
    (2, "null value", "K", valued(lambda *_: None), _nothing),
    (3, "null key", "D", lambda t, k: changed(good(t, k), key=None), _dead("null_key")),
    (3, "empty key", "D", lambda t, k: changed(good(t, k), key=b""), _dead("null_key")),
    (3, "key of 2,000 bytes", "D", lambda t, k: changed(good(t, k), key=b"k" * 2000),
     _dead("too_large")),
    (4, "not UTF-8", "D", valued(lambda v, *_: v.replace(b"o", b"\xff\xfe\xfa", 1)),
     _dead("not_utf8")),
    (4, "key not UTF-8", "D", lambda t, k: changed(good(t, k), key=b"\xc3\x28" + k.encode()),
     _dead("not_utf8")),
    (5, "UTF-16 with a BOM", "D", valued(lambda v, *_: v.decode().encode("utf-16")),
     _dead("not_utf8")),
    (5, "UTF-8 with a BOM", "D", valued(lambda v, *_: b"\xef\xbb\xbf" + v), _dead("not_json")),
    (6, "JSON cut off", "D", valued(lambda v, *_: v[: len(v) // 2]), _dead("not_json")),
    (7, "two JSON documents", "D", valued(lambda v, *_: v + b"\n" + v), _dead("not_json")),
    (7, "an array", "D", valued(lambda v, *_: b"[" + v + b"]"), _dead("not_json")),
    (7, "JSON null", "D", valued(lambda *_: b"null"), _dead("not_json")),
    (8, "a key twice", "D", valued(lambda v, *_: v[:-1] + b", " + v[1:]), _dead("duplicate_key")),
    (8, "a key twice, undeclared", "D", extra('"a": {"b": 1, "b": 1}'), _dead("duplicate_key")),
    (9, "NaN", "D", _declared(b"NaN"), _dead("not_finite")),
    (9, "Infinity, undeclared", "D", extra('"a": [-Infinity]'), _dead("not_finite")),
    (9, "1e999", "D", _declared(b"1e999"), _dead("not_finite")),
    (9, "1e999, undeclared", "D", extra('"a": {"b": 1e999}'), _dead("not_finite")),
    (10, "integer of 5,000 digits, undeclared", "D", extra('"a": ' + "9" * 5000),
     _dead("not_json")),
    (11, "JSON 10,000 deep", "D", valued(lambda *_: b'{"a":' * 10_000 + b"1" + b"}" * 10_000),
     _dead("too_deep")),
    (11, "brackets, 1,000,000 deep", "D", valued(lambda *_: b"[" * 1_000_000), _dead("too_deep")),
    (14, "wrong type", "D", valued(_wrong_type), _dead("wrong_type")),
    (14, "number for a text", "D", _declared(b"7"), _dead("wrong_type")),
    (14, "object for a text", "D", _declared(b"{}"), _dead("wrong_type")),
    (15, "a required field is missing", "D", _without(), _dead("missing_field")),
    (16, "a field that nobody knows", "K", extra('"surprise": {"deep": [1, 2]}'), _on),
    (17, "a schema registry's magic byte", "D", valued(lambda v, *_: b"\0\0\0\0\7" + v),
     _dead("unknown_schema")),
    (19, "10,000 headers", "D", headed(*((f"h{n}", b"x") for n in range(10_000))),
     _dead("too_many_headers")),
    (19, "a header of 64 KiB", "D", headed(("h", b"x" * (64 << 10))), _dead("too_many_headers")),
    (19, "ce_id is binary", "D", headed(("ce_id", b"\xff\x00\xfe")), _dead("bad_header")),
    (19, "headers binary and null", "K", headed(("h", b"\xff\0"), ("n", None), ("", b"")), _on),
    (19, "attempt of 200 digits", "K", headed(("attempt", b"9" * 200)), _on),
    (19, "ce_time in the year 9998", "K", headed(("ce_time", b"9998-12-31T23:59:59Z")), _on),
    (19, "ce_time behind the calendar", "K", headed(("ce_time", b"9999-12-31T23:59:59-14:00")),
     _on),
    (19, "ce_time before the calendar", "K", headed(("ce_time", b"0001-01-01T00:00:00+14:00")),
     _on),
    (19, "traceparent of zeros", "K",
     headed(("traceparent", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01")), _on),
    (20, "timestamp -1", "D", timed(lambda: -1), _dead("bad_timestamp")),
    (20, "timestamp in 1970", "D", timed(lambda: 1000), _dead("bad_timestamp")),
    (20, "timestamp in 9999", "D", timed(lambda: 253_370_764_800_000), _dead("bad_timestamp")),
    (25, "control, right-to-left, zero-width, homoglyphs", "K", worded("R\u202eb\u200bin \u041e"),
     _on),
    (26, "a lone surrogate", "D", _declared(b'"\\ud800"'), _dead("not_unicode")),
    (26, "a lone surrogate, undeclared", "D", extra(r'"a": "x\udfffy"'), _dead("not_unicode")),
    (26, "a lone surrogate in a name", "D", extra(r'"\ud800": 1'), _dead("not_unicode")),
    (26, "a pair of surrogates", "K", extra(r'"a": "\ud83d\ude00"'), _on),
    (27, "billion laughs in XML", "D", valued(lambda *_: BILLION_LAUGHS), _dead("not_json")),
    (27, "an alias bomb in YAML", "D", valued(lambda *_: ALIASES), _dead("not_json")),
    (28, "pickle", "R", valued(lambda *_: pickle.dumps(_Loaded())), _dead("not_*")),
)  # fmt: skip


def _case(row: Row, topic: str) -> Case:
    number, name, letter, make, ends = row
    return Case(number, name, topic, letter, (make(topic, fresh(f"r{number}")),), ends(topic))


def everywhere_cases() -> list[Case]:
    """Each row of the table on each topic."""
    return [case for row in EVERYWHERE for case in everywhere(lambda t, row=row: _case(row, t))]


def cases() -> list[Case]:
    """All of them."""
    found = everywhere_cases()
    found += _large() + _of_another_topic() + _repeated() + _on_time() + _keys()
    return found


def _large() -> list[Case]:
    """Records that are too large, alone: what they might break is everything at once."""
    found = []
    for size in (MIB + 1, 10 * MIB, 50 * MIB):
        for topic in TOPICS if size < 2 * MIB else TOPICS[:1]:
            record = padded(size)(topic, fresh("r12"))
            end = "dead letter: too_large" + (", cut" if size > MIB + 1 else "")
            found.append(
                Case(12, f"{size / MIB:.0f} MiB", topic, "D", (record,), (end,),
                     wave=f"large-{size // MIB}")
            )  # fmt: skip
    key = fresh("r12")
    record = changed(good(TOPICS[0], key), key=b"k" * 10 * MIB)
    found.append(
        Case(
            12,
            "a key of 10 MiB",
            TOPICS[0],
            "D",
            (record,),
            ("dead letter: too_large, cut",),
            wave="large-10",
        )
    )
    record = changed(good(TOPICS[0], key), headers=(("h", b"h" * 10 * MIB),))
    found.append(
        Case(
            19,
            "a header of 10 MiB",
            TOPICS[0],
            "D",
            (record,),
            ("dead letter: too_many_headers",),
            wave="large-10",
        )
    )
    bomb = tuple(
        changed(good(TOPICS[0], fresh("r29")), value=b"{" * 1024 + b"0" * (MIB - 1024))
        for _ in range(300)
    )
    found.append(
        Case(
            29,
            "300 MiB in one batch",
            TOPICS[0],
            "T",
            bomb,
            ("dead letter: not_json",) * 300,
            wave="bomb",
            packing="bomb",
        )
    )
    for packing in ("none", "gzip", "snappy", "lz4", "zstd"):
        record = good(TOPICS[0], fresh("r29"))
        found.append(
            Case(29, f"a batch packed with {packing}", TOPICS[0], "K", (record,), ("result",),
                 packing=packing)
        )  # fmt: skip
    return found


def _of_another_topic() -> list[Case]:
    """The right schema on the wrong topic. Where one topic's shape fits the other's, it goes on."""
    pairs = (
        ("incoming_leads", "leads_to_activate", "D"),
        ("lead_ingestion_output", "leads_to_nurture", "D"),
        ("incoming_leads", "lead_ingestion_output", "D"),
        ("leads_to_activate", "email_campaigns", "D"),
        ("email_campaigns", "incoming_leads", "D"),
        ("lead_ingestion_output", "incoming_leads", "K"),
    )
    found = []
    for of, on, letter in pairs:
        key = fresh("r18")
        record = Input(on, key.encode(), encoded(document(of, key)))
        ends = (done(on),) if letter == "K" else ("dead letter: missing_field",)
        note = "its shape has all that this topic asks for" * (letter == "K")
        found.append(Case(18, f"of {of}", on, letter, (record,), ends, note=note))
    return found


def _repeated() -> list[Case]:
    found = []
    for topic in TOPICS:
        key = fresh("r21")
        record = changed(good(topic, key), headers=(("ce_id", key.encode()),))
        other = good(topic, key, **{"body" if topic == "email_campaigns" else "name": "Another"})
        other = changed(other, headers=record.headers)
        plain = good(topic, fresh("r21"))
        # AI_COMPLETE remembers nothing: it answers a repeat from the journal, under the same id.
        second = "result" if topic == "lead_ingestion_output" else "dead letter: id_conflict"
        note = "AI_COMPLETE keeps no ids: the next job refuses it" * (second == "result")
        found += [
            Case(21, "the same event 100 times", topic, "I", (plain,) * 100, (done(topic),)),
            Case(22, "an id again, other content", topic, "R", (record, other),
                 (done(topic), second), note=note),
        ]  # fmt: skip
    return found


def _on_time() -> list[Case]:
    """Late and out of order; one hot key among others."""
    found = []
    for topic in TOPICS:
        ages = (0, 30, 3, 29)
        inputs = tuple(
            changed(good(topic, fresh("r23")), timestamp_ms=now_ms() - age * DAY_MS) for age in ages
        )
        ends = (done(topic),) * len(ages)
        if topic == "email_campaigns":  # what is older than its validity of 14 days is not mailed
            ends = ("sent", "sent", "dead letter: expired", "dead letter: expired")
        found.append(Case(23, "out of order and 30 days late", topic, "K", inputs, ends))
    hot = fresh("r24")
    of_one = tuple(
        changed(good("incoming_leads", fresh("r24")), key=hot.encode()) for _ in range(10)
    )
    others = tuple(good("incoming_leads", fresh("r24")) for _ in range(10))
    found.append(
        Case(24, "half of all under one key", "incoming_leads", "K", of_one + others,
             ("result",) * 20)
    )  # fmt: skip
    return found


def _keys() -> list[Case]:
    """Keys that look alike, or like parts of ids. Where a reply repeats its lead's id the model is
    told what to say, for the offline one reads some of these as numbers."""
    found = []
    agents = {topic: agent for agent, (topic, _) in AGENTS.items() if agent in ECHOING}
    for topic in TOPICS:
        inputs, faults = [], []
        for key in ("1", '"1"', "1_2", "1|2", "1/2", "[1]"):
            person = fresh("r30")
            inputs.append(changed(good(topic, person), key=key.encode()))
            if agent := agents.get(topic):
                text = answer(agent, about_lead=key)
                faults.append(rule(agent, person, "answer", text=text))
        name, ends = 'keys 1, "1", 1_2, 1|2, 1/2, [1]', (done(topic),) * len(inputs)
        found.append(Case(30, name, topic, "K", tuple(inputs), ends, tuple(faults)))
    return found
