"""Whether the engine's memory grows faster than it may.

What counts is anonymous memory without cache pages, and only what exceeds the plan: memory at rest and the largest step.
Its growth is the latest reading, the least of three so that no single one decides, over the least within the window:

    bytes  |                          x  <- grown: recycle
           |            . . x . . . .
           |  . . . . .     least of the window
           +---- window (memory.max_growth: 128M/3600) ----> time
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_BUCKETS = 8
_READINGS = 3


class LeakWatch:
    """One engine's readings; `restart` for the next engine. `clock` in seconds, monotonic."""

    def __init__(self, limit_bytes: int, window_s: float, clock: Callable[[], float]) -> None:
        self._limit = limit_bytes
        self._bucket_s = window_s / _BUCKETS
        self._clock = clock
        self.restart(0)

    def restart(self, floor: int) -> None:
        """A new engine: what it holds up to `floor` bytes is as planned."""
        self._floor = floor
        self._least: deque[tuple[float, int]] = deque(maxlen=_BUCKETS + 1)
        self._latest: deque[int] = deque(maxlen=_READINGS)

    @property
    def growth(self) -> int:
        """Bytes grown within the window, as of the last reading."""
        return max(0, min(self._latest) - min(least for _, least in self._least)) if self._latest else 0

    def observe(self, held_bytes: int) -> bool:
        """Take a reading; True when the engine grew beyond the limit."""
        now, held = self._clock(), max(held_bytes, self._floor)
        if not self._least or now - self._least[-1][0] >= self._bucket_s:
            self._least.append((now, held))
        elif held < self._least[-1][1]:
            self._least[-1] = (self._least[-1][0], held)
        self._latest.append(held)
        return len(self._latest) == _READINGS and self.growth > self._limit
