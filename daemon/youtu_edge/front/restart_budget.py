"""How often the engine may be restarted, and how long to wait before each restart. Knows only a clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 10.0


class RestartBudget:
    """At most `limit` restarts within any `period_s` seconds of `clock` (monotonic)."""

    def __init__(self, limit: int, period_s: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._period_s = period_s
        self._clock = clock
        self._taken: deque[float] = deque()

    def take(self) -> float | None:
        """Seconds to wait before the restart that is taken now, doubling within the period; None if none is left."""
        now = self._clock()
        while self._taken and now - self._taken[0] >= self._period_s:
            self._taken.popleft()
        if len(self._taken) >= self._limit:
            return None
        wait = min(_FIRST_WAIT_S * 2 ** min(len(self._taken), 16), _LONGEST_WAIT_S)
        self._taken.append(now)
        return float(wait)
