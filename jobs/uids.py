"""A stream that Flink's planner made in, the same out, its operators with uids of their own.

The planner leaves uids out, and Flink then counts operators: a source that a script adds would take
over the state of another, which reads another topic.
"""

from pyflink.datastream import DataStream


def set_uids(stream: DataStream, prefix: str) -> DataStream:
    """Give each operator up to here that has no uid one of this prefix, counted from the stream."""
    transformations = stream._j_data_stream.getTransformation().getTransitivePredecessors()
    unnamed = [t for t in transformations if t.getUid() is None]
    for place, transformation in enumerate(unnamed):
        transformation.setUid(f"{prefix}-{place}")
    return stream
