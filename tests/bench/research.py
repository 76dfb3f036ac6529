"""Documents in, chunks that a search finds out: rows `index` and `search`.

One job runs all the time. In each round the documents come under a bundle of their own, so that
everything is new, then once more, so that nothing is; between them the bare loop embeds the same
chunks. The documents are the docstrings of Python's standard library, one document a module.
"""

import ast
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy
import psutil

from connectors import embedding
from connectors.kafka import end_offsets, read_all
from connectors.mongodb import client
from connectors.settings import settings
from deploy import stack
from deploy.java import client_environment
from deploy.record import StackRecord
from tests.bench import cpu, ground
from tests.bench.figures import Figure, Section
from udfs.splitting import split

PARTS = ("kafka", "mongodb", "flink")
JOB = "research/index_documents"
TORCH = ground.ROOT / ".venv" / ".torch-env" / "bin" / "python"
LOOP = ground.ROOT / "tests" / "bench" / "baseline" / "embed_loop.py"
CHUNKS, CUT = 1_200, (200, 30)
VECTORS, SEARCHES = 100_000, 60
DOCUMENT_CHARS_LEAST = 1_500

INDEX_NOTES = """The loop embeds and does nothing else; Tidemill's time is from the first document
on its topic to the last event that says a document can be found: it reads, cuts, compares, embeds,
writes the topic of chunks and the store. It is ahead because its batches are small enough for the
processor's cache, one on each core, padded to texts of like length; the weights and the precision
are the same, so the vectors are. Nothing is quantised."""
SEARCH_NOTES = """Exact: every vector of the bundle is compared. It includes the look whether
anything was stored since, and reading the ten texts; with a question, embedding it too. The first
search of a bundle reads all of its vectors."""


def documents() -> Iterator[tuple[str, str]]:
    """Modules of the standard library and what they say of themselves."""
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        tree = ast.parse(path.read_bytes())
        kinds = ast.Module | ast.ClassDef | ast.FunctionDef
        texts = [ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds)]
        text = "\n\n".join(filter(None, texts))
        if len(text) >= DOCUMENT_CHARS_LEAST:
            yield path.name, text


def corpus() -> tuple[list[tuple[str, str]], list[str], int]:
    """Documents, their chunks, and the tokens of those."""
    chosen, chunks, tokens = [], [], 0
    for name, text in documents():
        chosen.append((name, text))
        for chunk in split(text, *CUT):
            chunks.append(chunk.text)
            tokens += chunk.token_count
        if len(chunks) >= CHUNKS:
            break
    return chosen, chunks, tokens


