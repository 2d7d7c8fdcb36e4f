"""Reserved private memory, released when an allocation fails whose failure would end the engine.

Grammars and their answers may use memory up to the engine's limit (RLIMIT_DATA). Messages from the front must still be
readable: without memory for that, a message of 1 kB would end every request.
"""

from __future__ import annotations

import mmap

RESERVE_BYTES = 8 * 1024 * 1024
"""Twice the largest body that the front accepts by default, and its decoded form. Never touched, so never resident."""


class Reserve:
    """Held from the start; `release` frees it once, `restore` allocates it again."""

    def __init__(self, size: int = RESERVE_BYTES) -> None:
        self._size = size
        self._held: mmap.mmap | None = None
        self.restore()

    @property
    def is_held(self) -> bool:
        """Whether the reserve is allocated, so that a failed allocation can be repeated after `release`."""
        return self._held is not None

    def release(self) -> bool:
        """Free the reserve; False if it is already free."""
        if self._held is None:
            return False
        self._held.close()
        self._held = None
        return True

    def restore(self) -> None:
        """Allocate the reserve again if memory allows."""
        if self._held is None:
            try:
                self._held = mmap.mmap(-1, self._size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError:
                self._held = None
