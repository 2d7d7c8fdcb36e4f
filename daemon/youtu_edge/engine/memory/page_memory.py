"""The physical memory behind the cache pages: allocated on the first write to a page, returned when the page is free.

Each cache is one anonymous mapping [pages, page_tokens, kv_heads, width]. Cache pages are rarely aligned to system pages,
so runs of free pages are returned together, and only the system pages that lie entirely inside a run:

    cache       | page 4 | page 5 | page 6 | page 7 |        pages 5 and 6 are free
    system      |  .  |xxxxx|xxxxx|  .  |  .  |  .  |        x: returned; the others also hold rows of pages 4 and 7
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from youtu_edge.cache_geometry import CacheGeometry


class PageMemory:
    """`arrays`: one per cache, in the order of geometry.input_names; zero where not yet written."""

    def __init__(self, geometry: CacheGeometry, num_pages: int, page_tokens: int) -> None:
        shape = (num_pages, page_tokens, geometry.kv_heads, geometry.width)
        dtype = np.dtype(geometry.dtype)
        size = int(np.prod(shape)) * dtype.itemsize
        self._page_bytes = size // num_pages
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
        self._maps = [mmap.mmap(-1, size, flags=flags) for _ in geometry.input_names]
        self.arrays: list[npt.NDArray[Any]] = [np.frombuffer(mapped, dtype=dtype).reshape(shape) for mapped in self._maps]

    def give_back(self, pages: Iterable[int]) -> int:
        """Return the memory of these pages to the system, after which it reads as zero. Returns the number of bytes."""
        given = 0
        for first, last in runs(pages):
            begin = -(-first * self._page_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
            end = (last + 1) * self._page_bytes // mmap.PAGESIZE * mmap.PAGESIZE
            if end > begin:
                for mapped in self._maps:
                    mapped.madvise(mmap.MADV_DONTNEED, begin, end - begin)
                given += (end - begin) * len(self._maps)
        return given


def runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    first = last = None
    for number in sorted(numbers):
        if first is None or last is None or number != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = number
        last = number
    if first is not None and last is not None:
        yield first, last
