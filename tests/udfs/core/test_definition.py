"""Agent files in, checked definitions or problems with file and line out."""

import json
import pickle

import pytest

from udfs.core.definition import (
    AgentDefinition,
    DefinitionError,
    LongTermMemory,
    load_definition,
)

PATH = "sql/sdr/lead_scoring.yaml"
WHOLE = """\
agent: lead_scoring
persona:
  role: Sales analyst
  goal: Score leads
instructions: |
  Score {{ lead_data.name }} of {{ context }}.
  {% for event in memory %}{{ event.reply }}{% endfor %}
reply:
  type: object
  additionalProperties: false
  required: [score]
  properties:
    score: {type: integer, minimum: 0, maximum: 100}
    total: {type: integer}
    weight: {type: number}
    sure: {type: boolean}
    next_step: {type: [string, "null"], enum: [Nurture, null]}
    points: {type: array, items: {type: string}}
    company:
      type: object
      properties:
        name: {type: string}
        sizes: {type: array, items: {type: integer, maximum: 9, minimum: 1}}
memory: {short_term: {events: 5, max_age_s: 604800}}
limits: {steps: 3, seconds: 30}
"""


def load(text: str) -> AgentDefinition:
    return load_definition(text, PATH)


def test_a_whole_file_becomes_a_definition() -> None:
    agent = load(WHOLE)
    assert agent.persona.role == "Sales analyst"
    assert agent.variables == {"lead_data", "context"}
    assert agent.uses_memory
    assert agent.planning == "direct"
    assert (agent.limits.steps, agent.limits.tokens) == (3, 20_000)
    assert agent.reply_columns() == [
        ("score", "INT"),
        ("total", "BIGINT"),
        ("weight", "DOUBLE"),
        ("sure", "BOOLEAN"),
        ("next_step", "STRING"),
        ("points", "ARRAY<STRING>"),
        ("company", "ROW<`name` STRING, `sizes` ARRAY<INT>>"),
    ]


def test_it_travels_as_json_and_as_pickle() -> None:
    agent = load(WHOLE)
    assert agent.reply_format is agent.reply_format
    for copy in (AgentDefinition.from_json(agent.to_json()), pickle.loads(pickle.dumps(agent))):
        assert copy == agent
        assert copy.version == agent.version
    assert len(pickle.dumps(agent)) < 3_000


def test_the_version_follows_what_an_answer_depends_on() -> None:
    version = load(WHOLE).version
    assert load(WHOLE.replace("steps: 3", "steps: 4")).version == version
    assert load(WHOLE.replace("Score leads", "Rate leads")).version != version
    assert load(WHOLE.replace("maximum: 100", "maximum: 10")).version != version


