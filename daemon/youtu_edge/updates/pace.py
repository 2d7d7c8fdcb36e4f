"""When a download may run, and how fast."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable

from youtu_edge.updates.time_window import TimeWindow

_LONGEST_SLEEP_S = 60.0
"""A board without a battery-backed clock may get the right time while it waits."""
ATTEMPTS = 6
"""In a row without a new byte; 31 s in all."""


def delay_s(attempts: int) -> int:
    """Seconds to wait after so many attempts in vain."""
    return 1 << (attempts - 1)


class Pace:
    """A bandwidth limit in bytes per second (None: no limit) and a daily window (None: always)."""

    def __init__(
        self,
        rate: int | None = None,
        window: TimeWindow | None = None,
        *,
        now: Callable[[], datetime.datetime] = datetime.datetime.now,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = rate
        self._window = window
        self._now = now
        self._monotonic = monotonic
        self._sleep = sleep
        self._due = 0.0

    @property
    def is_open(self) -> bool:
        """Whether the window, if there is one, is open now."""
        return not self._window or self._window.seconds_until_open(self._now()) == 0

    def wait_until_open(self, waiting: Callable[[str], None]) -> None:
        """Returns within the window; before it waits, it says until when: `waiting("until 01:00 …")`."""
        if self._window is None or self.is_open:
            return
        opens = self._now() + datetime.timedelta(seconds=self._window.seconds_until_open(self._now()))
        waiting(f"outside of {self._window}: waiting until {opens:%Y-%m-%d %H:%M}")
        while seconds := self._window.seconds_until_open(self._now()):
            self._sleep(min(seconds, _LONGEST_SLEEP_S))

    def pause(self, seconds: float) -> None:
        """Between two attempts."""
        self._sleep(seconds)

    def read_size(self, largest: int) -> int:
        """How many bytes to read at once: at most about a quarter of a second's."""
        return min(largest, max(1024, self._rate // 4)) if self._rate else largest

    def received(self, count: int) -> None:
        """Sleeps until `count` more bytes are within the limit. What was not used for a while is not made up for."""
        if self._rate:
            now = self._monotonic()
            self._due = max(self._due, now) + count / self._rate
            self._sleep(self._due - now)
