"""Quantisation recipes as data: what each kind of matrix is stored as."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from youtu_edge.cache_geometry import CacheType

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
    """Stored types whose integer codes are kept, without rounding again: ggml's, and INT4 for AWQ and GPTQ."""
    cache_type: CacheType
    block: int = 32
    """Values per scale, for matrices that the recipe rounds and whose width it divides."""
    calibrated: bool = False
    """Scales and clips weights before rounding, guided by the activations on a calibration text (AWQ)."""
    int8_matrices: tuple[str, ...] = ()
    """Shell patterns for the names of matrices that are stored in 8 bits although the recipe says 4."""

    def bits_of(self, name: str) -> int | None:
        """Bits of a matrix inside the layers by its name in the checkpoint's file."""
        if self.matrix_bits == 4 and any(fnmatchcase(name, pattern) for pattern in self.int8_matrices):
            return 8
        return self.matrix_bits


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("q4", 4, 8, frozenset({"Q4_0", "Q4_1", "Q8_0", "INT4"}), "float16"),
        Recipe("q4-small", 4, 4, frozenset({"Q4_0", "Q4_1", "Q8_0", "INT4"}), "float16"),
        Recipe("q4-awq", 4, 8, frozenset(), "float16", calibrated=True),
        Recipe("q8", 8, 8, frozenset({"Q8_0"}), "float16"),
        Recipe("f32", None, None, frozenset(), "float32"),
    )
}
