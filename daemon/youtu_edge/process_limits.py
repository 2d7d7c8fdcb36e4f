"""The kernel's limits on this process's own memory (ulimit, LimitDATA=, LimitAS=): whether they are high enough, and how to
recognise an allocation that failed because of them. Imports nothing large, which could itself exceed a limit.
"""

from __future__ import annotations

import errno
import os
import re
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from youtu_edge.errors import ConfigError

_MIB = 1024 * 1024
_NO_MEMORY = re.compile(
    r"allocate memory|failed to map segment|start new thread|bad_?alloc|cannot create thread", re.IGNORECASE
)


class Room(NamedTuple):
    """Bytes of one process, as its two limits count them."""

    data: int
    """Private writable memory, touched or not: RLIMIT_DATA."""
    address_space: int
    """Everything that is mapped: RLIMIT_AS."""

    def __add__(self, more: object) -> Room:
        assert isinstance(more, Room)
        return Room(self.data + more.data, self.address_space + more.address_space)


FRONT = Room(72 * _MIB, 256 * _MIB)
"""The least that the front needs: measured 64 MiB and 340 MiB, of which some allocator arenas are dispensable."""
LIBRARIES = Room(96 * _MIB, 256 * _MIB)
"""The least that the engine needs without a model: measured 145 MiB and 310 MiB with the smallest one, on two cores."""
_BESIDE_BUDGET = 256 * _MIB
_PER_CORE = 32 * _MIB
"""Stacks and heaps of the compute threads, reserved but hardly touched."""


class _Limit(NamedTuple):
    field: str
    number: int
    counted_by: str
    how_to_raise: str


_LIMITS = (
    _Limit("data", resource.RLIMIT_DATA, "VmData", "LimitDATA= of the unit, ulimit -d"),
    _Limit("address_space", resource.RLIMIT_AS, "VmSize", "LimitAS= of the unit, ulimit -v"),
)


def held(proc: Path = Path("/proc")) -> Room:
    """What this process uses now."""
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB$", (proc / "self/status").read_text(), re.MULTILINE))
    return Room(*(int(found[limit.counted_by]) * 1024 for limit in _LIMITS))


def check_room(needed: Room, what: str) -> None:
    """Raises ConfigError (exit code 78) if a limit is below `needed`; `what` names the user of it, such as "the front"."""
    for limit, allowed in _set_limits():
        least: int = getattr(needed, limit.field)
        if allowed < least:
            raise ConfigError(
                f"{what} needs {_mib(least)} of memory as {_name(limit)} counts it, but that limit is {_mib(allowed)}; "
                f"raise it ({limit.how_to_raise})"
            )


def shortage(error: BaseException, hint: str, *, enough: int | None = None) -> ConfigError | None:
    """The error to report instead of `error` if it, or its cause, is an allocation that failed because of a limit.

    None if it is anything else, or if no limit is set, or none below `enough` bytes.
    """
    allowed = [value for _, value in _set_limits()]
    if not any(enough is None or value < enough for value in allowed):
        return None
    if not any(map(_is_failed_allocation, _chain(error))):
        return None
    return ConfigError(f"not enough memory to start within the limits of this process: {described_limits()}; {hint}")


def enough_bytes(budget: int) -> int:
    """A value of either limit that is always enough for an engine whose memory is planned within a budget."""
    return budget + _BESIDE_BUDGET + len(os.sched_getaffinity(0)) * _PER_CORE


def described_limits() -> str:
    """The limits that are set, and how to raise them; "" when there are none."""
    return ", ".join(f"{_name(limit)} is {_mib(allowed)} ({limit.how_to_raise})" for limit, allowed in _set_limits())


def _set_limits() -> Iterator[tuple[_Limit, int]]:
    for limit in _LIMITS:
        allowed = resource.getrlimit(limit.number)[0]
        if allowed != resource.RLIM_INFINITY:
            yield limit, allowed


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen.add(id(one))
            waiting += [one.__cause__, one.__context__]
            yield one


def _is_failed_allocation(error: BaseException) -> bool:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return isinstance(error, Exception) and bool(_NO_MEMORY.search(str(error)))


def _name(limit: _Limit) -> str:
    return "RLIMIT_DATA" if limit.field == "data" else "RLIMIT_AS"


def _mib(count: int) -> str:
    return f"{count // _MIB} MiB"
