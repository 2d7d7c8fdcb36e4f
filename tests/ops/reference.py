"""The operators of `youtu_edge` in plain numpy: this file defines what they mean, attention_reference.py PagedAttention.

SwiGLU and GeGLU are computed in float64, which the operators come near. Everything behind them is computed to the last bit:
in float32 where it says so, in integers, and with a fused multiply-add that rounds once.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def swiglu(gate_up: Array) -> Array:
    """silu(gate) * up of [gate | up]."""
    gate, up = np.split(gate_up.astype(np.float64), 2, axis=1)
    return (gate / (1.0 + np.exp(-gate)) * up).astype(np.float32)


def geglu(gate_up: Array) -> Array:
    """gelu(gate) * up of [gate | up], with GELU's tanh form."""
    gate, up = np.split(gate_up.astype(np.float64), 2, axis=1)
    return (gate / 2 * (1.0 + np.tanh(np.sqrt(2 / np.pi) * (gate + 0.044715 * gate**3))) * up).astype(np.float32)


def fma(a: Array, b: Array, c: Array) -> Array:
    """a * b + c rounded once to float32.

    The product of two float32 is exact in float64. Their sum with c is rounded to odd (Boldo and Melquiond 2008), after
    which rounding to float32 gives what the exact sum would give.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        product, addend = np.broadcast_arrays(np.float64(a) * np.float64(b), np.float64(c))
        total = product + addend
        part = total - product
        error = (product - (total - part)) + (addend - part)  # TwoSum (Knuth): product + addend == total + error
        even = total.view(np.int64) % 2 == 0
        away = np.nextafter(total, np.where(error > 0, np.inf, -np.inf))
        odd = np.where(np.isfinite(total) & (error != 0) & even, away, total)
        return odd.astype(np.float32)


def tile_codes(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """codes [N, K] in tiles of 16 rows: [ceil(N / 16), K * bits / 32, 16, 4]."""
    rows = _whole_tiles(codes)
    tiled = np.empty((len(rows), rows.shape[2] * bits // 32, 16, 4), np.uint8)
    for j in range(4):
        byte = rows[:, :, j::4] if bits == 8 else rows[:, :, j::8] | rows[:, :, j + 4 :: 8] << np.uint8(4)
        tiled[..., j] = byte.swapaxes(1, 2)
    return tiled


def tile_blocks(values: NDArray[Any]) -> NDArray[Any]:
    """Scales, zero points or minimums [N, K / block] in tiles of 16 rows: [ceil(N / 16), K / block, 16]."""
    return np.ascontiguousarray(_whole_tiles(values).swapaxes(1, 2))


def untile_codes(tiled: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """codes [16 * tiles, K] of their tiles: the inverse of `tile_codes`, with the padding."""
    tiles, groups = tiled.shape[:2]
    step = 32 // bits
    codes = np.empty((tiles, 16, groups * step), np.uint8)
    for j in range(4):
        byte = tiled[..., j].swapaxes(1, 2)
        if bits == 8:
            codes[:, :, j::4] = byte
        else:
            codes[:, :, j::8], codes[:, :, j + 4 :: 8] = byte & 15, byte >> 4
    return codes.reshape(tiles * 16, -1)


def untile_blocks(tiled: NDArray[Any]) -> NDArray[Any]:
    """[16 * tiles, K / block] of tiles: the inverse of `tile_blocks`, with the padding."""
    return np.ascontiguousarray(tiled.swapaxes(1, 2)).reshape(-1, tiled.shape[1])


def _whole_tiles(rows: NDArray[Any]) -> NDArray[Any]:
    return np.pad(rows, ((0, -len(rows) % 16), (0, 0))).reshape(-1, 16, rows.shape[1])


def quantise_activations(x: Array, block: int) -> tuple[NDArray[np.int32], Array, NDArray[np.int32]]:
    """a [T, K] of x [T, K], one scale for each block, and the sums of a: (a, scales [T, K / block], sums [T, K / block]).

    The largest magnitude is that of the integer order of the bits: NaN above infinity above all numbers. What is no
    number after scaling becomes 0, so that a block with NaN or infinity has an infinite scale, or NaN, and codes of 0.
    """
    blocks = x.reshape(len(x), -1, block)
    bits = np.ascontiguousarray(blocks).view(np.int32) & np.int32(0x7FFFFFFF)
    largest = bits.max(axis=2, initial=0).view(np.float32)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        scales = largest / np.float32(127)
        inverse = np.where(largest == 0, np.float32(0), np.float32(127) / largest)
        scaled = np.rint(blocks * inverse[..., None])
    a = np.where(np.isfinite(scaled), np.maximum(scaled, -127), 0).astype(np.int32)
    return a.reshape(x.shape), scales, a.sum(axis=2, dtype=np.int32)


def total_of_lanes(lanes: Array) -> Array:
    """Sixteen lanes [..., 16] added in the operators' one order: [...]."""
    y = lanes[..., :8] + lanes[..., 8:]
    low, high = ((y[..., j] + y[..., j + 1]) + (y[..., j + 2] + y[..., j + 3]) for j in (0, 4))
    return low + high


