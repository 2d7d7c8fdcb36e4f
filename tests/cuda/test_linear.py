"""Linear, quantisation and Embedding of the CUDA kernels in the emulator are bit-identical to the CPU's reference."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cuda.conftest import Kernels
from ops import reference
from ops.test_linear import OFFSETS, activations, matrix, same_bits

examples = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
BLOCKS = st.sampled_from((16, 32, 64, 128, 256))


@examples
@given(
    seed=st.integers(0, 2**32), tokens=st.integers(1, 8), rows=st.integers(1, 70), blocks=st.integers(1, 24),
    bits=st.sampled_from((4, 8)), block=BLOCKS, offset=st.sampled_from(OFFSETS), heads=st.sampled_from((1, 1, 3)),
)  # fmt: skip
def test_few_rows_by_dp4a_have_the_bits_of_the_definition(
    kernels: Kernels, seed: int, tokens: int, rows: int, blocks: int, bits: int, block: int, offset: str, heads: int
) -> None:
    """Whatever the size of a block, its groups of 64 bytes are shared among the lanes, and blocks are folded in order."""
    check(kernels, seed, tokens, rows, blocks, bits, block, offset, heads)


@examples
@given(
    seed=st.integers(0, 2**32), tokens=st.integers(9, 80), rows=st.integers(1, 140), blocks=st.integers(1, 5),
    bits=st.sampled_from((4, 8)), block=BLOCKS, offset=st.sampled_from(OFFSETS), heads=st.sampled_from((1, 1, 3)),
)  # fmt: skip
def test_many_rows_by_tensor_cores_have_the_bits_of_the_definition(
    kernels: Kernels, seed: int, tokens: int, rows: int, blocks: int, bits: int, block: int, offset: str, heads: int
) -> None:
    """Fragments are built from the layout of the file, each value of k once, in 16 rows and 8 tokens."""
    check(kernels, seed, tokens, rows, blocks, bits, block, offset, heads)


def check(
    kernels: Kernels, seed: int, tokens: int, rows: int, blocks: int, bits: int, block: int, offset: str, heads: int
) -> None:
    weights = matrix(seed, rows, blocks * block, bits, block, offset, heads)
    x = activations(seed, tokens, heads * blocks * block)
    attributes = {"n": rows, "bits": bits, "block_size": block, "heads": heads}
    found = kernels.linear(x, weights, **attributes)
    assert same_bits(found, reference.linear(x, **weights, **attributes))


@pytest.mark.parametrize(("bits", "block"), [(4, 32), (4, 128), (8, 32), (8, 256)])
def test_the_largest_sums_are_exact(emulator: Kernels, bits: int, block: int) -> None:
    """Codes and activations of the largest magnitude: an integer that no float holds would show here."""
    for code in (0, 2**bits - 1):
        weights = matrix(1, 16, 2 * block, bits, block, "none")
        weights["codes"][:] = code * 17 if bits == 4 else code
        for tokens in (1, 9):
            x = np.full((tokens, 2 * block), -3.0, np.float32)
            expected = reference.linear(x, **weights, n=16, bits=bits, block_size=block)
            assert same_bits(emulator.linear(x, weights, n=16, bits=bits, block_size=block), expected)


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_row_is_the_same_alone_and_among_others(emulator: Kernels, offset: str) -> None:
    """dp4a for one to eight rows and tensor cores for more are one function of each row."""
    weights = matrix(5, 50, 1024, 4, 32, offset)
    x = activations(6, 70, 1024)
    whole = emulator.linear(x, weights, n=50, bits=4, block_size=32)
    for count in (1, 2, 4, 8, 9, 16):
        assert same_bits(emulator.linear(x[:count], weights, n=50, bits=4, block_size=32), whole[:count])


@examples
@given(seed=st.integers(0, 2**32), tokens=st.integers(1, 9), blocks=st.integers(1, 9), block=BLOCKS)
def test_activations_are_rounded_as_the_definition_says(
    kernels: Kernels, seed: int, tokens: int, blocks: int, block: int
) -> None:
    x = activations(seed, tokens, blocks * block)
    codes, scales, negative_sums, totals = kernels.quantise(x, block)
    expected, expected_scales, sums = reference.quantise_activations(x, block)
    assert np.array_equal(codes, expected)
    assert same_bits(scales, expected_scales)
    assert np.array_equal(negative_sums, -sums)
    assert same_bits(totals, reference.sums_in_lanes(x.reshape(tokens, -1, block)))


def test_extreme_activations_give_the_definition_s_codes(emulator: Kernels) -> None:
    x = np.zeros((6, 64), np.float32)
    x[0, 3] = 3e38
    x[1, :] = 1e-45  # subnormal
    x[2, 5] = -127.5
    x[3, ::2], x[3, 1::2] = 127.0, 126.5  # ties to even
    x[4, 7] = np.inf
    x[5, 40] = np.nan
    codes, scales, _, _ = emulator.quantise(x, 32)
    expected, expected_scales, _ = reference.quantise_activations(x, 32)
    assert np.array_equal(codes, expected)
    np.testing.assert_array_equal(scales, expected_scales)


@examples
@given(
    seed=st.integers(0, 2**32), tokens=st.integers(1, 40), rows=st.integers(1, 70), blocks=st.integers(1, 4),
    bits=st.sampled_from((4, 8)), block=st.sampled_from((16, 32, 128)), offset=st.sampled_from(OFFSETS),
)  # fmt: skip
def test_embedding_gives_the_exact_values_of_the_rows(
    kernels: Kernels, seed: int, tokens: int, rows: int, blocks: int, bits: int, block: int, offset: str
) -> None:
    weights = matrix(seed, rows, blocks * block, bits, block, offset)
    ids = np.random.default_rng(seed).integers(0, rows, tokens)
    found = kernels.embedding(ids, weights, n=rows, bits=bits, block_size=block)
    assert np.array_equal(found, reference.embedding(ids, **weights, bits=bits))


def test_a_row_of_an_id_that_is_not_in_the_table_is_nan(emulator: Kernels) -> None:
    weights = matrix(0, 20, 32, 4, 32, "none")
    found = emulator.embedding(np.array([3, -1, 20, 2**40]), weights, n=20, bits=4, block_size=32)
    assert np.isfinite(found[0]).all()
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize(
    "wrong", [{"bits": 5}, {"block": 48}, {"block": 8}, {"block": 512}, {"k": 40}, {"rows": 0}, {"heads": 0}, {"codes": 8}]
)
def test_sizes_that_are_not_supported_are_refused(emulator: Kernels, wrong: dict[str, Any]) -> None:
    weights: dict[str, NDArray[Any]] = matrix(0, 20, 64, 4, 32, "none")
    held = emulator.put_matrix(weights, 20, 4, 32)
    rows = emulator.quantise_rows(emulator.memory.put(np.ones((1, 64), np.float32)), 32)
    y = emulator.memory.fill((1, 20), np.float32)
    for name, value in wrong.items():
        setattr(held.structure, name, getattr(held.structure, name) + value if name == "codes" else value)
    code = emulator.library.youtu_cuda_linear(
        ctypes.byref(held.structure), ctypes.byref(rows.structure), 1, y.address, None
    )
    assert code == 1
    assert (emulator.memory.get(y).view(np.uint8) == 0xCD).all()
