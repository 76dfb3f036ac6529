"""Statements of tables.sql and the environment in, the same statements with `${NAME}` replaced out.

Only addresses and names travel this way, and only inside strings, where a quote in a value cannot
end the string. What looks like a secret is refused: SQL text stands in the job graph, for all to
read. `${env:NAME}` is left alone: Kafka resolves it in its workers (EnvVarConfigProvider).
"""

import re
from collections.abc import Mapping

from jobs.errors import ScriptError
from jobs.references import rewrite
from jobs.splitter import Statement, Token

_SECRET = re.compile(r"(?i)(^|_)(PASSWORD|PASSWD|PWD|SECRET|KEY|TOKEN|CREDENTIALS?)S?(_|$)")
_VARIABLE = re.compile(r"\$\{([^}:]*)(\}|:|$)")
_NAME = re.compile(r"[A-Z][A-Z0-9_]*\Z")
_CREDENTIALS = re.compile(r"://[^/@\s]*:[^/@\s]*@")
VARIABLES = {
    "KAFKA_BOOTSTRAP_SERVERS": "the Kafka brokers, host:port",
    "MONGODB_URI": "the MongoDB server, mongodb://host:port",
    "MONGODB_DATABASE": "the MongoDB database",
}


def substituted(statements: list[Statement], variables: Mapping[str, str]) -> list[Statement]:
    """The statements with the value for each `${NAME}`; all that are not set in one ScriptError."""
    missing: dict[str, Token] = {}
    replaced = []
    for statement in statements:
        spans = []
        for index, token in enumerate(statement.tokens):
            names = _variable_names(statement, token)
            missing.update({n: token for n in names if not variables.get(n) and n not in missing})
            if names and not missing:
                values = {n: _value(statement, token, n, variables[n]) for n in names}
                new = _with_values(token.text, values)
                spans.append((index, index + 1, new))
        replaced.append(rewrite(statement, spans) if spans else statement)
    if missing:
        listed = ", ".join(
            f"{name} ({VARIABLES[name]})" if name in VARIABLES else name for name in missing
        )
        first = next(iter(missing.values()))
        raise ScriptError(
            statements[0].path,
            first.line,
            f"these variables are not set: {listed}",
            next_step="set them in the environment, or start the local stack with `tidemill up`",
        )
    return replaced


def _with_values(text: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), text)


def _variable_names(statement: Statement, token: Token) -> list[str]:
    """The variables in a token; names that look wrong or secret are refused."""
    if token.text == "$" or (token.kind == "word" and token.text.endswith("$")):
        at = token.end - statement.start
        if statement.text[at : at + 1] == "{":
            raise statement.error(token, "${…} stands outside a string", "'${NAME}' in quotes")
    if token.kind not in ("string", "quoted"):
        return []
    names = [found[1] for found in _VARIABLE.finditer(token.text) if found[2] != ":"]
    for name in names:
        if token.kind == "quoted" or not _NAME.match(name):
            raise statement.error(
                token,
                f"${{{name}}} in {token.text} is no variable that can be replaced",
                "'${NAME}' of capitals, digits and _, in a string",
            )
        if _SECRET.search(name):
            raise statement.error(
                token,
                f"${{{name}}} looks like a secret, and SQL text stands in the job graph",
                "addresses and names only",
                f"leave it out: workers resolve secrets themselves, Kafka as ${{env:{name}}}",
            )
    return names


def _value(statement: Statement, token: Token, name: str, value: str) -> str:
    if _CREDENTIALS.search(value):
        raise statement.error(
            token,
            f"the value of {name} holds a password, and SQL text stands in the job graph",
            "an address without user and password",
            "leave the option out: the worker reads the variable itself",
        )
    if not value.isprintable():
        raise statement.error(token, f"the value of {name} has a line break or control character")
    return value.replace("'", "''")


def refuse_variables(statement: Statement) -> None:
    """Raises ScriptError where a job's script has a `${NAME}`."""
    for token in statement.tokens:
        for found in _VARIABLE.finditer(token.text if token.kind in ("string", "quoted") else ""):
            if found[2] == "}" and _NAME.match(found[1]):
                raise statement.error(
                    token,
                    f"{found[0]} stands in a job's script",
                    "${NAME} in tables.sql only",
                    "declare the table there",
                )
