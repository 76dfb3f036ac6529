"""Cases 31 to 53 out: a model that fails, lies, wanders and costs, for each agent that asks it."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.torture.case import Case, Input, Json, fresh, good

# Agent → the topic that it reads, and words that only its prompt holds.
AGENTS = {
    "lead_ingestion": ("incoming_leads", "Research this lead"),
    "lead_scoring": ("lead_ingestion_output", "Score this lead"),
    "active_outreach": ("leads_to_activate", "Write the first e-mail"),
    "nurture_campaign": ("leads_to_nurture", "Write three e-mails"),
}
EVERY = tuple(AGENTS)
ECHOING = EVERY[1:]
WRITING = EVERY[2:]


_OF_THE_REPLY = frozenset({"prose", "fences", "truncated", "broken_json", "wrong_schema"})


def rule(agent: str, key: str, kind: str, **more: Any) -> Json:
    """A fault for what this agent asks about this lead; one of its reply waits for its tools."""
    after = r"[\s\S]*\ntool: " if agent == "lead_ingestion" and kind in _OF_THE_REPLY else ""
    return {"kind": kind, "match": rf"{AGENTS[agent][1]}[\s\S]*\b{key}@{after}", **more}


def case(
    number: int,
    name: str,
    letter: str,
    agent: str,
    end: str,
    faults: Mapping[str, Any] | list[Mapping[str, Any]],
    wave: str = "quick",
    record: Input | None = None,
    note: str = "",
) -> Case:
    """A lead for this agent, and the model's faults for it; each fault without its match."""
    key = fresh(f"l{number}")
    record = record or good(AGENTS[agent][0], key)
    if record.key is not None:
        key = record.key.decode()
    rules = tuple(
        rule(agent, key, **fault) for fault in ([faults] if isinstance(faults, Mapping) else faults)
    )
    return Case(number, name, agent, letter, (record,), (end,), rules, wave=wave, note=note)


Fault = Mapping[str, Any]
# number, name, letter, faults, what comes of it, agents, wave
TABLE: tuple[tuple[int, str, str, Fault | list[Fault], str, tuple[str, ...], str], ...] = (
    (31, "no answer", "D", {"kind": "hang"}, "dead letter: model_timeout", EVERY, "slow"),
    (32, "hangs after its headers", "T", {"kind": "hang_after_headers"},
     "dead letter: model_timeout", EVERY, "slow"),
    (33, "429, Retry-After 0, twice", "K", {"kind": "rate_limited", "retry_after": 0, "count": 2},
     "result", EVERY, "quick"),
    (33, "429, Retry-After a date", "K",
     {"kind": "rate_limited", "retry_after": "date", "count": 1}, "result", EVERY, "quick"),
    (33, "429, Retry-After garbage", "K",
     {"kind": "rate_limited", "retry_after": "garbage", "count": 2}, "result", EVERY, "quick"),
    (34, "500, 502, 503, then it recovers", "K",
     [{"kind": "server_error", "status": status, "count": 1} for status in (500, 502, 503)],
     "result", EVERY, "quick"),
    (34, "503 for ever", "D", {"kind": "server_error", "status": 503},
     "dead letter: model_unavailable", EVERY, "slow"),
    (35, "resets in the middle of an answer, twice", "K", {"kind": "reset", "count": 2}, "result",
     EVERY, "quick"),
    (36, "200 with HTML", "D", {"kind": "html"}, "dead letter: model_unavailable", EVERY, "slow"),
    (36, "200 with half a body", "D", {"kind": "broken_body"}, "dead letter: model_unavailable",
     EVERY, "slow"),
    (37, "prose around the JSON", "K", {"kind": "prose"}, "result", EVERY, "quick"),
    (38, "JSON in Markdown fences", "K", {"kind": "fences"}, "result", EVERY, "quick"),
    (39, "valid JSON of another schema", "D", {"kind": "wrong_schema"},
     "dead letter: invalid_reply", EVERY, "quick"),
    (39, "another schema, once", "K", {"kind": "wrong_schema", "count": 1}, "result", EVERY,
     "quick"),
    (40, "cut off at max_tokens", "D", {"kind": "truncated"}, "dead letter: truncated", EVERY,
     "quick"),
    (40, "cut JSON", "D", {"kind": "broken_json"}, "dead letter: invalid_reply", EVERY, "quick"),
    (41, "an empty answer", "D", {"kind": "empty"}, "dead letter: empty_reply", EVERY, "quick"),
    (42, "a refusal", "D", {"kind": "refusal"}, "dead letter: refusal", EVERY, "quick"),
    (46, "one sentence for ever", "T", {"kind": "repetition"}, "dead letter: truncated", EVERY,
     "quick"),
    (48, "an unknown model, at work", "R", {"kind": "unknown_model"},
     "dead letter: model_unavailable", EVERY, "quick"),
    (50, "a foreign tool, again and again", "R", {"kind": "unknown_tool"},
     "dead letter: tool_not_allowed", EVERY, "quick"),
    (50, "a foreign tool, once", "R", {"kind": "unknown_tool", "count": 1}, "result", EVERY,
     "quick"),
)  # fmt: skip


