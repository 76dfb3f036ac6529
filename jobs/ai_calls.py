"""`AI_COMPLETE('agent', input, headers)` in a statement in, calls of that agent's functions out.

A function of Flink has one result type, and the reply's columns are the agent's. So each agent
gets two functions of its own: one that asks the model for all rows of an Arrow batch, and one that
turns the answer into the typed row.
"""

from pyflink.table import StreamTableEnvironment

from jobs.errors import TidemillError
from jobs.script import FunctionCall, functions_called, rewrite
from jobs.splitter import Statement
from jobs.team import Team

EVENT_HEADERS = ("ce_id", "attempt", "traceparent")
FORM = "AI_COMPLETE('agent', input as JSON text, headers)"


def calls(statement: Statement) -> list[FunctionCall]:
    """The calls of AI_COMPLETE in a statement."""
    return [call for call in functions_called(statement) if call.name.upper() == "AI_COMPLETE"]


def replaced(
    statement: Statement,
    team: Team,
    environment: StreamTableEnvironment,
    registered: set[str],
    job: str,
) -> Statement:
    """The statement with each agent's own functions in place of AI_COMPLETE."""
    spans = []
    for call in calls(statement):
        arguments = call.arguments(statement)
        if call.literal is None or len(arguments) != 3:
            what = "AI_COMPLETE is not called with an agent, an input and the headers"
            raise statement.error(statement.tokens[call.start], what, FORM, "write that form")
        asks, replies = f"ai_complete__{call.literal}", f"ai_reply__{call.literal}"
        if asks not in registered:
            _register(statement, call, team, environment, job)
            registered.add(asks)
        spans += [
            (call.start, call.start + 1, f"{replies}({asks}"),
            (*arguments[2], _event(statement, *arguments[2])),
            (call.stop - 1, call.stop, "))"),
        ]
    return rewrite(statement, spans) if spans else statement


def _event(statement: Statement, start: int, stop: int) -> str:
    """What the call must know of the headers, as JSON: Arrow takes no map with nullable keys."""
    begin, end = statement.tokens[start].start, statement.tokens[stop - 1].end
    headers = statement.text[begin - statement.start : end - statement.start]
    fields = (f"KEY '{n}' VALUE DECODE({headers}['{n}'], 'UTF-8')" for n in EVENT_HEADERS)
    return f"JSON_OBJECT({', '.join(fields)} ABSENT ON NULL)"


def _register(
    statement: Statement,
    call: FunctionCall,
    team: Team,
    environment: StreamTableEnvironment,
    job: str,
) -> None:
    try:
        from udfs.ai import ai_complete, ai_reply

        definition = team.agent(call.literal)
        if definition.tools or definition.planning != "direct":
            raise TidemillError(
                f"agent {call.literal} uses tools, and AI_COMPLETE is one call",
                "call it with run_agent",
            )
        asks, replies = ai_complete(definition, job), ai_reply(definition)
    except TidemillError as error:
        token = statement.tokens[call.start]
        raise statement.error(token, error.message, next_step=error.hint) from None
    environment.create_temporary_function(f"ai_complete__{call.literal}", asks)
    environment.create_temporary_function(f"ai_reply__{call.literal}", replies)
