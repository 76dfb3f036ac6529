"""Every lead in exactly one place, by hand for each fate; by chance in test_fates_at_work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from jobs.fates import Balance, Fate, flow
from jobs.team_topics import team_topics
from tests.jobs.fates_world import DEAD, WAY, Topics


@pytest.fixture
def topics() -> Topics:
    return Topics()


def counts(found: Balance) -> Mapping[str, int]:
    return {str(fate): count for fate, count in found.counts.items() if count}


def test_the_flow_is_read_from_the_scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "broker:9092")
    found = flow(team_topics("sdr"))
    assert (found.external, found.dead_letters) == (WAY.external, WAY.dead_letters)
    assert dict(found.readers) == dict(WAY.readers)
    assert dict(found.ends) == dict(WAY.ends)


@pytest.mark.parametrize(
    ("statuses", "fate"),
    [
        (["sent"], Fate.MAILED),
        (["sent", "sent", "sent"], Fate.MAILED),
        (["opted_out"], Fate.OPTED_OUT),
        (["sent", "opted_out", "opted_out"], Fate.OPTED_OUT),
        (["parked"], Fate.PARKED),
        (["sent", "parked", "sent"], Fate.PARKED),
        (["duplicate"], Fate.MAILED),
    ],
)
def test_a_lead_whose_mails_came_to_an_end(topics: Topics, statuses: list[str], fate: Fate) -> None:
    campaign = topics.campaign(len(statuses))
    for step, status in enumerate(statuses, 1):
        topics.mail(campaign, step, status)
    topics.read_all()
    assert counts(topics.balance()) == {fate: 1}


def test_the_second_lead_of_a_person_is_mailed_by_the_first(topics: Topics) -> None:
    topics.mail(topics.campaign(1), 1)
    topics.mail(topics.campaign(1, lead="lead-2"), 1, "duplicate", reason="already_mailed")
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"mailed": 2} and found.by_another == 1


def test_a_parked_mail_that_a_human_decided_is_no_longer_parked(topics: Topics) -> None:
    topics.mail(topics.campaign(1), 1, "parked", effect_id="e1")
    topics.mail(topics.campaign(1, lead="lead-2"), 1, "parked", effect_id="e2")
    other = topics.campaign(1, lead="lead-3")
    topics.mail(other, 1, "duplicate", reason="already_parked", effect_id="e3")
    topics.read_all()
    assert counts(topics.balance()) == {"parked": 3}
    topics.resolved = {"e1": "sent", "e2": "failed"}
    assert counts(topics.balance()) == {"mailed": 1, "dead": 1, "parked": 1}


def test_a_campaign_with_mails_to_come_is_nurturing_while_its_operator_holds_them(
    topics: Topics,
) -> None:
    topics.mail(topics.campaign(3), 1)
    topics.read_all()
    topics.held["sdr.send_email"] = 2
    assert counts(topics.balance()) == {"nurturing": 1}
    topics.held["sdr.send_email"] = 1
    found = topics.balance()
    assert counts(found) == {"nowhere": 1}
    assert "holds 1 of 2" in found.wrong[0].because


def test_a_campaign_whose_first_mail_is_to_come_is_in_flight(topics: Topics) -> None:
    topics.campaign(3)
    topics.read_all()
    topics.held["sdr.send_email"] = 3
    assert counts(topics.balance()) == {"in flight": 1}


def test_a_campaign_without_mails_ends_in_one_dead_letter(topics: Topics) -> None:
    campaign = topics.campaign(0)
    topics.die(campaign, "invalid_address", "effect", step=None)
    topics.read_all()
    assert counts(topics.balance()) == {"dead": 1}


def test_a_lead_that_a_person_let_go_is_discarded_and_no_longer_dead(topics: Topics) -> None:
    letters = [topics.die(topics.put("incoming_leads", lead=f"lead-{n}")) for n in range(2)]
    topics.read_all()
    topics.discarded = {letters[0].letter}
    assert counts(topics.balance()) == {"discarded": 1, "dead": 1}
    assert topics.balance().wrong == []


def test_a_lead_of_which_one_dead_letter_is_discarded_still_waits_for_the_other(
    topics: Topics,
) -> None:
    lead = topics.put("incoming_leads")
    first, second = topics.die(lead), topics.die(lead, "truncated")
    topics.read_all()
    topics.discarded = {first.letter}
    assert counts(topics.balance()) == {"dead": 1}
    topics.discarded = {first.letter, second.letter}
    assert counts(topics.balance()) == {"discarded": 1}


def test_a_lead_of_which_one_mail_was_let_go_is_mailed_by_the_others(topics: Topics) -> None:
    campaign = topics.campaign(2)
    topics.mail(campaign, 1)
    letter = topics.die(campaign, "rejected", "effect", step=2)
    topics.read_all()
    assert counts(topics.balance()) == {"dead": 1}
    topics.discarded = {letter.letter}
    assert counts(topics.balance()) == {"mailed": 1}


def test_what_a_person_edited_is_the_lead_that_it_was_on_whichever_partition(
    topics: Topics,
) -> None:
    lead = topics.put("incoming_leads", partition=1)
    topics.die(lead, "null_key", "decode")
    says = {"content": "other", "edited_from": lead.place}
    edited = topics.put("incoming_leads", says=says, attempt=2)  # a key of its own: partition 0
    found = topics.balance()
    assert counts(found) == {"in flight": 1} and not found.wrong
    topics.put("leads_disqualified", topics.put("lead_ingestion_output", edited))
    topics.read_all()
    assert counts(topics.balance()) == {"disqualified": 1}


def test_a_lead_that_is_not_yet_read_is_in_flight_and_waits(topics: Topics) -> None:
    topics.put("incoming_leads")
    found = topics.balance()
    assert counts(found) == {"in flight": 1} and found.waiting == 1


def test_a_lead_that_an_operator_holds_is_in_flight_and_does_not_wait(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.read("incoming_leads", holds=1)
    found = topics.balance()
    assert counts(found) == {"in flight": 1} and found.waiting == 0


def test_a_lead_that_was_read_and_that_nobody_holds_is_nowhere(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.read("incoming_leads", holds=0)
    found = topics.balance()
    assert [lead.key for lead in found.wrong] == ["lead-1"]
    assert "sdr.lead_ingestion has read it" in found.wrong[0].because


def test_what_a_stopped_job_holds_is_not_guessed(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.read("incoming_leads", holds=None)
    found = topics.balance()
    assert counts(found) == {"nowhere": 1}
    assert "does not run" in found.wrong[0].because


def test_a_stopped_job_that_has_read_nothing_is_no_trouble(topics: Topics) -> None:
    topics.put("incoming_leads")
    topics.held["sdr.lead_ingestion"] = None
    assert counts(topics.balance()) == {"in flight": 1}


def test_a_lead_with_a_dead_letter_and_a_result_is_counted_twice(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.die(lead)
    researched = topics.put("lead_ingestion_output", lead)
    topics.put("leads_disqualified", researched)
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"counted twice": 1}
    assert found.wrong[0].because == "dead and disqualified"


def test_a_lead_on_two_routes_that_both_end_well_is_told(topics: Topics) -> None:
    researched = topics.put("lead_ingestion_output", topics.put("incoming_leads"))
    topics.put("leads_disqualified", researched)
    topics.mail(
        topics.put(
            "email_campaigns", topics.put("leads_to_activate", researched), says={"emails": 1}
        ),
        1,
    )
    topics.read_all()
    assert counts(topics.balance()) == {"counted twice": 1}


def test_a_record_that_came_twice_is_one_lead_and_a_repeat(topics: Topics) -> None:
    first = topics.put("incoming_leads")
    topics.put("incoming_leads")
    topics.put("leads_disqualified", topics.put("lead_ingestion_output", first))
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"disqualified": 1} and found.repeats == 1


def test_other_content_under_the_same_id_is_a_lead_of_its_own(topics: Topics) -> None:
    first = topics.put("incoming_leads")
    second = topics.put("incoming_leads", says={"content": "other"})
    topics.put("leads_disqualified", topics.put("lead_ingestion_output", first))
    topics.die(second, "id_conflict")
    topics.read_all()
    assert counts(topics.balance()) == {"disqualified": 1, "dead": 1}


def test_a_redelivered_event_is_settled_by_either_of_its_places(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.put("lead_ingestion_output", lead)
    again = topics.put("lead_ingestion_output", lead)
    topics.put("leads_disqualified", again)
    topics.read_all()
    assert counts(topics.balance()) == {"disqualified": 1}


def test_tombstones_are_counted_apart(topics: Topics) -> None:
    topics.put("incoming_leads", tombstone=True)
    found = topics.balance()
    assert counts(found) == {} and found.tombstones == 1


def test_a_lead_that_was_driven_again_is_where_its_last_attempt_is(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.die(lead)
    topics.read_all()
    assert counts(topics.balance()) == {"dead": 1}
    again = topics.put("incoming_leads", attempt=2)
    assert counts(topics.balance()) == {"in flight": 1}
    topics.put("leads_disqualified", topics.put("lead_ingestion_output", again))
    topics.read_all()
    found = topics.balance()
    assert counts(found) == {"disqualified": 1} and found.repeats == 0


def test_a_campaign_that_was_driven_again_ends_with_its_second_mails(topics: Topics) -> None:
    campaign = topics.campaign(2)
    topics.mail(campaign, 1)
    topics.die(campaign, "rejected", "effect", step=2)
    topics.read_all()
    assert counts(topics.balance()) == {"dead": 1}
    again = topics.put(
        "email_campaigns",
        topics.facts[2],
        says={"emails": 2},
        event_id=campaign.event_id,
        attempt=2,
    )
    assert counts(topics.balance()) == {"nurturing": 1}
    topics.mail(again, 1)
    topics.mail(again, 2)
    topics.read_all()
    assert counts(topics.balance()) == {"mailed": 1}


def test_a_dead_letter_whose_record_is_gone_is_known_by_trace_and_key(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    topics.put("incoming_leads", lead="lead-2", trace_id=lead.trace_id, says={"content": "b"})
    gone = replace(lead, topic="lead_ingestion_output", offset=77)
    says = {"reason": "refusal", "stage": "script", "job": "sdr.lead_scoring"}
    topics.put(DEAD, gone, says=says)
    topics.put(DEAD, replace(gone, key="nobody", trace_id="f" * 32), says=says)
    topics.put("lead_ingestion_output", lead)
    topics.read("incoming_leads", holds=1)
    found = topics.balance()
    assert found.strays == 1
    assert {lead.key: str(lead.fate) for lead in found.leads} == {
        "lead-1": "counted twice",  # its way goes on, and something of it died
        "lead-2": "in flight",
    }


def test_dead_letters_of_jobs_beside_the_way_are_not_the_leads(topics: Topics) -> None:
    lead = topics.put("incoming_leads")
    says = {"reason": "refusal", "stage": "agent", "job": "sdr.statistics"}
    topics.put(DEAD, lead, says=says)
    assert counts(topics.balance()) == {"in flight": 1}
