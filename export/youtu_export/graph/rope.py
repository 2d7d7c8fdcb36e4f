"""Inverse frequencies of rotary embeddings, computed in float32 step by step as in PyTorch."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from youtu_edge.package import Rope
from youtu_export.checkpoints.model_config import ModelConfig, positive_number
from youtu_export.errors import ExportError
from youtu_export.graph.yarn import Yarn

Float32 = npt.NDArray[np.float32]


def partial_rope_from_config(config: ModelConfig, head_width: int, default: float | None = None) -> Rope:
    """The rope of the first int(partial_rotary_factor * head_width) values per head; for `default` see rotated_width."""
    return rope_from_config(config, rotated_width(config, head_width, default), partial=True)


def rotated_width(config: ModelConfig, head_width: int, default: float | None = None) -> int:
    """int(partial_rotary_factor * head_width), which must be even.

    default: the factor of a configuration without one; if it is None, the factor is required.
    """
    parameters = config.mapping("rope_parameters")
    factor = config.get("partial_rotary_factor", parameters.get("partial_rotary_factor", default))
    if factor is None:
        raise ExportError(f"{config.path}: partial_rotary_factor is missing")
    width = int(positive_number(config.path, "partial_rotary_factor", factor) * head_width)
    if not 0 < width <= head_width or width % 2:
        raise ExportError(f"{config.path}: partial_rotary_factor: {factor!r} rotates {width} of {head_width} values")
    return width


def rope_from_config(
    config: ModelConfig,
    width: int,
    factors: Float32 | None = None,
    *,
    partial: bool = False,
    yarn: Yarn | None = None,
    base: float | None = None,
) -> Rope:
    """The rope of `width` rotated values per head, from rope_theta, rope_scaling and rope_parameters.

    factors: float32 [width/2], divisors of the frequencies (GGUF's form of scaled rope). partial: `width` already includes
    partial_rotary_factor. yarn: the result of `yarn_from_config`, for families that support it.
    base: rope_theta of a configuration without it.
    """
    # transformers 5 has everything in rope_parameters, older ones theta at the top level and the rest in rope_scaling.
    parameters: dict[str, Any] = config.mapping("rope_scaling") | config.mapping("rope_parameters")
    if partial:
        parameters.pop("partial_rotary_factor", None)
    parameters.pop("rope_theta", None)
    theta = rope_base(config, base)
    kinds = (parameters.pop("rope_type", None), parameters.pop("type", None))
    kind = next((kind for kind in kinds if kind is not None), "default")
    if kind == "yarn" and parameters.get("factor") == 1 and parameters.get("attention_factor") in (None, 1):
        # Scaled by 1: frequencies and the attention scale are unchanged, whatever the other keys say.
        kind, parameters = "default", {}
    scaling = _Scaling(config, parameters)
    frequencies = _frequencies_of(config, theta, width)
    if kind == "linear":
        frequencies = frequencies / np.float32(scaling.number("factor"))
    elif kind == "llama3":
        frequencies = _llama3(frequencies, scaling)
    elif kind == "yarn" and yarn is not None:
        return _rope(config, yarn.frequencies(theta, frequencies), yarn.rotation_scale)
    elif kind == "dynamic":
        scaling.number("factor")  # of contexts beyond the trained one; up to it frequencies are unchanged
    elif kind != "default":
        raise ExportError(f"{config.path}: rope_scaling: type {kind!r} is not supported")
    scaling.reject_rest()
    if factors is not None:
        with np.errstate(all="ignore"):  # _rope rejects what is not a frequency
            frequencies = frequencies / factors
    return _rope(config, frequencies)


def rope_base(config: ModelConfig, default: float | None = None) -> float:
    """rope_theta, from either place; if it is in none, `default`. Raises ExportError if that is None."""
    parameters = config.mapping("rope_scaling") | config.mapping("rope_parameters")
    theta = parameters.get("rope_theta") or config.get("rope_theta", default)
    if theta is None:
        raise ExportError(f"{config.path}: rope_theta is missing")
    theta = positive_number(config.path, "rope_theta", theta)
    if theta <= 1:
        raise ExportError(f"{config.path}: rope_theta: {theta!r} is not above 1")
    return theta


def plain_rope(config: ModelConfig, theta: float, width: int) -> Rope:
    """The unscaled rope of `width` rotated values per head. Raises ExportError for an odd width."""
    return _rope(config, _frequencies_of(config, theta, width))


def _frequencies_of(config: ModelConfig, theta: float, width: int) -> Float32:
    if width < 2 or width % 2:
        raise ExportError(f"{config.path}: {width} values of each head would be rotated, but they are rotated in pairs")
    return inverse_frequencies(theta, width)


def _rope(config: ModelConfig, frequencies: Float32, scale: float = 1.0) -> Rope:
    if not (np.isfinite(frequencies) & (frequencies > 0)).all():
        raise ExportError(f"{config.path}: rope_scaling: results in frequencies that are not positive numbers")
    return Rope(inverse_frequencies=[float(value) for value in frequencies], scale=scale)


def inverse_frequencies(theta: float, width: int) -> Float32:
    """theta^(-2j/width) for j < width/2 (Su et al. 2021, section 3.2.2).

    In double precision, then rounded: the last bit of numpy's power of float32 depends on the processor.
    """
    return np.array([theta ** (-2 * j / width) for j in range(width // 2)], dtype=np.float32)


def yarn_from_config(config: ModelConfig) -> Yarn | None:
    """The yarn block of a configuration; None if it scales by 1."""
    values: dict[str, Any] = config.mapping("rope_scaling") | config.mapping("rope_parameters")
    kinds = (values.pop("rope_type", None), values.pop("type", None))
    if "yarn" not in kinds or values.get("factor") == 1:
        return None
    values.pop("rope_theta", None)
    scaling = _Scaling(config, values)
    yarn = Yarn(
        factor=scaling.number("factor"),
        original_context=scaling.number("original_max_position_embeddings"),
        beta_fast=scaling.number("beta_fast", 32),
        beta_slow=scaling.number("beta_slow", 1),
        mscale=scaling.number("mscale", 0),
        mscale_all_dim=scaling.number("mscale_all_dim", 0),
    )
    scaling.reject_rest()
    return yarn


class _Scaling:
    def __init__(self, config: ModelConfig, values: dict[str, Any]) -> None:
        self._path = config.path
        self._values = dict(values)

    def number(self, key: str, default: float | None = None) -> float:
        if default is not None and self._values.get(key) in (None, 0):
            self._values.pop(key, None)
            return default
        if key not in self._values:
            raise ExportError(f"{self._path}: rope_scaling: {key} is missing")
        return positive_number(self._path, f"rope_scaling: {key}", self._values.pop(key))

    def reject(self, key: str, value: float, reason: str) -> NoReturn:
        raise ExportError(f"{self._path}: rope_scaling: {key}: {value!r} {reason}")

    def reject_rest(self) -> None:
        for key, value in self._values.items():
            if value is not None and not (key == "partial_rotary_factor" and value == 1):
                raise ExportError(f"{self._path}: rope_scaling: {key}: {value!r} is not supported")


def _llama3(frequencies: Float32, scaling: _Scaling) -> Float32:
    """Slow frequencies are divided by `factor`, fast ones kept, those between interpolated (Llama 3.1 model card)."""
    factor, low, high = (scaling.number(key) for key in ("factor", "low_freq_factor", "high_freq_factor"))
    context = scaling.number("original_max_position_embeddings")
    if high <= low:
        scaling.reject("high_freq_factor", high, "is not above low_freq_factor")
    wavelengths = np.float32(2 * math.pi) / frequencies
    divided = frequencies / np.float32(factor)
    smooth = (np.float32(context) / wavelengths - np.float32(low)) / np.float32(high - low)
    mixed = (1 - smooth) * divided + smooth * frequencies
    slow, fast = wavelengths > np.float32(context / low), wavelengths < np.float32(context / high)
    return np.where(slow, divided, np.where(fast, frequencies, mixed)).astype(np.float32)
