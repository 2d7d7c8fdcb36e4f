"""The ladder of ever smaller configurations for engines that keep dying, before the daemon gives up. Pure functions.

    rung 0  as configured
    rung 1  a quarter of the sequences
    rung 2  and half the step
    rung 3  one sequence, a quarter of the step, half the cache, no prompts kept warm in it

A request accepted on one rung fits on all others: the cache always holds one sequence of full length.
"""

from __future__ import annotations

import msgspec

from youtu_edge.config import Config
from youtu_edge.protocol.from_engine import Ready

LAST_RUNG = 3
NAMES = ("full", "smaller batch", "smaller batch and step", "minimum batch, step and cache")
"""What each rung is called in the log and in /v1/status."""

_LEAST_STEP = 64


def rung_after(restarts: int, limit: int) -> int:
    """The rung for the engine that is started after `restarts` restarts in the period, of `limit` allowed.

    A single death changes nothing; the last engine before giving up is always on the last rung.
    """
    if restarts <= 1 or limit <= 1:
        return 0
    return min(LAST_RUNG, -(-LAST_RUNG * (restarts - 1) // (limit - 1)))


def degraded(config: Config, rung: int, full: Ready | None) -> Config:
    """The configuration for an engine on a rung; never larger than what is configured.

    full: `Ready` of an engine on rung 0; None: the cache keeps its size.
    """
    if rung == 0:
        return config
    limits = config.scheduler
    sequences = 1 if rung == LAST_RUNG else max(1, limits.max_sequences // 4)
    step = limits.step_tokens // (1, 1, 2, 4)[rung]
    scheduler = msgspec.structs.replace(
        limits, max_sequences=sequences, step_tokens=max(step, min(_LEAST_STEP, limits.step_tokens))
    )
    model = config.model
    if rung == LAST_RUNG and full:
        one_sequence = -(-full.context_length // full.page_tokens)
        pages = max(full.pages // 2, min(full.pages, one_sequence))
        model = msgspec.structs.replace(model, kv_cache_max_page=pages, keep_warm=False)
    return msgspec.structs.replace(config, scheduler=scheduler, model=model)
