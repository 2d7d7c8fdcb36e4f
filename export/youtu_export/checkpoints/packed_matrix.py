"""Matrices of small integers, from float rows or from ggml blocks.

A matrix W [N, K] is cut along K into blocks that share a scale; b = k // block:

    W[n, k] = scales[n, b] * (codes[n, k] - zero_points[n, b])      2^(bits-1) if there are no zero points
    W[n, k] = scales[n, b] * codes[n, k] + minimums[n, b]           if there are minimums

Scheme: round to nearest, https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html. The scale is
rounded to float16 first and the codes to that scale, so that the values are those that the operators compute with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from youtu_export.checkpoints.scales import Float16, chosen_scales, finite
from youtu_export.checkpoints.stored_tensor import CHUNK_VALUES, Bytes, Float32, StoredTensor

GGML_BLOCK = 32


@dataclass(frozen=True)
class PackedMatrix:
    """codes uint8 [N, K], one to a byte, scales float16 [N, K/block],
    zero_points uint8 [N, K/block] or None, minimums float16 [N, K/block] or None; never both.
    """

    bits: int
    block: int
    codes: Bytes
    scales: Float16
    zero_points: Bytes | None = None
    minimums: Float16 | None = None

    @property
    def scheme(self) -> tuple[Any, ...]:
        """Matrices of equal scheme and K can be stacked."""
        return (self.bits, self.block, self.minimums is None)


class PackedSource(StoredTensor):
    """A checkpoint tensor that is already quantised."""

    def packed(self) -> PackedMatrix:
        """Its own integers and scales. Raises ExportError for scales that float16 cannot hold."""
        raise NotImplementedError


def pack(tensor: StoredTensor, bits: int, block: int, kept_kinds: frozenset[str]) -> PackedMatrix:
    """Store a matrix in `bits` bits, or with its own integer codes if its kind is in `kept_kinds`.

    Raises ValueError if its rows do not divide into blocks, and for values that float16 scales cannot represent.
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
    """The values of a matrix, each rounded once: float32 [N, K]."""
    codes = matrix.codes.reshape(*matrix.scales.shape, matrix.block).astype(np.float32)
    scales = matrix.scales[..., None].astype(np.float32)
    if matrix.minimums is not None:  # scale * code has at most 19 bits and is exact, so this is a fused multiply-add
        values = scales * codes + matrix.minimums[..., None].astype(np.float32)
    else:
        values = scales * (codes - _zeros(matrix)[..., None].astype(np.float32))
    found: Float32 = values.reshape(matrix.codes.shape)
    return found


def stack(parts: list[PackedMatrix]) -> PackedMatrix:
    """One matrix with the rows of all parts, which have the same scheme."""
    first = parts[0]
    if len(parts) == 1:
        return first
    minimums = [part.minimums for part in parts if part.minimums is not None]
    return PackedMatrix(
        first.bits,
        first.block,
        np.concatenate([part.codes for part in parts]),
        np.concatenate([part.scales for part in parts]),
        np.concatenate([_zeros(part) for part in parts]) if any(p.zero_points is not None for p in parts) else None,
        np.concatenate(minimums) if minimums else None,
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
    scales = chosen_scales(np.abs(blocks).max(axis=2), 127)
    codes = np.clip(np.rint(blocks * _reciprocal(scales)[..., None]), -127, 127) + np.float32(128)
    return PackedMatrix(8, block, codes.astype(np.uint8).reshape(values.shape), scales)


def round_int4(values: Float32, block: int) -> PackedMatrix:
    """Asymmetric: the range of a block, which always includes zero, is spread over 0..15."""
    codes, scales, zeros = int4_codes(values.reshape(values.shape[0], -1, block))
    return PackedMatrix(4, block, codes.astype(np.uint8).reshape(values.shape), scales, zeros.astype(np.uint8))


def int4_codes(blocks: Float32) -> tuple[Float32, Float16, Float32]:
    """Codes [N, K/block, block] of `blocks`, scales and zero points [N, K/block]; codes and zeros are whole numbers."""
    low = np.minimum(blocks.min(axis=2), 0)
    high = np.maximum(blocks.max(axis=2), 0)
    with np.errstate(over="ignore", invalid="ignore"):  # chosen_scales rejects what is not finite
        scales = chosen_scales(high - low, 15)
    inverse = _reciprocal(scales)
    zeros = np.clip(np.rint(-low * inverse), 0, 15)
    codes = np.clip(np.rint(blocks * inverse[..., None]) + zeros[..., None], 0, 15)
    return codes, scales, zeros


def _zeros(matrix: PackedMatrix) -> Bytes:
    """Zero points, even if they are only implied."""
    if matrix.zero_points is not None:
        return matrix.zero_points
    return np.full(matrix.scales.shape, 2 ** (matrix.bits - 1), np.uint8)


def _keep_q4_0(blocks: Bytes) -> PackedMatrix:
    """float16 d, 16 bytes of nibbles: w = d * (q - 8)."""
    return PackedMatrix(4, GGML_BLOCK, _ggml_nibbles(blocks[..., 2:]), _half(blocks, 0, "scale"))


def _keep_q4_1(blocks: Bytes) -> PackedMatrix:
    """float16 d, float16 m, 16 bytes of nibbles: w = d * q + m."""
    scales, minimums = _half(blocks, 0, "scale"), _half(blocks, 2, "minimum")
    return PackedMatrix(4, GGML_BLOCK, _ggml_nibbles(blocks[..., 4:]), scales, minimums=minimums)


def _keep_q8_0(blocks: Bytes) -> PackedMatrix:
    """float16 d, 32 signed bytes: w = d * q."""
    codes = blocks[..., 2:] ^ np.uint8(128)
    return PackedMatrix(8, GGML_BLOCK, codes.reshape(len(codes), -1), _half(blocks, 0, "scale"))


_KEEP = {"Q4_0": _keep_q4_0, "Q4_1": _keep_q4_1, "Q8_0": _keep_q8_0}


def _half(blocks: Bytes, at: int, what: str) -> Float16:
    """The float16 at byte `at` of every block, [N, K/block]."""
    values: Float16 = np.ascontiguousarray(blocks[..., at : at + 2]).view(np.float16)[..., 0]
    finite(values, what)
    return values


def _ggml_nibbles(packed: Bytes) -> Bytes:
    """Codes of [N, K/block, 16] bytes, whose byte j holds value j low and value j + 16 high: [N, K]."""
    return np.concatenate([packed & 15, packed >> 4], axis=-1).reshape(len(packed), -1)


def _reciprocal(scales: Float16) -> Float32:
    """1 / scale, and 0 for blocks of zeros."""
    wide = scales.astype(np.float32)
    return np.divide(np.float32(1), wide, out=np.zeros_like(wide), where=wide > 0)
