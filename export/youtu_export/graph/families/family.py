"""What a model family provides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from youtu_edge.cache_geometry import CacheGeometry, CacheType
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.model_spec import ModelSpec


@dataclass(frozen=True)
class Family:
    """`build` emits the graph and returns the name of the logits; it calls its last argument after each layer."""

    name: str
    models: str
    """Whose models are known to be of it, for people."""
    model_types: tuple[str, ...]
    """Values of model_type in config.json."""
    read_spec: Callable[[Checkpoint], ModelSpec]
    build: Callable[[Decoder, Callable[[], None]], str]
    end_tokens: tuple[str, ...] = ()
    """Tokens that end an answer in addition to those that the checkpoint names, if the tokenizer has them."""
    chat_template: str | None = None
    """For checkpoints without one."""


def cache_geometry(spec: ModelSpec, dtype: CacheType) -> CacheGeometry:
    """One row per token and layer for latent attention, otherwise a key and a value for each key-value head."""
    layout = CacheGeometry(
        layout="SEPARATE", layers=spec.layers, kv_heads=spec.kv_heads, width=spec.head_width, dtype=dtype
    )
    if spec.latent is None:
        return layout
    return CacheGeometry(layout="LATENT", layers=spec.layers, kv_heads=1, width=spec.head_width, dtype=dtype)
