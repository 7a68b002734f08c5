"""Builds the shipped embedding model from the one it comes from: `python -m bench.fuse_model ORIGINAL OUT`.

The same weights, in fewer and larger operations. What flows between them is quantized with fixed scales: scales taken
from the batch, as in the original, let a text's vector depend on the texts beside it. The ranges they are made of are
kept in `model_ranges.json`, so that the same file comes out everywhere; `--calibrate` measures them again.
"""

import argparse
import hashlib
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, load, numpy_helper
from tokenizers import Tokenizer

from app.adapters.models.local_embedder import MAX_PIECE_TOKENS
from app.adapters.models.onnx import DIMENSIONS, FOLDER
from bench.corpus import sentences

ORIGINAL = "b24a62574932e345889038933af669508c5dae2be76153c5504362630a8bbdba"
RANGES = Path(__file__).parent / "model_ranges.json"
DOCS = Path(__file__).parent.parent / "docs"
HEADS, EPSILON = 12, 1e-12
STEPS = 255
PERCENT = 1
"""Of the texts may reach below a range, and as many above it, which makes the steps finer for the others."""
SENTENCES, SHORTEST = 1000, 20
MICROSOFT = "com.microsoft"
FUSED = {"MatMulIntegerToFloat", "MultiHeadAttention", "Gelu"}
OPSETS = {"": 17, MICROSOFT: 1}

Array: TypeAlias = NDArray[Any]
Ranges: TypeAlias = Sequence[tuple[float, float]]


class Original:
    """The weights. Those of a layer's six products have no names and are identified by their order."""

    def __init__(self, path: Path) -> None:
        graph = load(str(path)).graph
        self._constants = {each.name: each for each in graph.initializer}
        names = [node.input[1].removesuffix("_quantized") for node in graph.node if node.op_type == "MatMulInteger"]
        self.layers = [names[start : start + 6] for start in range(0, len(names), 6)]

    def __getitem__(self, name: str) -> Array:
        values: Array = numpy_helper.to_array(self._constants[name])
        return values

    def floats(self, name: str) -> Array:
        steps = self[f"{name}_quantized"].astype(np.float32) - np.float32(self[f"{name}_zero_point"])
        values: Array = np.multiply(steps, self[f"{name}_scale"], dtype=np.float32)
        return values


# ---------------------------------------------------------------- the graph


class Graph:
    """The shipped model with integer activations. Every method returns the name of its result."""

    def __init__(self, original: Original, ranges: Ranges) -> None:
        self.original = original
        self.nodes: list[NodeProto] = []
        self._constants: dict[str, TensorProto] = {}
        self._ranges = iter(ranges)

    def constant(self, name: str, values: Array) -> str:
        self._constants[name] = numpy_helper.from_array(values, name)
        return name

    def kept(self, name: str) -> str:
        return self.constant(name, self.original[name])

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        output = f"{operation}_{len(self.nodes)}"
        domain = MICROSOFT if operation in FUSED else ""
        self.nodes.append(helper.make_node(operation, inputs, [output], output, domain=domain, **attributes))
        return output

    def quantized(self, values: str) -> tuple[str, ...]:
        """Quantized values with their step and zero point."""
        low, high = next(self._ranges)
        step = (high - low) / STEPS
        scale = self.constant(f"{values}_step", np.array(step, np.float32))
        zero = self.constant(f"{values}_zero", np.array(round(-low / step), np.uint8))
        return self.add("QuantizeLinear", values, scale, zero), scale, zero

    def product(self, activations: tuple[str, ...], weights: str, bias: str = "") -> str:
        values, step, zero = activations
        scale = self.kept(f"{weights}_scale")
        right = self.kept(f"{weights}_quantized")
        return self.add("MatMulIntegerToFloat", values, right, step, scale, zero, "", self.kept(bias) if bias else "")

    def model(self, result: str, watched: Sequence[str] = ()) -> ModelProto:
        """Watched values are outputs as well."""
        self.nodes.append(helper.make_node("Identity", [result], ["last_hidden_state"]))
        inputs = [tensor("input_ids", TensorProto.INT64), tensor("attention_mask", TensorProto.INT32)]
        outputs = [tensor("last_hidden_state", TensorProto.FLOAT, DIMENSIONS)]
        outputs += [helper.make_tensor_value_info(each, TensorProto.FLOAT, None) for each in watched]
        graph = helper.make_graph(self.nodes, "all-MiniLM-L6-v2", inputs, outputs, list(self._constants.values()))
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


class FloatGraph(Graph):
    """The same graph without rounding, to measure the range of the activations."""

    def __init__(self, original: Original) -> None:
        super().__init__(original, ())
        self.watched: list[str] = []

    def quantized(self, values: str) -> tuple[str, ...]:
        self.watched.append(values)
        return (values,)

    def product(self, activations: tuple[str, ...], weights: str, bias: str = "") -> str:
        result = self.add("MatMul", *activations, self.constant(weights, self.original.floats(weights)))
        return self.add("Add", result, self.kept(bias)) if bias else result


