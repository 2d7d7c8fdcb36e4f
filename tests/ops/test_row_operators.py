"""SwiGLU, GeGLU, RmsNorm and AddRmsNorm against reference.py, in every instruction set of this machine."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ops.operators import OneNode, instruction_sets, run, select_instruction_set
from ops.reference import add_rms_norm, geglu, rms_norm, swiglu

examples = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
tokens = st.sampled_from([0, 1, 2, 7, 13, 70])
widths = st.sampled_from([1, 16, 37, 160, 576, 2048])
EPSILON = {"epsilon": 1e-5}


def floats(seed: int, *shape: int, size: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) * np.float32(size)


@pytest.mark.usefixtures("instruction_set")
@examples
@given(t=tokens, width=st.sampled_from([1, 16, 37, 1536]), size=st.sampled_from([1.0, 30.0, 200.0]))
def test_swiglu_is_accurate_to_the_last_bits(t: int, width: int, size: float) -> None:
    """SwiGLU is silu(gate) * up within 1e-6, however large the gate."""
    gate_up = floats(t, t, 2 * width, size=size)
    with np.errstate(over="ignore"):
        expected = swiglu(gate_up)
    np.testing.assert_allclose(run("SwiGLU", {"x": gate_up}, {}), expected, rtol=1e-6, atol=1e-30)


@pytest.mark.usefixtures("instruction_set")
@examples
@given(t=tokens, width=st.sampled_from([1, 16, 37, 1536]), size=st.sampled_from([1.0, 30.0, 1e9]))
def test_geglu_is_accurate_to_the_last_bits(t: int, width: int, size: float) -> None:
    """GeGLU is gelu(gate) * up within 1e-6, and where the gate nearly closes, within 1e-7 of what passes an open one."""
    gate_up = floats(t, t, 2 * width, size=size)
    passed = np.abs(gate_up[:, :width] * gate_up[:, width:])
    error = np.abs(run("GeGLU", {"x": gate_up}, {}) - geglu(gate_up))
    assert (error <= 1e-6 * np.abs(geglu(gate_up)) + 1e-7 * passed).all()


@pytest.mark.parametrize("gate", [1e19, 1e30, -1e19, -1e30, np.inf])
def test_a_gate_beyond_the_range_of_its_cube_is_open_or_closed(gate: float) -> None:
    """The cube overflows long before the gate does."""
    found = run("GeGLU", {"x": np.array([[gate, 1.0]], np.float32)}, {})[0, 0]
    assert found == np.float32(gate) if gate > 0 else abs(found) < 1e-7


@pytest.mark.usefixtures("instruction_set")
@examples
@given(t=tokens, width=widths, size=st.sampled_from([1e-20, 1.0, 1e15]))
def test_norms_compute_the_bits_of_the_definition(t: int, width: int, size: float) -> None:
    """RmsNorm and AddRmsNorm equal the numpy definition to the last bit, also for widths that are not multiples of 16."""
    x, residual, gain = floats(t, t, width, size=size), floats(t + 1, t, width, size=size), floats(2, width)
    output = OneNode("RmsNorm", {"x": x, "gain": gain}, EPSILON).run()
    np.testing.assert_array_equal(output.view(np.int32), rms_norm(x, gain, 1e-5).view(np.int32))
    found = OneNode("AddRmsNorm", {"x": x, "residual": residual, "gain": gain}, EPSILON, outputs=2).run_all()
    for part, expected in zip(found, add_rms_norm(x, residual, gain, 1e-5), strict=True):
        np.testing.assert_array_equal(part.view(np.int32), expected.view(np.int32))


@pytest.mark.parametrize("operator", ["SwiGLU", "GeGLU"])
@pytest.mark.parametrize("width", [1, 37, 1536])
def test_gates_have_the_same_bits_in_every_instruction_set_and_row_by_row(operator: str, width: int) -> None:
    """Neither the registers' width nor the other rows change a bit."""
    gate_up = floats(3, 40, 2 * width, size=20.0)
    results = []
    for name in instruction_sets():
        select_instruction_set(name)
        results.append(run(operator, {"x": gate_up}, {}))
        results.append(np.concatenate([run(operator, {"x": row[None].copy()}, {}) for row in gate_up]))
    select_instruction_set(instruction_sets()[0])
    for result in results[1:]:
        np.testing.assert_array_equal(result.view(np.int32), results[0].view(np.int32))
