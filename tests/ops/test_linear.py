"""Linear and Embedding against numpy, to the last bit, with every instruction set of this machine."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ops import reference
from ops.operators import OneNode, instruction_sets, select_instruction_set

OFFSETS = ("none", "zero_points", "minimums")


def matrix(seed: int, rows: int, k: int, bits: int, block: int, offset: str, heads: int = 1) -> dict[str, NDArray[Any]]:
    """Random tiles, heads one after another, with every code and small scales of either sign."""
    random = np.random.default_rng(seed)
    tiles: dict[str, list[NDArray[Any]]] = {}
    for _ in range(heads):
        parts = {
            "codes": reference.tile_codes(random.integers(0, 2**bits, (rows, k), dtype=np.uint8), bits),
            "scales": reference.tile_blocks(random.normal(0, 0.01, (rows, k // block)).astype(np.float16)),
        }
        if offset == "zero_points":
            parts[offset] = reference.tile_blocks(random.integers(0, 2**bits, (rows, k // block), dtype=np.uint8))
        elif offset == "minimums":
            parts[offset] = reference.tile_blocks(random.normal(0, 0.1, (rows, k // block)).astype(np.float16))
        for name, part in parts.items():
            tiles.setdefault(name, []).append(part)
    return {name: np.concatenate(parts) for name, parts in tiles.items()}


def in_order(first: str, value: NDArray[Any], weights: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any] | None]:
    return {first: value, **{name: weights.get(name) for name in ("codes", "scales", "zero_points", "minimums")}}


def activations(seed: int, tokens: int, width: int) -> NDArray[np.float32]:
    """Rows of very different size, a row of zeros among them."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((tokens, width), dtype=np.float32) * np.exp(random.normal(0, 3, (tokens, 1))).astype(
        np.float32
    )
    x[tokens // 2] *= random.integers(0, 2)
    return x


def same_bits(a: NDArray[np.float32], b: NDArray[np.float32]) -> bool:
    return bool(np.array_equal(a.view(np.int32), b.view(np.int32)))


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32), tokens=st.integers(1, 19), rows=st.integers(1, 70), blocks=st.integers(1, 5),
    bits=st.sampled_from((4, 8)), block=st.sampled_from((16, 32, 64, 128, 256)), offset=st.sampled_from(OFFSETS),
    heads=st.sampled_from((1, 1, 3)), threads=st.integers(1, 3),
)  # fmt: skip
def test_every_instruction_set_computes_the_bits_of_the_definition(
    seed: int, tokens: int, rows: int, blocks: int, bits: int, block: int, offset: str, heads: int, threads: int
) -> None:
    weights = matrix(seed, rows, blocks * block, bits, block, offset, heads)
    x = activations(seed, tokens, heads * blocks * block)
    expected = reference.linear(x, **weights, n=rows, bits=bits, block_size=block, heads=heads)
    attributes = {"N": rows, "bits": bits, "block_size": block, "heads": heads}
    node = OneNode("Linear", in_order("x", x, weights), attributes, threads)
    for name in instruction_sets():
        select_instruction_set(name)
        try:
            assert same_bits(node.run(), expected), name
        finally:
            select_instruction_set(instruction_sets()[0])


def test_a_large_matrix_is_cut_into_tasks_without_changing_a_bit(instruction_set: str) -> None:
    weights = matrix(1, 1111, 2048, 4, 128, "zero_points")
    x = activations(2, 300, 2048)
    attributes = {"N": 1111, "bits": 4, "block_size": 128}
    whole = OneNode("Linear", in_order("x", x, weights), attributes, 3).run()
    for row in (0, 7, 150, 299):
        alone = OneNode("Linear", in_order("x", x[row : row + 1].copy(), weights), attributes, 1).run()
        assert same_bits(alone[0], whole[row])


def test_extreme_activations_give_the_definition_s_bits(instruction_set: str) -> None:
    weights = matrix(3, 24, 64, 8, 32, "none")
    x = np.zeros((6, 64), np.float32)
    x[0, 3] = 3e38
    x[1, :] = 1e-45  # subnormal
    x[2, 5] = -127.5
    x[3, ::2], x[3, 1::2] = 127.0, 126.5  # ties to even
    x[4, 7] = np.inf
    x[5, 40] = np.nan
    expected = reference.linear(x, **weights, n=24, bits=8, block_size=32)
    found = OneNode("Linear", in_order("x", x, weights), {"N": 24, "bits": 8, "block_size": 32}).run()
    assert same_bits(found[:4], expected[:4])
    assert not np.isfinite(found[4:]).any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32), tokens=st.integers(1, 40), rows=st.integers(1, 70), blocks=st.integers(1, 4),
    bits=st.sampled_from((4, 8)), block=st.sampled_from((16, 32, 128)), offset=st.sampled_from(OFFSETS),
)  # fmt: skip
def test_embedding_gives_the_exact_values_of_the_rows(
    seed: int, tokens: int, rows: int, blocks: int, bits: int, block: int, offset: str
) -> None:
    weights = matrix(seed, rows, blocks * block, bits, block, offset)
    ids = np.random.default_rng(seed).integers(0, rows, tokens)
    expected = reference.embedding(ids, **weights, bits=bits)
    node = OneNode("Embedding", in_order("ids", ids, weights), {"N": rows, "bits": bits, "block_size": block})
    assert np.array_equal(node.run(), expected)


@pytest.mark.parametrize("wrong", [-1, 20, 2**40])
def test_embedding_refuses_an_id_that_is_not_in_the_table(wrong: int) -> None:
    weights = matrix(0, 20, 32, 4, 32, "none")
    node = OneNode("Embedding", in_order("ids", np.array([3, wrong]), weights), {"N": 20, "bits": 4, "block_size": 32})
    with pytest.raises(Exception, match=f"youtu_edge.Embedding: id {wrong} of token 1 is not in the table of 20"):
        node.run()
