"""A checkpoint tensor that is read with its rows and columns scaled and its blocks clipped. Stores no values.

row n, column k, block b = k // block:    clip(W[n, k] * columns[k] / rows[n], range of block b * shrink[n, b])
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.stored_tensor import Float32, StoredTensor


@dataclass(frozen=True, eq=False, kw_only=True)
class ScaledTensor(StoredTensor):
    """`source` with factors: columns float32 [K], rows float32 [N], shrink float32 [N, K/block]; None has no effect."""

    source: StoredTensor
    column_scales: Float32 | None = None
    row_scales: Float32 | None = None
    shrink: Float32 | None = None

    def select_rows(self, order: npt.NDArray[np.int64]) -> StoredTensor:
        """The tensor whose row i is row order[i] of this one."""
        return replace(
            self,
            shape=(len(order), *self.shape[1:]),
            source=self.source.select_rows(order),
            row_scales=None if self.row_scales is None else self.row_scales[order],
            shrink=None if self.shrink is None else self.shrink[order],
        )

    def _rows(self, begin: int, end: int) -> Float32:
        values = self.source.rows(begin, end)
        if self.row_scales is not None:
            values = values / self.row_scales[begin:end].reshape(-1, *[1] * (values.ndim - 1))
        if self.column_scales is not None:
            values = values * self.column_scales
        if self.shrink is None:
            return values
        shrink = self.shrink[begin:end]
        return clipped(values.reshape(*shrink.shape, -1), shrink).reshape(values.shape)


def clipped(blocks: Float32, shrink: Float32) -> Float32:
    """`blocks` [N, K/block, block], limited to `shrink` [N, K/block] times the range of each, which includes zero."""
    low = np.minimum(blocks.min(axis=2), 0) * shrink
    high = np.maximum(blocks.max(axis=2), 0) * shrink
    values: Float32 = np.clip(blocks, low[..., None], high[..., None])
    return values


def scaled(
    tensor: StoredTensor,
    *,
    column_scales: Float32 | None = None,
    row_scales: Float32 | None = None,
    shrink: Float32 | None = None,
) -> ScaledTensor:
    """`tensor` with further factors, multiplied with those that it already has."""
    if not isinstance(tensor, ScaledTensor):
        return ScaledTensor(
            tensor.path, tensor.name, tensor.shape, "SCALED", 0,
            source=tensor, column_scales=column_scales, row_scales=row_scales, shrink=shrink,
        )  # fmt: skip
    return replace(
        tensor,
        column_scales=_times(tensor.column_scales, column_scales),
        row_scales=_times(tensor.row_scales, row_scales),
        shrink=_times(tensor.shrink, shrink),
    )


def _times(first: Float32 | None, second: Float32 | None) -> Float32 | None:
    if first is None or second is None:
        return second if first is None else first
    return first * second
