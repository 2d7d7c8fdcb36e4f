"""Matrices of small integers in the layout of MatMulNBits, from float rows or from ggml blocks.

A matrix W [N, K] is cut along K into blocks that share a scale:

    W[n, k] = scales[n, b] * (codes[n, k] - zero[n, b])  (+ mins[b, n])      b = k // block

zero is 2^(bits-1) where `zero_points` is None. 4-bit codes lie two to a byte, the even one in the low nibble.
Scheme: round to nearest, https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_export.stored_tensor import CHUNK_VALUES, Float32, StoredTensor

Bytes = npt.NDArray[np.uint8]
Float16 = npt.NDArray[np.float16]

GGML_BLOCK = 32


@dataclass(frozen=True)
class PackedMatrix:
    """codes uint8 [N, K/block, block*bits/8], scales float32 [N, K/block],
    zero_points uint8 [N, ceil(K/block*bits/8)] or None, mins float16 [K/block, N] or None.
    """

    bits: int
    block: int
    codes: Bytes
    scales: Float32
    zero_points: Bytes | None = None
    mins: Float16 | None = None

    @property
    def scheme(self) -> tuple[Any, ...]:
        """Matrices of equal scheme and K can be stacked."""
        return (self.bits, self.block, self.zero_points is None, self.mins is None)


class PackedSource(StoredTensor):
    """A tensor of a checkpoint that is quantised already."""

    def packed(self) -> PackedMatrix:
        """Its own integers in the layout of MatMulNBits."""
        raise NotImplementedError


def pack(tensor: StoredTensor, bits: int, block: int, kept_kinds: frozenset[str]) -> PackedMatrix:
    """Store a matrix in `bits` bits, or with its own integer codes if it is of one of `kept_kinds`.

    Raises ValueError when its rows do not divide into blocks.
    """
    if isinstance(tensor, PackedSource) and tensor.kind in kept_kinds:
        return tensor.packed()
    rows, columns = tensor.shape
    step = max(1, CHUNK_VALUES // columns)
    block = fitting_block(columns, block)
    parts = []
    for begin in range(0, rows, step):
        end = min(rows, begin + step)
        if tensor.kind in kept_kinds:
            parts.append(_KEEP[tensor.kind](tensor.raw_rows(begin, end).reshape(end - begin, columns // GGML_BLOCK, -1)))
        elif bits == 8:
            parts.append(round_int8(tensor.rows(begin, end), block))
        else:
            parts.append(round_int4(tensor.rows(begin, end), block))
    return stack(parts)


def unpack(matrix: PackedMatrix) -> Float32:
    """The values that MatMulNBits computes with, without `mins`: float32 [N, K]."""
    codes, zeros = matrix.codes, matrix.zero_points
    if matrix.bits == 4:
        codes = np.stack([codes & 15, codes >> 4], axis=-1).reshape(*codes.shape[:2], -1)
        if zeros is not None:
            zeros = np.stack([zeros & 15, zeros >> 4], axis=-1).reshape(len(zeros), -1)[:, : codes.shape[1]]
    zero = np.float32(2 ** (matrix.bits - 1)) if zeros is None else zeros[..., None].astype(np.float32)
    values: Float32 = (codes.astype(np.float32) - zero) * matrix.scales[..., None]
    return values.reshape(codes.shape[0], -1)


def stack(parts: list[PackedMatrix]) -> PackedMatrix:
    """One matrix with the rows of all, which have the same scheme."""
    first = parts[0]
    if len(parts) == 1:
        return first
    return PackedMatrix(
        first.bits,
        first.block,
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.scales for part in parts]),
        None if first.zero_points is None else np.concatenate([p.zero_points for p in parts if p.zero_points is not None]),
        None if first.mins is None else np.concatenate([p.mins for p in parts if p.mins is not None], axis=1),
    )


def fitting_block(columns: int, wanted: int) -> int:
    """The largest block up to `wanted` that divides a row of `columns` values."""
    for block in (128, 64, 32, 16):
        if block <= wanted and columns % block == 0:
            return block
    raise ValueError(f"{columns} columns do not divide into blocks of 16")


def round_int8(values: Float32, block: int) -> PackedMatrix:
    """Symmetric: the largest magnitude of a block becomes 127."""
    blocks = values.reshape(values.shape[0], -1, block)
    scales = np.abs(blocks).max(axis=2) / np.float32(127)
    codes = np.rint(blocks * _reciprocal(scales)[..., None]) + np.float32(128)
    return PackedMatrix(8, block, codes.astype(np.uint8), scales)


def round_int4(values: Float32, block: int) -> PackedMatrix:
    """Asymmetric: the range of a block, which always includes zero, is spread over 0..15."""
    codes, scales, zeros = int4_codes(values.reshape(values.shape[0], -1, block))
    return PackedMatrix(
        4, block, pair_nibbles(codes.astype(np.uint8)), scales, zero_points=pair_nibbles(zeros.astype(np.uint8))
    )


def int4_codes(blocks: Float32) -> tuple[Float32, Float32, Float32]:
    """Codes [N, K/block, block] of `blocks`, scales and zero points [N, K/block]; codes and zeros are whole numbers."""
    low = np.minimum(blocks.min(axis=2), 0)
    high = np.maximum(blocks.max(axis=2), 0)
    scales = ((high - low) / np.float32(15)).astype(np.float32)
    inverse = _reciprocal(scales)
    zeros = np.rint(-low * inverse)
    codes = np.clip(np.rint(blocks * inverse[..., None]) + zeros[..., None], 0, 15)
    return codes, scales, zeros


def _keep_q4_0(blocks: Bytes) -> PackedMatrix:
    """float16 d, 16 bytes of nibbles: w = d * (q - 8)."""
    return PackedMatrix(4, GGML_BLOCK, _ggml_nibbles(blocks[..., 2:]), _half(blocks, 0))


def _keep_q4_1(blocks: Bytes) -> PackedMatrix:
    """float16 d, float16 m, 16 bytes of nibbles: w = d * q + m = d * (q - 8) + (m + 8 d).

    A float zero point would say the same, but makes MatMulNBits a hundred times slower.
    """
    scales = _half(blocks, 0)
    mins = (_half(blocks, 2) + 8 * scales).astype(np.float16).T
    return PackedMatrix(4, GGML_BLOCK, _ggml_nibbles(blocks[..., 4:]), scales, mins=np.ascontiguousarray(mins))


def _keep_q8_0(blocks: Bytes) -> PackedMatrix:
    """float16 d, 32 signed bytes: w = d * q."""
    return PackedMatrix(8, GGML_BLOCK, blocks[..., 2:] ^ np.uint8(128), _half(blocks, 0))


_KEEP = {"Q4_0": _keep_q4_0, "Q4_1": _keep_q4_1, "Q8_0": _keep_q8_0}


def _half(blocks: Bytes, at: int) -> Float32:
    """The float16 at byte `at` of every block, as float32 [N, K/block]."""
    return np.ascontiguousarray(blocks[..., at : at + 2]).view(np.float16)[..., 0].astype(np.float32)


def _ggml_nibbles(packed: Bytes) -> Bytes:
    """Reorder [..., 16] bytes: ggml puts value j low and value j + 16 high, MatMulNBits neighbours."""
    return pair_nibbles(np.concatenate([packed & 15, packed >> 4], axis=-1))


def pair_nibbles(codes: Bytes) -> Bytes:
    """Two 4-bit codes to a byte along the last axis, which is filled up with a zero if it is odd."""
    if codes.shape[-1] % 2:
        codes = np.concatenate([codes, np.zeros_like(codes[..., :1])], axis=-1)
    return codes[..., 0::2] | (codes[..., 1::2] << np.uint8(4))


def _reciprocal(scales: Float32) -> Float32:
    """1 / scale, and 0 for blocks of zeros."""
    return np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales > 0)