class Bench:
    """The running job, and what it is given."""

    def __init__(self) -> None:
        self.documents, self.chunks, self.tokens = corpus()
        self.events = 0

    def indexed_s(self, bundle: str) -> tuple[float, int]:
        """One pile of the documents: seconds until the last can be found, and chunks embedded."""
        topics = ["source_documents", "document_chunks", "stored_documents"]
        start = {topic: end_offsets(ground.servers(), [topic]) for topic in topics}
        stored = sum(start["stored_documents"].values())
        ground.pile("source_documents", [self._record(bundle, *one) for one in self.documents])
        ground.await_records("stored_documents", stored + len(self.documents), timeout_s=400)
        first = min(self._times("source_documents", start))
        last = max(self._times("stored_documents", start))
        embedded = sum(1 for _ in self._times("document_chunks", start))
        return (last - first) / 1000, embedded

    def _record(self, bundle: str, name: str, text: str) -> tuple[bytes, bytes]:
        self.events += 1  # `visit` makes each event another one; the table does not know it
        row = {"url": f"file:///library/{name}", "status": "document", "title": name}
        whole = {**row, "content": text, "content_hash": str(hash(text)), "visit": self.events}
        return bundle.encode(), json.dumps(whole).encode()

    def _times(self, topic: str, start: dict[str, Any]) -> list[int]:
        return [r.timestamp_ms for r in read_all(ground.servers(), [topic], start[topic])]

    def loop_s(self, folder: Path) -> tuple[float, Any]:
        """The bare loop over the same chunks: seconds, and its vectors."""
        source, target = folder / "chunks.json", folder / "vectors.npy"
        source.write_text(json.dumps(self.chunks))
        command = [str(TORCH), str(LOOP), str(source), str(target)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(done.stdout), numpy.load(target)


def index(rounds: int) -> list[Section]:
    """Ingest against the bare loop, the same again, and the worker's memory."""
    with stack.private(PARTS, {**client_environment(), "TIDEMILL_SQL": str(ground.ROOT / "sql")}):
        ground.submit(JOB)
        with tempfile.TemporaryDirectory() as folder:
            return [_indexed(Bench(), rounds, Path(folder))]


def search(rounds: int) -> list[Section]:
    """Searches in a bundle of 100,000 vectors."""
    del rounds  # each search is one
    with stack.private(("mongodb",), client_environment()):
        return [_searched()]


def _indexed(bench: Bench, rounds: int, folder: Path) -> Section:
    new, again, loops = [], [], []
    for number in range(rounds + 1):  # the first warms up
        seconds, embedded = bench.indexed_s(f"round-{number}")
        assert embedded == len(bench.chunks), (embedded, len(bench.chunks))
        stamps = _stamps()
        repeated, embedded = bench.indexed_s(f"round-{number}")
        assert embedded == 0 and _stamps() == stamps, "a chunk was embedded or written again"
        loop, theirs = bench.loop_s(folder)
        ground.say(f"round {number}: {seconds:.1f} s, again {repeated:.1f} s, loop {loop:.1f} s")
        if number:
            new.append(seconds)
            again.append(repeated)
            loops.append(loop)
    best = median(loop / ours for ours, loop in zip(new, loops, strict=True))
    chunks, tokens = len(bench.chunks), bench.tokens
    ours = embedding.embed(bench.chunks)
    figures = [
        Figure("ingest to stored, times the bare loop's rate", best, 2, "×", at_least=True),
        Figure("recall@10 of the same vectors", _recall(ours, theirs), 0.98, "×", at_least=True),
        Figure("chunks stored", chunks / median(new), None, "/s"),
        Figure("tokens embedded, compared and stored", tokens / median(new), None, "/s"),
        Figure("chunks of the bare loop", chunks / median(loops), None, "/s"),
        Figure(
            "the same again (0 embeddings, 0 writes), times faster",
            median(a / b for a, b in zip(new, again, strict=True)),
            20,
            "×",
            at_least=True,
        ),
        Figure("most memory of the embedding worker", _worker_gib(), 1.5, "GiB"),
    ]
    what = f"{len(bench.documents)} documents, {chunks} chunks of {tokens / chunks:.0f} tokens"
    return Section("index", "Documents to stored chunks", figures, f"{what}.", INDEX_NOTES)


def _recall(ours: Any, theirs: Any) -> float:
    """Of the ten nearest by their vectors, the share that ours find, over all chunks."""
    tops = [numpy.argsort(-(v @ v.T), axis=1, kind="stable")[:, 1:11] for v in (ours, theirs)]
    found = [len({*a} & {*b}) / 10 for a, b in zip(*tops, strict=True)]
    return float(numpy.mean(found))


def _stamps() -> list[Any]:
    with client() as mongo:
        found = mongo[settings().mongodb_database]["documents"].find().sort("_id")
        return [(one["_id"], one["stored_at"]) for one in found]


def _worker_gib() -> float:
    """The most that a Beam worker ever held, by the kernel's own count."""
    most = 0
    for record in StackRecord.load(settings().home).processes.values():
        for process in record.family():
            try:
                if cpu.kind(process, process.pid == record.pid) == "Beam worker":
                    status = Path(f"/proc/{process.pid}/status").read_text()
                    if "python" in process.name():
                        most = max(most, int(status.partition("VmHWM:")[2].split()[0]))
            except (psutil.Error, OSError):
                continue
    return most / 2**20


def _searched() -> Section:
    """Searches in a bundle of 100,000 vectors."""
    random, bundle = numpy.random.default_rng(3), "large"
    with client() as mongo:
        database = mongo[settings().mongodb_database]
        for start in range(0, VECTORS, 2_000):
            drawn = random.standard_normal((2_000, 384)).astype(numpy.float32)
            unit = drawn / numpy.linalg.norm(drawn, axis=1, keepdims=True)
            rows = [_chunk(bundle, start + n, vector) for n, vector in enumerate(unit)]
            database["chunks"].insert_many(rows, ordered=False)
        for url in range(VECTORS // 100):
            ids = [f"{bundle}-{n}" for n in range(url, VECTORS, VECTORS // 100)]
            document = {"_id": f"{bundle}-{url}", "bundle_id": bundle, "chunk_ids": ids}
            stamp = {"$set": document, "$currentDate": {"stored_at": True}}
            database["documents"].update_one({"_id": document["_id"]}, stamp, upsert=True)
    ground.say(f"{VECTORS} vectors are stored")
    time.sleep(11)  # what was stored in the last ten seconds is looked at again by each search
    command = [sys.executable, "-m", "tests.bench.search_rounds", bundle, str(SEARCHES)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, cwd=ground.ROOT, env=os.environ
    )
    found = json.loads(done.stdout)
    figures = [
        Figure("top 10 of 100,000 × 384, p50", median(found["vector_ms"]), 25, "ms"),
        Figure("with embedding the question, p50", median(found["question_ms"]), None, "ms"),
        Figure("first search", found["cold_s"], None, "s"),
        Figure("memory of the vectors", found["memory_mb"], None, "MB"),
    ]
    return Section("search", "The nearest chunks of a bundle", figures, "", SEARCH_NOTES)


def _chunk(bundle: str, number: int, vector: Any) -> dict[str, Any]:
    return {
        "_id": f"{bundle}-{number}",
        "bundle_id": bundle,
        "url": f"u{number % (VECTORS // 100)}",
        "title": "A title",
        "text": f"Text of chunk {number}. " * 20,
        "chunk_index": number,
        "model": embedding.model_name(),
        "embedding": [float(one) for one in vector],
    }
