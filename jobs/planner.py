"""Flink environments in and out, and the planner's Java errors turned into a sentence with a line.

Creating an environment starts the client's Java process once (about 6 s).
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyflink.common import Configuration
from pyflink.datastream import StreamExecutionEnvironment
from pyflink.java_gateway import get_gateway
from pyflink.table import StreamTableEnvironment
from pyflink.util.java_utils import add_jars_to_context_class_loader, to_jarray

from deploy.jars import flink_python_jar, jars
from deploy.java import client_environment
from jobs.errors import ScriptError, TidemillError
from jobs.gateway import keep_to_threads
from jobs.splitter import Statement

_POSITION = re.compile(r"[Ff]rom line (\d+), column (\d+) to line \d+, column \d+:? ?")
_AT = re.compile(r" at line (\d+), column (\d+)\.?")
_NOISE = re.compile(r"^(?:[\w.$]+(?:Exception|Error)(?:: )?)+|SQL (?:parse|validation) failed\.? ?")
_INTERNAL = re.compile(
    r"(?:`?default_catalog`?\.)?(?:`?default_database`?\.)?`?(\w+?)(?:__sink|__raw)\b`?"
)


def environments(
    settings: Mapping[str, str], *, remote: tuple[str, int] | None = None, local: bool = False
) -> tuple[StreamExecutionEnvironment, StreamTableEnvironment]:
    """A stream and a table environment: MiniCluster, or the session cluster at `remote`.

    Under `flink run` it is the client's own: that process says where the job goes. The `local`
    cluster has the connectors on its class path, so nothing is uploaded to it.
    """
    os.environ.update(client_environment())
    keep_to_threads()
    configuration = Configuration()
    urls = [path.as_uri() for path in jars()]
    if local:
        add_jars_to_context_class_loader(urls)
    else:
        configuration.set_string("pipeline.jars", ";".join(urls))
    for key, value in settings.items():
        configuration.set_string(key, value)
    if remote:
        uploads = [] if local else [*jars(), flink_python_jar()]
        stream = _remote(configuration, *remote, uploads)
    else:
        stream = StreamExecutionEnvironment.get_execution_environment(configuration)
    return stream, StreamTableEnvironment.create(stream)


def _remote(
    configuration: Configuration, host: str, port: int, uploads: list[Path]
) -> StreamExecutionEnvironment:
    """PyFlink has no public way to a session cluster from a plain `python`; the gateway has."""
    jvm = get_gateway().jvm
    j_jars = to_jarray(jvm.String, [str(path) for path in uploads])
    factory = jvm.org.apache.flink.streaming.api.environment.StreamExecutionEnvironment
    return StreamExecutionEnvironment(
        factory.createRemoteEnvironment(host, port, configuration._j_configuration, j_jars)
    )


def root_message(error: BaseException) -> str:
    """The sentence at the bottom of a Java error, without class names and stack."""
    java = getattr(error, "java_exception", None)
    if java is None:
        cause = getattr(error, "cause", None)
        text = str(cause() if callable(cause) else error)
    else:
        text, at = str(java.getMessage() or java), java.getCause()
        while at is not None:
            text, at = str(at.getMessage() or text), at.getCause()
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    caused = [line for line in lines if line.startswith("Caused by:")]
    if caused:
        lines = [caused[-1].removeprefix("Caused by:").strip()]
    kept = [line for line in lines if not line.startswith("at ")][:6]
    message = _NOISE.sub("", " ".join(kept)).strip()
    return _INTERNAL.sub(r"\1", message)[:600]


def script_error(error: BaseException, path: str, statement: Statement) -> ScriptError:
    """A planner's error as an error at its line in the file."""
    message = root_message(error)
    line = statement.line
    match = _POSITION.search(message) or _AT.search(message)
    if match:
        position: Any = statement.position(int(match[1]), int(match[2]))
        line = position if isinstance(position, int) else position[0]
        message = (message[: match.start()] + message[match.end() :]).strip(" ;:")
    return ScriptError(path, line, message, next_step=_advice(message))


def _advice(message: str) -> str | None:
    if "not found in any table" in message:
        return "name a column of the tables in FROM"
    if "Object" in message and "not found" in message:
        return "declare it in tables.sql, or as a view above this statement"
    if "do not match" in message:
        return "give the INSERT the sink's columns, in the sink's order and types"
    if "No match found for function" in message:
        return "check the function's name and the types of its arguments"
    if "Encountered" in message or "parse" in message.lower():
        return "mend the SQL here; a word such as `value` or `timestamp` needs back-quotes"
    return None


def job_failure(error: BaseException) -> TidemillError:
    """Why a job that was planned did not start or did not end well."""
    return TidemillError(root_message(error), "run with --debug to see the whole error")
