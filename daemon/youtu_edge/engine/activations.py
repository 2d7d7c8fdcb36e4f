"""How much memory the largest step takes beside weights and cache. Measured, because only ONNX Runtime knows."""

from __future__ import annotations

from youtu_edge.engine.process_memory import holding
from youtu_edge.engine.runner import Runner


def measure_rest(runner: Runner) -> int:
    """Resident bytes of this process after one token: the runtime, and the weights that every token reads."""
    runner.allocate_cache(1)
    runner.run([0], [1], [0], [[0]], [0])
    return holding().resident


def measure_activations(runner: Runner, step_tokens: int, rows: int) -> int:
    """Bytes by which a step of `step_tokens` tokens with `rows` rows of logits makes this process grow.

    Replaces the runner's cache by a small one.
    """
    page_tokens = runner.page_tokens
    step = min(step_tokens, runner.context_length)
    pages = -(-step // page_tokens)
    runner.allocate_cache(pages)
    rest = holding().resident
    runner.run([0] * step, [step], [0], [list(range(pages))], list(range(min(rows, step))))
    cache = pages * page_tokens * runner.manifest.cache.bytes_per_token
    grown = holding().resident - rest - cache
    runner.give_back((), 0)
    return max(0, grown)
