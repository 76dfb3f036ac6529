"""Scripts and their tests in, agreement with the golden output out: `tidemill test`.

    sql/<team>/tests/<job>/<topic>.jsonl            what the topic holds
    sql/<team>/tests/<job>/mongodb/<name>.jsonl     what a collection holds, if a tool looks there
    sql/<team>/tests/<job>/expected/<table>.jsonl   what the job must write

Each script runs twice on a MiniCluster: once straight to the end of its input, once stopped with a
savepoint while runs are in flight and resumed. Both must give the golden output. No broker is
needed; the model is the offline one, the journal and the ledger are real.
A golden row names the fields that count: others may be anything. `${TEST_FOLDER}` stands for the
path of sql/<team>/tests/<job>, of whose files a job may read.
"""

import base64
import contextlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyflink.java_gateway import get_gateway
from rich.console import Console

from deploy import stack
from deploy.flink_cluster import job_configuration, local_configuration
from jobs.assemble import Job, assemble
from jobs.errors import TidemillError
from jobs.file_topics import FileTopics, read_lines
from jobs.planner import environments, job_failure
from jobs.script import Script
from jobs.sql_dir import expand, load, sql_dir
from jobs.tables import TableFacts

Row = dict[str, Any]
Report = Callable[[str, str], None]
TEST_FOLDER = "${TEST_FOLDER}"
STOPS = 3  # tries
ENDING_S = 5.0
SAVEPOINT_FAILED = (
    "Stop-with-savepoint failed",
    "Checkpoint was declined",
    "Task local checkpoint failure",
)
FIRST_CHECKPOINT_S = 240.0  # on a busy machine; a job that fails ends it at once
CLOCK_SPEED = "1e6"  # a campaign's week is over in less than a second
_NEEDED = ("mongodb", "mail", "model")
_USER = ("MONGODB_URI", "OPENAI_BASE_URL", "OPENAI_API_KEY", "SMTP_URL", "TIDEMILL_ALLOW_LOCAL_WEB")


def test_all(names: Sequence[str], *, update: bool, report: Report) -> bool:
    """Run the tests of these scripts, or of all. Returns whether every one agrees."""
    teams = sorted(e.name for e in sql_dir().iterdir() if e.joinpath("tables.sql").is_file())
    agreed = True
    with _services():
        for name in expand(names or teams):
            folder = Path(str(sql_dir())) / Path(name).parent / "tests" / Path(name).name
            if folder.is_dir():
                agreed = GoldenTest(name, folder, report).run(update=update) and agreed
            else:
                hint = f"put <topic>.jsonl into sql/{name.replace('/', '/tests/')}/"
                report(name, f"no tests: {hint}")
    return agreed


def _services() -> contextlib.AbstractContextManager[None]:
    """A MongoDB, a mail sink and an offline model of the tests' own.

    Once for all scripts: PyFlink's workers see the environment as it was when its JVM started.
    """
    brokers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
    environment = {
        "KAFKA_BOOTSTRAP_SERVERS": brokers,
        "TIDEMILL_CLOCK_SPEED": CLOCK_SPEED,
        "TIDEMILL_FOLDERS": str(sql_dir()),
    }
    return stack.private(_NEEDED, environment, without=_USER)


class _NotStopped(TidemillError):
    """The savepoint failed, and nothing else did."""


