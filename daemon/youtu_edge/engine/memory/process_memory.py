"""This process's memory as the kernel accounts for it: resident, private, and its limit."""

from __future__ import annotations

import contextlib
import re
import resource
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Holding:
    """The kernel's figures for this process, in bytes."""

    resident: int
    anonymous: int
    """The part of `resident` that is not file-backed."""
    data: int
    """Private writable mappings, resident or not: what RLIMIT_DATA limits."""


def holding(proc: Path = Path("/proc")) -> Holding:
    """The current memory of this process."""
    status = (proc / "self/status").read_text()
    kib = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)}
    return Holding(kib["VmRSS"] * 1024, kib["RssAnon"] * 1024, kib["VmData"] * 1024)


def available_memory(proc: Path = Path("/proc")) -> int:
    """Bytes that programs on this machine can still allocate without swapping."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", (proc / "meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def untouched_bytes(path: Path, proc: Path = Path("/proc")) -> int:
    """Bytes of a file mapped into this process that are not resident yet."""
    total, is_ours = 0, False
    for text in (proc / "self/smaps").read_text().splitlines():
        name, *values = text.split()
        if not name.endswith(":"):
            is_ours = text.endswith(f" {path.resolve()}")
        elif is_ours and name in ("Size:", "Rss:"):
            total += int(values[0]) * (1024 if name == "Size:" else -1024)
    return total


def free_data(proc: Path = Path("/proc")) -> int:
    """Bytes of private memory that this process may still allocate below RLIMIT_DATA; the call takes microseconds."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    pages = int((proc / "self/statm").read_text().split()[5])
    return max(0, limit - pages * resource.getpagesize())


@contextlib.contextmanager
def less_data(size: int) -> Iterator[None]:
    """Limit private memory to `size` bytes more than now, within the `with` block."""
    limits = resource.getrlimit(resource.RLIMIT_DATA)
    more = holding().data + size
    resource.setrlimit(
        resource.RLIMIT_DATA, (more if limits[0] == resource.RLIM_INFINITY else min(more, limits[0]), limits[1])
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, limits)


def limit_data(limit_bytes: int) -> bool:
    """Set RLIMIT_DATA, so that allocations beyond it fail instead of the kernel killing a process later.

    Returns False, and changes nothing, if this process may not set it or holds more already.
    """
    if limit_bytes < holding().data:
        return False
    try:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
    except (OSError, ValueError):
        return False
    return True
