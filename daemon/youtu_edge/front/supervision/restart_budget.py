"""How often the engine may be restarted, and how long to wait before each restart."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

FIRST_WAIT_S = 0.2
_LONGEST_WAIT_S = 10.0


class RestartBudget:
    """At most `limit` restarts within any `period_s` seconds of `clock` (monotonic)."""

    def __init__(self, limit: int, period_s: float, clock: Callable[[], float]) -> None:
        self._limit = limit
        self._period_s = period_s
        self._clock = clock
        self._taken: deque[float] = deque()

    @property
    def limit(self) -> int:
        """Restarts allowed per period."""
        return self._limit

    @property
    def num_taken(self) -> int:
        """Restarts of the last period."""
        now = self._clock()
        while self._taken and now - self._taken[0] >= self._period_s:
            self._taken.popleft()
        return len(self._taken)

    def forgive(self, count: int) -> None:
        """Return the last `count` restarts, or as many as there are, to the budget: their cause is gone."""
        for _ in range(min(count, len(self._taken))):
            self._taken.pop()

    def take(self) -> float | None:
        """Take one restart: seconds to wait before it, doubling within the period; None if the budget is exhausted."""
        if self.num_taken >= self._limit:
            return None
        wait = min(FIRST_WAIT_S * 2 ** min(len(self._taken), 16), _LONGEST_WAIT_S)
        self._taken.append(self._clock())
        return float(wait)
