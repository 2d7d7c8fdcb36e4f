"""The memory budget of a GPU with memory of its own. Where it shares the processor's, as on Tegra, budget.py plans both.

budget  =  memory.limit, or memory.fraction of the GPU's memory
        =  weights and tables  +  activations of the largest step  +  cache pages

What the driver takes for itself, and what others hold, is missing from the free memory, which caps the cache as well.
"""

from __future__ import annotations

from dataclasses import dataclass

from youtu_edge.config import Config
from youtu_edge.engine.memory.budget import TEXT_BYTES_PER_TOKEN, TEXT_WORKER_BYTES, MemoryPlan
from youtu_edge.errors import DeviceError

RESERVE_BYTES = 64 * 1024 * 1024
"""Of what is free: the driver takes some for each kernel that runs for the first time."""

_LEAST_PAGES = 2


@dataclass(frozen=True)
class GpuMemory:
    """In bytes."""

    total: int
    free: int
    """With the weights loaded, and neither cache nor step in memory."""
    held: int
    """Weights and tables."""


def gpu_budget_bytes(config: Config, total: int) -> int:
    """What memory.limit, or memory.fraction of a GPU's own memory, allows."""
    return config.memory.limit_bytes or int(total * config.memory.fraction)


def plan_gpu_memory(
    config: Config,
    gpu: GpuMemory,
    *,
    weights: int,
    activations: int,
    page_bytes: int,
    grammar: int = 0,
    text_tokens: int = 0,
) -> MemoryPlan:
    """Cache pages that fit. Raises DeviceError when not even one sequence of a few pages does."""
    budget = gpu_budget_bytes(config, gpu.total)
    room = min(budget - gpu.held, gpu.free - RESERVE_BYTES) - activations
    num_pages = min(config.model.kv_cache_max_page, room // page_bytes)
    if num_pages < _LEAST_PAGES:
        needed = gpu.held + activations + _LEAST_PAGES * page_bytes
        raise DeviceError(
            f"memory: the model needs {-(-needed // 2**20)} MiB of the GPU: weights {gpu.held // 2**20}, a step "
            f"{activations // 2**20}, the rest cache; the budget is {budget // 2**20} MiB, and besides the weights "
            f"{gpu.free // 2**20} MiB are free; raise memory.limit or memory.fraction, end what else uses the GPU, or set "
            "engine.device: cpu"
        )
    longest = min(-(-text_tokens // config.model.page_tokens), num_pages)
    text_worker = TEXT_WORKER_BYTES + TEXT_BYTES_PER_TOKEN * config.model.page_tokens * longest
    return MemoryPlan(
        budget, gpu.held, min(weights, gpu.held), activations, grammar, text_worker, page_bytes, int(num_pages), of_gpu=True
    )
