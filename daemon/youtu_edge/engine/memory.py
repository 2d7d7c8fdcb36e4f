"""The memory budget: how many cache pages it leaves. Reads /proc and cgroup files; knows no model.

budget  =  front  +  engine at rest (weights, runtime)  +  activations of the largest step  +  cache pages
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.config import Config, parse_bytes
from youtu_edge.errors import ConfigError

FRONT_BYTES = 60 * 1024 * 1024
"""What the front may take; a test holds it to 50 MB."""

SLACK_BYTES = 32 * 1024 * 1024
"""Address space beyond the budget that an allocation may reserve before it fails."""

_UNLIMITED = 1 << 60


def device_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that this process could use at most: the machine's memory, or its cgroup's limit where that is lower."""
    text = (proc / "meminfo").read_text()
    found = re.search(r"MemTotal:\s+(\d+) kB", text)
    limits = [int(found.group(1)) * 1024 if found else _UNLIMITED]
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            limits += _limits_up(cgroup, path, "memory.max")
        elif "memory" in controllers.split(","):
            limits += _limits_up(cgroup / "memory", path, "memory.limit_in_bytes")
    return min(limits)


def _limits_up(root: Path, path: str, name: str) -> list[int]:
    """Limits of a cgroup and of everything above it."""
    found = []
    here = root / path.lstrip("/")
    while True:
        try:
            text = (here / name).read_text().strip()
        except OSError:
            text = ""
        if text.isdigit():
            found.append(int(text))
        if here == root or root not in here.parents:
            return found
        here = here.parent


def budget_bytes(config: Config) -> int:
    """What memory.limit, or memory.fraction of the device, allows both processes together."""
    if config.memory.limit:
        return parse_bytes(config.memory.limit)
    return int(device_memory() * config.memory.fraction)


@dataclass(frozen=True)
class MemoryPlan:
    """The split of the budget, in bytes."""

    budget: int
    rest: int
    weights: int
    """The part of `rest` that is weights; the other is code, libraries, tokenizer and tables."""
    activations: int
    page_bytes: int
    num_pages: int

    def as_dict(self) -> dict[str, int]:
        """For logs, /metrics and /v1/status."""
        return {
            "budget": self.budget,
            "front": FRONT_BYTES,
            "weights": self.weights,
            "runtime": self.rest - self.weights,
            "activations": self.activations,
            "cache": self.num_pages * self.page_bytes,
        }

    @property
    def growth(self) -> int:
        """Bytes of address space that the engine may take after loading, its cache being mapped already.

        Allocators reserve more than they use, hence SLACK_BYTES; MemoryMax of the unit leaves more than that.
        """
        return self.budget - FRONT_BYTES - self.rest - self.num_pages * self.page_bytes + SLACK_BYTES


def plan_memory(config: Config, *, rest: int, weights: int, activations: int, page_bytes: int) -> MemoryPlan:
    """Cache pages that fit. Raises ConfigError when not even one sequence of a few pages does."""
    budget = budget_bytes(config)
    left = budget - FRONT_BYTES - rest - activations
    num_pages = min(config.model.kv_cache_max_page, left // page_bytes)
    least = 2
    if num_pages < least:
        needed = FRONT_BYTES + rest + activations + least * page_bytes
        raise ConfigError(
            f"memory: the budget of {budget // 2**20} MiB is too small for this model: weights and runtime take "
            f"{rest // 2**20} MiB, a step {activations // 2**20} MiB, the front {FRONT_BYTES // 2**20} MiB; "
            f"set memory.limit to at least {-(-needed // 2**20)}M or raise memory.fraction"
        )
    return MemoryPlan(budget, rest, min(weights, rest), activations, page_bytes, int(num_pages))
