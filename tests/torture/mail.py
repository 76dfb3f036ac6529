"""Cases 83 to 92 out: what must not be mailed, and a mail server that misbehaves."""

import time

from tests.torture.case import (
    Case,
    Input,
    address,
    changed,
    document,
    encoded,
    fresh,
    good,
)

TOPIC = "email_campaigns"
DAY_S = 24 * 3600
OPTED_OUT = "88 opts out"  # the harness notes the opt-out when the first mail has left


def _mail(key: str, **changes: object) -> Input:
    return good(TOPIC, key, **changes)


def _refused(name: str, number: int, reason: str, **changes: object) -> Case:
    key = fresh(f"m{number}")
    return Case(number, name, TOPIC, "R", (_mail(key, **changes),), (f"dead letter: {reason}",))


def _server(number: int, name: str, letter: str, faults: tuple[str, ...], end: str) -> Case:
    """One mail, and what the server does with the mails to its address, one after another."""
    key = fresh(f"m{number}")
    mail = {address(key): faults}
    return Case(number, name, TOPIC, letter, (_mail(key),), (end,), mail=mail)


def campaign(key: str, mails: int, kind: str = "nurture_campaign") -> Input:
    """A lead's campaign of several mails."""
    value = document(TOPIC, key)
    value["campaign_type"] = kind
    value["emails"] = value["emails"] * mails
    return Input(TOPIC, key.encode(), encoded(value))


def _old(key: str, age_s: int) -> Input:
    when = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - age_s))
    return changed(_mail(key), headers=(("ce_time", when.encode()),))


def _same_person() -> list[Case]:
    """Leads that are one person; a person who comes in again and again, as by auto-replies."""
    person = fresh("m89")
    twins = tuple(
        Input(TOPIC, fresh("m89").encode(), encoded(document(TOPIC, person))) for _ in range(2)
    )
    answering = fresh("m90")
    storm = tuple(
        Input(TOPIC, fresh("m90").encode(), encoded(document(TOPIC, answering))) for _ in range(60)
    )
    return [
        Case(89, "one person, two leads, the same step", TOPIC, "I", twins, ("duplicate", "sent")),
        Case(90, "one person 60 times, as by auto-replies", TOPIC, "T", storm,
             ("duplicate",) * 59 + ("sent",)),
    ]  # fmt: skip


def cases() -> list[Case]:
    found = [
        _refused("CRLF in the subject", 83, "header_injection",
                 subject="Hi\r\nBcc: x@evil.example"),
        _refused("CRLF in the address", 83, "header_injection",
                 to="a@torture.example\r\nRCPT TO:<x@evil.example>"),
        _refused("two recipients, by comma", 84, "several_recipients",
                 to="a@torture.example, x@evil.example"),
        _refused("two recipients, by semicolon", 84, "several_recipients",
                 to="a@torture.example;x@evil.example"),
        _refused("no recipient", 84, "invalid_address", to=None),
        _refused("an address that is none", 84, "invalid_address", to="<script>@torture.example"),
        _refused("an empty mail", 84, "empty_body", body=" \u200b\n"),
        _server(85, "250 lost after the dot", "P", ("lost",), "parked"),
        _server(85, "no answer to the dot", "P", ("hang",), "parked"),
        _server(86, "421, then taken", "K", ("421 busy",), "sent"),
        _server(86, "450 twice, then taken", "K", ("450 later",) * 2, "sent"),
        _server(86, "550", "D", ("550 no such user",), "dead letter: smtp_550"),
        _server(87, "the server crashes after the dot", "P", ("crash",), "parked"),
    ]  # fmt: skip
    key = fresh("m88")
    found.append(
        Case(
            88,
            OPTED_OUT,
            TOPIC,
            "R",
            (campaign(key, 3),),
            ("opted_out", "opted_out", "sent"),
            wave="late",
        )
    )
    found += _same_person()
    found.append(
        Case(91, "wanted 15 days ago, valid for 14", TOPIC, "R", (_old(fresh("m91"), 15 * DAY_S),),
             ("dead letter: expired",))
    )  # fmt: skip
    empty = Input(TOPIC, fresh("m91").encode(), encoded({"campaign_type": "x", "emails": []}))
    found.append(
        Case(
            91, "a campaign without mails", TOPIC, "R", (empty,), ("dead letter: invalid_address",)
        )
    )
    return found
