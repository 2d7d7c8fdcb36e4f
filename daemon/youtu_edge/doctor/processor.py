"""The cores, and which of them the engine would compute on."""

from __future__ import annotations

import os
from collections.abc import Iterator

from youtu_edge.cores import compute_cores, ranges, read_processor
from youtu_edge.cpu_quota import cpu_quota
from youtu_edge.doctor.finding import Finding, ok, warn
from youtu_edge.doctor.surroundings import Surroundings


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """For the affinity of this process; that of the unit may differ."""
    processor, configured = read_processor(surroundings.files), surroundings.config.engine.threads
    compute = compute_cores(configured, surroundings.files)
    quota = cpu_quota(surroundings.files)
    limited = "" if quota is None else f"; the cgroup's quota is {quota:g} cores"
    threads = f"{compute.threads} threads" if compute.threads > 1 else "one thread"
    described = str(processor) or "not described in /sys"
    yield ok(f"{described}; the engine uses {threads} on {ranges(compute.cores)}{limited}")
    allowed = os.sched_getaffinity(0)
    everywhere = processor.fast([core.number for core in processor.cores])
    fast = processor.fast(allowed)
    if everywhere and not allowed & everywhere:
        yield warn(
            f"this process may only use slow cores ({ranges(allowed)}); let it use {ranges(everywhere)} "
            "(taskset, CPUAffinity= of the unit, cpusets)"
        )
    if configured > len(allowed):
        yield warn(f"engine.threads {configured} exceeds the {len(allowed)} usable cores; set it to 0")
    elif configured > len(fast):
        yield warn(
            f"engine.threads {configured} uses slow cores beside the {len(fast)} fast ones, and a step ends when its "
            "slowest core does; set it to 0"
        )
    if quota is not None and compute.threads > max(1.0, quota):
        yield warn(f"engine.threads {configured} exceeds the cgroup's quota of {quota:g} cores; set it to 0")
