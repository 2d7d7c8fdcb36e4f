"""The shape of a model's cache, as its package states it."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

_Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]

CacheType = Literal["float16", "float32"]
CACHE_ITEM_BYTES: dict[CacheType, int] = {"float16": 2, "float32": 4}


class CacheGeometry(msgspec.Struct, frozen=True):
    """The paged cache that the graph expects.

    SEPARATE: graph inputs k.{i} and v.{i}, LATENT: kv.{i}, for i < layers, each
    [pages, page_tokens, kv_heads, width] of `dtype`.
    """

    layout: Literal["SEPARATE", "LATENT"]
    layers: Annotated[int, Meta(ge=1, le=10_000)]
    kv_heads: Annotated[int, Meta(ge=1, le=100_000)]
    width: Annotated[int, Meta(ge=1, le=100_000)]
    dtype: CacheType

    @property
    def input_names(self) -> list[str]:
        """Names of the pool inputs, in graph order."""
        kinds = ("k", "v") if self.layout == "SEPARATE" else ("kv",)
        return [f"{kind}.{layer}" for layer in range(self.layers) for kind in kinds]

    @property
    def bytes_per_token(self) -> int:
        """Bytes of cache per token, over all layers."""
        return len(self.input_names) * self.kv_heads * self.width * CACHE_ITEM_BYTES[self.dtype]
