"""The C library's heap of this process: how much freed memory it keeps."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys

_VARIABLE, _C_LIBRARY = "PYTHONMALLOC", "malloc"
_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD = -3
_ARENAS = 2


class Allocator:
    """The C library's heap. Does nothing without glibc: other C libraries return freed memory by themselves.

    Allocations of `mmap_threshold` bytes or more are mapped outside the heap and unmapped when freed. By default glibc
    raises this threshold after the first such free, and small long-lived allocations then settle in the holes.
    """

    def __init__(self, mmap_threshold: int = 1 << 20) -> None:
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        if mallopt := getattr(library, "mallopt", None):
            # The default is eight arenas per core, and each keeps what its threads freed.
            mallopt(_M_ARENA_MAX, _ARENAS)
            mallopt(_M_MMAP_THRESHOLD, mmap_threshold)

    def give_back(self) -> None:
        """Return the free memory of all arenas to the system."""
        if self._trim:
            self._trim(0)


def use_for_objects() -> None:
    """Allocate Python's objects from the C library's heap too: re-executes this program once, in the same process.

    Python's own allocator returns memory in units of 1 MiB, and a single live object pins the whole unit; after a day of
    large requests the front would hold half as much again as it needs. `give_back` returns memory page by page. A
    PYTHONMALLOC that the administrator set (such as debug) is kept. Child processes decide for themselves.
    """
    if os.environ.get(_VARIABLE) == _C_LIBRARY:
        del os.environ[_VARIABLE]
    elif _VARIABLE not in os.environ and sys.executable:
        sys.stdout.flush()
        with contextlib.suppress(OSError):  # then Python's own allocator stays
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _VARIABLE: _C_LIBRARY})
