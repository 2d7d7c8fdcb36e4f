"""The processor's cores, and which of them the engine computes on.

    RK3588    4 Cortex-A76, capacity about 1000        a step ends when its slowest core does: the engine uses the A76
              4 Cortex-A55, capacity about 400         and leaves the A55 to the front, tokenising, cameras
    Orin NX   8 Cortex-A78AE, fewer in some modes      the engine uses all that are online

Only reads the board's files; changes nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from youtu_edge.board_files import BoardFiles
from youtu_edge.cpu_quota import cpu_quota

_CPU = "sys/devices/system/cpu"
_SLOW_SHARE = 2 / 3
"""A core below this share of the fastest core's speed counts as slow. Cores of one kind differ by a few per cent."""
_ARM = 0x41
_LITTLE_PER_CLOCK = 0.5
"""Work per clock of a little core, relative to the big core beside it; device trees say 530 of 1024 for A55."""
_LITTLE = {0xD03: "Cortex-A53", 0xD04: "Cortex-A35", 0xD05: "Cortex-A55", 0xD46: "Cortex-A510", 0xD80: "Cortex-A520"}
_PARTS = _LITTLE | {
    0xD07: "Cortex-A57",
    0xD08: "Cortex-A72",
    0xD09: "Cortex-A73",
    0xD0A: "Cortex-A75",
    0xD0B: "Cortex-A76",
    0xD0C: "Neoverse-N1",
    0xD0D: "Cortex-A77",
    0xD0E: "Cortex-A76AE",
    0xD40: "Neoverse-V1",
    0xD41: "Cortex-A78",
    0xD42: "Cortex-A78AE",
    0xD44: "Cortex-X1",
    0xD47: "Cortex-A710",
    0xD49: "Neoverse-N2",
    0xD4B: "Cortex-A78C",
    0xD4D: "Cortex-A715",
    0xD4F: "Neoverse-V2",
    0xD81: "Cortex-A720",
}
"""Part numbers in MIDR_EL1 of cores that Arm designed (their Technical Reference Manuals)."""


class Core(NamedTuple):
    """One core that is online."""

    number: int
    name: str
    """Such as "Cortex-A76"; "core" if the processor does not say."""
    speed: float
    """Comparable among the cores of one processor only."""


@dataclass(frozen=True)
class Processor:
    """The cores that are online, and how many are switched off, by a power mode or by hand."""

    cores: tuple[Core, ...]
    num_offline: int

    def fast(self, allowed: Collection[int]) -> frozenset[int]:
        """Those of `allowed` that are not slow compared with the fastest of them; all of them if any core is unknown."""
        speeds = {core.number: core.speed for core in self.cores if core.number in allowed}
        if len(speeds) < len(allowed):
            return frozenset(allowed)
        least = max(speeds.values(), default=0.0) * _SLOW_SHARE
        return frozenset(number for number, speed in speeds.items() if speed >= least)

    def __str__(self) -> str:
        """Such as "4x Cortex-A76 (4-7), 4x Cortex-A55 (0-3)", the fastest first."""
        kinds: dict[tuple[bool, str], list[int]] = {}
        fast = self.fast([core.number for core in self.cores])
        for core in sorted(self.cores, key=lambda core: (core.number not in fast, core.number)):
            kinds.setdefault((core.number in fast, core.name), []).append(core.number)
        shown = ", ".join(f"{len(numbers)}x {name} ({ranges(numbers)})" for (_, name), numbers in kinds.items())
        return f"{shown}, {self.num_offline} offline" if self.num_offline else shown


@dataclass(frozen=True)
class ComputeCores:
    """The cores that the engine computes on, and its number of threads."""

    cores: frozenset[int]
    threads: int


def read_processor(files: BoardFiles) -> Processor:
    """The processor as /sys describes it; without cores if /sys says nothing. Never raises."""
    numbers = parse_ranges(files.text(f"{_CPU}/online") or "")
    parts = {number: _part(files, number) for number in numbers}
    speeds = _speeds(files, numbers, parts)
    other = _model_name(files)
    cores = tuple(Core(number, _PARTS.get(parts[number] or 0, other), speeds[number]) for number in numbers)
    present = parse_ranges(files.text(f"{_CPU}/present") or "")
    return Processor(cores, len(set(present) - set(numbers)))


def compute_cores(threads: int, files: BoardFiles) -> ComputeCores:
    """Resolve `engine.threads` for this process: 0 is one thread per fast core that it may use.

    Its affinity (taskset, CPUAffinity=, cpusets) limits which cores it may use, the quota of its cgroup how many at once.
    Any other number is used unchanged, on all cores that the process may use.
    """
    allowed = frozenset(os.sched_getaffinity(0))
    if threads:
        return ComputeCores(allowed, threads)
    cores = read_processor(files).fast(allowed)
    quota = cpu_quota(files)
    return ComputeCores(cores, len(cores) if quota is None else max(1, min(len(cores), int(quota))))


def parse_ranges(text: str) -> list[int]:
    """Numbers of a list such as "0-3,6"; [] for anything else."""
    if not re.fullmatch(r"\d{1,4}(-\d{1,4})?(,\d{1,4}(-\d{1,4})?)*", text):
        return []
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return sorted(found)


def ranges(numbers: Iterable[int]) -> str:
    """A list such as "0-3,6"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def _part(files: BoardFiles, number: int) -> int | None:
    """The part number of a core that Arm designed; None for others."""
    text = files.text(f"{_CPU}/cpu{number}/regs/identification/midr_el1") or ""
    if not re.fullmatch(r"0x[0-9a-fA-F]{1,16}", text):
        return None
    register = int(text, 16)  # implementer 31:24, variant 23:20, architecture 19:16, part 15:4, revision 3:0
    return register >> 4 & 0xFFF if register >> 24 & 0xFF == _ARM else None


def _model_name(files: BoardFiles) -> str:
    """The name that processors other than Arm's report."""
    found = re.search(r"^model name\s*: *(.+)$", files.text("proc/cpuinfo") or "", re.MULTILINE)
    return " ".join(found[1].split()) if found else "core"


def _speeds(files: BoardFiles, numbers: list[int], parts: dict[int, int | None]) -> dict[int, float]:
    """From the kernel's capacities, else from the maximum clocks and the work per clock of each kind of core."""
    capacities = {number: files.number(f"{_CPU}/cpu{number}/cpu_capacity") for number in numbers}
    if all(capacities.values()):
        return {number: float(capacity or 0) for number, capacity in capacities.items()}
    clocks = {number: files.number(f"{_CPU}/cpu{number}/cpufreq/cpuinfo_max_freq") for number in numbers}
    is_known = all(clocks.values())
    return {
        number: (clocks[number] or 0 if is_known else 1) * (_LITTLE_PER_CLOCK if parts[number] in _LITTLE else 1.0)
        for number in numbers
    }
