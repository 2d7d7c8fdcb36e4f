"""The memory budget: how many cache pages it leaves. Reads /proc and cgroup files.

budget  =  front  +  engine at rest (weights, runtime)  +  activations of the largest step  +  grammars  +  cache pages
           +  workers on the text of requests
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.config import Config
from youtu_edge.errors import ConfigError

FRONT_BYTES = 68 * 1024 * 1024
"""What the front may take: a test holds it to 50 MB, and 2,000 connections take 18 more."""

SLACK_BYTES = 64 * 1024 * 1024
"""Address space beyond the budget that an allocation may reserve before it fails."""

TEXT_IDLE_BYTES = 8 * 1024 * 1024
"""What the fork server and one idle worker hold that is not the engine's: measured 6 MB."""

TEXT_WORKER_BYTES = 16 * 1024 * 1024
"""What a worker may take for the text of any request."""
TEXT_BYTES_PER_TOKEN = 1536
"""What rendering and tokenising takes: the tokenizer 100 to 400 bytes for one of text, of which a token has 3 to 5."""
_FIXED_BYTES = FRONT_BYTES + TEXT_IDLE_BYTES + TEXT_WORKER_BYTES

_LEAST_PAGES = 2
_UNLIMITED = 1 << 60

HEADROOM_BYTES = 64 * 1024 * 1024
"""What a limit on our own cgroup is above the budget: MemoryMax= of the systemd unit, for example."""


def device_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes of the machine, or of a cgroup above ours where that allows less: what we share with others."""
    found = re.search(r"MemTotal:\s+(\d+) kB", (proc / "meminfo").read_text())
    machine = int(found.group(1)) * 1024 if found else _UNLIMITED
    return min([machine, *(limit for _, *above in _cgroup_limits(proc, cgroup) for limit in above)])


def own_limit(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes that our own cgroup may hold: a limit that was set for us alone."""
    return min((limits[0] for limits in _cgroup_limits(proc, cgroup)), default=_UNLIMITED)


def _cgroup_limits(proc: Path, cgroup: Path) -> list[list[int]]:
    """Limits of our cgroup and of those above it, in this order, for every hierarchy that limits memory."""
    found = []
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            found.append(_limits_up(cgroup, path, "memory.max"))
        elif "memory" in controllers.split(","):
            found.append(_limits_up(cgroup / "memory", path, "memory.limit_in_bytes"))
    return found


def _limits_up(root: Path, path: str, name: str) -> list[int]:
    """Limits of a cgroup and of everything above it; what has none counts as unlimited.

    A container may see its own cgroup as the root, and still the path that it has outside.
    """
    found = []
    here = root / path.lstrip("/")
    if not here.is_dir():
        here = root
    while True:
        try:
            text = (here / name).read_text().strip()
        except OSError:
            text = ""
        found.append(int(text) if text.isdigit() else _UNLIMITED)
        if here == root or root not in here.parents:
            return found
        here = here.parent


def budget_bytes(config: Config, proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """What memory.limit, or memory.fraction of the device, allows both processes together.

    A limit on our own cgroup caps the fraction and is not divided again: the unit's MemoryMax= follows from the same key.
    """
    if (limit := config.memory.limit_bytes) is not None:
        return limit
    return min(int(device_memory(proc, cgroup) * config.memory.fraction), max(1, own_limit(proc, cgroup) - HEADROOM_BYTES))


@dataclass(frozen=True)
class MemoryPlan:
    """The split of the budget, in bytes."""

    budget: int
    rest: int
    weights: int
    """The part of `rest` that is weights; the other is code, libraries, tokenizer and tables."""
    activations: int
    grammar: int
    """Set aside for the token table of the first grammar."""
    text_worker: int
    """What a worker may take for the text of one request."""
    page_bytes: int
    num_pages: int
    of_gpu: bool = False
    """The budget, and what is split, is memory that a GPU has for itself."""

    def as_dict(self) -> dict[str, int]:
        """For logs, /metrics and /v1/status. On a GPU with memory of its own nothing of the host's counts."""
        if self.of_gpu:
            parts = {"weights": self.weights, "runtime": self.rest - self.weights, "activations": self.activations}
            cache = self.num_pages * self.page_bytes
            return {"budget": self.budget, "front": 0, **parts, "grammar": 0, "text": 0, "cache": cache}
        return {
            "budget": self.budget,
            "front": FRONT_BYTES,
            "weights": self.weights,
            "runtime": self.rest - self.weights,
            "activations": self.activations,
            "grammar": self.grammar,
            "text": TEXT_IDLE_BYTES + self.text_worker,
            "cache": self.num_pages * self.page_bytes,
        }

    @property
    def growth(self) -> int:
        """Bytes of address space that the engine may take after loading, its cache being mapped already.

        Allocators reserve more than they use, hence SLACK_BYTES; MemoryMax of the unit leaves more than that.
        """
        if self.of_gpu:
            return self.activations + self.grammar + SLACK_BYTES
        beside = FRONT_BYTES + TEXT_IDLE_BYTES + self.text_worker
        return self.budget - beside - self.rest - self.num_pages * self.page_bytes + SLACK_BYTES


def plan_memory(
    config: Config,
    *,
    rest: int,
    weights: int,
    activations: int,
    page_bytes: int,
    grammar: int = 0,
    text_tokens: int = 0,
) -> MemoryPlan:
    """Cache pages that fit. Raises ConfigError when not even one sequence of a few pages does.

    text_tokens: the longest prompt; where the cache holds fewer, those.
    """
    budget = budget_bytes(config)
    fixed = _FIXED_BYTES + rest + activations + grammar
    per_page = TEXT_BYTES_PER_TOKEN * config.model.page_tokens
    longest = -(-text_tokens // config.model.page_tokens)
    num_pages = (budget - fixed) // (page_bytes + per_page)
    if num_pages >= longest:
        num_pages = max(longest, (budget - fixed - longest * per_page) // page_bytes)
    num_pages = min(config.model.kv_cache_max_page, num_pages)
    if num_pages < _LEAST_PAGES:
        needed = fixed + _LEAST_PAGES * (page_bytes + per_page)
        raise ConfigError(
            f"memory: the budget of {budget // 2**20} MiB is too small for this model: weights and runtime take "
            f"{rest // 2**20} MiB, a step {activations // 2**20} MiB, grammars {grammar // 2**20} MiB, "
            f"texts {(TEXT_IDLE_BYTES + TEXT_WORKER_BYTES) // 2**20} MiB, the front {FRONT_BYTES // 2**20} MiB; "
            f"set memory.limit to at least {-(-needed // 2**20)}M or raise memory.fraction"
        )
    text_worker = TEXT_WORKER_BYTES + per_page * min(longest, int(num_pages))
    return MemoryPlan(budget, rest, min(weights, rest), activations, grammar, text_worker, page_bytes, int(num_pages))


def least_budget(
    config: Config,
    num_pages: int,
    *,
    rest: int,
    activations: int,
    page_bytes: int,
    grammar: int = 0,
    text_tokens: int = 0,
) -> int:
    """The smallest budget that leaves `num_pages` cache pages: plan_memory the other way round."""
    longest = -(-text_tokens // config.model.page_tokens)
    texts = TEXT_BYTES_PER_TOKEN * config.model.page_tokens * min(longest, num_pages)
    return _FIXED_BYTES + rest + activations + grammar + num_pages * page_bytes + texts
