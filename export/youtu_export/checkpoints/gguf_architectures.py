"""GGUF's names in each architecture and Hugging Face's: tables, and the conversions between them.

Source: llama.cpp, `conversion/` and `gguf-py/gguf/tensor_mapping.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

Values = dict[str, Any]

_COMMON_KEYS = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "context_length": "max_position_embeddings",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
    "rope.freq_base": "rope_theta",
    "vocab_size": "vocab_size",
}
_LARGEST_GEMMA3 = 62
_GATED = {"ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
_QKV = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj"}
_PRE_NORM = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_output": "self_attn.o_proj"}
_OTHER = {"token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head"}


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """One value of general.architecture."""

    model_type: str
    keys: Mapping[str, str]
    """Key of config.json by key of the metadata, both without prefix."""
    derive: Callable[[Values, Values], None]
    """(metadata, config): removes keys without a counterpart from the former, and adds their meaning to the latter.

    Raises ValueError for contradictory sizes.
    """
    layer_names: Mapping[str, str]
    other_names: Mapping[str, str] = field(default_factory=lambda: _OTHER)
    layers: str = "model.layers"
    vocab_key: str = "vocab_size"
    is_permuted: bool = False
    """Rows of q and k are permuted so that rope rotates neighbours."""
    splits_qkv: bool = False
    """A tensor attn_qkv holds q, k and v, each a third of it, which are separate in a Hugging Face checkpoint."""


def _whole_heads(metadata: Values, config: Values) -> None:
    width = config.get("head_dim", _head_width(config))
    for key in ("attention.value_length", "rope.dimension_count"):
        _expect(metadata, key, width)


def _latent_heads(metadata: Values, config: Values) -> None:
    rope_width, rank = config.get("qk_rope_head_dim"), config.get("kv_lora_rank")
    if isinstance(rope_width, int) and isinstance(rank, int):
        _expect(metadata, "attention.key_length", rank + rope_width)
        _expect(metadata, "attention.value_length", rank)
        width = metadata.pop("attention.key_length_mla", None)
        if isinstance(width, int):
            config["qk_nope_head_dim"] = width - rope_width
    config["rope_interleave"] = True


def _rotated_part(metadata: Values, config: Values) -> None:
    width = _head_width(config)
    rotated = metadata.pop("rope.dimension_count", None)
    if isinstance(width, int) and isinstance(rotated, int) and width > 0:
        config["partial_rotary_factor"] = rotated / width
        if int(config["partial_rotary_factor"] * width) != rotated:
            raise ValueError(f"rope.dimension_count: {rotated} of {width} cannot be expressed as a factor")
    for key in ("attention.key_length", "attention.value_length"):
        _expect(metadata, key, width)


def _partial_heads(metadata: Values, config: Values) -> None:
    _rotated_part(metadata, config)
    config["hidden_act"] = "gelu_new"
    # The converter writes no base for this architecture; all its models have this one.
    config.setdefault("rope_theta", 10000.0)


def _fused_heads(metadata: Values, config: Values) -> None:
    _rotated_part(metadata, config)
    if config.get("sliding_window") == 0:
        del config["sliding_window"]
    scaling = config.get("rope_scaling", {})
    if "attn_factor" in scaling:
        scaling["attention_factor"] = scaling.pop("attn_factor")


def _scaled_heads(metadata: Values, config: Values) -> None:
    width = _head_width(config)
    _whole_heads(metadata, config)
    if width:
        config.setdefault("attention_multiplier", width**-0.5)


def _windowed_heads(metadata: Values, config: Values) -> None:
    _whole_heads(metadata, config)
    # As in llama.cpp: of the size with 62 layers, scores are scaled by another width than that of a head.
    width = _head_width(config) if config.get("num_hidden_layers") == _LARGEST_GEMMA3 else config.get("head_dim")
    if width is not None:
        config["query_pre_attn_scalar"] = width


def _half_rotated_heads(metadata: Values, config: Values) -> None:
    width = metadata.pop("attention.key_length", _head_width(config))
    config["kv_channels"] = width
    if isinstance(width, int):
        _expect(metadata, "attention.value_length", width)
        _expect(metadata, "rope.dimension_count", width // 2)
    theta = metadata.pop("rope.freq_base", None)
    if not isinstance(theta, float | int):
        raise ValueError("rope.freq_base: rope_theta is missing")
    config["rope_ratio"] = theta / 10000


def _expect(metadata: Values, key: str, value: Any) -> None:
    found = metadata.pop(key, value)
    if found != value and value is not None:  # without a value the sizes are invalid, and rejected when they are read
        raise ValueError(f"{key}: {found} contradicts the other sizes, which imply {value}")


def _head_width(config: Values) -> int | None:
    hidden, heads = config.get("hidden_size"), config.get("num_attention_heads")
    return hidden // heads if isinstance(hidden, int) and isinstance(heads, int) and heads > 0 else None


_LLAMA = Architecture(
    model_type="llama",
    keys=_COMMON_KEYS | {"attention.key_length": "head_dim"},
    derive=_whole_heads,
    layer_names=_PRE_NORM | _QKV | _GATED,
    is_permuted=True,
)
_QWEN2 = Architecture(
    model_type="qwen2",
    keys=_COMMON_KEYS | {"attention.key_length": "head_dim"},
    derive=_whole_heads,
    layer_names=_PRE_NORM | _QKV | _GATED,
)
_QWEN3 = replace(
    _QWEN2,
    model_type="qwen3",
    layer_names=_PRE_NORM | _QKV | _GATED | {"attn_q_norm": "self_attn.q_norm", "attn_k_norm": "self_attn.k_norm"},
)
_SMOLLM3 = replace(_LLAMA, model_type="smollm3")
"""The files do not list the layers without rotary embedding: every fourth is one, as in llama.cpp."""
_GRANITE = Architecture(
    model_type="granite",
    keys=_COMMON_KEYS
    | {
        "embedding_scale": "embedding_multiplier",
        "residual_scale": "residual_multiplier",
        "logit_scale": "logits_scaling",
        "attention.scale": "attention_multiplier",
        "rope.scaling.original_context_length": "original_max_position_embeddings",
    },
    derive=_scaled_heads,
    layer_names=_PRE_NORM | _QKV | _GATED,
    is_permuted=True,
)
"""Of MiniCPM as well, whose scales the converter computes; its files have no attention.scale."""
_GEMMA3 = Architecture(
    model_type="gemma3_text",
    keys=_COMMON_KEYS
    | {
        "attention.key_length": "head_dim",
        "attention.sliding_window": "sliding_window",
        "attention.sliding_window_pattern": "sliding_window_pattern",
        "rope.freq_base_swa": "rope_local_base_freq",
    },
    derive=_windowed_heads,
    layer_names=_QKV
    | _GATED
    | {
        "attn_norm": "input_layernorm",
        "attn_output": "self_attn.o_proj",
        "attn_q_norm": "self_attn.q_norm",
        "attn_k_norm": "self_attn.k_norm",
        "post_attention_norm": "post_attention_layernorm",
        "ffn_norm": "pre_feedforward_layernorm",
        "post_ffw_norm": "post_feedforward_layernorm",
    },
)
_DEEPSEEK2 = Architecture(
    model_type="youtu",
    keys=_COMMON_KEYS
    | {
        "attention.q_lora_rank": "q_lora_rank",
        "attention.kv_lora_rank": "kv_lora_rank",
        "attention.value_length_mla": "v_head_dim",
        "rope.dimension_count": "qk_rope_head_dim",
        "expert_count": "n_routed_experts",
        "expert_shared_count": "n_shared_experts",
        "expert_used_count": "num_experts_per_tok",
        "expert_feed_forward_length": "moe_intermediate_size",
        "expert_weights_scale": "routed_scaling_factor",
        "expert_weights_norm": "norm_topk_prob",
        "expert_gating_func": "scoring_func",
        "expert_group_count": "n_group",
        "expert_group_used_count": "topk_group",
        "leading_dense_block_count": "first_k_dense_replace",
    },
    derive=_latent_heads,
    layer_names=_PRE_NORM
    | _GATED
    | {
        "attn_q": "self_attn.q_proj",
        "attn_q_a": "self_attn.q_a_proj",
        "attn_q_a_norm": "self_attn.q_a_layernorm",
        "attn_q_b": "self_attn.q_b_proj",
        "attn_kv_a_mqa": "self_attn.kv_a_proj_with_mqa",
        "attn_kv_a_norm": "self_attn.kv_a_layernorm",
        "attn_kv_b": "self_attn.kv_b_proj",
        "attn_k_b": "self_attn.k_b_proj",
        "attn_v_b": "self_attn.v_b_proj",
    },
)
_PHI2 = Architecture(
    model_type="phi",
    keys=_COMMON_KEYS | {"attention.layer_norm_epsilon": "layer_norm_eps"},
    derive=_partial_heads,
    layer_names=_QKV
    | {
        "attn_norm": "input_layernorm",
        "attn_qkv": "self_attn.qkv_proj",
        "attn_output": "self_attn.dense",
        "ffn_up": "mlp.fc1",
        "ffn_down": "mlp.fc2",
    },
    other_names=_OTHER | {"output_norm": "model.final_layernorm"},
    splits_qkv=True,
)
_PHI3 = Architecture(
    model_type="phi3",
    keys=_COMMON_KEYS
    | {
        "attention.sliding_window": "sliding_window",
        "rope.scaling.original_context_length": "original_max_position_embeddings",
    },
    derive=_fused_heads,
    layer_names=_PRE_NORM
    | {
        "attn_qkv": "self_attn.qkv_proj",
        "ffn_up": "mlp.gate_up_proj",
        "ffn_down": "mlp.down_proj",
    },
)
_CHATGLM = Architecture(
    model_type="chatglm",
    keys={
        "block_count": "num_layers",
        "embedding_length": "hidden_size",
        "feed_forward_length": "ffn_hidden_size",
        "attention.head_count": "num_attention_heads",
        "attention.head_count_kv": "multi_query_group_num",
        "context_length": "seq_length",
        "attention.layer_norm_rms_epsilon": "layernorm_epsilon",
        "vocab_size": "padded_vocab_size",
    },
    derive=_half_rotated_heads,
    layer_names={
        "attn_norm": "input_layernorm",
        "ffn_norm": "post_attention_layernorm",
        "attn_qkv": "self_attention.query_key_value",
        "attn_output": "self_attention.dense",
        "ffn_up": "mlp.dense_h_to_4h",
        "ffn_down": "mlp.dense_4h_to_h",
    },
    other_names={
        "token_embd": "transformer.embedding.word_embeddings",
        "output_norm": "transformer.encoder.final_layernorm",
        "output": "transformer.output_layer",
    },
    layers="transformer.encoder.layers",
    vocab_key="padded_vocab_size",
)

ARCHITECTURES = {
    "llama": _LLAMA,
    "qwen2": _QWEN2,
    "qwen3": _QWEN3,
    "smollm3": _SMOLLM3,
    "gemma3": _GEMMA3,
    "granite": _GRANITE,
    "minicpm": _GRANITE,
    "internlm2": replace(_LLAMA, model_type="internlm2"),  # InternLM 3 is converted to llama
    "deepseek2": _DEEPSEEK2,
    "phi2": _PHI2,
    "phi3": _PHI3,
    "chatglm": _CHATGLM,
}
