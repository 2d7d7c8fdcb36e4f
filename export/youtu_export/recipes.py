"""Quantisation recipes as data: what each kind of matrix is stored as."""

from __future__ import annotations

from dataclasses import dataclass

from youtu_edge.package import CacheType

BLOCKS = (32, 128)


@dataclass(frozen=True)
class Recipe:
    """How matrices are stored. `bits` is None for float32."""

    name: str
    matrix_bits: int | None
    """Bits of the matrices inside the layers."""
    table_bits: int | None
    """Bits of the token table and of the output head, which may be the same bytes."""
    kept_kinds: frozenset[str]
    """Stored types whose integer codes are kept, without a second rounding: ggml's, and INT4 for AWQ and GPTQ."""
    cache_type: CacheType
    block: int = 32
    """Values that share one scale, where the recipe rounds by itself and the width allows it."""


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("q4", 4, 8, frozenset({"Q4_0", "Q4_1", "Q8_0", "INT4"}), "float16"),
        Recipe("q8", 8, 8, frozenset({"Q8_0"}), "float16"),
        Recipe("f32", None, None, frozenset(), "float32"),
    )
}
