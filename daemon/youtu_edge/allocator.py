"""The C library's heap of this process: what it keeps of what was freed. Knows neither front nor engine."""

from __future__ import annotations

import ctypes

_M_ARENA_MAX = -8
_M_MMAP_THRESHOLD, _KEPT_BYTES = -3, 1 << 20
_ARENAS = 2


class Allocator:
    """The C library's heap. Without glibc nothing is done, and nothing needs to be: others return memory themselves."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._trim = getattr(library, "malloc_trim", None)
        if mallopt := getattr(library, "mallopt", None):
            # By default there are eight heaps a core, and each keeps what its threads freed.
            mallopt(_M_ARENA_MAX, _ARENAS)
            # Larger pieces go back when they are freed. By default glibc keeps them once they have come and gone.
            mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)

    def give_back(self) -> None:
        """Return free memory of all heaps to the system."""
        if self._trim:
            self._trim(0)
