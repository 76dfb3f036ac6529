"""Texts in, vectors of length 1 out, by the one embedding model of this process.

Which one, the worker's TIDEMILL_EMBEDDING_MODEL says:

    all-MiniLM-L6-v2             the default: ONNX Runtime, weights from a package, no network
    openai:NAME                  an OpenAI-compatible endpoint (OPENAI_BASE_URL, OPENAI_API_KEY)
    sentence-transformers:NAME   any other local model, where that library is installed

A model is loaded at the first text, once per process; its library is not imported before.
"""

import asyncio
import functools
import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Protocol

from connectors import minilm
from connectors.settings import settings

if TYPE_CHECKING:
    from numpy.typing import NDArray

INSTALL = "install the extra `embeddings` on the workers: deploy/requirements/embeddings.txt"
BATCH_TOKENS = 512
BATCH_TEXTS = 32
_loading = threading.Lock()
_loaded: dict[str, "Embedder"] = {}


class EmbeddingError(Exception):
    """The embedding model cannot be used as configured: one sentence."""


class Embedder(Protocol):
    """`embed` gives one row of float32 per text; a row of nan for one that the model refuses."""

    def embed(self, texts: Sequence[str]) -> "NDArray[Any]": ...


def model_name() -> str:
    """The name that is kept beside each vector. Vectors of two names are never compared."""
    return settings().embedding_model


def embedder() -> Embedder:
    """The model of this process, loaded when first asked for. Raises EmbeddingError."""
    name = model_name()
    with _loading:
        if name not in _loaded:
            _loaded[name] = _load(name)
        return _loaded[name]


def check_installed() -> None:
    """Raise EmbeddingError where this Python lacks what its model needs. Loads nothing."""
    needed = {
        minilm.NAME: (minilm.PACKAGE, "onnx", "onnxruntime", "tokenizers"),
        "sentence-transformers": ("sentence_transformers",),
    }
    for package in needed.get(model_name().partition(":")[0], ()):
        if find_spec(package) is None:
            raise EmbeddingError(f"{package} is not installed: {INSTALL}")


def embed(texts: Sequence[str]) -> "NDArray[Any]":
    """One vector per text, in their order; equal texts are embedded once."""
    import numpy

    distinct = list(dict.fromkeys(texts))
    places = {text: place for place, text in enumerate(distinct)}
    vectors = embedder().embed(distinct)
    return numpy.asarray(vectors)[[places[text] for text in texts]]


async def vector_of(text: str) -> Any:
    """The vector of one text; None where the model does not take it. Raises EmbeddingError."""
    import numpy

    vector = (await asyncio.to_thread(embed, [text]))[0]
    return None if numpy.isnan(vector).any() else vector


def _load(name: str) -> Embedder:
    kind, _, rest = name.partition(":")
    if name == minilm.NAME:
        return MiniLM()
    if kind == "sentence-transformers" and rest:
        return SentenceTransformers(rest)
    if kind == "openai" and rest:
        from connectors.embedding_endpoint import Endpoint

        return Endpoint.from_settings(rest)
    raise EmbeddingError(
        f"TIDEMILL_EMBEDDING_MODEL is {name!r}; expected {minilm.NAME}, openai:NAME or "
        "sentence-transformers:NAME"
    )


@functools.cache
def tokenizer() -> Any:
    """The tokenizer of the default model: text in, tokens with [CLS] and [SEP] out."""
    try:
        from tokenizers import Tokenizer

        loaded = Tokenizer.from_file(str(minilm.tokenizer_file()))
    except ModuleNotFoundError as error:
        raise EmbeddingError(f"{error.name} is not installed: {INSTALL}") from None
    loaded.no_padding()
    loaded.no_truncation()
    return loaded


class MiniLM:
    """all-MiniLM-L6-v2 in single precision.

    Batches hold at most 512 tokens, so that what flows between layers stays in the processor's
    cache, and each core has one of its own: two batches on two cores at once are twice as fast as
    one batch of 32 texts on both. Texts are sorted by length, or short ones would be padded.
    """

    def __init__(self) -> None:
        try:
            import onnxruntime

            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = options.inter_op_num_threads = 1
            options.enable_cpu_mem_arena = False
            self._session = onnxruntime.InferenceSession(
                minilm.onnx_model(), options, providers=["CPUExecutionProvider"]
            )
        except ModuleNotFoundError as error:
            raise EmbeddingError(f"{error.name} is not installed: {INSTALL}") from None
        self._tokenizer = tokenizer()
        cores = min(8, len(os.sched_getaffinity(0)))
        self._threads = ThreadPoolExecutor(cores, thread_name_prefix="embedding")

    def embed(self, texts: Sequence[str]) -> "NDArray[Any]":
        import numpy

        encoded = [e.ids for e in self._tokenizer.encode_batch_fast(list(texts))]
        last = minilm.TOKENS_MAX - 1
        tokens = [ids if len(ids) <= last + 1 else [*ids[:last], ids[-1]] for ids in encoded]
        vectors = numpy.empty((len(texts), minilm.DIMENSION), numpy.float32)

        def run(batch: list[int]) -> None:
            ids = numpy.zeros((len(batch), len(tokens[batch[-1]])), numpy.int32)
            mask = numpy.zeros_like(ids)
            for row, place in enumerate(batch):
                ids[row, : len(tokens[place])] = tokens[place]
                mask[row, : len(tokens[place])] = 1
            vectors[batch] = self._session.run(None, {"ids": ids, "mask": mask})[0]

        list(self._threads.map(run, batches([len(ids) for ids in tokens])))
        return vectors


def batches(lengths: Sequence[int]) -> list[list[int]]:
    """Places of texts by length, the longest batch first; each batch pads to its last."""
    cut: list[list[int]] = []
    for place in sorted(range(len(lengths)), key=lengths.__getitem__):
        whole = bool(cut) and (len(cut[-1]) + 1) * lengths[place] <= BATCH_TOKENS
        if whole and len(cut[-1]) < BATCH_TEXTS:
            cut[-1].append(place)
        else:
            cut.append([place])
    return cut[::-1]


class SentenceTransformers:
    """Any model of that library, on the processor. Brings torch into this process."""

    def __init__(self, name: str) -> None:
        try:
            from sentence_transformers import SentenceTransformer
        except ModuleNotFoundError as error:
            raise EmbeddingError(
                f"{error.name} is not installed, and TIDEMILL_EMBEDDING_MODEL needs it: "
                "pip install sentence-transformers on the workers"
            ) from None
        self._model = SentenceTransformer(name, device="cpu")

    def embed(self, texts: Sequence[str]) -> "NDArray[Any]":
        vectors: NDArray[Any] = self._model.encode(
            list(texts), batch_size=BATCH_TEXTS, normalize_embeddings=True, show_progress_bar=False
        )
        return vectors
