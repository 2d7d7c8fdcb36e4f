"""Ragged cases for every kernel, random but the same in each run: numpy only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ops import reference
from ops.attention_call import Case, build
from ops.attention_reference import Attention

OFFSETS = ("none", "zero_points", "minimums")
LATENT = Attention(16, 1, scale=192**-0.5, kv_cache_layout="LATENT", v_head_size=512, rotary_offset=512)
"""Youtu-LLM-2B's: absorbed, 512 values and 64 rotated ones."""


def quantised(
    random: np.random.Generator, rows: int, k: int, bits: int, block: int, offset: str, heads: int = 1
) -> dict[str, NDArray[Any]]:
    """Random tiles as they lie in weights.bin: every code, scales of either sign. Rows behind the last are random too."""
    tiles = heads * -(-rows // 16)
    weights: dict[str, NDArray[Any]] = {
        "codes": random.integers(0, 256, (tiles, k * bits // 32, 16, 4), dtype=np.uint8),
        "scales": random.normal(0, 0.01, (tiles, k // block, 16)).astype(np.float16),
    }
    if offset == "zero_points":
        weights[offset] = random.integers(0, 2**bits, (tiles, k // block, 16), dtype=np.uint8)
    elif offset == "minimums":
        weights[offset] = random.normal(0, 0.1, (tiles, k // block, 16)).astype(np.float16)
    return weights


def activations(random: np.random.Generator, tokens: int, width: int) -> NDArray[np.float32]:
    """Rows of very different size, some of them zeros, some with ties of rounding."""
    x = random.standard_normal((tokens, width), dtype=np.float32)
    x *= np.exp(random.normal(0, 3, (tokens, 1))).astype(np.float32)
    x[random.random(tokens) < 0.1] = 0
    x[random.random(tokens) < 0.1] = np.where(np.arange(width) % 2, 127.0, 126.5)
    return x


@dataclass(frozen=True)
class LinearCase:
    """`k` is that of one head."""

    tokens: int
    rows: int
    k: int
    bits: int
    block: int
    offset: str
    heads: int
    seed: int

    def inputs(self) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
        random = np.random.default_rng(self.seed)
        weights = quantised(random, self.rows, self.k, self.bits, self.block, self.offset, self.heads)
        return activations(random, self.tokens, self.heads * self.k), weights

    def attributes(self) -> dict[str, int]:
        return {"n": self.rows, "bits": self.bits, "block_size": self.block, "heads": self.heads}


def linear_cases() -> Iterator[LinearCase]:
    """Every combination of bits, block and offset at every kernel's numbers of rows, over random sizes."""
    random = np.random.default_rng(7)
    combinations = [
        (tokens, bits, block, offset)
        for tokens in (1, 2, 3, 4, 7, 8, 9, 16, 17, 64, 65, 130)
        for bits in (4, 8)
        for block in (16, 32, 64, 128, 256)
        for offset in OFFSETS
    ]
    for seed, at in enumerate(random.permutation(len(combinations))):
        tokens, bits, block, offset = combinations[at]
        most = (2048 if tokens <= 8 else 512) // block
        yield LinearCase(
            tokens, int(random.integers(1, 90)), block * int(random.integers(1, most + 1)), bits, block, offset,
            int(random.choice([1, 1, 3])), seed,
        )  # fmt: skip


def attention_cases() -> Iterator[Case]:
    """Cases by hand, then random ones of every layout, width, window and rotary form. The caches are float16."""
    yield build(LATENT, 576, [(300, 1), (0, 40), (17, 1), (5, 3)], rope_half=32, page_tokens=32)
    yield build(LATENT, 576, [(2047, 1)], rope_half=32, page_tokens=64)
    yield build(Attention(9, 3), 64, [(100, 90), (0, 130)], rope_half=32)
    yield build(Attention(8, 2), 64, [(250, 130)], rope_half=32)  # several segments, and too many tiles to split them
    yield build(Attention(4, 2), 64, [(40, 2)], dropped=1.1)
    yield build(Attention(4, 2), 64, [(5, 0), (0, 1)])
    random = np.random.default_rng(11)
    while True:
        yield random_attention(random)


def random_attention(random: np.random.Generator) -> Case:
    def one_of(*choices: Any) -> Any:
        return choices[random.integers(len(choices))]

    latent = random.random() < 0.5
    if latent:
        width, value_width = one_of((576, 512), (96, 64), (40, 24), (72, 50))
        kv_heads, group = 1, one_of(1, 3, 16, 64)
    else:
        width = value_width = one_of(64, 80, 128, 192, 36, 256)
        kv_heads, group = one_of((1, 1), (3, 3), (2, 8), (1, 64), (32, 1), (8, 4))
    rope_half = one_of(0, width // 2, width // 4, 5)
    lengths = [
        (int(one_of(0, random.integers(0, 700))), int(one_of(0, 1, 1, 1, 2, 5, 30))) for _ in range(random.integers(1, 4))
    ]
    attention = Attention(
        num_heads=kv_heads * group,
        kv_num_heads=kv_heads,
        scale=0.1 if latent else one_of(0.0, 0.1),
        kv_cache_layout="LATENT" if latent else "SEPARATE",
        v_head_size=value_width if latent else 0,
        rotary_offset=one_of(0, width - 2 * rope_half),
        rotary_interleaved=one_of(0, 1),
        local_window_size=one_of(-1, -1, 1, 7, 64, 300),
        is_causal=one_of(1, 1, 0),
        bidirectional_prefix=one_of(0, 0, 1),
        softcap=one_of(0.0, 0.0, 2.0),
    )
    return build(
        attention, width, lengths,
        page_tokens=one_of(16, 32, 48, 256),
        rope_half=rope_half,
        packed=not latent and bool(one_of(0, 1)),
        slots=one_of("all", "some", "absent"),
        dropped=one_of(0.0, 0.0, 0.4),
        seed=int(random.integers(1000)),
    )  # fmt: skip


def matrix_rows(seed: int) -> tuple[NDArray[np.int64], dict[str, NDArray[Any]], int, int, int]:
    """(ids, weights, rows, bits, block) of an Embedding."""
    random = np.random.default_rng(seed)
    rows, bits, block = int(random.integers(1, 90)), int(random.choice([4, 8])), int(random.choice([16, 32, 128]))
    weights = quantised(random, rows, block * int(random.integers(1, 8)), bits, block, OFFSETS[seed % 3])
    return random.integers(0, rows, random.integers(1, 40)), weights, rows, bits, block


def floats(seed: int, *shape: int, size: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32) * np.float32(size)


__all__ = [
    "LATENT", "LinearCase", "activations", "attention_cases", "floats", "linear_cases", "matrix_rows", "quantised",
    "random_attention", "reference",
]  # fmt: skip
