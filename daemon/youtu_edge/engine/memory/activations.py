"""How much memory a loaded model takes, at rest and for its largest step: measured, because ONNX Runtime allocates it.

All layers reuse the same memory, so a step stopped in its second layer has allocated as much as a whole step except for the
logits, whose size is known. A whole step of a large model takes seconds.
"""

from __future__ import annotations

from pathlib import Path

from youtu_edge.engine.memory.gpu_budget import GpuMemory
from youtu_edge.engine.memory.process_memory import holding, untouched_bytes
from youtu_edge.engine.model.gpu import Gpu
from youtu_edge.engine.model.runner import Runner

_ENOUGH_LAYERS = 2


def measure_memory(runner: Runner, weights: Path, step_tokens: int, rows: int) -> tuple[int, int]:
    """Bytes of this process at rest, and the additional bytes of a step of `step_tokens` tokens with `rows` rows of logits.

    At rest means the whole mapped file `weights`, resident or not yet, and no cache. Replaces the runner's cache by a small
    one.
    """
    step = min(step_tokens, runner.context_length)
    pages = list(range(-(-step // runner.page_tokens)))
    runner.allocate_cache(len(pages))
    for cache in runner.caches:
        cache.fill(0)  # resident from now on
    layers = runner.manifest.cache.layers
    first_layers = runner.caches[: len(runner.caches) // layers * _ENOUGH_LAYERS]
    before = holding().resident + untouched_bytes(weights)
    runner.run_until(lambda: bool(first_layers[-1][0, 0].any()), [0] * step, pages)
    growth = holding().resident + untouched_bytes(weights) - before
    return before - len(pages) * runner.page_bytes, max(0, growth) + logits_bytes(runner, min(rows, step))


def measure_gpu_memory(runner: Runner, gpu: Gpu, step_tokens: int) -> tuple[GpuMemory, int]:
    """The GPU's memory with the weights loaded and no cache, and the bytes that a step of `step_tokens` tokens takes.

    The whole step runs, because all of its kernels are queued at once. Replaces the runner's cache by a small one.
    """
    step = min(step_tokens, runner.context_length)
    pages = list(range(-(-step // runner.page_tokens)))
    free, held = gpu.library.memory()  # no cache is allocated yet
    runner.allocate_cache(len(pages))
    before, _ = gpu.library.memory()
    runner.run([0] * step, [step], [0], [pages], [0])
    after, _ = gpu.library.memory()
    return GpuMemory(gpu.facts.total, free, held), max(0, before - after)


def logits_bytes(runner: Runner, rows: int) -> int:
    """Bytes of `rows` rows of logits; a decoding sequence has one row in each step."""
    return rows * runner.manifest.vocab_size * 4
