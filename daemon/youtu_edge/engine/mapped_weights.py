"""Gives mapped weights that are not needed back to the system. They are clean pages of a file: the next access maps them
again from the page cache.

Two kinds stay mapped without use. What ONNX Runtime reads only while loading, such as scales that packed weights contain as
well. And the rows of the token table: a kernel with large folios maps up to a megabyte for each new id, so that after a
while the whole table counts as ours although a token needs one row.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path

from youtu_edge.engine.packed_layout import external_range

TABLE = "/model/embed_tokens/weight"
"""The initializer that is read one row per token; a table that is also the head's matrix has another name in the graph."""

_MADV_DONTNEED = 4
_PAGE = 4096
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) \S+p ([0-9a-f]+) \S+ \d+\s+(.+)")


class MappedWeights:
    """The weights of one graph in this process's address space; nothing at all where they are not mapped from `weights`."""

    def __init__(self, graph: Path, weights: Path) -> None:
        self._all = _clean_mappings(weights)
        offset, length = external_range(graph, TABLE) or (0, 0)
        self._table = [
            (begin, end - begin)
            for address, at, size in self._all
            if (begin := address + max(0, offset - at) // _PAGE * _PAGE)
            < (end := address + min(size, offset + length - at))
        ]
        self._madvise = ctypes.CDLL(None, use_errno=True).madvise
        self._madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def give_back_all(self) -> None:
        """After loading: what is really needed comes back with the next step."""
        for address, _, size in self._all:
            self._madvise(address, size, _MADV_DONTNEED)

    def give_back_table(self) -> None:
        """The rows that former tokens used."""
        for address, size in self._table:
            self._madvise(address, size, _MADV_DONTNEED)


def _clean_mappings(path: Path) -> list[tuple[int, int, int]]:
    """(address, offset in the file, bytes) of each private mapping of `path` into which nobody has written."""
    found: list[tuple[int, int, int]] = []
    wanted = str(path.resolve())
    here: tuple[int, int, int] | None = None
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if match := _MAPPING.fullmatch(line):
            begin, end, offset = (int(match[group], 16) for group in (1, 2, 3))
            here = (begin, offset, end - begin) if match[4] == wanted else None
        elif here and line.startswith("Anonymous:") and line.split()[1] == "0":
            found.append(here)
    return found
