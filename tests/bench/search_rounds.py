"""A bundle in MongoDB in, milliseconds of searches in it out, as JSON: run by `research`.

python -m tests.bench.search_rounds BUNDLE SEARCHES
"""

import asyncio
import json
import sys
import time

import numpy
import psutil

from connectors import embedding, vectors
from connectors.mongodb import close_shared


async def main() -> None:
    bundle, searches = sys.argv[1], int(sys.argv[2])
    random = numpy.random.default_rng(7)
    questions = [f"How does part {n} of the library handle errors?" for n in range(searches)]
    await asyncio.to_thread(embedding.embed, questions[:1])
    before = psutil.Process().memory_info().rss
    store, started = vectors._store(), time.monotonic()
    await store.nearest(bundle, embedding.embed(questions[:1])[0], 10)
    found = {"cold_s": time.monotonic() - started, "vector_ms": [], "question_ms": []}
    found["memory_mb"] = (psutil.Process().memory_info().rss - before) / 2**20
    for question in questions:
        vector = random.standard_normal(384).astype(numpy.float32)
        started = time.monotonic()
        best = await store.nearest(bundle, vector / numpy.linalg.norm(vector), 10)
        found["vector_ms"].append((time.monotonic() - started) * 1000)
        assert len(best) == 10
        started = time.monotonic()
        await vectors.search(bundle, question, 10)
        found["question_ms"].append((time.monotonic() - started) * 1000)
    await close_shared()
    print(json.dumps(found))


if __name__ == "__main__":
    asyncio.run(main())
