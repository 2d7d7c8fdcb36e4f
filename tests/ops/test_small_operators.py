"""BlockMinAdd, SwiGLU and HeadwiseMatMul against reference.py, in every instruction set of this machine."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ops.operators import run
from ops.reference import block_min_add, headwise_matmul, swiglu

pytestmark = pytest.mark.usefixtures("instruction_set")
examples = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
tokens = st.sampled_from([0, 1, 2, 7, 13, 70])


@examples
@given(t=tokens, blocks=st.integers(1, 40), n=st.sampled_from([1, 19, 64, 576, 5000]), block=st.sampled_from([32, 20]))
def test_block_min_add_adds_the_minima(t: int, blocks: int, n: int, block: int) -> None:
    """BlockMinAdd is y + blocksum(x) @ mins for any number of tokens, blocks and columns."""
    random = np.random.default_rng(t + n)
    x, y = (random.standard_normal((t, width), dtype=np.float32) for width in (blocks * block, n))
    mins = random.standard_normal((blocks, n)).astype(np.float16)
    output = run("BlockMinAdd", {"x": x, "y": y, "mins": mins}, {"block_size": block})
    np.testing.assert_allclose(output, block_min_add(x, y, mins, block), rtol=1e-4, atol=2e-4)


def test_block_min_add_takes_blocks_of_32_by_default() -> None:
    """Without block_size the blocks are those of GGUF's Q4_1."""
    x, y, mins = np.ones((1, 64), np.float32), np.zeros((1, 3), np.float32), np.ones((2, 3), np.float16)
    np.testing.assert_array_equal(run("BlockMinAdd", {"x": x, "y": y, "mins": mins}, {}), np.full((1, 3), 64.0))


@examples
@given(t=tokens, width=st.sampled_from([1, 16, 37, 1536]), size=st.sampled_from([1.0, 30.0, 200.0]))
def test_swiglu_is_accurate_to_the_last_bits(t: int, width: int, size: float) -> None:
    """SwiGLU is silu(gate) * up within 1e-6, however large the gate."""
    gate_up = np.random.default_rng(t).standard_normal((t, 2 * width), dtype=np.float32) * np.float32(size)
    with np.errstate(over="ignore"):
        expected = swiglu(gate_up)
    np.testing.assert_allclose(run("SwiGLU", {"x": gate_up}, {}), expected, rtol=1e-6, atol=1e-30)


@examples
@given(
    t=tokens,
    heads=st.sampled_from([1, 5, 16]),
    n=st.sampled_from([1, 30, 128, 100]),
    k=st.sampled_from([16, 128, 512]),
    block=st.sampled_from([0, 16, 32, 64]),
)
def test_headwise_matmul_is_one_product_per_head(t: int, heads: int, n: int, k: int, block: int) -> None:
    """Each head has its own matrix; scales are per row, or per block along k."""
    block = min(block, k)
    random = np.random.default_rng(t + n)
    x = random.standard_normal((t, heads * k), dtype=np.float32)
    weight = random.integers(-128, 128, (heads, n, k), dtype=np.int8)
    scales = random.uniform(0.001, 0.01, (heads, n, k // block) if block else (heads, n)).astype(np.float32)
    output = run("HeadwiseMatMul", {"x": x, "weight": weight, "scales": scales}, {"block_size": block})
    np.testing.assert_allclose(output, headwise_matmul(x, weight, scales), rtol=1e-4, atol=1e-4)
