"""This process's memory towards the system: what it holds, what it may take, what it can give back."""

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
    """What the kernel counts, in bytes."""

    resident: int
    anonymous: int
    """The part of `resident` that is no file's."""
    data: int
    """Private writable mappings, touched or not: what RLIMIT_DATA is compared with."""


def holding(proc: Path = Path("/proc")) -> Holding:
    """Memory of this process now."""
    status = (proc / "self/status").read_text()
    kib = {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE)}
    return Holding(kib["VmRSS"] * 1024, kib["RssAnon"] * 1024, kib["VmData"] * 1024)


def available_memory(proc: Path = Path("/proc")) -> int:
    """Bytes that this machine's programs can still get without swapping."""
    found = re.search(r"^MemAvailable:\s+(\d+) kB$", (proc / "meminfo").read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def untouched_bytes(path: Path, proc: Path = Path("/proc")) -> int:
    """Of a file that is mapped into this process, what no access has made resident yet."""
    total, is_ours = 0, False
    for text in (proc / "self/smaps").read_text().splitlines():
        name, *values = text.split()
        if not name.endswith(":"):
            is_ours = text.endswith(f" {path.resolve()}")
        elif is_ours and name in ("Size:", "Rss:"):
            total += int(values[0]) * (1024 if name == "Size:" else -1024)
    return total


def free_data(proc: Path = Path("/proc")) -> int:
    """Bytes of private memory that this process may still take before an allocation fails; takes microseconds."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0]
    if limit == resource.RLIM_INFINITY:
        return sys.maxsize
    pages = int((proc / "self/statm").read_text().split()[5])
    return max(0, limit - pages * resource.getpagesize())


@contextlib.contextmanager
def less_data(size: int) -> Iterator[None]:
    """At most `size` bytes more of private memory for the length of the block."""
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
    """Let allocations that would take private memory beyond the limit fail, instead of the kernel killing somebody later.

    False when the process may not, or holds more already: the limit is not changed then.
    """
    if limit_bytes < holding().data:
        return False
    try:
        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, hard))
    except (OSError, ValueError):
        return False
    return True
