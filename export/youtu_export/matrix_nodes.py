"""The nodes of matrices: y = x W^T and rows of a token table, stored as the recipe says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from youtu_export.errors import ExportError
from youtu_export.graph import MICROSOFT, YOUTU_EDGE, Graph
from youtu_export.packed_matrix import PackedMatrix, fitting_block, pack, round_int8, stack
from youtu_export.recipes import Recipe
from youtu_export.stored_tensor import Float32, StoredTensor
from youtu_export.weights_file import Extent

_FLOAT32 = np.dtype(np.float32)
_UINT8 = np.dtype(np.uint8)
_INT8_ACTIVATIONS = 4
"""accuracy_level of MatMulNBits; level 0 is four times slower on CPU."""


@dataclass(frozen=True)
class StoredTable:
    """A packed token table in weights.bin, whose bytes an output head may share. Holds no array."""

    bits: int
    block: int
    codes: Extent
    codes_shape: tuple[int, ...]
    scales: Extent
    scales_shape: tuple[int, ...]
    zero_points: Extent | None
    zero_points_shape: tuple[int, ...]


class MatrixNodes:
    """Writes matrices into one graph according to one recipe."""

    def __init__(self, graph: Graph, recipe: Recipe) -> None:
        self._graph = graph
        self._recipe = recipe
        self.inputs: dict[str, str] = {}
        """The graph's value that each matrix is multiplied with, by the name of its tensor."""

    def linear(self, path: str, x: str, tensors: Sequence[StoredTensor], bits: int | None = None) -> str:
        """x [T, K] times the matrices [N_i, K], side by side: [T, sum N_i]. `bits` overrides the recipe's.

        Matrices of one scheme become one node. Others are multiplied apart, because joining them would round twice.
        """
        self.inputs |= {tensor.name: x for tensor in tensors}
        if bits is None and self._recipe.matrix_bits is None:
            weight = self._graph.weight(f"{path}/weight", _side_by_side(tensors))
            return self._graph.node("MatMul", [x, weight], f"{path}/MatMul")
        kept = self._recipe.kept_kinds
        matrices = [self._pack(tensor, bits or self._recipe.bits_of(tensor.name) or 8, kept) for tensor in tensors]
        if len({matrix.scheme for matrix in matrices}) == 1:
            return self._packed_linear(path, x, stack(matrices))
        parts = [self._packed_linear(f"{path}/{index}", x, matrix) for index, matrix in enumerate(matrices)]
        return self._graph.node("Concat", parts, f"{path}/Concat", axis=1)

    def table(self, path: str, ids: str, tensor: StoredTensor) -> tuple[str, StoredTable | None]:
        """Rows `ids` [T] of a token table [vocab, K]: float [T, K], and what `tied_head` needs."""
        if self._recipe.table_bits is None:
            weight = self._graph.weight(f"{path}/weight", tensor.values())
            return self._graph.node("Gather", [weight, ids], f"{path}/Gather", axis=0), None
        # A table cannot have minimums: GatherBlockQuantized knows none. Eight bits hold 4-bit codes well enough.
        matrix = self._pack(tensor, self._recipe.table_bits, self._recipe.kept_kinds - {"Q4_1", "INT4"})
        zeros = matrix.zero_points
        stored = StoredTable(
            matrix.bits, matrix.block, self._graph.store(matrix.codes), matrix.codes.shape,
            self._graph.store(matrix.scales), matrix.scales.shape,
            None if zeros is None else self._graph.store(zeros), () if zeros is None else zeros.shape,
        )  # fmt: skip
        codes, *rest = self._table_weights(path, stored, (matrix.codes.shape[0], matrix.codes[0].size))
        output = self._graph.node(
            "GatherBlockQuantized", [codes, ids, *rest], f"{path}/GatherBlockQuantized", domain=MICROSOFT,
            bits=matrix.bits, block_size=matrix.block, gather_axis=0, quantize_axis=1,
        )  # fmt: skip
        return output, stored

    def tied_head(self, path: str, x: str, table: StoredTable) -> str:
        """x [R, K] times a token table, whose bytes are not stored again: [R, vocab]."""
        # Two initializers at one offset: a Reshape between one and the other would be folded into a second copy.
        weights = self._table_weights(path, table, table.codes_shape)
        return self._matmul_nbits(path, x, table.codes_shape, table.bits, table.block, weights)

    def headwise(self, path: str, x: str, weight: Float32, source: StoredTensor) -> str:
        """x [T, heads * k] times one matrix per head, weight [heads, n, k]: [T, heads * n]. Errors name `source`."""
        if self._recipe.matrix_bits is None:
            return self._float_headwise(path, x, weight)
        heads, n, k = weight.shape
        try:
            # Eight bits in every recipe: these matrices are few, and each is used for keys or values of all the context.
            matrix = round_int8(weight.reshape(heads * n, k), fitting_block(k, self._recipe.block))
        except ValueError as error:
            raise ExportError(f"{source.path}: {source.name}: {error}") from None
        codes = (matrix.codes ^ np.uint8(128)).view(np.int8).reshape(heads, n, k)
        scales = matrix.scales.reshape(heads, n, -1)
        weights = [self._graph.weight(f"{path}/weight", codes), self._graph.weight(f"{path}/scales", scales)]
        return self._graph.node(
            "HeadwiseMatMul", [x, *weights], f"{path}/HeadwiseMatMul", domain=YOUTU_EDGE, block_size=matrix.block
        )

    def _float_headwise(self, path: str, x: str, weight: Float32) -> str:
        heads, n, k = weight.shape
        x = self._graph.reshape(f"{path}/by_head", x, (0, heads, k))
        x = self._graph.node("Transpose", [x], f"{path}/heads_first", perm=[1, 0, 2])
        y = self._graph.node("MatMul", [x, self._graph.weight(f"{path}/weight", weight.swapaxes(1, 2))], f"{path}/MatMul")
        y = self._graph.node("Transpose", [y], f"{path}/tokens_first", perm=[1, 0, 2])
        return self._graph.reshape(f"{path}/joined", y, (0, heads * n))

    def _table_weights(self, path: str, table: StoredTable, shape: tuple[int, ...]) -> list[str]:
        """Codes in this shape, scales, and zero points if there are any."""
        weights = [
            self._graph.shared_weight(f"{path}/weight", table.codes, _UINT8, shape),
            self._graph.shared_weight(f"{path}/scales", table.scales, _FLOAT32, table.scales_shape),
        ]
        if table.zero_points is not None:
            name = f"{path}/zero_points"
            weights.append(self._graph.shared_weight(name, table.zero_points, _UINT8, table.zero_points_shape))
        return weights

    def _pack(self, tensor: StoredTensor, bits: int, kept_kinds: frozenset[str]) -> PackedMatrix:
        try:
            return pack(tensor, bits, self._recipe.block, kept_kinds)
        except ValueError as error:
            raise ExportError(f"{tensor.path}: {tensor.name}: {error}") from None

    def _packed_linear(self, path: str, x: str, matrix: PackedMatrix) -> str:
        weights = [self._graph.weight(f"{path}/weight", matrix.codes), self._graph.weight(f"{path}/scales", matrix.scales)]
        if matrix.zero_points is not None:
            weights.append(self._graph.weight(f"{path}/zero_points", matrix.zero_points))
        y = self._matmul_nbits(path, x, matrix.codes.shape, matrix.bits, matrix.block, weights)
        if matrix.mins is None:
            return y
        mins = self._graph.weight(f"{path}/mins", matrix.mins)
        return self._graph.node(
            "BlockMinAdd", [x, y, mins], f"{path}/BlockMinAdd", domain=YOUTU_EDGE, block_size=matrix.block
        )

    def _matmul_nbits(
        self, path: str, x: str, codes_shape: tuple[int, ...], bits: int, block: int, weights: list[str]
    ) -> str:
        rows, blocks, _ = codes_shape
        return self._graph.node(
            "MatMulNBits", [x, *weights], f"{path}/MatMul", domain=MICROSOFT,
            K=blocks * block, N=rows, bits=bits, block_size=block, accuracy_level=_INT8_ACTIVATIONS,
        )  # fmt: skip


def _side_by_side(tensors: Sequence[StoredTensor]) -> Float32:
    """The transposes of matrices [N_i, K] next to each other: float32 [K, sum N_i]."""
    widths = [tensor.shape[0] for tensor in tensors]
    weight = np.empty((tensors[0].shape[1], sum(widths)), np.float32)
    for tensor, end in zip(tensors, itertools.accumulate(widths), strict=True):
        weight[:, end - tensor.shape[0] : end] = tensor.values().T
    return weight
