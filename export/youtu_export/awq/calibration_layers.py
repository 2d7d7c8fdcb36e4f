"""Runs the float model layer by layer over the calibration text, so that memory holds one layer and never the model.

The graph is cut where node names change from /model/layers.0/ to /model/layers.1/ and so on. Only the values that later
layers read cross a cut: two rows of the hidden size per token.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.package import MODEL, WEIGHTS
from youtu_export.awq.awq import Activations, compress
from youtu_export.awq.calibration import Calibration
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.errors import ExportError
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families import family_of
from youtu_export.graph.families.family import cache_geometry
from youtu_export.graph.graph import Graph
from youtu_export.graph.graph_session import GraphSession, empty_cache, sequence_inputs
from youtu_export.graph.model_spec import ModelSpec
from youtu_export.quantise.recipes import RECIPES

Array = npt.NDArray[Any]
_SAMPLE_ROWS = 2048
_SAMPLE_VALUES = 2048 * 512
"""A sample has at most this many values, which bounds the search time for wide matrices."""


class FloatModel:
    """The float32 model in its own directory, and the input of each of its matrices."""

    def __init__(self, checkpoint: Checkpoint, directory: Path) -> None:
        family = family_of(checkpoint)
        self.spec: ModelSpec = family.read_spec(checkpoint)
        recipe = RECIPES["f32"]
        self.cache: CacheGeometry = cache_geometry(self.spec, recipe.cache_type)
        with (directory / WEIGHTS).open("wb") as weights:
            graph = Graph(weights)
            decoder = Decoder(graph, checkpoint, self.spec, recipe)
            decoder.inputs(self.cache)
            logits = family.build(decoder, lambda: None)
        (directory / MODEL).write_bytes(graph.model("calibration", logits, "logits", ["R", self.spec.vocab]))
        self.inputs = decoder.matrices.inputs
        """The graph value that each matrix is multiplied by, by tensor name."""
        self._directory = directory
        self._path = checkpoint.path

    def activations(self, calibration: Calibration) -> Iterator[dict[str, Activations]]:
        """For each layer in order, the inputs of its matrices by the name of the graph value."""
        model = onnx.load(str(self._directory / MODEL), load_external_data=False)
        sections = _sections(model.graph, self.spec.layers)
        wanted = set(self.inputs.values())
        states: list[dict[str, Array]] = [{} for _ in calibration.windows]
        # Calibration needs nothing after the last layer: the head is not run.
        for index, section in enumerate(sections[:-1]):
            later = {name for other in sections[index + 1 :] for node in other for name in node.input}
            made = [name for node in section for name in node.output if name and name in later | wanted]
            part = GraphSession(_write_part(self._directory, model, section, made))
            collected = {name: _Collector(len(calibration.windows)) for name in made if name in wanted}
            for number, window in enumerate(calibration.windows):
                values = states[number] | _inputs(window, self.spec, self.cache)
                found = dict(zip(made, part.run(made, values), strict=True))
                for name, collector in collected.items():
                    if not np.isfinite(found[name]).all():
                        raise ExportError(f"{self._path}: the float model computes NaN or infinite values in {name}")
                    collector.add(found[name], number)
                kept = states[number] | found
                states[number] = {name: array for name, array in kept.items() if name in later}
            if index > 0:
                yield {name: collector.activations() for name, collector in collected.items()}


class _Collector:
    """Mean magnitudes of all rows, and some rows of every window."""

    def __init__(self, windows: int) -> None:
        self._windows = windows
        self._total: Array | None = None
        self._count = 0
        self._samples: list[Array] = []

    def add(self, x: Array, number: int) -> None:
        sums = np.abs(x).sum(axis=0, dtype=np.float64)
        self._total = sums if self._total is None else self._total + sums
        self._count += len(x)
        rows = min(_SAMPLE_ROWS, max(256, _SAMPLE_VALUES // x.shape[1])) // self._windows + 1
        chosen = np.random.default_rng(number).permutation(len(x))[:rows]
        self._samples.append(x[np.sort(chosen)])

    def activations(self) -> Activations:
        assert self._total is not None
        mean = (self._total / self._count).astype(np.float32)
        return Activations(mean, compress(np.concatenate(self._samples)))


def _inputs(window: list[int], spec: ModelSpec, cache: CacheGeometry) -> dict[str, Array]:
    return sequence_inputs(window, spec.rope, spec.local_rope) | empty_cache(cache, len(window))


def _sections(graph: Any, layers: int) -> list[list[Any]]:
    """Nodes before the layers, of each layer, and after them."""
    sections: list[list[Any]] = [[] for _ in range(layers + 2)]
    current = 0
    for node in graph.node:
        parts = node.name.split("/")
        if len(parts) > 2 and parts[1] == "model" and parts[2].startswith("layers."):
            current = int(parts[2].removeprefix("layers.")) + 1
        elif current:
            current = layers + 1
        sections[current].append(node)
    return sections


def _write_part(directory: Path, model: Any, nodes: list[Any], outputs: list[str]) -> Path:
    """A graph of these nodes only, beside the weights that it shares with the full graph."""
    read = {name for node in nodes for name in node.input if name}
    made = {name for node in nodes for name in node.output}
    weights = [tensor for tensor in model.graph.initializer if tensor.name in read]
    declared = [value for value in model.graph.input if value.name in read]
    known = {value.name for value in declared} | {tensor.name for tensor in weights} | made
    handed = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(read - known)]
    results = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    graph = helper.make_graph(nodes, "part", [*declared, *handed], results, weights)
    part = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    path = directory / "part.onnx"
    path.write_bytes(part.SerializeToString())
    return path
