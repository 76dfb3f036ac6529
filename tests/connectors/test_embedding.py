"""Vectors of the local model and of an endpoint: right, unit, in order, and what is refused."""

import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise

import numpy
import pytest

from connectors import embedding, minilm
from connectors.embedding import EmbeddingError, batches, embed
from connectors.embedding_endpoint import Endpoint
from deploy.offline_model import OfflineModel

# The first numbers that sentence-transformers 6.2 gives SENTENCE, with the same weights.
THEIRS = [0.03702, 0.03726, 0.00366, -0.01281, 0.07465, -0.00141]
SENTENCE = "A checkpoint is a picture of all state at one moment."


def test_vectors_have_length_one_and_stand_in_the_order_of_their_texts() -> None:
    texts = ["short", "word " * 300, SENTENCE, "short", ""]
    found = embed(texts)
    assert found.shape == (5, minilm.DIMENSION) and found.dtype == numpy.float32
    assert numpy.allclose(numpy.linalg.norm(found, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, found, strict=True):
        assert numpy.allclose(embed([text])[0], vector, atol=1e-5)


def test_the_vectors_are_those_of_sentence_transformers() -> None:
    assert numpy.allclose(embed([SENTENCE])[0][: len(THEIRS)], THEIRS, atol=2e-5)


def test_what_means_the_same_is_near() -> None:
    question, answer, other = embed(
        [
            "How does a job recover?",
            "After a crash the job restores its state.",
            "Bread needs salt.",
        ]
    )
    assert question @ answer > question @ other + 0.2


def test_padding_changes_no_vector() -> None:
    alone = embed(["one two three"])[0]
    beside = embed(["one two three", *(f"{SENTENCE} {n}" for n in range(40))])[0]
    assert numpy.allclose(alone, beside, atol=1e-5)


def test_no_texts_have_no_vectors() -> None:
    assert len(embed(["a"])[:0]) == 0 and batches([]) == []


def test_batches_hold_every_text_once_by_length_and_within_their_tokens() -> None:
    lengths = [(n * 37) % 254 + 3 for n in range(500)]
    cut = batches(lengths)
    assert sorted(place for batch in cut for place in batch) == list(range(500))
    for batch in cut:
        longest = lengths[batch[-1]]
        assert all(lengths[a] <= lengths[b] for a, b in pairwise(batch))
        assert len(batch) == 1 or len(batch) * longest <= embedding.BATCH_TOKENS
        assert len(batch) <= embedding.BATCH_TEXTS


def test_the_local_model_brings_no_torch() -> None:
    code = (
        "import sys; from connectors.embedding import embed; embed(['a text']);"
        "assert not {'torch', 'sentence_transformers', 'transformers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_worker_that_embeds_nothing_loads_no_model() -> None:
    code = (
        "import sys, connectors.vectors, udfs.functions, udfs.diff_chunks;"
        "assert not {'onnxruntime', 'onnx', 'tokenizers', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_missing_package_is_told_before_anything_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    embedding.check_installed()
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_weights")
    with pytest.raises(EmbeddingError, match="no_such_weights is not installed: install the extra"):
        embedding.check_installed()
    monkeypatch.setenv("TIDEMILL_EMBEDDING_MODEL", "openai:text-embedding-3-small")
    embedding.check_installed()


@pytest.mark.parametrize("name", ["", "openai:", "other", "sentence-transformers:"])
def test_an_unknown_model_is_told(name: str) -> None:
    with pytest.raises(EmbeddingError, match="expected all-MiniLM-L6-v2, openai:NAME or"):
        embedding._load(name)


def test_an_endpoint_that_is_nowhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(EmbeddingError, match="OPENAI_API_KEY"):
        embedding._load("openai:some")


@pytest.fixture
def offline() -> Iterator[OfflineModel]:
    with OfflineModel() as model:
        yield model


def endpoint(offline: OfflineModel) -> Endpoint:
    return Endpoint(offline.url, "a-secret-key", "tidemill-offline-embedding")


def fault(kind: str, **rule: object) -> dict[str, object]:
    return {"kind": kind, "endpoint": "embeddings", **rule}


def test_an_endpoint_embeds_in_order(offline: OfflineModel) -> None:
    texts = [f"text number {n}" for n in range(300)]
    found = endpoint(offline).embed(texts)
    assert found.shape[0] == 300 and numpy.allclose(numpy.linalg.norm(found, axis=1), 1, atol=1e-5)
    assert numpy.allclose(endpoint(offline).embed([texts[222]])[0], found[222], atol=1e-6)


@pytest.mark.parametrize(
    "rule",
    [
        fault("rate_limited", retry_after=0, count=3),
        fault("rate_limited", retry_after="garbage", count=1),
        fault("server_error", status=503, count=3),
        fault("reset", count=1),
        fault("html", count=1),
    ],
)
def test_an_endpoint_that_is_busy_or_away_is_waited_for(
    offline: OfflineModel, rule: dict[str, object]
) -> None:
    offline.misbehave([rule])
    assert not numpy.isnan(endpoint(offline).embed(["a", "b"])).any()


def test_a_text_that_is_refused_has_no_vector_and_spoils_no_other(offline: OfflineModel) -> None:
    offline.misbehave([fault("server_error", status=400, match="poison")])
    found = endpoint(offline).embed(["good", "poison", "fine"])
    assert numpy.isnan(found).any(axis=1).tolist() == [False, True, False]


@pytest.mark.parametrize("rule", [fault("server_error", status=401), fault("unknown_model")])
def test_a_wrong_key_or_model_is_raised_without_the_key(
    offline: OfflineModel, rule: dict[str, object]
) -> None:
    offline.misbehave([rule])
    with pytest.raises(EmbeddingError, match="TIDEMILL_EMBEDDING_MODEL") as error:
        endpoint(offline).embed(["a"])
    assert "a-secret-key" not in str(error.value)
