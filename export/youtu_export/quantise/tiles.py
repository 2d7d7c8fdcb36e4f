"""The layout of a quantised matrix [N, K] in weights.bin: tiles of 16 rows, as the operators read them.

    codes    uint8 [tiles, K * bits / 32, 16, 4]    8 bits: byte j of [t, i, r] = code[16t + r, 4i + j]
                                                    4 bits: byte j of [t, i, r] = code[16t + r, 8i + j]
                                                                                | code[16t + r, 8i + 4 + j] << 4
    scales, zero points, minimums   [tiles, K / block, 16]

Rows after the last one are zeros. Heads follow one another, each padded to whole tiles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.packed_matrix import PackedMatrix
from youtu_export.checkpoints.stored_tensor import CHUNK_VALUES

Array = npt.NDArray[Any]

TILE_ROWS = 16


def tiled(matrix: PackedMatrix, heads: int = 1) -> dict[str, Array]:
    """codes, scales and, if the matrix has them, zero_points and minimums; `heads` equal parts of its rows."""
    arrange = _pairs_of_codes if matrix.bits == 4 else _codes
    parts = {"codes": _tiled(matrix.codes, heads, arrange), "scales": _tiled(matrix.scales, heads, _by_block)}
    for name, values in (("zero_points", matrix.zero_points), ("minimums", matrix.minimums)):
        if values is not None:
            parts[name] = _tiled(values, heads, _by_block)
    return parts


def _tiled(values: Array, heads: int, arrange: Callable[[Array], Array]) -> Array:
    """`arrange` of [tiles, 16, columns], a few tiles at a time: a large matrix is in memory twice, not three times."""
    rows, columns = values.shape[0] // heads, values.shape[1]
    tiles = -(-rows // TILE_ROWS)
    shape = arrange(np.empty((0, TILE_ROWS, columns), values.dtype)).shape[1:]
    found = np.empty((heads, tiles, *shape), values.dtype)
    step = max(1, CHUNK_VALUES // (TILE_ROWS * columns))
    for head, part in enumerate(values.reshape(heads, rows, columns)):
        for begin in range(0, tiles, step):
            chunk = part[begin * TILE_ROWS : (begin + step) * TILE_ROWS]
            found[head, begin : begin + step] = arrange(_padded(chunk))
    return found.reshape(heads * tiles, *shape)


def _padded(rows: Array) -> Array:
    """Rows padded with zeros: [tiles, 16, columns]."""
    missing = -len(rows) % TILE_ROWS
    if missing:
        rows = np.concatenate([rows, np.zeros((missing, rows.shape[1]), rows.dtype)])
    return rows.reshape(-1, TILE_ROWS, rows.shape[1])


def _codes(tiles: Array) -> Array:
    return tiles.reshape(len(tiles), TILE_ROWS, tiles.shape[2] // 4, 4).swapaxes(1, 2)


def _pairs_of_codes(tiles: Array) -> Array:
    low_and_high = tiles.reshape(len(tiles), TILE_ROWS, tiles.shape[2] // 8, 2, 4).swapaxes(1, 2)
    pairs: Array = low_and_high[..., 0, :] | low_and_high[..., 1, :] << np.uint8(4)
    return pairs


def _by_block(tiles: Array) -> Array:
    return tiles.swapaxes(1, 2)
