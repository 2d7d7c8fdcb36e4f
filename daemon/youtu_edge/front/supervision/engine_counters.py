"""The engine's counters, summed over all engines since the daemon's start."""

from __future__ import annotations

import msgspec

from youtu_edge.protocol.from_engine import EngineStats

_GAUGES = ("running", "waiting", "pages_total", "pages_used", "pages_cached", "pages_touched")


class EngineCounters:
    """Counters never decrease when an engine is replaced; gauges are those of the running one."""

    def __init__(self) -> None:
        self._former = EngineStats()
        self._current = EngineStats()

    def update(self, stats: EngineStats) -> None:
        """Store the running engine's latest figures."""
        self._current = stats

    def engine_ended(self) -> None:
        """Add the counts of the engine that just ended to those of its predecessors."""
        self._former = msgspec.structs.replace(self.total(), **dict.fromkeys(_GAUGES, 0))
        self._current = EngineStats()

    def total(self) -> EngineStats:
        """Counters of all engines together, gauges of the current one."""
        return EngineStats(
            **{
                name: getattr(self._current, name) + (0 if name in _GAUGES else getattr(self._former, name))
                for name in EngineStats.__struct_fields__
            }
        )

    @property
    def mean_batch(self) -> float:
        """Sequences per step, on average."""
        total = self.total()
        return total.sequence_steps / total.steps if total.steps else 0.0

    @property
    def step_overhead_seconds(self) -> float:
        """Mean time of a step outside the ONNX Runtime call."""
        total = self.total()
        return (total.step_seconds - total.run_seconds) / total.steps if total.steps else 0.0
