"""Returns memory to the system while the engine is idle; never between steps, unless the front sends `Shed`.

    idle for memory.return_after_s      free cache pages, activations, free memory of the heap
    idle for memory.keep_prefixes_s     cached prefixes as well
    Shed from the front                 both at once, except what running sequences use

Each takes a few milliseconds; the kernel maps pages again on the next write.
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
    """Tracks how long the engine has been idle. `clock`: monotonic, in seconds."""

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
        """Called whenever there is no work; `steps`, the number run so far, shows whether there was work since."""
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
        """Drop cached prefixes and return all unused memory."""
        self._pool.drop_cached()
        self.give_back()

    def give_back(self) -> None:
        """Return all free memory to the system; cached prefixes stay."""
        before = holding().resident
        gc.collect()
        free, scratch = self._pool.take_free_and_touched(), self._pool.free_page
        self._runner.give_back(free if scratch is None else {*free, scratch}, scratch)
        self._allocator.give_back()
        after = holding().resident
        log.info(line("memory_returned", mib=(before - after) >> 20, resident_mib=after >> 20))
