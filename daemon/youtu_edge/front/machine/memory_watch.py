"""Checks memory once a second and acts: sheds what the governor gives up, recycles an engine that leaks,
returns the front's own free heap."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from youtu_edge.allocator import Allocator
from youtu_edge.config import MemoryConfig
from youtu_edge.front.machine.batch_limit import BatchLimit
from youtu_edge.front.machine.idle_heap import IdleHeap
from youtu_edge.front.machine.leak_watch import LeakWatch
from youtu_edge.front.machine.memory_governor import BATCH, NAMES, PREFIXES, REQUESTS, MemoryGovernor
from youtu_edge.front.machine.memory_pressure import MemoryPressure, MemoryPressureReader
from youtu_edge.front.machine.process_memory import anonymous_bytes
from youtu_edge.front.supervision.supervisor import Supervisor
from youtu_edge.log import line
from youtu_edge.protocol.from_engine import Ready
from youtu_edge.protocol.to_engine import Shed

log = logging.getLogger(__name__)

_PERIOD_S = 1.0
_APART_BYTES = 128 * 1024
"""Larger allocations are bodies, which are mapped apart from the heap; what they are parsed into is smaller."""


class MemoryWatch:
    """`shed_caches` frees what the front keeps only to be faster. Runs in the event loop."""

    def __init__(
        self,
        config: MemoryConfig,
        supervisor: Supervisor,
        batch_limit: BatchLimit,
        shed_caches: Callable[[], None],
        clock: Callable[[], float],
        reader: MemoryPressureReader | None = None,
    ) -> None:
        self._supervisor = supervisor
        self._batch_limit = batch_limit
        self._shed_caches = shed_caches
        self._reader = reader or MemoryPressureReader()
        self._governor = MemoryGovernor(config, clock)
        self._leaks = LeakWatch(*config.growth, clock) if config.growth else None
        self._heap = IdleHeap(Allocator(_APART_BYTES), config.return_after_s, clock)
        self._watched: Ready | None = None
        self.pressure: MemoryPressure = self._reader.read()

    @property
    def refuses_requests(self) -> bool:
        """Whether new requests are rejected for lack of memory."""
        return self._governor.level >= REQUESTS

    async def run(self) -> None:
        """Check periodically, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_PERIOD_S)

    def look(self) -> None:
        """Read once and act on it."""
        before, self.pressure = self._governor.level, self._reader.read()
        must_shed = self._governor.observe(self.pressure)
        level = self._governor.level
        if level != before:
            self._log(before, level)
        if must_shed:
            self._shed_caches()
            if level >= PREFIXES:
                self._supervisor.send(Shed())
        most = self._batch_limit.most
        self._batch_limit.set("memory", most // 4 if level >= BATCH else most)
        self._heap.look()
        self._look_for_leaks()

    def document(self) -> dict[str, object]:
        """For /v1/status."""
        return {
            "pressure": NAMES[self._governor.level],
            "available_bytes": self.pressure.available,
            "stall_percent": self.pressure.stall_percent,
            "max_sequences": self._batch_limit.value,
            "engine_growth_bytes": self._growth,
        }

    def gauges(self) -> dict[str, tuple[str, float]]:
        """For /metrics: name -> (help, value)."""
        return {
            "memory_pressure_level": ("0 none, up to 4: new requests are rejected", float(self._governor.level)),
            "memory_available_bytes": ("MemAvailable of the machine", float(self.pressure.available)),
            "memory_stall_percent": ("Share of 10 s in which something waited for memory", self.pressure.stall_percent),
            "engine_growth_bytes": ("Growth of the engine beyond its plan", float(self._growth)),
        }

    @property
    def _growth(self) -> int:
        return self._leaks.growth if self._leaks else 0

    def _log(self, before: int, level: int) -> None:
        write = log.warning if level > before else log.info
        write(
            line(
                "memory_pressure",
                given_up=NAMES[level],
                available_mib=self.pressure.available >> 20,
                stall_percent=self.pressure.stall_percent,
            )
        )

    def _look_for_leaks(self) -> None:
        supervisor = self._supervisor
        ready = supervisor.ready
        if self._leaks is None or ready is None or supervisor.state != "ready":
            return
        anonymous = anonymous_bytes(supervisor.pid)
        if ready is not self._watched:
            self._watched = ready
            self._leaks.restart(anonymous + ready.memory.get("activations", 0) + ready.memory.get("grammar", 0))
        page_bytes = ready.memory.get("cache", 0) // ready.pages if ready.pages else 0
        if self._leaks.observe(anonymous - supervisor.counters.total().pages_touched * page_bytes):
            supervisor.recycle(f"its memory grew by {self._leaks.growth >> 20} MiB beyond the plan (memory.max_growth)")
