"""Names of the enrich jobs in, jobs that run on the cluster out: guarded, and as Flink reads alone.

    python -m tests.bench.enrich_jobs guarded_enrich plain_relay …

A process of its own, because one that plans does nothing else.
"""

import os
import sys

from connectors.settings import settings
from deploy.flink_cluster import job_configuration, local_configuration
from jobs.assemble import Assembly
from jobs.cluster import cluster
from jobs.planner import environments
from jobs.script import Script
from jobs.splitter import Statement
from jobs.sql_dir import load, sql_dir
from jobs.submit import prepare_topics
from jobs.tables import TableFacts
from jobs.team import Team
from jobs.topics import KafkaTopics

# As `tidemill submit -D` sets them: nobody waits for one row here, so bundles may be large.
OPTIONS = {"python.fn-execution.bundle.time": "100", "python.fn-execution.bundle.size": "5000"}


class Plain(Assembly):
    """The same job without the guard: Flink's own JSON format reads the topic."""

    def _guard(self, facts: TableFacts, statement: Statement) -> None:
        pass


def submit(name: str) -> str:
    """`guarded_enrich` is enrich.sql as Tidemill runs it; the cluster's id of the job."""
    os.environ["BENCH_JOB"] = name
    kind, _, script_name = name.partition("_")
    script: Script = load(f"bench/{script_name}")
    target, _ = cluster()
    where = {**job_configuration(), **local_configuration(settings().home), **OPTIONS}
    stream, table = environments(where, remote=(target.host, target.port), local=True)
    made = Plain if kind == "plain" else Assembly
    team = Team(sql_dir(), script.team)
    servers = settings().kafka_bootstrap_servers or ""
    job = made(script, team, stream, table, KafkaTopics(name), servers).run().plan()
    prepare_topics(job)
    return str(job.execute().get_job_id())


def main() -> None:
    target, _ = cluster()
    for job_id in [submit(name) for name in sys.argv[1:]]:
        target.wait_until_running(job_id)


if __name__ == "__main__":
    main()
