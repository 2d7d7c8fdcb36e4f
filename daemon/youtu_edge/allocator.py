"""The C library's heap of this process: what it keeps of what was freed."""

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
    """The C library's heap. Without glibc nothing is done, and nothing needs to be: others return memory themselves.

    Pieces of `apart_bytes` and more lie outside the heap and go back when they are freed. By default glibc keeps them once
    they have come and gone, and small pieces that stay settle in the holes.
    """

    def __init__(self, apart_bytes: int = 1 << 20) -> None:
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        if mallopt := getattr(library, "mallopt", None):
            # By default there are eight heaps a core, and each keeps what its threads freed.
            mallopt(_M_ARENA_MAX, _ARENAS)
            mallopt(_M_MMAP_THRESHOLD, apart_bytes)

    def give_back(self) -> None:
        """Return free memory of all heaps to the system."""
        if self._trim:
            self._trim(0)


def use_for_objects() -> None:
    """Have the C library's heap hold Python's objects as well: starts this program again, once, as the same process.

    Python's own allocator gives memory back by the mebibyte, and one object left in it keeps all of that; after a day of
    large requests the front would hold half as much again as it needs. What `give_back` returns goes by the page. Another
    choice of the administrator's (PYTHONMALLOC=debug) stays. Children choose for themselves.
    """
    if os.environ.get(_VARIABLE) == _C_LIBRARY:
        del os.environ[_VARIABLE]
    elif _VARIABLE not in os.environ and sys.executable:
        sys.stdout.flush()
        with contextlib.suppress(OSError):  # then Python's own has to do
            os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, _VARIABLE: _C_LIBRARY})
