"""Returns the front's free heap to the system. Bodies of megabytes leave holes in it, which glibc never returns."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

from youtu_edge.allocator import Allocator
from youtu_edge.front.machine.process_memory import anonymous_bytes

WORTH_BYTES = 4 * 1024 * 1024
"""Growth that makes it worth looking for free pages, which takes milliseconds."""
_PATIENCE = 12
"""The longest interval, in units of `every_s`, while the memory stays in use."""


class IdleHeap:
    """`every_s`: the shortest interval."""

    def __init__(self, allocator: Allocator, every_s: float, clock: Callable[[], float]) -> None:
        self._allocator, self._every_s, self._clock = allocator, every_s, clock
        self._kept = self._least = anonymous_bytes(os.getpid())
        self._at = clock()
        self._wait_s = every_s

    def look(self) -> None:
        """Called once a second, whether there is work or not."""
        waited_s, held = self._clock() - self._at, anonymous_bytes(os.getpid())
        # What was in use the last time may be free by now, without any growth since.
        if waited_s < self._wait_s and not (waited_s >= self._every_s and held >= self._kept + WORTH_BYTES):
            return
        if held < self._least + WORTH_BYTES:
            return
        # The traceback of its error references a rejected body, often in a cycle; an idle process collects no garbage.
        gc.collect()
        self._allocator.give_back()
        self._kept, self._at = anonymous_bytes(os.getpid()), self._clock()
        self._least = min(self._least, self._kept)
        is_in_use = self._kept > held - WORTH_BYTES
        self._wait_s = min(self._wait_s * 2, self._every_s * _PATIENCE) if is_in_use else self._every_s
