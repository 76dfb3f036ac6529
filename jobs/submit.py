"""Names of scripts in, running jobs out: on a MiniCluster, the local cluster or a remote one."""

import asyncio
import shlex
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from connectors.kafka import ensure_topics
from connectors.model import ModelConfigurationError, ModelUnreachable, OpenAIModel
from connectors.settings import settings
from deploy import stack
from deploy.flink_cluster import flink_home, job_configuration, local_configuration
from jobs.assemble import Job, assemble
from jobs.cluster import Cluster, cluster
from jobs.deployments import Deployments
from jobs.errors import TidemillError
from jobs.planner import environments, job_failure
from jobs.script import Script
from jobs.sql_dir import expand, job_name, load, script_name, sql_dir
from jobs.team_topics import PARTITIONS, topic_config
from jobs.topics import KafkaTopics

Report = Callable[[str, str], None]


def quiet(_name: str, _event: str) -> None:
    """A report that says nothing."""


def prepare_topics(job: Job) -> None:
    """Create the topics that the job reads and writes, where they are missing."""
    tables = [f for f in (*job.reads, *job.writes) if f.connector == "kafka"]
    config = {facts.topic: topic_config(facts.options) for facts in tables}
    ensure_topics(_bootstrap_servers(), dict.fromkeys(config, PARTITIONS), config)


def _bootstrap_servers() -> str:
    servers = settings().kafka_bootstrap_servers
    if not servers:
        raise TidemillError(
            "KAFKA_BOOTSTRAP_SERVERS is not set, and no local stack runs",
            "run `tidemill up`, or set it to your own brokers",
        )
    return servers


def _assembled(
    script: Script,
    where: Mapping[str, str],
    cluster: Cluster | None,
    startup: str = "group-offsets",
    **how: bool,
) -> Job:
    remote = (cluster.host, cluster.port) if cluster else None
    stream, table = environments(where, remote=remote, **how)
    topics = KafkaTopics(script.job_name, startup=startup)
    return assemble(script, sql_dir(), stream, table, topics, _bootstrap_servers()).plan()


def run_here(name: str, overrides: Mapping[str, str]) -> None:
    """Run one script on a MiniCluster in this process, until it ends or is interrupted."""
    where = {**job_configuration(), **local_configuration(settings().home), **overrides}
    job = _assembled(load(name), where, None)
    prepare_topics(job)
    result = job.execute().get_job_execution_result()
    try:
        result.result()
    except KeyboardInterrupt:
        raise
    except Exception as error:
        raise job_failure(error) from error


def run_in_client(name: str, overrides: Mapping[str, str]) -> None:
    """What `flink run -pym jobs.run` calls: the client says which cluster."""
    job = _assembled(load(name), {**job_configuration(), **overrides}, None)
    prepare_topics(job)
    client = job.execute()
    print(f"{job.script.job_name} submitted as job {client.get_job_id()}")


def submit(
    names: Sequence[str],
    *,
    from_savepoint: str | None = None,
    fresh: bool = False,
    from_beginning: bool = False,
    replace: bool = False,
    wheel: Path | None = None,
    overrides: Mapping[str, str] | None = None,
    report: Report = quiet,
) -> dict[str, str]:
    """Submit scripts to the cluster, one job each, from one client; returns job ids by name.

    A job goes on where it was: at `from_savepoint`, else its own last savepoint or checkpoint,
    else (`fresh`, or none there) the offsets that its consumer group has committed; or it knows
    nothing and reads its topics `from_beginning`.
    """
    if from_savepoint and (fresh or from_beginning):
        forgets = "--fresh" if fresh else "--from-beginning"
        raise TidemillError(f"{forgets} forgets what --from-savepoint brings back", "give one")
    target, local = cluster()
    deployments = Deployments(settings().home, target, local=local)
    scripts = [load(name) for name in names]
    if not replace:
        for script in scripts:
            _refuse_running(target, script)
    where = {**job_configuration(), **_place(local, wheel), **(overrides or {})}
    if local:
        target.wait_for_room([s.job_name for s in scripts], int(where["parallelism.default"]))
    submitted: dict[str, str] = {}
    asked: set[str | None] = set()
    startup = "earliest-offset" if from_beginning else "group-offsets"
    for script in scripts:
        job = _assembled(
            script, where, target, startup, local=local
        )  # before what runs is stopped for it
        if job.models - asked:  # each once: a server that is away takes ten seconds to be missed
            _check_models(job, report)
            asked |= job.models
        if replace and target.running(script.job_name):
            stop(script.name, report=report)
        knows = not (fresh or from_beginning)
        resume = from_savepoint or (deployments.resume_path(script.job_name) if knows else None)
        prepare_topics(job)
        try:
            job_id = str(job.execute(resume).get_job_id())
        except Exception as error:
            raise job_failure(error) from error
        deployments.submitted(script.job_name, job_id, resume)
        submitted[script.name] = job_id
        report(script.job_name, f"submitted{', goes on from ' + resume if resume else ''}")
    for script in scripts:
        target.wait_until_running(submitted[script.name])
        report(script.job_name, "running")
    return submitted


