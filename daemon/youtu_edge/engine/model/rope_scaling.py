"""A longer context than the model was trained for: rotary frequencies stretched by factor = wanted / trained.

    linear    every frequency divided by the factor (position interpolation, Chen et al. 2023, arXiv 2306.15595)
    dynamic   the base raised so that the slowest frequency is divided by the factor and the fastest is kept: the value of
              transformers' "dynamic" NTK scaling for a sequence of the wanted length
    yarn      slow frequencies divided, fast ones kept, attention sharpened (Peng et al. 2023, arXiv 2309.00071, eq. 17-22)

Powers and logarithms use Decimal, whose results are identical on every processor.

Cache rows keep the rotation that they were written with, and all sequences share one table, so short sequences use the
frequencies of the wanted length too: an extension costs a little quality below the trained length. The rope of layers with
a window of its own stays as it is: their distances do not grow.
"""

from __future__ import annotations

import math
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from youtu_edge.config import ModelConfig
from youtu_edge.errors import ConfigError
from youtu_edge.package import Manifest, Rope

_BETA_FAST, _BETA_SLOW = 32, 1
"""Rotations within the trained context: at or above the first, a frequency is kept; at or below the second, it is divided
(yarn's defaults)."""

Float32 = npt.NDArray[np.float32]


def served_rope(manifest: Manifest, model: ModelConfig) -> tuple[Rope, int]:
    """The configured rope and context length. Raises ConfigError if the model does not allow them."""
    trained, wanted = manifest.context_length, model.context_length or manifest.context_length
    if wanted <= trained:
        return manifest.rope, wanted
    if manifest.long_rope is not None:
        trained = manifest.long_rope.context_length
        if wanted <= trained and model.rope_scaling == "none":
            return manifest.long_rope.rope, wanted
    if model.rope_scaling == "none":
        raise ConfigError(
            f"model.context_length: {wanted} is more than the {trained} tokens that this model was trained for; "
            "set model.rope_scaling to extend it (docs/config.md has the cost)"
        )
    frequencies = np.asarray(manifest.rope.inverse_frequencies, dtype=np.float32)
    if manifest.prompt_end or manifest.rope.scale != 1 or not _is_plain(frequencies):
        _refuse(model, "this model's rotary frequencies are not of the standard form, or are scaled already")
    factor = wanted / trained
    if model.rope_scaling == "linear":
        return _rope(frequencies / np.float32(factor)), wanted
    if model.rope_scaling == "dynamic":
        return _rope(_ntk(frequencies, factor)), wanted
    if manifest.cache.layout == "LATENT":
        _refuse(model, "yarn changes the softmax scale, which is fixed in the graph of a model with latent attention")
    if 2 * len(frequencies) != manifest.cache.width:
        _refuse(model, "yarn scales attention through the rotation, and this model rotates only part of each head")
    return _rope(_yarn(frequencies, factor, trained), scale=0.1 * _log(factor) + 1), wanted


def _refuse(model: ModelConfig, reason: str) -> None:
    raise ConfigError(
        f"model.rope_scaling: {model.rope_scaling}: {reason}; choose another kind, or lower model.context_length"
    )


def _rope(frequencies: Float32, scale: float = 1.0) -> Rope:
    return Rope(inverse_frequencies=[float(value) for value in frequencies], scale=scale)


def _log(x: float) -> float:
    return float(Decimal(x).ln())


def _is_plain(frequencies: Float32) -> bool:
    """Whether they are theta^(-2j/width): a geometric series that begins at 1."""
    if len(frequencies) < 2:
        return False
    steps = np.diff(np.log(frequencies.astype(np.float64)))
    return bool(abs(frequencies[0] - 1) < 1e-6 and np.allclose(steps, steps[0], rtol=1e-3))


def _ntk(frequencies: Float32, factor: float) -> Float32:
    """theta * factor^(width / (width - 2)) instead of theta: frequency j is divided by factor^(2j / (width - 2))."""
    count = len(frequencies)
    exponents = [Decimal(index) / (count - 1) for index in range(count)]
    powers: Float32 = np.array([Decimal(factor) ** exponent for exponent in exponents]).astype(np.float32)
    stretched: Float32 = frequencies / powers
    return stretched


def _yarn(frequencies: Float32, factor: float, trained: int) -> Float32:
    count = len(frequencies)
    log_theta = -_log(float(frequencies[1])) * count

    def index(turns: int) -> float:
        """Index of the frequency with this many rotations within the trained context."""
        return count * _log(trained / (turns * 2 * math.pi)) / log_theta

    low, high = max(math.floor(index(_BETA_FAST)), 0), min(math.ceil(index(_BETA_SLOW)), 2 * count - 1)
    divided = np.clip((np.arange(count, dtype=np.float32) - low) / np.float32(max(high - low, 0.001)), 0, 1)
    stretched: Float32 = frequencies / np.float32(factor) * divided + frequencies * (1 - divided)
    return stretched
