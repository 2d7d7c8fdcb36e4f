"""LongRoPE: every frequency has a divisor of its own, one set for short contexts and one for long ones (Ding et al. 2024).

Cached keys keep the rotation that they were written with, so the device serves a model with one of the sets, by the length
of its context. cos and sin are scaled for the ratio of both lengths, whichever set is used.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from youtu_edge.package import LongRope, Rope
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.model_config import ModelConfig, positive_number
from youtu_export.checkpoints.stored_tensor import Float32
from youtu_export.errors import ExportError
from youtu_export.graph.rope import inverse_frequencies, rope_base, rotated_width

_KINDS = ("longrope", "su")
"""Names of the same formula; the second is of its first release."""
_TENSORS = {"short_factor": "rope_factors_short.weight", "long_factor": "rope_factors_long.weight"}
"""Where GGUF has the divisors."""


@dataclass(frozen=True, kw_only=True)
class RopePair:
    """The rope of contexts of up to `context` tokens, and that of longer ones."""

    short: Rope
    context: int
    long: LongRope


def rope_pair_from_config(checkpoint: Checkpoint, head_width: int, base: float | None = None) -> RopePair | None:
    """Both ropes of a model; None for a configuration without this scaling. base: rope_theta of one without it.

    Raises ExportError naming the key or tensor that is missing or has the wrong length.
    """
    config = checkpoint.config
    values = config.mapping("rope_scaling") | config.mapping("rope_parameters")
    kind = values.get("rope_type") or values.get("type")
    if kind not in _KINDS and not checkpoint.has(_TENSORS["short_factor"]):
        return None
    for known in ("rope_type", "type", "rope_theta", "partial_rotary_factor"):
        values.pop(known, None)
    width = rotated_width(config, head_width, default=1)
    short, long = (_divisors(checkpoint, values, part, width // 2) for part in _TENSORS)
    original = _original_context(config, values.pop("original_max_position_embeddings", None))
    context = config.integer("max_position_embeddings")
    ratio = values.pop("factor", None) or context / original
    scale = values.pop("attention_factor", None) or _attention_factor(config, ratio, original)
    # In float32, as the device multiplies and as GGUF stores it.
    scale = float(np.float32(positive_number(config.path, "rope_scaling: attention_factor", scale)))
    for key, value in values.items():
        if value is not None:
            raise ExportError(f"{config.path}: rope_scaling: {key}: {value!r} is not supported")
    plain = inverse_frequencies(rope_base(config, base), width)
    ropes = [Rope(inverse_frequencies=[float(x) for x in plain / divisors], scale=scale) for divisors in (short, long)]
    return RopePair(short=ropes[0], context=min(original, context), long=LongRope(context_length=context, rope=ropes[1]))


def _original_context(config: ModelConfig, value: object) -> int:
    """The length of the first training; configurations have it beside the factors, on the top level, or in both places."""
    found = config.get("original_max_position_embeddings") if value is None else value
    if not isinstance(found, int) or isinstance(found, bool) or not 1 < found < 2**31:
        raise ExportError(f"{config.path}: original_max_position_embeddings: {found!r} is not a number of tokens above 1")
    config.get("original_max_position_embeddings")
    return found


def _divisors(checkpoint: Checkpoint, values: dict[str, object], part: str, count: int) -> Float32:
    found = values.pop(part, None)
    if checkpoint.has(_TENSORS[part]):
        divisors = checkpoint.take(_TENSORS[part], count).values()
    elif isinstance(found, list):
        path = checkpoint.config.path
        divisors = np.array([positive_number(path, f"rope_scaling: {part}", value) for value in found], np.float32)
    else:
        raise ExportError(f"{checkpoint.config.path}: rope_scaling: {part} is missing")
    if len(divisors) != count:
        raise ExportError(f"{checkpoint.config.path}: rope_scaling: {part}: {len(divisors)} numbers instead of {count}")
    if not (np.isfinite(divisors) & (divisors > 0)).all():
        raise ExportError(f"{checkpoint.config.path}: {_TENSORS[part]}: has a value that is not a positive number")
    return divisors


def _attention_factor(config: ModelConfig, ratio: object, original: int) -> float:
    value = positive_number(config.path, "rope_scaling: factor", ratio)
    return 1.0 if value <= 1 else math.sqrt(1 + math.log(value) / math.log(original))
