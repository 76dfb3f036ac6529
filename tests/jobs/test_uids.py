"""Operators that the planner made in, a uid for each out."""

from jobs.planner import environments
from jobs.uids import set_uids


def test_operators_of_the_planner_get_uids_and_others_keep_theirs() -> None:
    environment = environments({})[1]
    environment.execute_sql("CREATE TEMPORARY TABLE numbers (n INT) WITH ('connector' = 'datagen')")
    stream = environment.to_data_stream(environment.sql_query("SELECT n + 1 FROM numbers"))
    stream = set_uids(stream.map(lambda row: row).uid("mine"), "source-numbers")
    transformations = stream._j_data_stream.getTransformation().getTransitivePredecessors()
    uids = [t.getUid() for t in transformations]
    assert "mine" in uids
    assert len(set(uids)) == len(uids) > 2
    assert {uid.rpartition("-")[0] for uid in uids if uid != "mine"} == {"source-numbers"}