def test_tools_mean_react() -> None:
    agent = load(WHOLE + "tools: [udfs.tools.crm.look_up_account]\n")
    assert agent.planning == "react"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("  role:", "  rol:", ":3: persona.rol: unknown key; allowed here: role, goal"),
        ("persona:", "personae:", ":1: persona: is missing"),
        (
            "steps: 3",
            "steps: 0",
            ":25: limits.steps: should be greater than or equal to 1; it is 0",
        ),
        ("steps: 3", "step: 3", "allowed here: steps, revisions, tokens, seconds"),
        ("agent: lead_scoring", "agent: scoring", ":1: agent: is 'scoring', but the file's name"),
        ("{{ context }}", "{{ context + }}", ":6: instructions: the template is not right"),
        ("{{ context }}", "{{ context | shout }}", "No filter named 'shout'"),
        ("{{ context }}", "{% include 'x' %}", "include, import and extends are not supported"),
        (
            "type: integer, minimum",
            "type: int, minimum",
            ":13: reply.properties.score: `type` must",
        ),
        ("minimum: 0", "minimum: '0'", ":13: reply.properties.score.minimum: '0' is not of type"),
        ("minimum: 0", "anyOf: []", "score.anyOf: keyword is not allowed on integer; allowed:"),
        ("[score]", "[scor]", ":11: reply.required: 'scor' is not a property; declared are: score"),
        ("additionalProperties: false", "additionalProperties: true", "must be false"),
        ("[Nurture, null]", "[yes, null]", "True is not a string; YAML reads yes, no, 1 unless"),
        ("items: {type: string}", "maxItems: 3", "points: an array needs `items`"),
        ("    weight:", "    the weight:", "must be letters, digits and _"),
        ("name: {type: string}", "name: {type: string, x-echo: a}", "at the top of the reply"),
        ("weight: {type: number}", "weight: {type: number, x-grounded: true}", "not allowed on"),
        (
            "memory: {",
            "memory: {episodic: {}, ",
            "memory.episodic: unknown key; allowed here: sho",
        ),
        (
            "memory: {",
            "memory: {long_term: {write: title}, ",
            "memory.long_term.write: is 'title'; expected always, never or a boolean property",
        ),
        ("memory: {", "memory: {long_term: {recall: 0}, ", "memory.long_term.recall: should be"),
        (
            "limits:",
            "planning: plan\nlimits:",
            "planning: there is nothing to plan without `tools`",
        ),
        ("limits:", "planning: hope\nlimits:", "planning: should be 'direct', 'react' or 'plan'"),
        ("limits:", "tools: [open]\nlimits:", "tools[0]: should be a dotted path"),
        ("limits:", "tools: [a.b, c.b]\nlimits:", ":25: tools[1]: a second tool is named 'b'"),
        ("limits:", "planning: direct\ntools: [a.b]\nlimits:", "tools need `planning: react`"),
        ("limits:", "model: {temperature: 3}\nlimits:", "less than or equal to 2; it is 3"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(old: str, new: str, problem: str) -> None:
    assert old in WHOLE
    with pytest.raises(DefinitionError) as error:
        load(WHOLE.replace(old, new, 1))
    assert problem in str(error.value)
    assert all(line.startswith(PATH + ":") for line in error.value.problems)


def test_all_problems_are_told_at_once() -> None:
    broken = WHOLE.replace("role:", "rol:").replace("steps: 3", "steps: 0")
    with pytest.raises(DefinitionError) as error:
        load(broken)
    assert len(error.value.problems) == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", ":1: is empty"),
        ("- a", ":1: should be a mapping of keys to values"),
        ("a: 1\na: 2", ":2: the key 'a' is there twice"),
        ("a: &x [1]\nb: *x", ":2: YAML aliases (*x) are not allowed"),
        ("a: &a [l,l]\nb: &b [*a,*a]\nc: [*b,*b]", "YAML aliases"),
        ("[" * 100, "is nested too deeply"),
        ("a: 1\n---\nb: 2", "is not YAML"),
        ("a: !!python/object/apply:os.system [ls]", "the YAML tag"),
        ("a: !!python/name:os.system", "is not YAML: could not determine a constructor"),
        ("a: 2024-01-01", ":1: '2024-01-01' is not a JSON value; put it in quotes"),
        ("a: .nan", ":1: .nan is not a finite number"),
        ("yes: 1", "a key must be text"),
        ("a: b: c", ":1: is not YAML"),
        ("a\x07: b", "is not YAML"),
        ("a: " + "x" * 300_000, "is larger than 256 KiB"),
    ],
)
def test_what_yaml_allows_and_no_agent_needs_is_refused(text: str, problem: str) -> None:
    with pytest.raises(DefinitionError) as error:
        load(text)
    assert problem in str(error.value)


def test_a_long_term_memory_is_read_and_changes_the_version_only_where_there_is_one() -> None:
    before = load(WHOLE)
    assert before.long_term is None
    text = WHOLE.replace("memory: {", "memory: {long_term: {recall: 7, of: agent}, ")
    definition = load(text)
    assert definition.long_term == LongTermMemory(7, "agent") and definition.memory == before.memory
    assert definition.version != before.version and definition.remembers
    assert AgentDefinition.from_json(definition.to_json()) == definition
    old = json.loads(before.to_json())
    del old["long_term"]  # as a job graph from before there was one has it
    assert AgentDefinition.from_json(json.dumps(old)).version == before.version
