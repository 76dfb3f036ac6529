"""Slots in, a stream out that brings each of them a row now and then: keyed operators must wake.

One that was restored with work, and hears of no event, has only its timers, and PyFlink leaves
those of the bundle that a barrier ends out of the snapshot (`udfs.keyed`). The rows also let it
report its metrics while nothing else happens.
"""

from collections.abc import Sequence

from pyflink.common import Types
from pyflink.datastream import KeyedStream
from pyflink.table import StreamTableEnvironment

from jobs.java_operators import keyed
from jobs.uids import set_uids


def heartbeats(
    environment: StreamTableEnvironment, view: str, slots: Sequence[int], *, endless: bool
) -> KeyedStream:
    """Rows of one INT: every slot once a second, or once where the job's input is bounded."""
    table, rows = f"{view}__heartbeat", "" if endless else ", 'number-of-rows' = '1'"
    environment.execute_sql(
        f"CREATE TEMPORARY TABLE `{table}` (n INT) "
        f"WITH ('connector' = 'datagen', 'rows-per-second' = '1'{rows})"
    )
    # Each label hangs on the row. Of a constant array the planner makes a source of its own, which
    # ends while the job goes on, and a join, which keeps every row that there ever was.
    labels = ", ".join(f"{slot} + 0 * n" for slot in slots)
    beats = environment.sql_query(
        f"SELECT slot, ROW(slot) AS beat FROM `{table}` "
        f"CROSS JOIN UNNEST(ARRAY[{labels}]) AS t(slot)"
    )
    name, row = "beats" if endless else "beat", Types.ROW([Types.INT()])
    pairs = set_uids(environment.to_data_stream(beats), f"{name}-{view}")
    pairs._j_data_stream.getTransformation().setOutputType(
        Types.ROW([Types.INT(), row]).get_java_type_info()
    )
    return keyed(pairs, row)
