"""Questions of a topic in, a model's answers out: the bare asyncio loop, 200 calls in flight.

    python -m tests.bench.baseline.agent_loop FROM TO COUNT

The same OpenAI client and the same journal as Tidemill's, looked up before each call and written
before its answer is used. No state, no order, no checkpoint, no spans: what is in flight at a
crash is lost. It prints its CPU seconds.
"""

import asyncio
import hashlib
import json
import os
import sys
import time

from confluent_kafka import Consumer, Producer

from connectors.journal import MongoJournal
from connectors.model import OpenAIModel

IN_FLIGHT = 200
PERSONA = "You are an analyst. Answer shortly, as JSON with the fields summary and score."
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["summary", "score"],
    "properties": {"summary": {"type": "string"}, "score": {"type": "integer"}},
}


async def answer(model: OpenAIModel, journal: MongoJournal, key: bytes, value: bytes) -> bytes:
    """One question's answer: from the journal, or paid for and stored there."""
    question = json.loads(value)["question"]
    call_id = hashlib.sha256(b"loop" + key + value).hexdigest()
    stored = await journal.get(call_id)
    if stored is None:
        call = {
            "messages": [
                {"role": "system", "content": PERSONA},
                {"role": "user", "content": f"Answer this question.\n\n{question}"},
            ],
            "reply_name": "analyst",
            "reply_schema": SCHEMA,
            "tools": [],
            "max_tokens": 1000,
        }
        started_at = int(time.time() * 1000)
        reply = await model.complete(call, 20.0)
        entry = {"_id": call_id, "event_id": key.decode(), "answer": reply}
        stored = await journal.put({**entry, "started_at": started_at})
    return json.dumps(json.loads(stored["answer"]["content"])).encode()


async def run(source: str, target: str, count: int) -> None:
    servers = os.environ["KAFKA_BOOTSTRAP_SERVERS"]
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": source,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    producer = Producer({"bootstrap.servers": servers, "linger.ms": 5})
    consumer.subscribe([source])
    model, journal = OpenAIModel.from_settings(), MongoJournal.from_settings()
    model.open()
    free = asyncio.Semaphore(IN_FLIGHT)

    async def one(key: bytes, value: bytes) -> None:
        try:
            producer.produce(target, await answer(model, journal, key, value), key)
        finally:
            free.release()

    async with asyncio.TaskGroup() as tasks:
        while count:
            await free.acquire()
            while (message := consumer.poll(0)) is None:
                await asyncio.sleep(0.005)
            tasks.create_task(one(message.key(), message.value()))
            producer.poll(0)
            count -= 1
    producer.flush(30)
    consumer.commit(asynchronous=False)
    consumer.close()
    await journal.aclose()
    await model.aclose()


def main() -> None:
    asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
    print(time.process_time())


if __name__ == "__main__":
    main()
