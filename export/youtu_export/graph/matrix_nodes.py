"""The nodes for matrices: y = x W^T, and rows of a token table, stored according to the recipe."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from youtu_export.checkpoints.packed_matrix import PackedMatrix, fitting_block, pack, round_int8, stack
from youtu_export.checkpoints.stored_tensor import Float32, StoredTensor, naming
from youtu_export.graph.graph import YOUTU_EDGE, Graph
from youtu_export.quantise.recipes import Recipe
from youtu_export.quantise.tiles import tiled


@dataclass(frozen=True)
class StoredMatrix:
    """A quantised matrix in weights.bin: the inputs and attributes of the nodes that read it. Holds no array."""

    weights: list[str]
    attributes: dict[str, Any]


class MatrixNodes:
    """Writes matrices into one graph according to one recipe."""

    def __init__(self, graph: Graph, recipe: Recipe) -> None:
        self._graph = graph
        self._recipe = recipe
        self.inputs: dict[str, str] = {}
        """The graph value that each matrix is multiplied by, by tensor name."""

    def linear(self, path: str, x: str, tensors: Sequence[StoredTensor], bits: int | None = None) -> str:
        """x [T, K] times the matrices [N_i, K], side by side: [T, sum N_i]. `bits` overrides the recipe's.

        Matrices with the same scheme become one node. Others stay separate, because joining them would round twice.
        """
        self.inputs |= {tensor.name: x for tensor in tensors}
        if bits is None and self._recipe.matrix_bits is None:
            weight = self._graph.weight(f"{path}/weight", _side_by_side(tensors))
            return self._graph.node("MatMul", [x, weight], f"{path}/MatMul")
        matrices = [self._pack(tensor, bits or self._recipe.bits_of(tensor.name) or 8) for tensor in tensors]
        if len({matrix.scheme for matrix in matrices}) == 1:
            return self._linear(path, x, self._store(path, stack(matrices)))
        parts = [
            self._linear(f"{path}/{index}", x, self._store(f"{path}/{index}", matrix))
            for index, matrix in enumerate(matrices)
        ]
        return self._graph.node("Concat", parts, f"{path}/Concat", axis=1)

    def table(self, path: str, ids: str, tensor: StoredTensor) -> tuple[str, StoredMatrix | None]:
        """Rows `ids` [T] of a token table [vocab, K]: float [T, K], and what `tied_head` needs."""
        if self._recipe.table_bits is None:
            weight = self._graph.weight(f"{path}/weight", tensor.values())
            return self._graph.node("Gather", [weight, ids], f"{path}/Gather", axis=0), None
        stored = self._store(path, self._pack(tensor, self._recipe.table_bits))
        name = f"{path}/Embedding"
        return self._graph.node("Embedding", [ids, *stored.weights], name, domain=YOUTU_EDGE, **stored.attributes), stored

    def tied_head(self, path: str, x: str, table: StoredMatrix) -> str:
        """x [R, K] times a token table, with the table's initializers: [R, vocab]."""
        return self._linear(path, x, table)

    def headwise(self, path: str, x: str, weight: Float32, source: StoredTensor) -> str:
        """x [T, heads * k] times one matrix per head, weight [heads, n, k]: [T, heads * n]. Errors name `source`."""
        if self._recipe.matrix_bits is None:
            return self._float_headwise(path, x, weight)
        heads, n, k = weight.shape
        with naming(source):
            # Eight bits in every recipe: these matrices are few, and used for the keys or values of the whole context.
            matrix = round_int8(weight.reshape(heads * n, k), fitting_block(k, self._recipe.block))
        return self._linear(path, x, self._store(path, matrix, heads), heads=heads)

    def _float_headwise(self, path: str, x: str, weight: Float32) -> str:
        heads, n, k = weight.shape
        x = self._graph.reshape(f"{path}/by_head", x, (0, heads, k))
        x = self._graph.node("Transpose", [x], f"{path}/heads_first", perm=[1, 0, 2])
        y = self._graph.node("MatMul", [x, self._graph.weight(f"{path}/weight", weight.swapaxes(1, 2))], f"{path}/MatMul")
        y = self._graph.node("Transpose", [y], f"{path}/tokens_first", perm=[1, 0, 2])
        return self._graph.reshape(f"{path}/joined", y, (0, heads * n))

    def _pack(self, tensor: StoredTensor, bits: int) -> PackedMatrix:
        with naming(tensor):
            return pack(tensor, bits, self._recipe.block, self._recipe.kept_kinds)

    def _store(self, path: str, matrix: PackedMatrix, heads: int = 1) -> StoredMatrix:
        """Write a matrix, or `heads` matrices of equal size, to weights.bin."""
        names = {part: self._graph.weight(f"{path}/{part}", array) for part, array in tiled(matrix, heads).items()}
        weights = [names.get(part, "") for part in ("codes", "scales", "zero_points", "minimums")]
        while not weights[-1]:  # ONNX omits absent trailing inputs
            weights.pop()
        return StoredMatrix(weights, {"N": len(matrix.codes) // heads, "bits": matrix.bits, "block_size": matrix.block})

    def _linear(self, path: str, x: str, matrix: StoredMatrix, **attributes: Any) -> str:
        return self._graph.node(
            "Linear", [x, *matrix.weights], f"{path}/Linear", domain=YOUTU_EDGE, **matrix.attributes, **attributes
        )


def _side_by_side(tensors: Sequence[StoredTensor]) -> Float32:
    """The transposes of matrices [N_i, K] next to each other: float32 [K, sum N_i]."""
    widths = [tensor.shape[0] for tensor in tensors]
    weight = np.empty((tensors[0].shape[1], sum(widths)), np.float32)
    for tensor, end in zip(tensors, itertools.accumulate(widths), strict=True):
        weight[:, end - tensor.shape[0] : end] = tensor.values().T
    return weight
