"""Scales in float16: chosen before codes are rounded to them, or kept from a checkpoint that chose them itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.stored_tensor import Float32

Float16 = npt.NDArray[np.float16]

_SMALLEST_NORMAL = np.float16(2.0**-14)
"""Smaller float16 numbers have fewer digits."""


def chosen_scales(ranges: Float32, steps: int) -> Float16:
    """For each of `ranges` the float16 nearest to a `steps`-th of it, or the next above where that is much too small.

    0 for a range of 0 only. Raises ValueError for a range that is NaN, infinite or too large.
    """
    finite(ranges, "weight")
    with np.errstate(over="ignore"):
        scales = (ranges / np.float32(steps)).astype(np.float16)
    if np.isinf(scales).any():
        raise ValueError(f"weights of a range of {ranges.max():g} need a scale beyond float16; export with --recipe f32")
    short = scales.astype(np.float32) * np.float32(steps + 0.5) < ranges
    scales[short] = np.nextafter(scales[short], np.float16(np.inf))
    return scales


def kept_scales(values: Float32) -> Float16:
    """The nearest float16 of each scale, which differs by at most 2^-11 of it.

    Raises ValueError for a scale that is NaN, infinite, or where float16 has no number or not enough digits.
    """
    finite(values, "scale")
    with np.errstate(over="ignore"):
        scales = values.astype(np.float16)
    sizes = np.abs(scales)
    lost = (scales.astype(np.float32) != values) & ((sizes < _SMALLEST_NORMAL) | np.isinf(scales))
    if lost.any():
        raise ValueError(f"the scale {values[lost][0]:g} is not in float16; --recipe q8 rounds the values anew")
    return scales


def finite(values: npt.NDArray[Any], what: str) -> None:
    """Raises ValueError naming the first value that is NaN or infinite."""
    good = np.isfinite(values)
    if not good.all():
        raise ValueError(f"a {what} is {values[~good][0]}: the file is damaged")
