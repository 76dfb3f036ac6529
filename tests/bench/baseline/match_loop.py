"""JSON commands of a topic in, execution reports out: the plain confluent-kafka loop with a book.

    python -m tests.bench.baseline.match_loop FROM TO COUNT

One process, the books in its memory alone: what it had is gone when it is. A record is a command,
or a frame of them in `orders`. It ends after COUNT records, and prints its CPU seconds.
"""

import gc
import json
import os
import sys
import time

from confluent_kafka import Consumer, Producer

from udfs.core.order_book import OrderBook, Report, apply
from udfs.market import COMMAND

BATCH = 1000
NOTHING = dict.fromkeys(COMMAND)


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
    books: dict[bytes, OrderBook] = {}
    gc.disable()
    while left:
        messages = consumer.consume(min(BATCH, left), 1.0)
        left -= len(messages)
        for message in messages:
            symbol = message.key()
            book = books.get(symbol)
            if book is None:
                book = books[symbol] = OrderBook()
            value = json.loads(message.value())
            frame = value.get("orders")
            for command in (value,) if frame is None else frame:
                apply(book, {**NOTHING, **command})
            reports = [dict(zip(Report._fields, report, strict=True)) for report in book.reports]
            book.reports.clear()
            for one in reports if frame is None else [{"reports": reports}]:
                producer.produce(target, json.dumps(one).encode(), symbol)
        producer.poll(0)
    producer.flush(60)
    consumer.commit(asynchronous=False)
    consumer.close()
    print(time.process_time())


if __name__ == "__main__":
    main()
