"""Memory of a process as the kernel counts it. Linux only."""

from __future__ import annotations

from pathlib import Path


def resident_bytes(pid: int | None) -> int:
    """Resident set size (VmRSS) in bytes; 0 for a process that is gone."""
    return _status_bytes(pid, "VmRSS:")


def anonymous_bytes(pid: int | None) -> int:
    """The part of the resident set without files (RssAnon) in bytes; 0 for a process that is gone."""
    return _status_bytes(pid, "RssAnon:")


def _status_bytes(pid: int | None, name: str) -> int:
    if pid is None:
        return 0
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for entry in status.splitlines():
        if entry.startswith(name):
            return int(entry.split()[1]) * 1024
    return 0
