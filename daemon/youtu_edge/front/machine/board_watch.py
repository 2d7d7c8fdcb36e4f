"""Reads the board every few seconds, for /v1/status and /metrics, and narrows the batch while it is hot."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from youtu_edge.board_files import BoardFiles
from youtu_edge.config import ThermalConfig
from youtu_edge.cores import compute_cores, ranges, read_processor
from youtu_edge.front.machine.board_readings import Board, BoardState
from youtu_edge.front.machine.thermal import ThermalPolicy
from youtu_edge.log import line

log = logging.getLogger(__name__)

_PERIOD_S = 5.0

_GAUGES = {
    "frequency_mhz": ("board_frequency_hertz", "Clock of the fastest core", 1e6),
    "frequency_limit_mhz": ("board_frequency_limit_hertz", "Highest clock that is allowed now", 1e6),
    "gpu_load": ("board_gpu_load_ratio", "Load of the GPU, 0 to 1", 1.0),
    "ddr_load": ("board_ddr_load_ratio", "Load of the memory controller, 0 to 1", 1.0),
    "throttled": ("board_throttled", "1 while something slows the board down", 1.0),
}


class BoardWatch(Collector):
    """The last reading of the board. `on_limit` is called with the number of sequences per step whenever that changes.

    `threads` as in engine.threads; only logged.
    """

    def __init__(
        self,
        config: ThermalConfig,
        max_sequences: int,
        *,
        threads: int,
        files: BoardFiles,
        clock: Callable[[], float],
        on_limit: Callable[[int], None],
    ) -> None:
        self._board = Board(files)
        self._files, self._threads = files, threads
        self._policy = ThermalPolicy(config, max_sequences, clock)
        self._on_limit = on_limit
        self.state = BoardState()

    @property
    def limit(self) -> int | None:
        """How many sequences may share a step because of the heat; None when it is cool enough for all."""
        return self._policy.limit if self._policy.is_limiting else None

    async def run(self) -> None:
        """Read periodically, until cancelled."""
        was_throttled, is_logged = False, False
        while True:
            # Some sensors are on a slow bus; the event loop must not wait for them.
            self.state = await asyncio.to_thread(self._board.read)
            if not is_logged:
                is_logged = True
                log.info(line("board", **self._long()))
            if self._policy.observe(self.state.hottest_c):
                log.warning(line("thermal", hottest_c=self.state.hottest_c, max_sequences=self._policy.limit))
                self._on_limit(self._policy.limit)
            if bool(self.state.throttled) != was_throttled:
                was_throttled = not was_throttled
                log.warning(line("board_throttled" if was_throttled else "board_recovered", **self._short()))
            await asyncio.sleep(_PERIOD_S)

    def status(self) -> dict[str, Any]:
        """For /v1/status."""
        return {**msgspec.structs.asdict(self.state), "max_sequences": self.limit}

    def collect(self) -> Iterator[Metric]:
        """One family per figure; without a sample if the board does not report it."""
        temperatures = GaugeMetricFamily("youtu_edge_board_temperature_celsius", "Temperature by sensor", labels=["sensor"])
        for sensor, value in self.state.temperatures.items():
            temperatures.add_metric([sensor], value)
        yield temperatures
        for field, (name, text, factor) in _GAUGES.items():
            value = getattr(self.state, field)
            yield GaugeMetricFamily(f"youtu_edge_{name}", text, value=None if value is None else value * factor)
        limited = float(self.limit is not None)
        yield GaugeMetricFamily("youtu_edge_thermal_limited", "1 while heat narrows the batch", value=limited)

    def describe(self) -> Iterable[Metric]:
        """Nothing: what there is depends on the board."""
        return []

    def _long(self) -> dict[str, object]:
        compute, state = compute_cores(self._threads, self._files), self.state
        return {
            "cores": read_processor(self._files),
            "compute": ranges(compute.cores),
            "threads": compute.threads,
            "power_mode": state.power_mode,
            "governor": state.governor,
            "frequency_limit_mhz": state.frequency_limit_mhz,
        }

    def _short(self) -> dict[str, object]:
        state = self.state
        return {"hottest_c": state.hottest_c, "frequency_mhz": state.frequency_mhz, "power_mode": state.power_mode}
