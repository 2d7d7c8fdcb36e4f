"""Gemma 3, its text model: GeGLU, a norm before and after each block, windows in most layers (Gemma Team 2025, section 2).

    x = sqrt(hidden) * E(tokens)        x = x + norm(block(norm(x))), twice a layer

Layers with a window rotate by another base than those that attend to everything, whose frequencies alone are scaled for
long contexts. Queries and keys are normed per head, as in Qwen 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from youtu_edge.package import Rope
from youtu_export.checkpoints.checkpoint import Checkpoint
from youtu_export.checkpoints.model_config import ModelConfig
from youtu_export.errors import ExportError
from youtu_export.graph.decoder import Decoder
from youtu_export.graph.families.family import Family
from youtu_export.graph.families.pre_norm import PreNormDecoder
from youtu_export.graph.families.qwen3 import attend_normed
from youtu_export.graph.layer_windows import windows_from_config
from youtu_export.graph.model_spec import ModelSpec, Multipliers
from youtu_export.graph.rope import rope_from_config

_ACTIVATION = "gelu_pytorch_tanh"
_ABSENT = ("attn_logit_softcapping", "final_logit_softcapping")
"""Of Gemma 2; the graph has none."""
_BASE, _LOCAL_BASE = 1e6, 1e4
"""Of the ropes, in configurations without them."""
_WHOLE_EVERY = 6
"""Every so many layers one attends to everything, in configurations that do not list them."""


def _read_spec(checkpoint: Checkpoint) -> ModelSpec:
    config = checkpoint.config
    config.only("hidden_activation", (_ACTIVATION,), _ACTIVATION)
    config.only("use_bidirectional_attention", (False,), False)
    for key in _ABSENT:
        config.only(key, (None,), None)
    for key in ("attention_bias", "cache_implementation"):
        config.get(key)  # the tensors show biases; the cache is ours
    config.integer("sliding_window")
    hidden, heads, layers = (
        config.size("hidden_size"), config.size("num_attention_heads"), config.layers("num_hidden_layers"),
    )  # fmt: skip
    windows = windows_from_config(config, layers, whole_every=config.integer("sliding_window_pattern", _WHOLE_EVERY))
    head_width = config.size("head_dim")
    rope, local_rope = _ropes(config, head_width)
    return ModelSpec(
        family="gemma3",
        layers=layers,
        hidden=hidden,
        feed_forward=config.size("intermediate_size"),
        heads=heads,
        kv_heads=config.size("num_key_value_heads"),
        head_width=head_width,
        vocab=config.size("vocab_size"),
        context_length=config.integer("max_position_embeddings"),
        norm_epsilon=config.number("rms_norm_eps"),
        rope=rope,
        local_rope=local_rope,
        tied_head=config.flag("tie_word_embeddings", default=True),
        multipliers=Multipliers(embedding=math.sqrt(hidden)),
        attention_scale=config.number("query_pre_attn_scalar") ** -0.5,
        windows=windows,
    )


def _ropes(config: ModelConfig, width: int) -> tuple[Rope, Rope]:
    """Of layers that attend to everything, and of those with a window: in two keys of rope_parameters, or in older ones."""
    parameters: dict[str, Any] = config.mapping("rope_parameters")
    whole, local = (parameters.pop(f"{kind}_attention", None) for kind in ("full", "sliding"))
    for key in parameters:
        raise ExportError(
            f"{config.path}: rope_parameters: {key!r} is not supported, only 'full_attention' and 'sliding_attention'"
        )
    older = {"rope_theta": config.get("rope_theta"), "rope_scaling": config.get("rope_scaling")}
    local_base = _LOCAL_BASE if config.get("rope_local_base_freq") is None else config.number("rope_local_base_freq")
    return (
        rope_from_config(ModelConfig(config.path, older | {"rope_parameters": whole}), width, base=_BASE),
        rope_from_config(ModelConfig(config.path, {"rope_parameters": local}), width, base=local_base),
    )


def _build(decoder: Decoder, layer_done: Callable[[], None]) -> str:
    return PreNormDecoder(
        attend=attend_normed,
        feed_forward=_feed_forward,
        context_width=decoder.spec.heads * decoder.spec.head_width,
        output_bias=None,
        attention_post_norm="post_attention_layernorm",
        feed_forward_norm="pre_feedforward_layernorm",
        feed_forward_post_norm="post_feedforward_layernorm",
    ).build(decoder, layer_done)


def _feed_forward(decoder: Decoder, path: str, name: str, x: str) -> str:
    return decoder.geglu(path, x, [f"{name}.mlp.gate_proj", f"{name}.mlp.up_proj"], f"{name}.mlp.down_proj", bias=False)


GEMMA3 = Family("gemma3", "Gemma 3 of all sizes, their text model", ("gemma3_text", "gemma3"), _read_spec, _build)
