"""Placement of the compute threads when another process competes for one of their cores.

The operators tolerate a worker that loses its core: the calling thread does its tasks. They cannot proceed without the
calling thread. The kernel's scheduler treats all threads alike, so a calling thread that had to wait swaps cores with a
worker, which then shares its core with the other process.

    core 0   calling thread | camera          core 0   worker | camera
    core 1   worker                    ->     core 1   calling thread

All threads stay on the cores chosen at the start (`stay_on`).
"""

from __future__ import annotations

import logging
import os
import resource
import threading
from collections.abc import Set as AbstractSet
from pathlib import Path

from youtu_edge.cores import ranges
from youtu_edge.log import line

log = logging.getLogger(__name__)

_TASKS = Path("/proc/self/task")
_STATISTICS = Path("/proc/thread-self/schedstat")
_WORKER = "youtu-ops"  # thread name set by the operator library
_LONG_WAIT_NS = 1_000_000  # a shorter wait costs less than the move, which loses the core's cache contents


def _involuntary_switches() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _waited_ns() -> int:
    """How long this thread has waited, runnable, for a core."""
    return int(_STATISTICS.read_text().split()[1])


def _core_of(task: str) -> int:
    """The core on which a thread of this process runs or last ran."""
    return int((_TASKS / task / "stat").read_text().rpartition(")")[2].split()[36])


def stay_on(cores: AbstractSet[int]) -> None:
    """Pin this thread, and those that it starts later, to these cores; logs a warning if that is not permitted."""
    if cores == os.sched_getaffinity(0):
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:  # a seccomp filter, or the cores have just been taken away
        log.warning(line("cores_not_chosen", wanted=ranges(cores), reason=error.strerror))


class Placement:
    """For the thread that calls the operators, after each call; takes 1 µs unless the thread lost its core."""

    def __init__(self) -> None:
        self.moves = 0
        self._cores = os.sched_getaffinity(0)
        self._switches = _involuntary_switches()
        self._sharing: str | None = None  # the worker pinned to the contended core
        try:
            self._waited = _waited_ns()
        except OSError:  # the kernel lacks these statistics
            self._cores = set()

    def adjust(self) -> None:
        """Swap cores with a worker if this thread had to wait for its core since the last call."""
        switches = _involuntary_switches()
        if switches == self._switches or len(self._cores) < 2:
            return
        self._switches = switches
        waited, before = _waited_ns(), self._waited
        self._waited = waited
        if waited - before >= _LONG_WAIT_NS:
            try:
                self._change_places()
            except OSError:  # not permitted, or the set of cores has changed
                self._cores = set()

    def _change_places(self) -> None:
        names = {task.name: (task / "comm").read_text().strip() for task in _TASKS.iterdir()}
        ours = _core_of(str(threading.get_native_id()))
        workers = sorted(name for name, comm in names.items() if comm == _WORKER)
        elsewhere = [name for name in workers if _core_of(name) != ours]
        if not elsewhere or ours not in self._cores:  # the latter: another process changed our affinity
            return
        if self._sharing is not None and self._sharing in workers:
            os.sched_setaffinity(int(self._sharing), self._cores)
        self._sharing = elsewhere[0]
        os.sched_setaffinity(int(self._sharing), {ours})
        os.sched_setaffinity(0, self._cores - {ours})
        self.moves += 1
