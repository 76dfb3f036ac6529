"""JSON orders of a topic in, the same with one field more out: the plain confluent-kafka loop.

    python -m tests.bench.baseline.enrich_loop FROM TO COUNT

One process, no state, no check of what comes, no word of what it could not read. It starts at the
topic's committed place of its own group, ends after COUNT records, and prints its CPU seconds.
"""

import json
import os
import sys
import time

from confluent_kafka import Consumer, Producer

from tests.bench.functions import grade_of

BATCH = 1000


def main() -> None:
    source, target, left = sys.argv[1], sys.argv[2], int(sys.argv[3])
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": source,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    settings = {"bootstrap.servers": servers, "linger.ms": 5, "compression.type": "lz4"}
    producer = Producer({**settings, "queue.buffering.max.messages": 1_000_000})
    consumer.subscribe([source])
    while left:
        messages = consumer.consume(min(BATCH, left), 1.0)
        left -= len(messages)
        for message in messages:
            order = json.loads(message.value())
            order["grade"] = grade_of(order["amount"], order["country"])
            value = json.dumps(order).encode()
            producer.produce(target, value, message.key(), headers=message.headers())
        producer.poll(0)
    producer.flush(60)
    consumer.commit(asynchronous=False)
    consumer.close()
    print(time.process_time())


if __name__ == "__main__":
    main()