def tensor(name: str, kind: int, *rest: int) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, ["texts", "tokens", *rest])


def encode(graph: Graph) -> str:
    values = normalise(graph, embed(graph), "m.embeddings.LayerNorm")
    for number, weights in enumerate(graph.original.layers):
        values = layer(graph, values, f"m.encoder.layer.{number}.", weights)
    return values


def embed(graph: Graph) -> str:
    """The word and position embeddings. The token type is always the same and is part of the position."""
    words = "m.embeddings.word_embeddings.weight"
    found = graph.add("Gather", graph.kept(f"{words}_quantized"), "input_ids")
    word = graph.add("DequantizeLinear", found, graph.kept(f"{words}_scale"), graph.kept(f"{words}_zero_point"))
    types = graph.original.floats("m.embeddings.token_type_embeddings.weight")
    places = graph.original.floats("m.embeddings.position_embeddings.weight")[:MAX_PIECE_TOKENS] + types[0]
    start, axis = (graph.constant(name, np.array([0])) for name in ("start", "axis"))
    length = graph.add("Shape", "input_ids", start=1, end=2)
    return graph.add("Add", word, graph.add("Slice", graph.constant("places", places), start, length, axis))


def layer(graph: Graph, values: str, prefix: str, weights: Sequence[str]) -> str:
    *attention, output, wide, narrow = weights
    heard = attend(graph, values, f"{prefix}attention.self.", attention)
    heard = graph.product(graph.quantized(heard), output, f"{prefix}attention.output.dense.bias")
    values = normalise(graph, graph.add("Add", heard, values), f"{prefix}attention.output.LayerNorm")
    thought = graph.product(graph.quantized(values), wide, f"{prefix}intermediate.dense.bias")
    thought = graph.product(graph.quantized(graph.add("Gelu", thought)), narrow, f"{prefix}output.dense.bias")
    return normalise(graph, graph.add("Add", thought, values), f"{prefix}output.LayerNorm")


def attend(graph: Graph, values: str, prefix: str, weights: Sequence[str]) -> str:
    whole = graph.quantized(values)
    parts = [graph.product(whole, each) for each in weights]
    biases = np.concatenate([graph.original[f"{prefix}{name}.bias"] for name in ("query", "key", "value")])
    bias = graph.constant(f"{prefix}bias", biases)
    return graph.add("MultiHeadAttention", *parts, bias, "attention_mask", num_heads=HEADS)


def normalise(graph: Graph, values: str, prefix: str) -> str:
    learned = graph.kept(f"{prefix}.weight"), graph.kept(f"{prefix}.bias")
    return graph.add("LayerNormalization", values, *learned, axis=-1, epsilon=EPSILON)


# ---------------------------------------------------------------- the ranges


def texts() -> Iterator[str]:
    """Generated memories, lines of our documents, and whole documents cut at the length the model reads."""
    yield from itertools.islice(sentences(5), SENTENCES)
    for path in sorted(DOCS.rglob("*.md")):
        document = path.read_text()
        yield document
        yield from (line for line in document.splitlines() if len(line) > SHORTEST)


def pieces() -> Iterator[list[int]]:
    tokenizer = Tokenizer.from_file(str(FOLDER / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_PIECE_TOKENS)
    for text in texts():
        encoded = tokenizer.encode(text)
        yield from (each.ids for each in (encoded, *encoded.overflowing))


def calibrate(original: Original) -> Ranges:
    """Rounded, so that the last digits of another processor change nothing."""
    graph = FloatGraph(original)
    model = graph.model(encode(graph), graph.watched)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    seen = np.array([reach(session, graph.watched, ids) for ids in pieces()])
    low, high = np.percentile(seen[..., 0], PERCENT, axis=0), np.percentile(seen[..., 1], 100 - PERCENT, axis=0)
    return [(round(float(least), 2), round(float(most), 2)) for least, most in zip(low, high, strict=True)]


def reach(session: Any, watched: Sequence[str], ids: Sequence[int]) -> list[tuple[float, float]]:
    inputs = {"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), np.int32)}
    return [(values.min(), values.max()) for values in session.run(watched, inputs)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--calibrate", action="store_true", help=f"write {RANGES.name} first")
    asked = parser.parse_args()
    if hashlib.sha256(asked.original.read_bytes()).hexdigest() != ORIGINAL:
        parser.error("This is not the original: see app/models/README.md")
    original = Original(asked.original)
    if asked.calibrate:
        RANGES.write_text("[\n" + ",\n".join(json.dumps(each) for each in calibrate(original)) + "\n]\n")
    graph = Graph(original, json.loads(RANGES.read_text()))
    asked.out.write_bytes(graph.model(encode(graph)).SerializeToString(deterministic=True))


if __name__ == "__main__":
    main()
