"""A Youtu checkpoint that AutoAWQ rounded: its rows move with their integers, and latent attention expands them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from export.expanded_youtu import expanded_logits
from export.package_runner import PackageRunner
from export.small_families import CONFIGS, random_tensors, write_checkpoint
from youtu_export.__main__ import main

PROMPT = [75, 104, 111, 111, 114, 35, 80, 90, 9, 40]
GROUP = 32
_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
_SETTINGS = {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True, "version": "gemm"}


def _packed(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.int32]:
    """Eight columns to an int32 in AutoAWQ's order."""
    packed = np.zeros((values.shape[0], values.shape[1] // 8), np.uint32)
    for nibble, index in enumerate(_ORDER):
        packed |= values[:, index::8].astype(np.uint32) << np.uint32(4 * nibble)
    return packed.view(np.int32)


def _rounded(weight: npt.NDArray[np.float32]) -> tuple[dict[str, Any], npt.NDArray[np.float32]]:
    """The parts of an AWQ matrix, and its values."""
    blocks = weight.reshape(len(weight), -1, GROUP)
    low, high = blocks.min(axis=2), blocks.max(axis=2)
    scales = ((high - low) / 15).astype(np.float16).astype(np.float32)
    zeros = np.clip(np.rint(-low / scales), 0, 15)
    codes = np.clip(np.rint(blocks / scales[..., None]) + zeros[..., None], 0, 15)
    values = ((codes - zeros[..., None]) * scales[..., None]).reshape(weight.shape).astype(np.float32)
    integers = codes.reshape(weight.shape).astype(np.uint8)
    parts = {
        "qweight": _packed(integers.T),
        "qzeros": _packed(zeros.astype(np.uint8).T),
        "scales": np.ascontiguousarray(scales.T.astype(np.float16)),
    }
    return parts, values


@pytest.mark.parametrize(("recipe", "bound"), [("f32", 1e-4), ("q4", 0.06)])
def test_an_awq_checkpoint_computes_what_its_values_compute(
    recipe: str, bound: float, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Every projection in four bits, kv_b too; root mean square error of the logits relative to their spread."""
    config = CONFIGS["youtu"]
    stored: dict[str, Any] = random_tensors(config)
    values = dict(stored)
    for name in [name for name in stored if "_proj" in name]:
        parts, values[name] = _rounded(stored.pop(name))
        stored |= {name.removesuffix("weight") + part: array for part, array in parts.items()}
    checkpoint = write_checkpoint(tmp_path / "hf", config | {"quantization_config": _SETTINGS}, stored)
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), "--recipe", recipe]) == 0
    expected = expanded_logits(config, values, PROMPT)
    found = runner_of(tmp_path / "package", 128).logits(PROMPT)
    assert np.sqrt(np.mean((found - expected) ** 2)) < bound * expected.std()
