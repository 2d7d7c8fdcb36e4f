"""Memory and descriptors of a daemon at rest."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from daemon_process import Daemon

MIB = 1024 * 1024
SHARE, SPARE = 0.15, 8 * MIB
"""So much more than before may stay: code pages and tables that were used for the first time."""
SPARE_DESCRIPTORS = 2


def _rss(pid: int) -> int:
    found = re.search(r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found.group(1)) * 1024 if found else 0


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())


@dataclass(frozen=True)
class State:
    """RSS in bytes, and descriptors."""

    front: int = 0
    engine: int = 0
    front_descriptors: int = 0
    engine_descriptors: int = 0

    @staticmethod
    def of(daemon: Daemon) -> State:
        """Now. All zero without the process."""
        try:
            front, engine = daemon.process.pid, daemon.engine_pid
            return State(_rss(front), _rss(engine), _descriptors(front), _descriptors(engine))
        except (OSError, IndexError):
            return State()

    def bound(self) -> State:
        """The most that may be left after a run."""
        front, engine = (int(value * (1 + SHARE)) + SPARE for value in (self.front, self.engine))
        return State(front, engine, self.front_descriptors + SPARE_DESCRIPTORS, self.engine_descriptors + SPARE_DESCRIPTORS)

    def beyond(self, bound: State) -> Iterator[str]:
        """What is more than the bound allows."""
        for process in ("front", "engine"):
            if (rss := getattr(self, process)) > (most := getattr(bound, process)):
                yield f"RSS of the {process} at rest is {rss // MIB} MiB; {most // MIB} are allowed after what it was"
            if (count := getattr(self, f"{process}_descriptors")) > (most := getattr(bound, f"{process}_descriptors")):
                yield f"the {process} has {count} descriptors at rest; {most} are allowed after what it had before"

    def __str__(self) -> str:
        return (
            f"front {self.front // MIB} MiB, {self.front_descriptors} descriptors; "
            f"engine {self.engine // MIB} MiB, {self.engine_descriptors} descriptors"
        )


def settle(daemon: Daemon, bound: State, timeout_s: float) -> State:
    """The state once it is within the bound, or after the timeout."""
    end = time.monotonic() + timeout_s
    while any((now := State.of(daemon)).beyond(bound)) and time.monotonic() < end:
        time.sleep(0.5)
    return now
