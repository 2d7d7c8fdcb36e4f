"""From cycles and bandwidth to tokens per second: a model of a board and of Youtu-LLM-2B on it.

    operator    max(bytes / bandwidth, cycles / (cores * clock)) + OPERATOR_S
    step        sum over all operators

A matrix is read once per step, whatever the number of rows; cycles are those of a core whose data is in the cache. What
makes boards slower is not modelled: memory stalls during arithmetic, cores that finish late, other programs, heat. Norms
and SwiGLU count as operators without cycles; sampling and text processing do not count.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

OPERATOR_S = 10e-6  # assumed; 5 us measured on x86-64
OPERATORS_PER_LAYER = 14
LAYERS, HEADS, LATENT_BYTES = 32, 16, 36_864  # of cache per token, all layers, float16


@dataclass(frozen=True)
class Board:
    """Cores that compute, their clock in Hz, and memory bandwidth in bytes per second, lowest and highest."""

    name: str
    cores: int
    clock: float
    bandwidth: tuple[float, float]


BOARDS = (
    Board("RK3588, 4 x A76 at 2.25 GHz", 4, 2.25e9, (20e9, 30e9)),
    Board("Orin NX, 8 x A78AE at 2.0 GHz", 8, 2.0e9, (40e9, 80e9)),
)


@dataclass(frozen=True)
class Matrix:
    """A quantised matrix, [n, k] for each of `heads` heads, in every layer or once."""

    kind: str  # of the kernel whose cycles apply
    k: int
    n: int
    heads: int = 1
    bits: int = 4
    block: int = 128

    @property
    def products(self) -> int:
        """Products for one row of activations."""
        return self.heads * self.k * self.n

    @property
    def bytes(self) -> float:
        """Codes, a float16 scale and a zero point of one byte for each block."""
        return self.products * (self.bits / 8 + 3 / self.block)


HEAD = Matrix("linear", 2048, 128256)
LAYER = (
    Matrix("linear", 2048, 1536),
    Matrix("linear", 2048, 576),
    Matrix("linear", 1536, 3072),
    Matrix("widen", 128, 512, HEADS, 8),
    Matrix("narrow", 512, 128, HEADS, 8),
    Matrix("linear", 2048, 2048),
    Matrix("linear", 2048, 12288),
    Matrix("linear", 6144, 2048),
)


@dataclass(frozen=True)
class Rates:
    """Cycles per product of each kind of kernel with one row and with eight, and per query row and key of attention."""

    one: Mapping[str, float]
    eight: Mapping[str, float]
    attention: float


def bytes_per_token() -> float:
    """Bytes that a decode step reads with an empty context: every matrix."""
    return HEAD.bytes + LAYERS * sum(matrix.bytes for matrix in LAYER)


def decode_s(board: Board, bandwidth: float, rates: Rates, context: int) -> float:
    """Time of one token after `context` tokens."""
    speed = board.cores * board.clock
    time = sum(
        count * max(matrix.bytes / bandwidth, matrix.products * rates.one[matrix.kind] / speed)
        for matrix, count in ((HEAD, 1), *((matrix, LAYERS) for matrix in LAYER))
    )
    attended = HEADS * context * rates.attention * LAYERS / speed
    return time + max(context * LATENT_BYTES / bandwidth, attended) + LAYERS * OPERATORS_PER_LAYER * OPERATOR_S


def first_token_s(board: Board, bandwidth: float, rates: Rates, tokens: int) -> float:
    """Time of a prompt of `tokens` tokens in one step, and of its first token."""
    speed = board.cores * board.clock
    time = max(HEAD.bytes / bandwidth, HEAD.products * rates.one[HEAD.kind] / speed)
    for matrix in LAYER:
        arithmetic = tokens * matrix.products * rates.eight[matrix.kind] / speed
        time += LAYERS * max(matrix.bytes / bandwidth, arithmetic)
    pairs = HEADS * tokens * (tokens + 1) / 2
    return time + LAYERS * pairs * rates.attention / speed + LAYERS * OPERATORS_PER_LAYER * OPERATOR_S


def bound(board: Board, bandwidth: float, rates: Rates) -> float:
    """Memory time over arithmetic time for one row of Linear: above 1 it is memory-bound."""
    matrix = LAYER[-1]
    return matrix.bytes / bandwidth * board.cores * board.clock / (matrix.products * rates.one["linear"])
