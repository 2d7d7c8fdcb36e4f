"""A tensor that is still in its file.

Rows are read on demand. The file is read and not mapped: mapped pages count as resident memory, and truncating a mapped
file kills the process.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

from youtu_export.errors import ExportError

Array = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Float32 = npt.NDArray[np.float32]

LONGEST_SIDE = 4 * 1024 * 1024
"""Elements per side of a tensor: the largest vocabularies have 262,144 rows, and row orders are held in memory."""

CHUNK_VALUES = 4 * 1024 * 1024
"""Values converted at a time: 16 MB of float32, so that scratch memory does not grow with the tensor."""


@dataclass(frozen=True, eq=False)
class StoredTensor:
    """One tensor of a checkpoint, shape as in Hugging Face: [rows, columns] or [rows].

    `kind` is a ggml type name: F32, F16, BF16, Q4_0 and so on. `row_order[i]` is the stored row that is row i.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    kind: str
    offset: int
    row_order: npt.NDArray[np.int64] | None = None

    @property
    def row_bytes(self) -> int:
        """Stored bytes of one row."""
        return stored_bytes(self.kind, self.shape[1:])

    def raw_rows(self, begin: int, end: int) -> Bytes:
        """Stored bytes of rows [begin, end), uint8 [end - begin, row_bytes]."""
        if self.row_order is None or begin == end:
            return self._read(begin, end)
        stored = self.row_order[begin:end]
        first = int(stored.min())
        return self._read(first, int(stored.max()) + 1)[stored - first]

    def select_rows(self, order: npt.NDArray[np.int64]) -> StoredTensor:
        """The tensor whose row i is row order[i] of this one."""
        stored = order if self.row_order is None else self.row_order[order]
        return replace(self, shape=(len(order), *self.shape[1:]), row_order=stored)

    def rows(self, begin: int, end: int) -> Float32:
        """Values of rows [begin, end), float32 [end - begin, ...]. Raises ExportError for NaN and infinite ones."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = self._rows(begin, end)
        good = np.isfinite(values)
        if not good.all():
            raise ExportError(f"{self.path}: {self.name}: a weight is {values[~good][0]}: the file is damaged")
        return values

    def _rows(self, begin: int, end: int) -> Float32:
        """`rows` without the check, for each kind of tensor."""
        raw = self.raw_rows(begin, end)
        if self.kind == "F32":
            values = raw.view(np.float32)
        elif self.kind == "F16":
            values = raw.view(np.float16).astype(np.float32)
        elif self.kind == "BF16":
            values = (raw.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        else:
            values = self._dequantise(raw)
        return values.reshape(end - begin, *self.shape[1:])

    def values(self) -> Float32:
        """The whole tensor, float32."""
        values = np.empty(self.shape, np.float32)
        step = max(1, CHUNK_VALUES // max(1, math.prod(self.shape[1:])))
        for begin in range(0, self.shape[0], step):
            end = min(self.shape[0], begin + step)
            values[begin:end] = self.rows(begin, end)
        return values

    def _dequantise(self, raw: Bytes) -> Float32:
        try:
            values: Float32 = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType[self.kind])
        except NotImplementedError:
            raise ExportError(f"{self.path}: {self.name}: ggml type {self.kind} is not supported") from None
        return values

    def _read(self, begin: int, end: int) -> Bytes:
        size = (end - begin) * self.row_bytes
        data = np.fromfile(self.path, dtype=np.uint8, count=size, offset=self.offset + begin * self.row_bytes)
        if data.size != size:
            raise ExportError(f"{self.path}: {self.name}: the file ends inside this tensor: truncated")
        return data.reshape(end - begin, self.row_bytes)


@contextmanager
def naming(tensor: StoredTensor) -> Iterator[None]:
    """Turns every ValueError in the block into an ExportError that names file and tensor."""
    try:
        yield
    except ValueError as error:
        raise ExportError(f"{tensor.path}: {tensor.name}: {error}") from None


def reject_overlaps(tensors: Iterable[StoredTensor]) -> None:
    """Raise ExportError naming the first tensor that begins before another one of the same file ends."""
    extents = sorted(
        ((tensor.offset, tensor.offset + stored_bytes(tensor.kind, tensor.shape), tensor) for tensor in tensors),
        key=lambda extent: extent[:2],
    )
    for (_, end, before), (begin, _, tensor) in itertools.pairwise(extents):
        if begin < end:
            raise ExportError(f"{tensor.path}: {tensor.name}: overlaps {before.name}; the file is damaged")


def stored_bytes(kind: str, shape: tuple[int, ...]) -> int:
    """Bytes of a contiguous tensor. Raises ValueError if rows do not divide into blocks of the type."""
    block_values, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    width = shape[-1] if shape else 1
    if width % block_values:
        raise ValueError(f"rows of {width} values do not divide into blocks of {block_values}")
    return math.prod(shape) * block_bytes // block_values
