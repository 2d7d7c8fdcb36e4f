"""Whether a GPTQ checkpoint stores zero points or zero points minus one: its data override its declared format.

    format      stored          symmetric, if every zero point is 8
    gptq        zero - 1        7 everywhere
    gptq_v2     zero            8 everywhere

Some tools write one format and declare the other, which shifts every weight by one step. Symmetric data are unambiguous.
For other data the mean decides: weights average zero, so mean(code - stored) is near 1 for gptq and near 0 for gptq_v2.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_SYMMETRIC_ZERO = 8
_NEAR = 0.25
"""Tolerance of the mean of a whole matrix; trained models are within 0.1 of the expected value."""

Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class ZeroPoints:
    """The result for a checkpoint: what to add to stored values, by matrix, and a warning if data and format disagree."""

    added: Mapping[str, int]
    warning: str = ""


def decide(stored: Mapping[str, Sequence[int]], *, layout: str, is_symmetric: bool | None) -> ZeroPoints:
    """`stored`: the values that occur in each matrix. Raises ValueError naming one that is not symmetric but should be.

    is_symmetric: the value of `sym`; None if it is absent.
    """
    declared = added_by(layout)
    symmetric = {name: _SYMMETRIC_ZERO - values[0] for name, values in stored.items() if list(values) in ([7], [8])}
    if is_symmetric and len(symmetric) < len(stored):
        name = next(name for name in stored if name not in symmetric)
        raise ValueError(
            f"{name}: sym is true, but zero points are stored as {', '.join(map(str, stored[name]))}; "
            "symmetric ones are all 7 (gptq) or all 8 (gptq_v2)"
        )
    if len(symmetric) < len(stored):
        return ZeroPoints(dict.fromkeys(stored, declared))
    others = [name for name, added in symmetric.items() if added != declared]
    if not others:
        return ZeroPoints(symmetric)
    value = _SYMMETRIC_ZERO - symmetric[others[0]]
    return ZeroPoints(
        symmetric,
        f"the format is {layout}, but {len(others)} of {len(stored)} matrices store every zero point as {value}, which is "
        f"8 in {_layout(symmetric[others[0]])}; they were read that way",
    )


def added_by(layout: str) -> int:
    """What gptq and gptq_v2 add to stored values."""
    return 1 if layout == "gptq" else 0


def doubt(codes: Codes, stored: Codes, layout: str) -> str:
    """A warning if the mean of an asymmetric matrix indicates the other format, else "". Both are values 0..15."""
    shift = float(codes.mean() - stored.mean())
    other = 1 - added_by(layout)
    if abs(shift - other) > _NEAR:
        return ""
    return (
        f"the format is {layout}, but codes are {shift:.2f} above the stored zero points on average, which indicates "
        f"{_layout(other)}; if answers are bad, correct checkpoint_format in quantization_config"
    )


def _layout(added: int) -> str:
    return "gptq" if added else "gptq_v2"
