"""What a model is, before any of its weights is read."""

from __future__ import annotations

from dataclasses import dataclass

from youtu_edge.package import Rope


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """Sizes in elements. Attention with `heads` query heads in groups that share `kv_heads` keys and values."""

    family: str
    layers: int
    hidden: int
    feed_forward: int
    heads: int
    kv_heads: int
    head_width: int
    vocab: int
    context_length: int
    norm_epsilon: float
    rope: Rope
    tied_head: bool
    """The output head is the token table."""
