"""Tables of the rotary embedding, with the same bits wherever they are computed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from youtu_edge.elementary import cos_sin
from youtu_edge.package import Rope

Float32 = npt.NDArray[np.float32]

_CHUNK_VALUES = 32 * 1024
"""Values per pass: a few arrays of 256 KB, which stay in the processor's cache."""


def rotary_inputs(rope: Rope, local: Rope | None, positions: int) -> dict[str, Float32]:
    """The graph's inputs cos_cache and sin_cache, and those of `local`, float32 [positions, rope_dim/2] each."""
    inputs = dict(zip(("cos_cache", "sin_cache"), rotary_tables(rope, positions), strict=True))
    if local is not None:
        inputs |= zip(("local_cos_cache", "local_sin_cache"), rotary_tables(local, positions), strict=True)
    return inputs


def rotary_tables(rope: Rope, positions: int) -> tuple[Float32, Float32]:
    """cos and sin of position * inverse_frequency, float32 [positions, rope_dim/2] (Su et al. 2021, eq. 34).

    The angle is a float32 product, as in training; its cosine and sine are rounded once, and so is their product with
    `rope.scale`.
    """
    frequencies = np.asarray(rope.inverse_frequencies, dtype=np.float32)
    scale = np.float32(rope.scale)
    cos = np.empty((positions, len(frequencies)), dtype=np.float32)
    sin = np.empty_like(cos)
    rows = max(1, _CHUNK_VALUES // max(1, len(frequencies)))
    for begin in range(0, positions, rows):
        end = min(begin + rows, positions)
        angles = np.arange(begin, end, dtype=np.float32)[:, None] * frequencies
        cosine, sine = cos_sin(angles.astype(np.float64))
        np.multiply(cosine.astype(np.float32), scale, out=cos[begin:end])
        np.multiply(sine.astype(np.float32), scale, out=sin[begin:end])
    return cos, sin