def _check_models(job: Job, report: Report) -> None:
    """Refuse a job whose agents ask for a model that there is not, as far as can be told here.

    Workers may have another server than the client; the local stack's own takes every name.
    """
    current = settings()
    known = current.openai_base_url or current.openai_api_key
    if not job.models or not known or stack.status(["model"])[0].state == "running":
        return
    try:
        asyncio.run(_asked_for_models({name for name in job.models if name}))
    except ModelUnreachable as error:
        report(job.script.job_name, f"its models are not checked: {error}")
    except ModelConfigurationError as error:
        raise TidemillError(f"{job.script.job_name} is not submitted: {error}") from None


async def _asked_for_models(names: set[str]) -> None:
    model = OpenAIModel.from_settings()
    try:
        await model.check(names)
    finally:
        await model.aclose()


def _place(local: bool, wheel: Path | None) -> dict[str, str]:
    if local:
        return local_configuration(settings().home)
    place = {"python.client.executable": sys.executable}
    return place | ({"python.files": str(wheel)} if wheel else {})


def without_running(words: Sequence[str], *, report: Report = quiet) -> list[str]:
    """The scripts of these words but for those of a TEAM that run. Raises where none is left."""
    target, _ = cluster()
    running = target.running_names()
    names = []
    for word in words:
        for name in expand([word]):
            if "/" in script_name(word) or job_name(name) not in running:
                names.append(name)
            else:
                report(job_name(name), "runs already, and is left as it is")
    if not names:
        told = " ".join(words)
        raise TidemillError(
            f"every job of {told} runs already",
            f"`tidemill submit --replace {told}` stops them and goes on from there",
        )
    return names


def _refuse_running(target: Cluster, script: Script) -> None:
    if running := target.running(script.job_name):
        raise TidemillError(
            f"{script.job_name} runs already, as job {running.id}",
            f"`tidemill submit --replace {script.name}` stops it and goes on from there",
        )


def stop_all(words: Sequence[str], *, report: Report = quiet) -> None:
    """Stop jobs `team/job`, and of a `team` those that run. One that does not stop keeps none of
    the others; raises TidemillError about all of those in the end."""
    target, _ = cluster()
    running = target.running_names()
    failures = []
    for word in words:
        names, is_team = expand([word]), "/" not in script_name(word)
        if is_team and not (names := [name for name in names if job_name(name) in running]):
            failures.append(f"no job of {word} runs")
        for name in names:
            try:
                stop(name, report=report)
            except TidemillError as error:
                failures.append(str(error))
    if failures:
        raise TidemillError("; ".join(failures))


def stop(name: str, *, report: Report = quiet) -> None:
    """Stop a job with a savepoint. One that does not get to work can make none: it is cancelled,
    and goes on from its last checkpoint."""
    target, local = cluster()
    running = target.must_run(job_name(name))
    folder = (settings().home / "flink" / "savepoints").as_uri() if local else None
    try:
        path = target.stop(running, folder)
    except TidemillError as error:
        if target.works(running):
            raise
        report(running.name, f"{error.message}; it did not run as a whole: cancelled")
        target.cancel(running)
        return
    Deployments(settings().home, target, local=local).stopped(running.name, path)
    report(running.name, f"stopped, savepoint {path}")


def command_line(
    name: str,
    wheel: Path | None,
    from_savepoint: str | None = None,
    overrides: Mapping[str, str] | None = None,
) -> str:
    """The plain `flink run` that does what `submit` does."""
    target, _ = cluster()
    load(name)
    options = [f"-D{key}={value}" for key, value in (overrides or {}).items()]
    if from_savepoint:
        options += ["-s", from_savepoint]
    wheel = wheel or Path("dist/tidemill-*.whl")
    return " ".join(
        [
            f"{shutil.which('flink') or flink_home() / 'bin' / 'flink'} run --detached",
            f"--jobmanager {target.host}:{target.port}",
            f"-pyclientexec {sys.executable}",
            f"-pyexec {sys.executable}",
            f"-pyfs {wheel}",
            *map(shlex.quote, options),
            f"-pym jobs.run {name}",
        ]
    )
