"""When the engine last made progress."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Progress:
    """Counts from its construction."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._at = clock()

    @property
    def silent_s(self) -> float:
        """Seconds since the last progress."""
        return self._clock() - self._at

    def note(self) -> None:
        """Record progress."""
        self._at = self._clock()

    def overdue(self, deadline_s: float, *, is_ready: bool) -> str:
        """What the engine failed to do in time; "" while it is within its deadline."""
        silent = self.silent_s
        return "" if silent < deadline_s else f"{'finished no step' if is_ready else 'was not ready'} for {silent:.1f} s"

    async def wait(self, end: asyncio.Future[Any], seconds: float) -> None:
        """Wait for `end`, at most `seconds`; time overslept is not counted against the engine.

        If the whole container or virtual machine was paused, so was the engine, and its messages are still unread.
        """
        begun = self._clock()
        await asyncio.wait([end], timeout=seconds)
        now = self._clock()
        self._at = min(now, self._at + max(0.0, now - begun - seconds))
