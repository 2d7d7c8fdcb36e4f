"""Rounding to nearest: the scale becomes float16 first, and the codes are rounded to that scale."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from export.refusal import refusal
from tiny_model import make_tiny_checkpoint
from youtu_export.checkpoints.packed_matrix import PackedMatrix, round_int4, round_int8, unpack
from youtu_export.checkpoints.stored_tensor import Float32

BLOCK = 32
SMALLEST = 2.0**-24
"""The smallest float16 above 0."""

Round = Callable[[Float32, int], PackedMatrix]
both = pytest.mark.parametrize(("rounding", "steps"), [(round_int4, 15), (round_int8, 127)], ids=["int4", "int8"])


@both
@settings(max_examples=60, deadline=None, derandomize=True)
@given(exponent=st.integers(-40, 15), seed=st.integers(0, 99), shift=st.sampled_from([0.0, 1.0, -3.0]))
def test_every_value_stays_within_its_step(rounding: Round, steps: int, exponent: int, seed: int, shift: float) -> None:
    """Of any size, down to blocks that float16 has hardly a scale for: half a step, and as much for a rounded zero."""
    values = np.random.default_rng(seed).standard_normal((3, 4 * BLOCK), dtype=np.float32)
    values = (values + np.float32(shift)) * np.float32(2.0**exponent)
    matrix = rounding(values, BLOCK)
    assert matrix.scales.dtype == np.float16
    scales = matrix.scales.astype(np.float64)
    blocks = values.reshape(3, 4, BLOCK)
    error = np.abs(unpack(matrix).astype(np.float64).reshape(blocks.shape) - blocks).max(axis=2)
    assert (error <= scales * (1.001 if steps == 15 else 0.57)).all()
    low, high = np.minimum(blocks.min(axis=2), 0), np.maximum(blocks.max(axis=2), 0)
    exact = (high - low if steps == 15 else np.maximum(high, -low)).astype(np.float64) / steps
    assert (np.abs(scales - exact) <= np.maximum(exact * 2.0**-11, SMALLEST) * 1.0001).all()


@both
def test_a_block_has_the_scale_0_only_if_all_its_values_are_0(rounding: Round, steps: int) -> None:
    """Smaller scales than the smallest float16 become that."""
    values = np.zeros((2, 2 * BLOCK), np.float32)
    values[1, 3], values[1, BLOCK] = 1e-30, SMALLEST * steps
    matrix = rounding(values, BLOCK)
    assert (matrix.scales[0] == 0).all()
    assert matrix.scales[1, 0] == SMALLEST
    np.testing.assert_array_equal(unpack(matrix)[0], 0)
    assert unpack(matrix)[1, 3] == 0
    assert unpack(matrix)[1, BLOCK] == values[1, BLOCK]


@pytest.mark.parametrize(
    ("value", "message"), [(np.nan, "a weight is nan"), (-np.inf, "a weight is -inf"), (9e6, "a scale beyond float16")]
)
@pytest.mark.parametrize("recipe", ["q4", "q8", "q4-awq"])
def test_weights_that_have_no_scale_are_refused(
    value: float, message: str, recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By file and tensor."""
    (tmp_path / "checkpoint").mkdir()
    path = make_tiny_checkpoint(tmp_path / "checkpoint") / "model.safetensors"
    tensors = load_file(path)
    tensors["model.layers.1.mlp.down_proj.weight"][7, 9] = value
    save_file(tensors, path)
    error = refusal(capsys, tmp_path, "hf", str(tmp_path / "checkpoint"), "--recipe", recipe)
    assert f"{path}: model.layers.1.mlp.down_proj.weight: " in error
    assert message in error
