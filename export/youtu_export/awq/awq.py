"""AWQ's search: activation-aware scales of input channels, then clipping of blocks (Lin et al. 2023, sections 3.2, 4).

With x the activations and Q rounding to four bits, the scale s of an input channel is folded into the previous layer:

    y = W x = (W diag(s)) (x / s)  ~  Q(W diag(s)) (x / s)       s = mean|x|^alpha, alpha the best of 0, 1/20, … 1

Important channels are rounded on a finer grid, at the expense of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from youtu_export.checkpoints.packed_matrix import int4_codes
from youtu_export.checkpoints.scaled_tensor import clipped
from youtu_export.checkpoints.stored_tensor import Float32

_STEPS = 20
_SHRINKS = tuple(1 - 0.025 * step for step in range(1, 17))
_CHUNK_ROWS = 1024
_SEARCH_ROWS = 1024
"""Rows of a matrix that are used in the search for the scales, which all rows share."""
_SMALLEST = np.float32(1e-4)


@dataclass(frozen=True)
class Activations:
    """The inputs of a matrix: mean magnitude per channel [K], and a sample of rows or its QR factor [R, K]."""

    mean_abs: Float32
    sample: Float32

    def divided(self, scales: Float32) -> Activations:
        """The activations after the previous layer was divided by `scales` [K]."""
        return Activations(self.mean_abs / scales, self.sample / scales)


def compress(sample: Float32) -> Float32:
    """Rows [min(R, K), K] with the same output error as `sample` [R, K] for every matrix: the factor R of its QR."""
    if sample.shape[0] <= sample.shape[1]:
        return sample
    factor: Float32 = np.linalg.qr(sample)[1]
    return factor


def rounded(values: Float32, block: int) -> Float32:
    """Values [N, K] after rounding to four bits."""
    blocks = values.reshape(values.shape[0], -1, block)
    codes, scales, zeros = int4_codes(blocks)
    back: Float32 = ((codes - zeros[..., None]) * scales[..., None].astype(np.float32)).reshape(values.shape)
    return back


def output_error(difference: Float32, activations: Activations) -> float:
    """Squared error that `difference` [N, K] of a matrix causes in its product with the sample."""
    return float(np.square(activations.sample @ difference.T, dtype=np.float64).sum())


def search_scales(matrices: Sequence[Float32], blocks: Sequence[int], activations: Activations) -> Float32 | None:
    """Scales [K] for the input channels that these matrices [N_i, K] share; None if plain rounding is as good.

    Two candidates per alpha: s = mean|x|^alpha, and the same over mean|w|^(1 - alpha), w relative to its block's largest.
    """
    matrices = [matrix[:: -(-matrix.shape[0] // _SEARCH_ROWS)] for matrix in matrices]
    best_error = _scaled_error(matrices, blocks, activations, None)
    best: Float32 | None = None
    importance = np.maximum(activations.mean_abs, _SMALLEST)
    magnitude = np.maximum(_relative_magnitude(matrices, blocks), _SMALLEST)
    for step in range(_STEPS + 1):
        alpha = np.float32(step / _STEPS)
        for candidate in (importance**alpha, importance**alpha / magnitude ** (1 - alpha)):
            scales = (candidate / np.sqrt(candidate.max() * candidate.min())).astype(np.float32)
            error = _scaled_error(matrices, blocks, activations, scales)
            if error < best_error:
                best_error, best = error, scales
    return best


def search_shrink(matrix: Float32, block: int, activations: Activations) -> Float32:
    """Factors [N, K/block] in 0.6 .. 1 for the range of every block that minimise the error of the block's product."""
    sample = activations.sample.reshape(activations.sample.shape[0], -1, block).swapaxes(0, 1)
    gram = sample.swapaxes(1, 2) @ sample  # [K/block, block, block]
    shrinks = np.ones((matrix.shape[0], len(gram)), np.float32)
    for begin in range(0, matrix.shape[0], _CHUNK_ROWS):
        rows = matrix[begin : begin + _CHUNK_ROWS]
        blocks = rows.reshape(rows.shape[0], -1, block)
        best = _block_errors(rounded(rows, block).reshape(blocks.shape) - blocks, gram)
        for shrink in _SHRINKS:
            limited = clipped(blocks, np.full(best.shape, shrink, np.float32))
            difference = rounded(limited.reshape(rows.shape), block).reshape(blocks.shape) - blocks
            errors = _block_errors(difference, gram)
            better = errors < best
            shrinks[begin : begin + _CHUNK_ROWS][better] = shrink
            best[better] = errors[better]
    return shrinks


def _scaled_error(
    matrices: Sequence[Float32], blocks: Sequence[int], activations: Activations, scales: Float32 | None
) -> float:
    total = 0.0
    for matrix, block in zip(matrices, blocks, strict=True):
        for begin in range(0, matrix.shape[0], _CHUNK_ROWS):
            rows = matrix[begin : begin + _CHUNK_ROWS]
            back = rounded(rows, block) if scales is None else rounded(rows * scales, block) / scales
            total += output_error(back - rows, activations)
    return total


def _relative_magnitude(matrices: Sequence[Float32], blocks: Sequence[int]) -> Float32:
    """Mean over rows of |w| relative to the largest of its block, [K] (`get_weight_scale` of llm-awq)."""
    total, count = np.zeros(matrices[0].shape[1], np.float64), 0
    for matrix, block in zip(matrices, blocks, strict=True):
        sizes = np.abs(matrix).reshape(matrix.shape[0], -1, block)
        largest = np.maximum(sizes.max(axis=2, keepdims=True), np.float32(1e-12))
        total += (sizes / largest).reshape(matrix.shape).sum(axis=0, dtype=np.float64)
        count += matrix.shape[0]
    return (total / count).astype(np.float32)


def _block_errors(difference: Float32, gram: Float32) -> Float32:
    """d G d^T of every block: difference [N, K/block, block], gram [K/block, block, block] -> [N, K/block]."""
    by_block = difference.swapaxes(0, 1)
    errors: Float32 = np.einsum("bnk,bnk->nb", by_block @ gram, by_block)
    return errors
