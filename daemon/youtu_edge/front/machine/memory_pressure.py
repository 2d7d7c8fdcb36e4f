"""How short of memory the machine is: MemAvailable and pressure stall information (PSI). Reads files, decides nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class MemoryPressure:
    """One reading."""

    total: int
    available: int
    """Bytes that programs can still get without swapping: MemAvailable."""
    stall_percent: float
    """Share of the last 10 s in which some task waited for memory; the larger of the machine's and our cgroup's."""

    @property
    def available_fraction(self) -> float:
        """Fraction of the machine's memory; 1 if the kernel does not report it."""
        return self.available / self.total if self.total else 1.0


class MemoryPressureReader:
    """`proc` and `cgroup` are /proc and /sys/fs/cgroup, or recorded trees. What is missing counts as no pressure."""

    def __init__(self, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> None:
        self._proc = proc
        self._stall_files = [proc / "pressure/memory"]
        for entry in _text(proc / "self/cgroup").splitlines():
            _, controllers, path = entry.split(":", 2)
            if not controllers:  # cgroup v2; v1 has no pressure of its own
                self._stall_files += [root / path.lstrip("/") / "memory.pressure" for root in (cgroup, cgroup / "unified")]

    def read(self) -> MemoryPressure:
        """The current values."""
        kib = dict(re.findall(r"^(Mem\w+):\s+(\d+) kB$", _text(self._proc / "meminfo"), re.MULTILINE))
        total = int(kib.get("MemTotal", 0)) * 1024
        available = int(kib["MemAvailable"]) * 1024 if "MemAvailable" in kib else total
        return MemoryPressure(total, available, max(map(_stall, self._stall_files)))


def _stall(path: Path) -> float:
    found = re.search(r"^some avg10=([0-9.]+)", _text(path), re.MULTILINE)
    return float(found.group(1)) if found else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
