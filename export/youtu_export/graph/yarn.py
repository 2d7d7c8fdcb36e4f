"""YaRN: slow frequencies of a rope are divided by `factor`, fast ones kept (Peng et al. 2023, section 3.2).

A frequency that turns `beta_fast` times or more within the original context is kept, one that turns `beta_slow` times or
less is divided, and those between are interpolated by index. Attention is sharpened for the longer context: cos and
sin by one factor, and in latent attention the softmax scale by another (DeepSeek-V2's `mscale` and `mscale_all_dim`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float32 = npt.NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Yarn:
    """The yarn block of config.json; an mscale of 0 means absent."""

    factor: float
    original_context: float
    beta_fast: float
    beta_slow: float
    mscale: float
    mscale_all_dim: float

    def frequencies(self, theta: float, plain: Float32) -> Float32:
        """`plain` frequencies theta^(-2j/width), scaled."""
        last = 2 * len(plain) - 1
        low = max(math.floor(self._index(self.beta_fast, theta, len(plain))), 0)
        high = min(math.ceil(self._index(self.beta_slow, theta, len(plain))), last)
        ramp = (np.arange(len(plain), dtype=np.float32) - low) / np.float32(max(high - low, 0.001))
        divided = np.clip(ramp, 0, 1).astype(np.float32)
        stretched: Float32 = plain / np.float32(self.factor) * divided + plain * (1 - divided)
        return stretched

    @property
    def rotation_scale(self) -> float:
        """The factor of cos and sin."""
        if self.mscale and self.mscale_all_dim:
            return self._sharpening(self.mscale) / self._sharpening(self.mscale_all_dim)
        return self._sharpening(1.0)

    @property
    def softmax_scale(self) -> float:
        """The factor of the scores of latent attention."""
        return self._sharpening(self.mscale_all_dim) ** 2

    def _sharpening(self, mscale: float) -> float:
        return 1.0 if self.factor <= 1 else 0.1 * mscale * math.log(self.factor) + 1.0

    def _index(self, turns: float, theta: float, count: int) -> float:
        """Index of the frequency that turns `turns` times within the original context."""
        return count * math.log(self.original_context / (turns * 2 * math.pi)) / math.log(theta)
