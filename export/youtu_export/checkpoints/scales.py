"""Scales in float16: chosen before codes are rounded to them, or kept from a quantised checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.stored_tensor import Float32

Float16 = npt.NDArray[np.float16]

_SMALLEST_NORMAL = np.float16(2.0**-14)
"""Smaller float16 numbers have less precision."""


def chosen_scales(ranges: Float32, steps: int) -> Float16:
    """For each range the float16 nearest to range / steps, or the next larger one if that is much too small.

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

    Raises ValueError for a scale that is NaN, infinite, or that float16 cannot represent precisely.
    """
    finite(values, "scale")
    with np.errstate(over="ignore"):
        scales = values.astype(np.float16)
    sizes = np.abs(scales)
    lost = (scales.astype(np.float32) != values) & ((sizes < _SMALLEST_NORMAL) | np.isinf(scales))
    if lost.any():
        raise ValueError(f"float16 cannot represent the scale {values[lost][0]:g}; --recipe q8 rounds the values again")
    return scales


def finite(values: npt.NDArray[Any], what: str) -> None:
    """Raises ValueError naming the first value that is NaN or infinite."""
    good = np.isfinite(values)
    if not good.all():
        raise ValueError(f"a {what} is {values[~good][0]}: the file is damaged")
