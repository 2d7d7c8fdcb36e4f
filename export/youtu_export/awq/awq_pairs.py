"""The layer that a scale of input channels is folded into, for every family, as data.

A pair (producer, consumers): output channel k of the producer feeds input channel k of every consumer and nothing else, so
that the producer can be divided by s[k] and the columns of the consumers multiplied. Everything between them is linear in
channel k: attention is linear in its values, SwiGLU and GeGLU in their second half.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from youtu_export.graph.model_spec import ModelSpec

Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Pair:
    """Names without the layer's prefix and without `.weight`. `rows` returns the producer's rows that are channels.

    `rows` returns None for a model whose channels do not correspond; it is None if they are all rows in order.
    """

    producer: str
    consumers: tuple[str, ...]
    rows: Callable[[ModelSpec], Rows | None] | None = None


@dataclass(frozen=True)
class FamilyPairs:
    """Pairs of every layer, and the prefix of their names in the checkpoint; {} is the layer's number."""

    prefix: str
    pairs: tuple[Pair, ...]


def _same_heads(spec: ModelSpec) -> Rows | None:
    return np.arange(spec.heads * spec.head_width) if spec.heads == spec.kv_heads else None


def _latent_values(spec: ModelSpec) -> Rows | None:
    """Rows of kv_b that produce values: each head has rows [k_nope | v]."""
    if spec.latent is None:
        return None
    rows = np.arange(spec.heads * (spec.latent.nope_width + spec.latent.value_width), dtype=np.int64)
    return rows.reshape(spec.heads, -1)[:, spec.latent.nope_width :].reshape(-1)


def _fused_values(spec: ModelSpec) -> Rows | None:
    """Rows of a fused projection [q | k | v] that produce values."""
    rows = _same_heads(spec)
    return rows if rows is None else 2 * len(rows) + rows


def _second_half(spec: ModelSpec) -> Rows | None:
    return np.arange(spec.feed_forward, 2 * spec.feed_forward)


_GATED = (
    Pair("post_attention_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
    Pair("mlp.up_proj", ("mlp.down_proj",)),
)
_LLAMA = FamilyPairs(
    "model.layers.{}.",
    (
        Pair("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        Pair("self_attn.v_proj", ("self_attn.o_proj",), _same_heads),
        *_GATED,
    ),
)
_GEMMA3 = FamilyPairs(
    "model.layers.{}.",
    (
        Pair("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")),
        Pair("self_attn.v_proj", ("self_attn.o_proj",), _same_heads),
        Pair("pre_feedforward_layernorm", ("mlp.gate_proj", "mlp.up_proj")),
        Pair("mlp.up_proj", ("mlp.down_proj",)),
    ),
)
_YOUTU = FamilyPairs(
    "model.layers.{}.",
    (
        # Without q_lora the query's projection is q_proj, and the pair of the query's latent is absent.
        Pair("input_layernorm", ("self_attn.q_a_proj", "self_attn.q_proj", "self_attn.kv_a_proj_with_mqa")),
        Pair("self_attn.q_a_layernorm", ("self_attn.q_b_proj",)),
        Pair("self_attn.kv_b_proj", ("self_attn.o_proj",), _latent_values),
        *_GATED,
    ),
)
_CHATGLM = FamilyPairs(
    "transformer.encoder.layers.{}.",
    (
        Pair("input_layernorm", ("self_attention.query_key_value",)),
        Pair("post_attention_layernorm", ("mlp.dense_h_to_4h",)),
        Pair("mlp.dense_h_to_4h", ("mlp.dense_4h_to_h",), _second_half),
    ),
)
_PHI = FamilyPairs(
    "model.layers.{}.",
    (
        Pair("input_layernorm", ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "mlp.fc1")),
        Pair("self_attn.v_proj", ("self_attn.dense",), _same_heads),
    ),
)
_PHI3 = FamilyPairs(
    "model.layers.{}.",
    (
        Pair("input_layernorm", ("self_attn.qkv_proj",)),
        Pair("self_attn.qkv_proj", ("self_attn.o_proj",), _fused_values),
        Pair("post_attention_layernorm", ("mlp.gate_up_proj",)),
        Pair("mlp.gate_up_proj", ("mlp.down_proj",), _second_half),
    ),
)

PAIRS = {
    **dict.fromkeys(("llama", "qwen2", "qwen3", "mistral", "smollm3", "granite", "minicpm", "internlm"), _LLAMA),
    "gemma3": _GEMMA3,
    "youtu": _YOUTU,
    "chatglm": _CHATGLM,
    "phi": _PHI,
    "phi3": _PHI3,
}
