"""A failure and the event's headers in, the headers of its dead letter out.

As Kafka Connect does it: key and value of a dead letter are the original bytes, everything that
we have to say about it is in headers, under names that begin with `dlq_`.
"""

import datetime as dt
from collections.abc import Mapping

from udfs.core import events

MAX_MESSAGE_CHARS = 1000


def dead_letter_headers(
    headers: Mapping[str, bytes] | None,
    *,
    reason: str,
    message: str,
    stage: str,
    job: str,
    at: dt.datetime,
) -> events.Headers:
    """The original headers with reason (a code), message (a sentence), stage, job and place.

    `stage` is where it failed: `decode`, `agent`, `effect` or `script`. The place is the topic,
    partition and offset of the record that the job read; the desk drives that record again.
    """
    complete = dict(headers or {})
    topic, partition, offset = (events.text(complete, "source") or "//").rsplit("/", 2)
    complete.pop("source", None)
    complete.update(
        dlq_reason=reason.encode(),
        dlq_message=message[:MAX_MESSAGE_CHARS].encode("utf-8", "replace"),
        dlq_stage=stage.encode(),
        dlq_job=job.encode(),
        dlq_topic=topic.encode(),
        dlq_partition=partition.encode(),
        dlq_offset=offset.encode(),
        dlq_at=at.astimezone(dt.UTC).isoformat(timespec="milliseconds").encode(),
    )
    return complete
