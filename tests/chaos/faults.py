"""Faults of a device, one function each. A fault that is not possible at the moment is skipped."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

from chaos.systemd_unit import SystemdUnit
from chaos.unit import Unit


class Faults:
    """`data` is the daemon's storage, on a file system of its own if `may_fill`; `clock` is what its clocks follow."""

    def __init__(
        self, unit: Unit | SystemdUnit, data: Path, clock: Path | None, chance: random.Random, *, may_fill: bool
    ) -> None:
        self._unit, self._data, self._clock, self._chance = unit, data, clock, chance
        self.counts: dict[str, int] = {}
        self._kinds: list[Callable[[], None]] = [
            self.engine_killed, self.engine_stopped, self.front_killed, self.front_stopped, self.cache_corrupted,
        ]  # fmt: skip
        if may_fill:
            self._kinds.append(self.disk_full)
        if clock:
            self._kinds.append(self.clock_jumped)

    def one(self) -> None:
        """A random fault."""
        kind = self._chance.choice(self._kinds)
        kind()
        self.counts[kind.__name__] = self.counts.get(kind.__name__, 0) + 1

    def engine_killed(self) -> None:
        """As the kernel kills when memory is short."""
        self._unit.signal_engine("KILL")

    def engine_stopped(self) -> None:
        """The engine is alive but hangs: only missing steps reveal it."""
        self._unit.signal_engine("STOP")

    def front_killed(self) -> None:
        """The engine dies with its parent."""
        self._unit.signal_front("KILL")

    def front_stopped(self) -> None:
        """Only the watchdog can detect it."""
        self._unit.signal_front("STOP")

    def disk_full(self) -> None:
        """The disk is briefly full, for example of another program's log."""
        ballast = self._data.parent / "ballast"
        with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(65536))
        time.sleep(self._chance.uniform(0.5, 2))
        ballast.unlink(missing_ok=True)

    def cache_corrupted(self) -> None:
        """A worn SD card returns wrong bytes after a power cut."""
        with self._unit.while_down():
            for path in self._data.glob("response_cache.db*"):
                data = bytearray(path.read_bytes())
                for _ in range(20):
                    if data:
                        data[self._chance.randrange(len(data))] ^= 255
                path.write_bytes(data)

    def clock_jumped(self) -> None:
        """The clock of a board without a battery is set late; a technician sets it back."""
        assert self._clock is not None
        hours = self._chance.choice((-48, -1, 1, 24 * 400))
        self._clock.write_text(f"{hours:+d}h\n")