def sums_in_lanes(values: Array) -> Array:
    """Sums of values [..., 16 i + lane] in float32, lane by lane: [...]."""
    lanes = np.zeros((*values.shape[:-1], 16), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):
        for begin in range(0, values.shape[-1], 16):
            lanes = lanes + values[..., begin : begin + 16]
        return total_of_lanes(lanes)


def linear(
    x: Array,  # [tokens, heads * K]
    codes: NDArray[np.uint8],  # tiled, as all that follow
    scales: NDArray[np.float16],
    zero_points: NDArray[np.uint8] | None = None,
    minimums: NDArray[np.float16] | None = None,
    *,
    n: int,
    bits: int,
    block_size: int,
    heads: int = 1,
) -> Array:
    """y [tokens, heads * n]: head h multiplies columns h of x with matrix h. To the last bit what the operator computes."""
    a, x_scales, x_sums = quantise_activations(x, block_size)
    x_totals = sums_in_lanes(x.reshape(len(x), -1, block_size))
    middle = 2 ** (bits - 1)
    y = np.empty((len(x), heads * n), np.float32)
    tiles, blocks = -(-n // 16), scales.shape[1]
    width = blocks * block_size
    for head in range(heads):
        part = slice(head * tiles, (head + 1) * tiles)
        w = untile_codes(codes[part], bits)[:n].astype(np.float64)  # of integers: products and sums are exact
        w_scales = untile_blocks(scales[part])[:n].astype(np.float32)
        zeros = np.full(w_scales.shape, middle) if zero_points is None else untile_blocks(zero_points[part])[:n]
        total = np.zeros((len(x), n), np.float32)
        for b in range(blocks):
            columns, at = slice(b * block_size, (b + 1) * block_size), head * blocks + b
            dot = a[:, head * width :][:, columns].astype(np.float64) @ w[:, columns].T
            x_scale, x_sum = x_scales[:, at, None], x_sums[:, at, None]
            with np.errstate(over="ignore", invalid="ignore"):
                scale = w_scales[None, :, b] * x_scale
                total = fma(np.float32(dot - zeros[None, :, b].astype(np.float64) * x_sum), scale, total)
                if minimums is not None:
                    minimum = untile_blocks(minimums[part])[:n, b].astype(np.float32)
                    offset = fma(w_scales[:, b], np.float32(middle), minimum)  # the weight of the middle code
                    total = fma(offset[None], x_totals[:, at, None], total)
        y[:, head * n : (head + 1) * n] = total
    return y


def embedding(
    ids: NDArray[np.int64],  # [tokens]
    codes: NDArray[np.uint8],  # tiled, as all that follow
    scales: NDArray[np.float16],
    zero_points: NDArray[np.uint8] | None = None,
    minimums: NDArray[np.float16] | None = None,
    *,
    bits: int,
) -> Array:
    """Rows `ids` of the matrix: [tokens, K]. To the last bit what the operator computes."""
    code = untile_codes(codes, bits)[ids].astype(np.float32)
    block = code.shape[1] // scales.shape[1]
    scale = np.repeat(untile_blocks(scales)[ids].astype(np.float32), block, axis=1)
    if minimums is not None:
        return fma(scale, code, np.repeat(untile_blocks(minimums)[ids].astype(np.float32), block, axis=1))
    zeros = untile_blocks(np.full(scales.shape, 2 ** (bits - 1), np.uint8) if zero_points is None else zero_points)[ids]
    return scale * (code - np.repeat(zeros.astype(np.float32), block, axis=1)) + np.float32(0)  # never -0


def rms_norm(x: Array, gain: Array, epsilon: float) -> Array:
    """x / sqrt(mean of x^2 + epsilon) * gain of x [tokens, width], summed in 16 lanes as the operator does."""
    width = x.shape[1]
    lanes = np.pad(x, ((0, 0), (0, -width % 16))).reshape(len(x), -(-width // 16), 16)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        s = np.zeros((len(x), 16), np.float32)
        for row in lanes.swapaxes(0, 1):
            s = fma(row, row, s)
        squares = total_of_lanes(s)
        r = np.float32(1) / np.sqrt(squares / np.float32(width) + np.float32(epsilon))
        return (x * r[:, None]) * gain


def add_rms_norm(x: Array, residual: Array, gain: Array, epsilon: float) -> tuple[Array, Array]:
    """(RMS norm of the sum, the sum x + residual)."""
    total = x + residual
    return rms_norm(total, gain, epsilon), total
