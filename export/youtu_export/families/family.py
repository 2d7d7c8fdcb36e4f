"""What a model family provides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from youtu_edge.package import CacheGeometry, CacheType

from youtu_export.checkpoint import Checkpoint
from youtu_export.decoder import Decoder
from youtu_export.model_spec import ModelSpec


@dataclass(frozen=True)
class Family:
    """`build` emits the graph and returns the name of the logits; it calls its last argument after each layer."""

    model_type: str
    read_spec: Callable[[Checkpoint], ModelSpec]
    cache: Callable[[ModelSpec, CacheType], CacheGeometry]
    build: Callable[[Decoder, Callable[[], None]], str]