class GoldenTest:
    """The test of one script."""

    def __init__(self, name: str, folder: Path, report: Report) -> None:
        self.script: Script = load(name)
        self.folder, self.report = folder, report
        self.shown = f"sql/{self.script.team}/tests/{self.script.job}"

    def run(self, *, update: bool) -> bool:
        """Both runs; with `update`, the first one's output becomes the golden one."""
        agreed = True
        for how in ("straight", "stopped and resumed"):
            self._seed()
            begun = time.monotonic()
            written = self._written(how)
            if update and how == "straight":
                self._update(written)
            differences = self._differences(written)
            word = "agrees" if not differences else "DIFFERS"
            self.report(self.script.name, f"{how}: {word} ({time.monotonic() - begun:.1f} s)")
            for difference in differences:
                Console(highlight=False, soft_wrap=True).print("  " + difference, markup=False)
            agreed = agreed and not differences
        return agreed

    def _seed(self) -> None:
        from connectors.mongodb import client, load_jsonl
        from connectors.settings import settings

        with client() as mongo:
            database = settings().mongodb_database
            mongo.drop_database(database)
            for path in sorted((self.folder / "mongodb").glob("*.jsonl")):
                load_jsonl(mongo[database][path.stem], path, "_id")

    def _written(self, how: str) -> dict[str, list[Row]]:
        """What the script writes in such a run; anew where the savepoint met the end of a source:
        one of VALUES ends with the first checkpoint, and Flink then fails the job."""
        for _ in range(STOPS - 1):
            with contextlib.suppress(_NotStopped):
                return self._run_once(how)
            self._seed()
        return self._run_once(how)

    def _run_once(self, how: str) -> dict[str, list[Row]]:
        with tempfile.TemporaryDirectory(
            prefix="tidemill-topics-", ignore_cleanup_errors=True
        ) as name:
            folder = Path(name)
            savepoint = None
            if how != "straight":
                job, _ = self._job(folder, endless=True)
                savepoint = self._stopped(job, folder)
            job, topics = self._job(folder, endless=False)
            try:
                job.plan().execute(savepoint).get_job_execution_result().result()
            except Exception as error:
                raise job_failure(error) from error
            tables = [facts for facts in job.writes if facts.name != "agent_traces"]
            return {
                facts.name: self._renamed(_rows(facts, topics), self._path, TEST_FOLDER)
                for facts in tables
            }

    @property
    def _path(self) -> str:
        """The test's folder as it stands in a URL."""
        return self.folder.resolve().as_uri().removeprefix("file://")

    def _renamed(self, rows: list[Row], old: str, new: str) -> list[Row]:
        renamed: list[Row] = json.loads(json.dumps(rows).replace(old, new))
        return renamed

    def _job(self, folder: Path, *, endless: bool) -> tuple[Job, FileTopics]:
        topics = FileTopics(folder, endless=endless)
        if not (folder / "in").exists():
            for path in sorted(self.folder.glob("*.jsonl")):
                lines = read_lines(path, f"{self.shown}/{path.name}")
                topics.write_input(path.stem, self._renamed(lines, TEST_FOLDER, self._path))
        settings = {
            **job_configuration(),
            **local_configuration(folder),
            "execution.checkpointing.interval": "500 ms",
            "restart-strategy.type": "disable",
        }
        stream, table = environments(settings)
        servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
        return assemble(self.script, sql_dir(), stream, table, topics, servers), topics

    def _stopped(self, job: Job, folder: Path) -> str:
        """Stop with a savepoint as soon as the job has a checkpoint."""
        client = job.plan().execute()
        checkpoints = folder / "flink" / "checkpoints"
        deadline = time.monotonic() + FIRST_CHECKPOINT_S
        while not any(checkpoints.rglob("_metadata")):
            if time.monotonic() > deadline or client.get_job_status().result().name == "FAILED":
                raise TidemillError(f"{self.script.name} made no checkpoint", "see --debug")
            time.sleep(0.05)
        savepoints = (folder / "flink" / "savepoints").as_uri()
        kind = get_gateway().jvm.org.apache.flink.core.execution.SavepointFormatType.CANONICAL
        try:
            # PyFlink's own method lacks the format, which Java's has required since Flink 1.15.
            return str(client._j_job_client.stopWithSavepoint(False, savepoints, kind).get())
        except Exception as refused:
            raise _why_not_stopped(client) from refused

    def _update(self, written: dict[str, list[Row]]) -> None:
        folder = self.folder / "expected"
        folder.mkdir(exist_ok=True)
        for table, rows in written.items():
            lines = sorted(json.dumps(row, ensure_ascii=False) for row in rows)
            (folder / f"{table}.jsonl").write_text("".join(line + "\n" for line in lines))
        self.report(self.script.name, f"wrote {self.shown}/expected/")

    def _differences(self, written: dict[str, list[Row]]) -> list[str]:
        expected = {
            path.stem: read_lines(path, f"{self.shown}/expected/{path.name}")
            for path in sorted((self.folder / "expected").glob("*.jsonl"))
        }
        if not expected:
            return [f"{self.shown}/expected/ is empty: `tidemill test --update` writes it; read it"]
        found = []
        for table in sorted({*expected, *written}):
            rows, golden = list(written.get(table, [])), expected.get(table, [])
            for wanted in golden:
                match = next((row for row in rows if _covers(row, wanted)), None)
                if match is None:
                    found.append(f"{table}: missing     {json.dumps(wanted, ensure_ascii=False)}")
                else:
                    rows.remove(match)
            found += [f"{table}: unexpected  {json.dumps(r, ensure_ascii=False)}" for r in rows]
        return found


def _covers(row: Row, wanted: Row) -> bool:
    return all(name in row and row[name] == value for name, value in wanted.items())


def _why_not_stopped(client: Any) -> TidemillError:
    """Why a job whose stop was refused has failed, if it has; it has ended after this."""
    result = client.get_job_execution_result()
    deadline = time.monotonic() + ENDING_S
    while not result.done() and time.monotonic() < deadline:
        time.sleep(0.1)
    if not result.done():
        client.cancel()
    try:
        result.result()
    except Exception as error:
        failure = job_failure(error)
        if not any(words in failure.message for words in (*SAVEPOINT_FAILED, "cancelled")):
            return failure
    return _NotStopped("the job could not be stopped with a savepoint", "run the test again")


def _rows(facts: TableFacts, topics: FileTopics) -> list[Row]:
    """What a table holds, without headers and times, which differ from run to run."""
    if facts.connector == "mongodb":
        return _documents(facts)
    rows = topics.read_output(facts.name)
    if facts.name == "dead_letters":
        return [_dead_letter(row) for row in rows]
    kept = [c.name for c in facts.columns if c.source in ("key", "value")]
    times = {c.name for c in facts.columns if c.type.kind.startswith("TIMESTAMP")}
    return [{name: row.get(name) for name in kept if name not in times} for row in rows]


def _dead_letter(row: Row) -> Row:
    headers = {k: base64.b64decode(v).decode("utf-8", "replace") for k, v in row["headers"].items()}
    names = ("dlq_stage", "dlq_reason", "dlq_message")
    return {
        "event_key": base64.b64decode(row["event_key"]).decode("utf-8", "replace"),
        "payload": base64.b64decode(row["payload"]).decode("utf-8", "replace"),
        **{name: headers.get(name) for name in names},
    }


def _documents(facts: TableFacts) -> list[Row]:
    from connectors.mongodb import client
    from connectors.settings import settings

    database = facts.options.get("database") or settings().mongodb_database
    with client() as mongo:
        documents = list(mongo[database][facts.options["collection"]].find())
    return [json.loads(json.dumps(document, default=str)) for document in documents]
