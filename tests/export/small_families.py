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

from tiny_model import make_tokenizer

Tensors = dict[str, npt.NDArray[np.float32]]
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, LAYERS, WIDTH = 64, 96, 4, 2, 2, 16
WIDE = 32
"""Of heads that are wider together than the hidden size."""
RANK, Q_RANK, NOPE, ROPE, VALUE = 32, 64, 32, 8, 32
VOCAB = make_tokenizer().get_vocab_size()
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
_GROUPED = {
    **{f"{part}_proj.weight": (KV_HEADS * WIDTH, HIDDEN) for part in "kv"},
    **{f"{part}_proj.weight": (HIDDEN, HIDDEN) for part in "qo"},
}
_ATTENTION = {
    "youtu": {
        "q_a_proj.weight": (Q_RANK, HIDDEN),
        "q_a_layernorm.weight": (Q_RANK,),
        "q_b_proj.weight": (HEADS * (NOPE + ROPE), Q_RANK),
        "kv_a_proj_with_mqa.weight": (RANK + ROPE, HIDDEN),
        "kv_a_layernorm.weight": (RANK,),
        "kv_b_proj.weight": (HEADS * (NOPE + VALUE), RANK),
        "o_proj.weight": (HIDDEN, HEADS * VALUE),
    },
    "qwen2": {
        **_GROUPED,
        **{f"{part}_proj.bias": (KV_HEADS * WIDTH,) for part in "kv"},
        "q_proj.bias": (HIDDEN,),
    },
    "qwen3": {
        **{f"{part}_proj.weight": (KV_HEADS * WIDE, HIDDEN) for part in "kv"},
        **{f"{part}_norm.weight": (WIDE,) for part in "qk"},
        "q_proj.weight": (HEADS * WIDE, HIDDEN),
        "o_proj.weight": (HIDDEN, HEADS * WIDE),
    },
    **dict.fromkeys(("mistral", "smollm3", "granite", "minicpm"), _GROUPED),
    "phi": {
        **{f"{part}.weight": (HIDDEN, HIDDEN) for part in ("q_proj", "k_proj", "v_proj", "dense")},
        **{f"{part}.bias": (HIDDEN,) for part in ("q_proj", "k_proj", "v_proj", "dense")},
    },
    "phi3": {"qkv_proj.weight": (HIDDEN + 2 * KV_HEADS * WIDTH, HIDDEN), "o_proj.weight": (HIDDEN, HIDDEN)},
    "chatglm": {
        "query_key_value.weight": (HIDDEN + 2 * KV_HEADS * WIDTH, HIDDEN),
        "query_key_value.bias": (HIDDEN + 2 * KV_HEADS * WIDTH,),
        "dense.weight": (HIDDEN, HIDDEN),
    },
}
_GATED = {
    "gate_proj.weight": (FEED_FORWARD, HIDDEN),
    "up_proj.weight": (FEED_FORWARD, HIDDEN),
    "down_proj.weight": (HIDDEN, FEED_FORWARD),
}
_FEED_FORWARD = {
    **dict.fromkeys(("youtu", "qwen2", "qwen3", "mistral", "smollm3", "granite", "minicpm"), _GATED),
    "phi": {
        "fc1.weight": (FEED_FORWARD, HIDDEN),
        "fc1.bias": (FEED_FORWARD,),
        "fc2.weight": (HIDDEN, FEED_FORWARD),
        "fc2.bias": (HIDDEN,),
    },
    "phi3": {"gate_up_proj.weight": (2 * FEED_FORWARD, HIDDEN), "down_proj.weight": (HIDDEN, FEED_FORWARD)},
    "chatglm": {"dense_h_to_4h.weight": (2 * FEED_FORWARD, HIDDEN), "dense_4h_to_h.weight": (HIDDEN, FEED_FORWARD)},
}


def num_layers(config: Mapping[str, Any]) -> int:
    """Under either name."""
    count: int = config.get("num_hidden_layers") or config["num_layers"]
    return count


def shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor that a checkpoint of this configuration has."""
    family = config["model_type"].removesuffix("_llm")
    is_glm, norms = family == "chatglm", {"input_layernorm.weight": (HIDDEN,), "post_attention_layernorm.weight": (HIDDEN,)}
    if family == "phi":
        norms = {f"input_layernorm.{part}": (HIDDEN,) for part in ("weight", "bias")}
    attention = dict(_ATTENTION[family])
    if config.get("q_lora_rank", 0) is None:
        attention = {name: shape for name, shape in attention.items() if not name.startswith("q_")}
        attention["q_proj.weight"] = (HEADS * (NOPE + ROPE), HIDDEN)
    if config.get("attention_bias"):
        for name in ("q_a_proj", "kv_a_proj_with_mqa", "o_proj"):
            if f"{name}.weight" in attention:
                attention[f"{name}.bias"] = attention[f"{name}.weight"][:1]
    layer = {**norms, **{f"{'self_attention' if is_glm else 'self_attn'}.{n}": s for n, s in attention.items()}}
    layer |= {f"mlp.{name}": shape for name, shape in _FEED_FORWARD[family].items()}
    table, layers, norm, head = ("model.embed_tokens", "model.layers", "model.norm", "lm_head")
    if is_glm:
        table, layers = "transformer.embedding.word_embeddings", "transformer.encoder.layers"
        norm, head = "transformer.encoder.final_layernorm", "transformer.output_layer"
    found = {f"{layers}.{index}.{name}": shape for index in range(num_layers(config)) for name, shape in layer.items()}
    vocab = config.get("padded_vocab_size") or config.get("vocab_size") or VOCAB
    found[f"{table}.weight"] = (vocab, HIDDEN)
    if family == "phi":
        norm = "model.final_layernorm"
        found |= {f"{norm}.bias": (HIDDEN,), f"{head}.bias": (vocab,)}
    found[f"{norm}.weight"] = (HIDDEN,)
    if not config.get("tie_word_embeddings"):
        found[f"{head}.weight"] = (vocab, HIDDEN)
    return found


def random_tensors(config: Mapping[str, Any], seed: int = 0) -> Tensors:
    """Weights of a size that keeps activations near one."""
    random = np.random.default_rng(seed)
    tensors = {}
    for name, shape in shapes(config).items():
        values = random.standard_normal(shape, dtype=np.float32)
        if "norm" in name and name.endswith("weight"):
            tensors[name] = 1 + values * np.float32(0.2)
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
