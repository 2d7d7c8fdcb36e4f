"""Small checkpoints with random weights of every family but Llama, in Hugging Face's format."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import Tokenizer

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
    shapes,
)
from tiny_model import make_tokenizer

Tensors = dict[str, npt.NDArray[np.float32]]
_SIZES = {
    "hidden_size": HIDDEN,
    "intermediate_size": FEED_FORWARD,
    "num_attention_heads": HEADS,
    "num_hidden_layers": LAYERS,
    "max_position_embeddings": 128,
    "vocab_size": VOCAB,
    "eos_token_id": 2,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "youtu": _SIZES
    | {
        "model_type": "youtu",
        "num_key_value_heads": HEADS,
        "head_dim": ROPE,
        "qk_head_dim": NOPE + ROPE,
        "q_lora_rank": Q_RANK,
        "kv_lora_rank": RANK,
        "qk_nope_head_dim": NOPE,
        "qk_rope_head_dim": ROPE,
        "v_head_dim": VALUE,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "attention_bias": False,
        "rope_interleave": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1600000},
        "tie_word_embeddings": True,
    },
    "qwen2": _SIZES
    | {
        "model_type": "qwen2",
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "use_sliding_window": False,
        "sliding_window": 64,
        "tie_word_embeddings": False,
    },
    "qwen3": _SIZES
    | {
        "model_type": "qwen3",
        "num_key_value_heads": KV_HEADS,
        "head_dim": WIDE,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "attention_bias": False,
        "rope_theta": 1e6,
        "use_sliding_window": False,
        "max_window_layers": LAYERS,
        "tie_word_embeddings": True,
    },
    "mistral": _SIZES
    | {
        "model_type": "mistral",
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
        "sliding_window": None,
        "tie_word_embeddings": False,
    },
    "smollm3": _SIZES
    | {
        "model_type": "smollm3",
        "num_hidden_layers": 5,
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 5e6,
        "no_rope_layers": [1, 1, 1, 0, 1],
        "no_rope_layer_interval": 4,
        "use_sliding_window": False,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
    },
    "gemma3": _SIZES
    | {
        "model_type": "gemma3_text",
        "num_hidden_layers": 3,
        "num_key_value_heads": KV_HEADS,
        "head_dim": WIDE,
        "query_pre_attn_scalar": WIDE,
        "hidden_activation": "gelu_pytorch_tanh",
        "rms_norm_eps": 1e-6,
        "attention_bias": False,
        "sliding_window": 7,
        "sliding_window_pattern": 3,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0},
    },
    "granite": _SIZES
    | {
        "model_type": "granite",
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e7,
        "attention_multiplier": 0.125,
        "embedding_multiplier": 3.0,
        "residual_multiplier": 0.5,
        "logits_scaling": 1.5,
        "tie_word_embeddings": True,
    },
    "minicpm": _SIZES
    | {
        "model_type": "minicpm",
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "scale_emb": 3,
        "scale_depth": 1.0,
        "dim_model_base": 48,
        "mup_denominator": 32,
        "tie_word_embeddings": False,
    },
    "phi": _SIZES
    | {
        "model_type": "phi",
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
        "qk_layernorm": False,
    },
    "phi3": _SIZES
    | {
        "model_type": "phi3",
        "num_key_value_heads": KV_HEADS,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "partial_rotary_factor": 0.75,
        "original_max_position_embeddings": 32,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0, 1.5, 1.25, 1.125, 1.75, 2.5],
            "long_factor": [1.0, 2.5, 3.5, 4.5, 8.5, 16.5],
        },
        "sliding_window": 7,
        "attention_bias": False,
        "resid_pdrop": 0.0,
        "tie_word_embeddings": True,
    },
    "chatglm": {
        "model_type": "chatglm",
        "hidden_size": HIDDEN,
        "ffn_hidden_size": FEED_FORWARD,
        "num_attention_heads": HEADS,
        "multi_query_attention": True,
        "multi_query_group_num": KV_HEADS,
        "kv_channels": WIDTH,
        "num_layers": LAYERS,
        "seq_length": 128,
        "padded_vocab_size": VOCAB,
        "layernorm_epsilon": 1e-5,
        "rope_ratio": 50,
        "rmsnorm": True,
        "eos_token_id": 2,
    },
}


def random_tensors(config: Mapping[str, Any], seed: int = 0) -> Tensors:
    """Weights of a size that keeps activations near one."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes(config).items():
        values = random.standard_normal(shape, dtype=np.float32)
        if "norm" in name and name.endswith("weight"):
            tensors[name] = values * np.float32(0.2) + (0 if config["model_type"] == "gemma3_text" else 1)
        else:
            tensors[name] = values * np.float32(0.2 if len(shape) == 1 else 1.5 * shape[1] ** -0.5)
    return tensors


def write_checkpoint(
    directory: Path, config: Mapping[str, Any], tensors: Tensors, tokenizer: Tokenizer | None = None
) -> Path:
    """A new directory in Hugging Face's format; with the byte-level tokenizer unless another one is given."""
    directory.mkdir()
    (tokenizer or make_tokenizer()).save(str(directory / "tokenizer.json"))
    (directory / "config.json").write_text(json.dumps(dict(config)))
    save_file(tensors, directory / "model.safetensors")
    return directory
