"""What the machine did meanwhile: how late threads woke up, and how long the daemon waited for processors that others had.

A gap in an answer is the daemon's fault only as far as the machine let the daemon run. `Load` samples that beside the
measurement: the delay of a thread that only sleeps (a machine that stood still), the time that threads of the daemon were
ready and did not run, and the processor time of all processes that do not belong to the daemon (the fuzzer's own included).
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_NAP_S = 0.01
_EVERY = 10
"""Naps between two looks at the processes."""
_KEPT = 20_000
"""Naps that are remembered: minutes."""


def descendants(pid: int) -> list[int]:
    """The process and all below it, as far as they still exist; the engine comes second."""
    found = [pid]
    for parent in found:
        try:
            for task in Path(f"/proc/{parent}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def cpu_seconds(pids: list[int]) -> float:
    """Processor time of the processes and of those of their children that have ended."""
    total = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total += sum(int(value) for value in fields[11:15])
    return total / _TICKS


def busy_seconds() -> float:
    """Processor time of the whole machine."""
    values = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(values) - values[3] - values[4]) / _TICKS


def waited_ns(pids: list[int]) -> dict[str, int]:
    """Nanoseconds that each thread of the processes was ready to run and did not, since it began."""
    found = {}
    for pid in pids:
        try:
            for task in Path(f"/proc/{pid}/task").iterdir():
                found[task.name] = int((task / "schedstat").read_text().split()[1])
        except (OSError, IndexError):
            continue
    return found


def cpu_pressure_s() -> float:
    """Seconds since boot in which some task waited for a processor (pressure stall information); 0 where it is not told."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except (OSError, IndexError):
        return 0.0


@dataclass(frozen=True)
class Sample:
    """At a moment of the monotonic clock; sums since others began."""

    at: float
    others_s: float
    waited_ns: dict[str, int] = field(default_factory=dict)


class Load(threading.Thread):
    """Samples until the process ends."""

    def __init__(self, daemon_pid: int) -> None:
        super().__init__(daemon=True)
        self.worst_delay_s = 0.0
        self._daemon_pid = daemon_pid
        self._delays: deque[tuple[float, float]] = deque(maxlen=_KEPT)
        self._samples: deque[Sample] = deque(maxlen=_KEPT // _EVERY)
        self._daemon_s = 0.0
        self._first = self._sample(time.monotonic())
        self.start()

    def run(self) -> None:
        """Sleep, see how late it was; now and then see who used the processors."""
        before = time.monotonic()
        for count in itertools.count(1):
            time.sleep(_NAP_S)
            now = time.monotonic()
            delay = max(0.0, now - before - _NAP_S)
            self._delays.append((now, delay))
            self.worst_delay_s = max(self.worst_delay_s, delay)
            if count % _EVERY == 0:
                self._samples.append(self._sample(now))
            before = time.monotonic()

    def _sample(self, now: float) -> Sample:
        processes = descendants(self._daemon_pid)
        self._daemon_s = max(self._daemon_s, cpu_seconds(processes))
        return Sample(now, busy_seconds() - self._daemon_s, waited_ns(processes[:2]))  # front and engine

    def delay(self, begin: float, end: float) -> float:
        """Seconds of begin..end (monotonic) in which a thread that wanted to wake up did not."""
        found = sum(delay for at, delay in list(self._delays) if begin < at and at - delay < end and delay > _NAP_S)
        return min(end - begin, found)

    def _around(self, begin: float, end: float) -> tuple[Sample, Sample]:
        samples = [self._first, *self._samples]
        before = [sample for sample in samples if sample.at <= begin]
        after = [sample for sample in samples if sample.at >= end]
        return before[-1] if before else samples[0], after[0] if after else samples[-1]

    def others(self, begin: float, end: float) -> float:
        """Cores that others than the daemon used from begin to end, on the average."""
        first, last = self._around(begin, end)
        return max(0.0, last.others_s - first.others_s) / max(last.at - first.at, 1e-9)

    def others_in_all(self) -> float:
        """The same since the beginning."""
        last = self._sample(time.monotonic())
        return (last.others_s - self._first.others_s) / (last.at - self._first.at)

    def waited(self, begin: float, end: float) -> float:
        """Seconds that one thread of front or engine, the one that fared worst, was ready and had no processor."""
        first, last = self._around(begin, end)
        waits = [wait - first.waited_ns.get(thread, wait) for thread, wait in last.waited_ns.items()]
        return min(end - begin, max(waits, default=0) / 1e9)

    def counted(self, begin: float, end: float) -> float:
        """Seconds of the gap begin..end that are the daemon's.

        Not those in which the machine stood still, nor those in which the daemon waited for a processor that others had.
        """
        elsewhere = min(self.waited(begin, end), self.others(begin, end) * (end - begin))
        return max(0.0, end - begin - max(self.delay(begin, end), elsewhere))

    def told(self, begin: float, end: float) -> dict[str, float]:
        """The figures behind `counted`."""
        return {
            "delay": round(self.delay(begin, end), 2),
            "waited": round(self.waited(begin, end), 2),
            "others": round(self.others(begin, end), 2),
        }
