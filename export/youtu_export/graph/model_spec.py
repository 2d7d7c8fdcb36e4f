"""The description of a model, read before any of its weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from youtu_edge.package import LongRope, Rope
from youtu_export.errors import ExportError


@dataclass(frozen=True, kw_only=True)
class LatentAttention:
    """Multi-head latent attention under the names of its paper (DeepSeek-V2, section 2.1); ranks and widths in elements."""

    q_lora_rank: int | None
    """None: queries are projected in one step."""
    kv_lora_rank: int
    nope_width: int
    rope_width: int
    value_width: int
    bias: bool
    """Of the first projections and the last one; the others have none."""
    score_scale: float
    """The factor of the scores before the softmax."""
    interleaved: bool
    """Rope rotates neighbours instead of halves."""


@dataclass(frozen=True, kw_only=True)
class Multipliers:
    """Factors of token embeddings, of every block's output before it is added, and of the logits."""

    embedding: float = 1.0
    residual: float = 1.0
    logits: float = 1.0


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
    long_rope: LongRope | None = None
    """The rope of contexts beyond `context_length`."""
    local_rope: Rope | None = None
    """The rope of layers with a window, where it is another one; it rotates as many values."""
    prompt_end: tuple[int, ...] = ()
    """Prefix attention: see Manifest.prompt_end. The graph then has the input position_ids."""
    multipliers: Multipliers = Multipliers()
    attention_scale: float | None = None
    """The factor of the scores before the softmax; None: 1 / sqrt(head_width)."""
    windows: tuple[int | None, ...] = ()
    """For each layer the tokens that a token attends to, the last one itself; None: all. Empty: all in every layer."""
    unrotated: frozenset[int] = frozenset()
    """Layers whose queries and keys are not rotated."""
    latent: LatentAttention | None = None
    """With it `kv_heads` is 1 and `head_width` the width of a cache row."""

    def window(self, layer: int) -> int | None:
        """The tokens that a token of this layer attends to; None: all."""
        return self.windows[layer] if self.windows else None

    @property
    def largest_window(self) -> int | None:
        """The most tokens that any layer attends to; None if a layer attends to all."""
        found = [window for window in self.windows if window is not None]
        return max(found) if found and len(found) == len(self.windows) else None

    def reject_contradictions(self, path: Path) -> None:
        """Raise ExportError naming `path` for sizes that contradict each other."""
        if self.heads % self.kv_heads:
            raise ExportError(f"{path}: {self.heads} query heads do not divide into groups for {self.kv_heads} key heads")
        if 2 * len(self.rope.inverse_frequencies) > self.head_width:
            rotated = 2 * len(self.rope.inverse_frequencies)
            raise ExportError(f"{path}: {rotated} values of each head would be rotated, but a head has {self.head_width}")
