"""weights.bin: arrays one after another, each aligned for mapping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

_PAGE = 4096
_CACHE_LINE = 64
_LARGE = 64 * 1024


@dataclass(frozen=True)
class Extent:
    """The position of an array, in bytes."""

    offset: int
    length: int


class WeightsFile:
    """Appends arrays to an open binary file. Large ones start on a memory page, small ones on a cache line."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._end = 0

    def append(self, array: npt.NDArray[Any]) -> Extent:
        """Write an array in row-major order."""
        array = np.ascontiguousarray(array)
        alignment = _PAGE if array.nbytes >= _LARGE else _CACHE_LINE
        offset = -(-self._end // alignment) * alignment
        self._file.write(b"\0" * (offset - self._end))
        self._file.write(array.reshape(-1).view(np.uint8).data)
        self._end = offset + array.nbytes
        return Extent(offset, array.nbytes)
