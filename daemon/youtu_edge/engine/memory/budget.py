"""The memory budget, and how many cache pages fit into it. Reads /proc and cgroup files.

budget  =  front  +  engine at rest (weights, runtime)  +  activations of the largest step  +  grammars  +  cache pages
           +  text workers
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from youtu_edge.config import Config
from youtu_edge.errors import ConfigError

FRONT_BYTES = 68 * 1024 * 1024
"""Budget of the front: a test limits it to 50 MB, and 2,000 connections take another 18 MB."""

SLACK_BYTES = 64 * 1024 * 1024
"""Address space beyond the budget that an allocation may reserve before it fails."""

TEXT_IDLE_BYTES = 8 * 1024 * 1024
"""Memory of the fork server and one idle worker that is not shared with the engine: 6 MB measured."""

TEXT_WORKER_BYTES = 16 * 1024 * 1024
"""Memory that a worker may take for the text of any request."""
TEXT_BYTES_PER_TOKEN = 1536
"""Memory for rendering and tokenising: 100 to 400 bytes per byte of text in the tokenizer, at 3 to 5 bytes per token."""
_FIXED_BYTES = FRONT_BYTES + TEXT_IDLE_BYTES + TEXT_WORKER_BYTES

_LEAST_PAGES = 2
_UNLIMITED = 1 << 60

HEADROOM_BYTES = 64 * 1024 * 1024
"""How far a limit on our own cgroup is above the budget, such as MemoryMax= of the systemd unit."""


def device_memory(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes shared with other programs: those of the machine, or the lowest limit of a cgroup above ours."""
    found = re.search(r"MemTotal:\s+(\d+) kB", (proc / "meminfo").read_text())
    machine = int(found.group(1)) * 1024 if found else _UNLIMITED
    return min([machine, *(limit for _, *above in _cgroup_limits(proc, cgroup) for limit in above)])


def own_limit(proc: Path = Path("/proc"), cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """The memory limit of our own cgroup in bytes, which applies to us alone."""
    return min((limits[0] for limits in _cgroup_limits(proc, cgroup)), default=_UNLIMITED)


def _cgroup_limits(proc: Path, cgroup: Path) -> list[list[int]]:
    """Limits of our cgroup and of its ancestors, in this order, for every hierarchy that limits memory."""
    found = []
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            found.append(_limits_up(cgroup, path, "memory.max"))
        elif "memory" in controllers.split(","):
            found.append(_limits_up(cgroup / "memory", path, "memory.limit_in_bytes"))
    return found


def _limits_up(root: Path, path: str, name: str) -> list[int]:
    """Limits of a cgroup and of its ancestors; without a limit, _UNLIMITED.

    A container may see its own cgroup as the root, yet its path as seen from outside.
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
    """Bytes that memory.limit, or memory.fraction of the device, allows both processes together.

    A limit on our own cgroup caps memory.fraction, which is not applied to it again: MemoryMax= follows from the same key.
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
    """The part of `rest` that is weights; the remainder is code, libraries, tokenizer and tables."""
    activations: int
    grammar: int
    """Reserved for the token table, which the first grammar needs."""
    text_worker: int
    """Memory that a worker may take for the text of one request."""
    page_bytes: int
    num_pages: int
    of_gpu: bool = False
    """Whether the budget and its parts are dedicated GPU memory."""

    def as_dict(self) -> dict[str, int]:
        """For logs, /metrics and /v1/status. For a GPU with dedicated memory, host memory is not included."""
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
        """Bytes of private memory that the engine may still map after loading, when its cache is mapped.

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
    """Split the budget; the cache gets what the other parts leave. Raises ConfigError if that is less than two pages.

    text_tokens: tokens of the longest prompt; a smaller cache lowers it.
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
    """The smallest budget with `num_pages` cache pages: the inverse of plan_memory."""
    longest = -(-text_tokens // config.model.page_tokens)
    texts = TEXT_BYTES_PER_TOKEN * config.model.page_tokens * min(longest, num_pages)
    return _FIXED_BYTES + rest + activations + grammar + num_pages * page_bytes + texts
