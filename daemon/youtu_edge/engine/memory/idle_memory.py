"""Gives memory back when the engine has nothing to do. Never on the way of a step, except where the front asks for it.

    quiet for memory.return_after_s      free cache pages, activations, the heap's free parts
    quiet for memory.keep_prefixes_s     cached prefixes as well
    Shed from the front                  both at once, but for what running sequences use

Each takes some milliseconds, and the pages come back with the next write.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable

from youtu_edge.allocator import Allocator
from youtu_edge.config import MemoryConfig
from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.memory.process_memory import holding
from youtu_edge.engine.model.runner import Runner
from youtu_edge.log import line

log = logging.getLogger("youtu_edge.engine")


class IdleMemory:
    """Watches how long the engine has been quiet. `clock` in seconds, monotonic."""

    def __init__(
        self, runner: Runner, pool: PagePool, allocator: Allocator, config: MemoryConfig, clock: Callable[[], float]
    ) -> None:
        self._runner = runner
        self._pool = pool
        self._allocator = allocator
        self._config = config
        self._clock = clock
        self._steps = 0
        self._quiet_since = clock()
        self._given_back = False

    def idle(self, steps: int) -> None:
        """Called whenever there is nothing to do; `steps` run so far tell whether there was something in between."""
        now = self._clock()
        if steps != self._steps:
            self._steps, self._quiet_since, self._given_back = steps, now, False
        quiet = now - self._quiet_since
        if quiet >= self._config.keep_prefixes_s and self._pool.num_cached:
            self._pool.drop_cached()
            self._given_back = False
        if quiet >= self._config.return_after_s and not self._given_back:
            self._given_back = True
            self.give_back()

    def shed(self) -> None:
        """Drop cached prefixes and give back what nobody uses."""
        self._pool.drop_cached()
        self.give_back()

    def give_back(self) -> None:
        """Return to the system what is free now; cached prefixes stay."""
        before = holding().resident
        gc.collect()
        free, scratch = self._pool.take_free_and_touched(), self._pool.free_page
        self._runner.give_back(free if scratch is None else {*free, scratch}, scratch)
        self._allocator.give_back()
        after = holding().resident
        log.info(line("memory_returned", mib=(before - after) >> 20, resident_mib=after >> 20))