def cases() -> list[Case]:
    found = [
        case(number, name, letter, agent, end, faults, wave)
        for number, name, letter, faults, end, agents, wave in TABLE
        for agent in agents
    ]
    return found + _answers() + _tools() + _waits()


def answer(agent: str, **changes: Any) -> str:
    """A reply of this agent's form, with changes."""
    replies: Mapping[str, Json] = {
        "lead_scoring": {"score": 80, "next_step": "Actively Engage", "talking_points": ["Live."]},
        "active_outreach": {"subject": "Live streams", "body": "Hello,\nshall we talk?"},
        "nurture_campaign": {"messages": [{"subject": "Streams", "body": "Hello."}] * 3},
    }
    return json.dumps(replies[agent] | changes)


def _answers() -> list[Case]:
    """Well-formed answers that say what must not be believed."""
    found = []
    for agent in ECHOING:
        other = answer(agent, about_lead="somebody-else")
        found.append(
            case(43, "an answer about another lead", "D", agent, "dead letter: invalid_reply",
                 {"kind": "answer", "text": other})
        )  # fmt: skip
    for score in (150, -1, '"high"'):
        key = fresh("l44")
        text = answer("lead_scoring", about_lead=key).replace("80", str(score))
        found.append(
            case(44, f"score {score}", "D", "lead_scoring", "dead letter: invalid_reply",
                 {"kind": "answer", "text": text}, record=good("lead_ingestion_output", key))
        )  # fmt: skip
    invented = ("Write to boss@evil.example.", "See https://evil.example/pay now.")
    for agent in WRITING:
        for words in invented:
            key = fresh("l45")
            told = {"about_lead": key, "body": words}
            if agent == "nurture_campaign":
                told = {"about_lead": key, "messages": [{"subject": "Hi", "body": words}] * 3}
            found.append(
                case(45, "an address that it invented", "R", agent, "dead letter: invalid_reply",
                     {"kind": "answer", "text": answer(agent, **told)},
                     record=good(AGENTS[agent][0], key))
            )  # fmt: skip
    return found


def _tools() -> list[Case]:
    """Tools called without end, a thousand at once, until the money is gone; prompts too long."""
    call = {"kind": "tool_call", "text": "look_up_account",
            "arguments": json.dumps({"company_name": "Okafor"})}  # fmt: skip
    found = [
        case(51, "a tool again and again", "T", "lead_ingestion", "dead letter: step_limit", call),
        case(52, "a thousand tools at once", "T", "lead_ingestion", "dead letter: token_limit",
             {**call, "times": 1000, "count": 1}),
        replace(
            case(52, "a hundred tools at once", "T", "lead_ingestion", "result",
                 {**call, "times": 100, "count": 1}),
            ends=("result", "tool calls: 16"),
        ),
    ]  # fmt: skip
    long = "We must replace nightly batches, line by line, and we say so in many words. " * 900
    key = fresh("l53")
    found.append(
        case(53, "the budget is spent", "D", "lead_ingestion", "dead letter: token_limit", call,
             record=good("incoming_leads", key, project_description=long))
    )  # fmt: skip
    key = fresh("l13")
    context = json.dumps({"context": "They want live streams before June. " * 100})
    full = good("incoming_leads", key, project_description="w" * ((1 << 20) - 2_000))
    found.append(
        case(13, "too large with its answer", "D", "lead_ingestion", "dead letter: oversize",
             {"kind": "answer", "text": context}, "large-1", full)
    )  # fmt: skip
    for agent in EVERY:
        topic, key = AGENTS[agent][0], fresh("l47")
        record = good(topic, key, project_description="Live streams before June. " * 30_000)
        found.append(
            case(47, "a prompt longer than the context", "K", agent, "result", [], record=record,
                 wave="large-1")
        )  # fmt: skip
    return found


def _waits() -> list[Case]:
    """A server that wants to be left alone for long: all calls wait with it, and none fails."""
    limited = "dead letter: rate_limited"
    return [
        case(33, f"429, {name}", letter, agent, end, {"kind": "rate_limited", **fault}, wave)
        for agent in EVERY
        for name, letter, end, fault, wave in (
            ("Retry-After 30, once", "K", "result", {"retry_after": 30, "count": 1}, "busy"),
            ("Retry-After 1e9", "T", limited, {"retry_after": 1_000_000_000}, "busy"),
            ("Retry-After 20, for ever", "T", limited, {"retry_after": 20}, "always busy"),
        )
    ]
