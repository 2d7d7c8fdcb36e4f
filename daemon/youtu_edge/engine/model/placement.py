"""Where the computing threads run when another process wants one of their cores.

The operators survive a worker that loses its core: the calling thread does its tasks. They cannot do without the calling
thread. The system's scheduler does not know that and lets all of them wait in turn, so the calling thread changes places
with a worker when it had to wait: the worker then shares the core with the other process.

    core 0   calling thread | camera          core 0   worker | camera
    core 1   worker                    ->     core 1   calling thread

All of them stay on the cores that were chosen for them at the start (`stay_on`).
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
_WORKER = "youtu-ops"  # the name that the operator library gives its threads
_LONG_WAIT_NS = 1_000_000  # shorter ones cost less than the move, which empties a cache


def _involuntary_switches() -> int:
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


def _waited_ns() -> int:
    """How long this thread was ready to run and did not."""
    return int(_STATISTICS.read_text().split()[1])


def _core_of(task: str) -> int:
    """The core that a thread of this process runs on, or ran on last."""
    return int((_TASKS / task / "stat").read_text().rpartition(")")[2].split()[36])


def stay_on(cores: AbstractSet[int]) -> None:
    """Let this thread, and those that it starts from now on, run on these cores only; the log tells if it may not."""
    if cores == os.sched_getaffinity(0):
        return
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:  # a filter of system calls; or the cores were taken away a moment ago
        log.warning(line("cores_not_chosen", wanted=ranges(cores), reason=error.strerror))


class Placement:
    """Used by the thread that calls the operators, after each call; costs a microsecond unless it lost its core."""

    def __init__(self) -> None:
        self.moves = 0
        self._cores = os.sched_getaffinity(0)
        self._switches = _involuntary_switches()
        self._sharing: str | None = None  # the worker that was given the core in demand
        try:
            self._waited = _waited_ns()
        except OSError:  # a kernel without these statistics
            self._cores = set()

    def adjust(self) -> None:
        """Change places with a worker if this thread had to wait for its core since the last call."""
        switches = _involuntary_switches()
        if switches == self._switches or len(self._cores) < 2:
            return
        self._switches = switches
        waited, before = _waited_ns(), self._waited
        self._waited = waited
        if waited - before >= _LONG_WAIT_NS:
            try:
                self._change_places()
            except OSError:  # not allowed here, or the cores are others now
                self._cores = set()

    def _change_places(self) -> None:
        names = {task.name: (task / "comm").read_text().strip() for task in _TASKS.iterdir()}
        ours = _core_of(str(threading.get_native_id()))
        workers = sorted(name for name, comm in names.items() if comm == _WORKER)
        elsewhere = [name for name in workers if _core_of(name) != ours]
        if not elsewhere or ours not in self._cores:  # the latter: somebody else moved us, or took cores away
            return
        if self._sharing is not None and self._sharing in workers:
            os.sched_setaffinity(int(self._sharing), self._cores)
        self._sharing = elsewhere[0]
        os.sched_setaffinity(int(self._sharing), {ours})
        os.sched_setaffinity(0, self._cores - {ours})
        self.moves += 1
