"""The checkpoints of `small_families` as llama.cpp's converter would write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from export.small_families import Tensors
from export.small_gguf import write_gguf
from export.small_shapes import (
    FEED_FORWARD,
    HEADS,
    HIDDEN,
    KV_HEADS,
    LAYERS,
    NOPE,
    Q_RANK,
    RANK,
    ROPE,
    VALUE,
    VOCAB,
    WIDE,
    WIDTH,
    num_layers,
)  # fmt: skip

_LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
    "self_attn.o_proj": "attn_output", "self_attn.dense": "attn_output",
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up",
    "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
}  # fmt: skip
_OTHER_NAMES = {
    "embed_tokens": "token_embd", "word_embeddings": "token_embd", "norm": "output_norm",
    "final_layernorm": "output_norm", "lm_head": "output", "output_layer": "output",
}  # fmt: skip
_ARCHITECTURES = {"youtu": "deepseek2", "phi": "phi2", "mistral": "llama", "gemma3_text": "gemma3"}
"""Where it is not the family."""
_GEMMA_NORMS = {
    "post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm",
    "post_feedforward_layernorm": "post_ffw_norm",
}  # fmt: skip
_PERMUTED = ("mistral", "smollm3", "granite", "minicpm")


def gguf_tensors(config: Mapping[str, Any], tensors: Tensors) -> Tensors:
    """The same weights as llama.cpp's converter stores them."""
    heads = {"self_attn.q_proj": HEADS, "self_attn.k_proj": KV_HEADS} if config["model_type"] in _PERMUTED else {}
    scaling = config.get("rope_scaling") or {}
    layer_names = _LAYER_NAMES
    if config["model_type"] == "gemma3_text":
        layer_names = _LAYER_NAMES | _GEMMA_NORMS
        tensors = {name: tensor + 1 if name.endswith("norm.weight") else tensor for name, tensor in tensors.items()}
    found: Tensors = {
        f"rope_factors_{part}.weight": np.array(scaling[f"{part}_factor"], np.float32)
        for part in ("short", "long")
        if f"{part}_factor" in scaling
    }
    for name, tensor in tensors.items():
        parts = name.split(".")
        if "layers" not in parts:
            found[f"{_OTHER_NAMES[parts[-2]]}.{parts[-1]}"] = tensor
            continue
        layer, part = parts[parts.index("layers") + 1], ".".join(parts[parts.index("layers") + 2 : -1])
        if part == "self_attn.kv_b_proj":
            both = tensor.reshape(HEADS, NOPE + VALUE, RANK)
            found[f"blk.{layer}.attn_k_b.weight"] = np.ascontiguousarray(both[:, :NOPE].swapaxes(1, 2))
            found[f"blk.{layer}.attn_v_b.weight"] = np.ascontiguousarray(both[:, NOPE:])
        elif part in heads:
            halves = tensor.reshape(heads[part], 2, -1, HIDDEN)
            found[f"blk.{layer}.{layer_names[part]}.weight"] = halves.swapaxes(1, 2).reshape(tensor.shape)
        else:
            found[f"blk.{layer}.{layer_names[part]}.{parts[-1]}"] = tensor
    return found


def gguf_metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """What llama.cpp's converter writes about a model of this configuration, without the prefix."""
    common = {
        "block_count": num_layers(config),
        "context_length": 128,
        "embedding_length": HIDDEN,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
    }
    family = config["model_type"]
    if family == "phi":
        return common | {"attention.head_count_kv": HEADS, "attention.layer_norm_epsilon": 1e-5, "rope.dimension_count": 8}
    rms = {"attention.layer_norm_rms_epsilon": config.get("rms_norm_eps", 1e-5)}
    if family in ("qwen2", "qwen3", "mistral", "smollm3"):
        widths = {f"attention.{part}_length": WIDE for part in ("key", "value")} if family == "qwen3" else {}
        return common | rms | widths | {"attention.head_count_kv": KV_HEADS, "rope.freq_base": config["rope_theta"]}
    if family == "gemma3_text":
        return common | rms | {
            "attention.head_count_kv": KV_HEADS, "rope.freq_base": config["rope_theta"],
            "attention.key_length": WIDE, "attention.value_length": WIDE,
            "attention.sliding_window": config["sliding_window"],
            "attention.sliding_window_pattern": config["sliding_window_pattern"],
            "rope.scaling.type": "linear", "rope.scaling.factor": config["rope_scaling"]["factor"],
        }  # fmt: skip
    if family in ("granite", "minicpm"):
        return common | rms | _scales(config) | {
            "attention.head_count_kv": KV_HEADS, "rope.freq_base": config.get("rope_theta", 1e4),
            "rope.dimension_count": WIDTH,
        }  # fmt: skip
    if family == "phi3":
        ratio, original = 128 / config["original_max_position_embeddings"], config["original_max_position_embeddings"]
        return common | rms | {
            "attention.head_count_kv": KV_HEADS, "rope.freq_base": config["rope_theta"], "rope.dimension_count": 12,
            "attention.sliding_window": config["sliding_window"], "rope.scaling.original_context_length": original,
            "rope.scaling.attn_factor": math.sqrt(1 + math.log(ratio) / math.log(original)),
        }  # fmt: skip
    if family == "chatglm":
        return common | rms | {"attention.head_count_kv": KV_HEADS, "rope.freq_base": 5e5, "rope.dimension_count": 8}
    latent = {"attention.q_lora_rank": Q_RANK} if config["q_lora_rank"] else {}
    return common | rms | latent | {
        "attention.head_count_kv": 1, "rope.freq_base": 1.6e6, "rope.dimension_count": ROPE, "vocab_size": VOCAB,
        "attention.kv_lora_rank": RANK, "attention.key_length": RANK + ROPE, "attention.value_length": RANK,
        "attention.key_length_mla": NOPE + ROPE, "attention.value_length_mla": VALUE, "leading_dense_block_count": LAYERS,
        "expert_feed_forward_length": FEED_FORWARD, "expert_shared_count": 0,
    }  # fmt: skip


def _scales(config: Mapping[str, Any]) -> dict[str, Any]:
    if config["model_type"] == "minicpm":
        return {
            "embedding_scale": float(config["scale_emb"]),
            "residual_scale": config["scale_depth"] / math.sqrt(num_layers(config)),
            "logit_scale": HIDDEN / config["dim_model_base"],
        }
    return {
        "embedding_scale": config["embedding_multiplier"],
        "residual_scale": config["residual_multiplier"],
        "logit_scale": config["logits_scaling"],
        "attention.scale": config["attention_multiplier"],
    }


def write_family_gguf(
    path: Path, config: Mapping[str, Any], tensors: Tensors, kinds: Mapping[str, str] | None = None, **metadata: Any
) -> Path:
    """A GGUF file of the same model, quantised to `kinds` (ggml type by GGUF name).

    metadata: replaces a key, with __ for a dot and without prefix; None removes it.
    """
    architecture = _ARCHITECTURES.get(config["model_type"], config["model_type"])
    values = gguf_metadata(config) | {key.replace("__", "."): value for key, value in metadata.items()}
    return write_gguf(
        path,
        gguf_tensors(config, tensors),
        kinds,
        architecture=architecture,
        metadata={f"{architecture}.{key}": value for key, value in values.items()},
    )
