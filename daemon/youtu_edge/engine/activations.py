"""How much memory the largest step takes beside weights and cache. Measured, because only ONNX Runtime knows.

All layers use the same memory one after the other, so a step that is stopped in its third layer has taken what the whole
step would take, but for the logits, whose size is known. A whole step of a large model takes seconds.
"""

from __future__ import annotations

from pathlib import Path

from youtu_edge.engine.process_memory import holding, untouched_bytes
from youtu_edge.engine.runner import Runner

_ENOUGH_LAYERS = 3


def measure_rest(runner: Runner, weights: Path) -> int:
    """Resident bytes of this process after one token: the runtime, and the weights that every token reads; and the rest of
    the weights, rows of a token table for example, which other tokens will read."""
    runner.allocate_cache(1)
    runner.run([0], [1], [0], [[0]], [0])
    return holding().resident + untouched_bytes(weights)


def measure_activations(runner: Runner, step_tokens: int, rows: int) -> int:
    """Bytes by which a step of `step_tokens` tokens with `rows` rows of logits makes this process grow.

    Replaces the runner's cache by a small one.
    """
    step = min(step_tokens, runner.context_length)
    pages = list(range(-(-step // runner.page_tokens)))
    runner.allocate_cache(len(pages))
    for cache in runner.caches:
        cache.fill(0)  # resident from now on
    geometry = runner.manifest.cache
    first_layers = runner.caches[: len(runner.caches) // geometry.layers * _ENOUGH_LAYERS]
    rest = holding().resident
    runner.run_until(lambda: bool(first_layers[-1][0, 0].any()), [0] * step, pages)
    return max(0, holding().resident - rest) + min(rows, step) * runner.manifest.vocab_size * 4
