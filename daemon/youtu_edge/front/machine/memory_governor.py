"""What the daemon gives up while the machine is short of memory, and when it takes it back. Pure policy with a clock.

    level 0  nothing
    level 1  the response cache's memory
    level 2  and cached prefixes that are not in use
    level 3  and three quarters of the batch
    level 4  and new requests: 503 memory_pressure

Pressure raises the level by one every RAISE_S; the way down needs clearly less pressure and takes RECOVER_S a level:

    fraction available   0 ....... min ............ 1.5 x min ....... 1
    stall percent        100 ..... max ............ max / 2 ......... 0
                         raise     stay             recover
"""

from __future__ import annotations

from collections.abc import Callable

from youtu_edge.config import MemoryConfig
from youtu_edge.front.machine.memory_pressure import MemoryPressure

NAMES = ("none", "response cache", "prefixes", "batch", "requests")
"""What is given up on each level, in /v1/status and in the log."""

PREFIXES, BATCH, REQUESTS = 2, 3, 4
RAISE_S = 2.0
RECOVER_S = 15.0


class MemoryGovernor:
    """Keeps the level. `clock` in seconds, monotonic."""

    def __init__(self, config: MemoryConfig, clock: Callable[[], float]) -> None:
        self._config = config
        self._clock = clock
        self._changed_at: float | None = None
        self.level = 0

    def observe(self, pressure: MemoryPressure) -> bool:
        """Take a reading. True when everything up to `level` has to be given up now, even if it was before."""
        now = self._clock()
        since = now - self._changed_at if self._changed_at is not None else RECOVER_S
        if self._is_high(pressure):
            if since < RAISE_S and self.level:
                return False
            self.level = min(self.level + 1, REQUESTS)
            self._changed_at = now
            return True
        if not self._is_low(pressure):
            self._changed_at = now  # recovery counts from the end of the pressure
        elif self.level and since >= RECOVER_S:
            self.level -= 1
            self._changed_at = now
        return False

    def _is_high(self, pressure: MemoryPressure) -> bool:
        config = self._config
        return pressure.available_fraction < config.min_available or pressure.stall_percent >= config.max_stall_percent

    def _is_low(self, pressure: MemoryPressure) -> bool:
        config = self._config
        return (
            pressure.available_fraction >= min(1.5 * config.min_available, 1.0)
            and pressure.stall_percent < config.max_stall_percent / 2
        )
