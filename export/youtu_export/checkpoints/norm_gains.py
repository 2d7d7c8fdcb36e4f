"""Norms that a checkpoint stores as what their gains add to 1. GGUF files have the gains themselves."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.checkpoints.stored_tensor import Float32, StoredTensor

_MODEL_TYPES = ("gemma3_text",)


@dataclass(frozen=True, eq=False, kw_only=True)
class GainTensor(StoredTensor):
    """`source` + 1 in float32, as transformers adds them. Stores no values."""

    source: StoredTensor

    def select_rows(self, order: npt.NDArray[np.int64]) -> StoredTensor:
        """The tensor whose row i is row order[i] of this one."""
        return replace(self, shape=(len(order), *self.shape[1:]), source=self.source.select_rows(order))

    def _rows(self, begin: int, end: int) -> Float32:
        return np.float32(1) + self.source.rows(begin, end)


def with_gains(config: ModelConfig, tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """`tensors` with the gains of norms in place of what is stored, for architectures that store something else."""
    if config.get("model_type") not in _MODEL_TYPES:
        return tensors
    return {name: _gain(tensor) if name.endswith("norm.weight") else tensor for name, tensor in tensors.items()}


def _gain(tensor: StoredTensor) -> StoredTensor:
    return GainTensor(tensor.path, tensor.name, tensor.shape, "GAIN", 0, source=tensor)
