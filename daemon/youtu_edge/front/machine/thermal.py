"""Narrows the batch while the board is hot, before its own governor throttles everything. Pure policy: no file, no process.

One more token per step costs energy, not time: a narrower batch draws less power, and a few waiting streams are better than
all streams at half the clock.

    hottest sensor    at or above soft_c            the limit halves, once a PERIOD_S, down to 1
                      within hysteresis below it    the limit stays
                      below                         the limit doubles, once a PERIOD_S, until there is none
"""

from __future__ import annotations

from collections.abc import Callable

from youtu_edge.config import ThermalConfig

PERIOD_S = 10.0
"""Between two changes: a heat sink takes that long to show what the last one did."""


class ThermalPolicy:
    """How many sequences may share a step, from the observed temperatures."""

    def __init__(self, config: ThermalConfig, max_sequences: int, clock: Callable[[], float]) -> None:
        self._config = config
        self._most = max_sequences
        self._clock = clock
        self._changed_at: float | None = None
        self.limit = max_sequences

    @property
    def is_limiting(self) -> bool:
        """Whether the batch is narrower than configured."""
        return self.limit < self._most

    def observe(self, hottest_c: float | None) -> bool:
        """Take a temperature (None: no sensor, so no limit); True when `limit` has changed."""
        soft = self._config.soft_c
        now = self._clock()
        if soft == 0 or hottest_c is None:
            wanted = self._most
        elif self._changed_at is not None and now - self._changed_at < PERIOD_S:
            return False
        elif hottest_c >= soft:
            wanted = max(1, self.limit // 2)
        elif hottest_c >= soft - self._config.hysteresis_c:
            wanted = self.limit
        else:
            wanted = min(self._most, self.limit * 2)
        if wanted == self.limit:
            return False
        self.limit, self._changed_at = wanted, now
        return True
