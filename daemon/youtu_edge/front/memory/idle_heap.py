"""Gives the front's free heap back. Bodies of megabytes leave holes in it, which glibc keeps for good."""

from __future__ import annotations

import os
from collections.abc import Callable

from youtu_edge.allocator import Allocator
from youtu_edge.front.memory.process_memory import anonymous_bytes

WORTH_BYTES = 4 * 1024 * 1024
"""Growth since the last time that makes it worth looking for free pages, which takes milliseconds."""


class IdleHeap:
    """`every_s`: no more often than that."""

    def __init__(self, allocator: Allocator, every_s: float, clock: Callable[[], float]) -> None:
        self._allocator, self._every_s, self._clock = allocator, every_s, clock
        self._kept = anonymous_bytes(os.getpid())
        self._at = clock()

    def look(self) -> None:
        """Called once a second, whether there is work or not."""
        if self._clock() - self._at < self._every_s or anonymous_bytes(os.getpid()) < self._kept + WORTH_BYTES:
            return
        self._allocator.give_back()
        self._kept, self._at = anonymous_bytes(os.getpid()), self._clock()
