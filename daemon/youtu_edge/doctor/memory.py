"""Memory: what the machine has, what limits us, and whether the model's weights can fit the budget."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from youtu_edge.doctor.finding import Finding, fail, ok, warn
from youtu_edge.doctor.surroundings import Surroundings, size
from youtu_edge.engine.memory.budget import (
    FRONT_BYTES,
    TEXT_IDLE_BYTES,
    TEXT_WORKER_BYTES,
    budget_bytes,
    device_memory,
    own_limit,
)
from youtu_edge.errors import YoutuEdgeError
from youtu_edge.package import WEIGHTS, read_manifest
from youtu_edge.process_limits import FRONT, LIBRARIES, check_room, described_limits

_MIB = 1024 * 1024


def examine(surroundings: Surroundings) -> Iterator[Finding]:
    """The limits of this process stand for the daemon's, which inherits them from whatever starts it."""
    config, places = surroundings.config, (surroundings.proc, surroundings.cgroup)
    device, own, budget = device_memory(*places), own_limit(*places), budget_bytes(config, *places)
    available = _available(surroundings)
    limited = f", the cgroup allows {size(own)}" if own < device else ""
    free = "" if available is None else f", {size(available)} available now"
    yield ok(f"{size(device)}{free}{limited}; budget of the daemon {size(budget)}")
    if budget > min(device, own):
        yield fail(
            f"memory.limit {config.memory.limit} exceeds the {size(min(device, own))} that this machine allows: the "
            "kernel would kill the daemon; lower it, or delete it to use memory.fraction"
        )
    weights = _weights(config.model.path)
    least = FRONT_BYTES + TEXT_IDLE_BYTES + TEXT_WORKER_BYTES + weights
    if weights and least >= budget:
        yield fail(
            f"the budget of {budget // _MIB} MiB is too small for this model: its weights and the processes around them "
            f"need {-(-least // _MIB)} MiB, besides cache and runtime; raise memory.limit, memory.fraction or the limit of "
            "the cgroup, or choose a smaller model or recipe"
        )
    if available is not None and available < config.memory.min_available * device:
        yield warn(
            f"only {size(available)} available: below memory.min_available the daemon sheds load; `ps aux --sort=-rss` "
            "shows what uses it"
        )
    if limits := described_limits():
        try:
            for room, what in ((FRONT, "the front"), (LIBRARIES, "the engine, without its model,")):
                check_room(room, what)
        except YoutuEdgeError as error:
            yield fail(error.message)
        else:
            yield warn(f"this process has limits that a daemon started here would inherit: {limits}; remove them")


def _available(surroundings: Surroundings) -> int | None:
    found = re.search(r"MemAvailable:\s+(\d+) kB", surroundings.files.text("proc/meminfo") or "")
    return int(found.group(1)) * 1024 if found else None


def _weights(path: str) -> int:
    """0 without a package, which is examined separately."""
    try:
        return read_manifest(Path(path)).files[WEIGHTS].size
    except YoutuEdgeError:
        return 0
