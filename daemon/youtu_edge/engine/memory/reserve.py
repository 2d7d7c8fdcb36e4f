"""Private memory that is set aside, and given up when an allocation fails where a failure would end the engine.

Grammars and their answers take what there is up to the engine's limit (RLIMIT_DATA). Whatever the front says has to be read
all the same: without room for that, a message of a kilobyte would end every request.
"""

from __future__ import annotations

import mmap

RESERVE_BYTES = 8 * 1024 * 1024
"""Twice the largest body that the front lets in by default, and what it is read into. Never touched, so never resident."""


class Reserve:
    """Held from the start; `release` gives it up once, `restore` takes it again."""

    def __init__(self, size: int = RESERVE_BYTES) -> None:
        self._size = size
        self._held: mmap.mmap | None = None
        self.restore()

    @property
    def is_held(self) -> bool:
        """Whether an allocation may fail without harm."""
        return self._held is not None

    def release(self) -> bool:
        """Make room; False when there is none left to make."""
        if self._held is None:
            return False
        self._held.close()
        self._held = None
        return True

    def restore(self) -> None:
        """Take it again if there is room."""
        if self._held is None:
            try:
                self._held = mmap.mmap(-1, self._size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            except OSError:
                self._held = None
