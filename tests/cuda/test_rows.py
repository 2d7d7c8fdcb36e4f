"""Norms, SwiGLU and GeGLU of the CUDA kernels, run by the emulator."""

from __future__ import annotations

import numpy as np
import pytest
from gpu.cases import floats

from cuda.conftest import Kernels
from ops.operators import run
from ops.reference import add_rms_norm, rms_norm


@pytest.mark.parametrize("width", [1, 16, 37, 160, 576, 2048])
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e15])
def test_norms_compute_the_bits_of_the_definition(kernels: Kernels, width: int, size: float) -> None:
    x, residual, gain = floats(1, 3, width, size=size), floats(2, 3, width, size=size), floats(3, width)
    output, _ = kernels.rms_norm(x, None, gain, 1e-5)
    np.testing.assert_array_equal(output.view(np.int32), rms_norm(x, gain, 1e-5).view(np.int32))
    for found, expected in zip(
        kernels.rms_norm(x, residual, gain, 1e-5), add_rms_norm(x, residual, gain, 1e-5), strict=True
    ):
        assert found is not None
        np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize("width", [1, 37, 1536])
@pytest.mark.parametrize("size", [1.0, 30.0, 200.0])
def test_swiglu_has_the_bits_of_the_cpu(emulator: Kernels, width: int, size: float) -> None:
    gate_up = floats(3, 5, 2 * width, size=size)
    expected = run("SwiGLU", {"x": gate_up}, {})
    np.testing.assert_array_equal(emulator.swiglu(gate_up).view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize("width", [1, 37, 1536])
@pytest.mark.parametrize("size", [1.0, 30.0, 1e19])
def test_geglu_has_the_bits_of_the_cpu(emulator: Kernels, width: int, size: float) -> None:
    gate_up = floats(3, 5, 2 * width, size=size)
    expected = run("GeGLU", {"x": gate_up}, {})
    np.testing.assert_array_equal(emulator.geglu(gate_up).view(np.int32), expected.view(np.int32))


def test_no_row_is_an_empty_result(emulator: Kernels) -> None:
    assert emulator.swiglu(np.empty((0, 8), np.float32)).shape == (0, 4)
    output, _ = emulator.rms_norm(np.empty((0, 8), np.float32), None, np.ones(8, np.float32), 1e-5)
    assert output.shape == (0, 8)
