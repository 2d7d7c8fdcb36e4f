"""Small checkpoints with random weights of every family but Llama, as Hugging Face and as GGUF would have them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from export.small_gguf import write_gguf
from tiny_model import make_tokenizer

Tensors = dict[str, npt.NDArray[np.float32]]
HIDDEN, FEED_FORWARD, HEADS, KV_HEADS, LAYERS, WIDTH = 64, 96, 4, 2, 2, 16
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
    "phi": _SIZES
    | {
        "model_type": "phi",
        "hidden_act": "gelu_new",
        "layer_norm_eps": 1e-5,
        "partial_rotary_factor": 0.5,
        "rope_theta": 10000.0,
        "qk_layernorm": False,
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
        **{f"{part}_proj.weight": (KV_HEADS * WIDTH, HIDDEN) for part in "kv"},
        **{f"{part}_proj.bias": (KV_HEADS * WIDTH,) for part in "kv"},
        "q_proj.weight": (HIDDEN, HIDDEN),
        "q_proj.bias": (HIDDEN,),
        "o_proj.weight": (HIDDEN, HIDDEN),
    },
    "phi": {
        **{f"{part}.weight": (HIDDEN, HIDDEN) for part in ("q_proj", "k_proj", "v_proj", "dense")},
        **{f"{part}.bias": (HIDDEN,) for part in ("q_proj", "k_proj", "v_proj", "dense")},
    },
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
    "youtu": _GATED,
    "qwen2": _GATED,
    "phi": {
        "fc1.weight": (FEED_FORWARD, HIDDEN),
        "fc1.bias": (FEED_FORWARD,),
        "fc2.weight": (HIDDEN, FEED_FORWARD),
        "fc2.bias": (HIDDEN,),
    },
    "chatglm": {"dense_h_to_4h.weight": (2 * FEED_FORWARD, HIDDEN), "dense_4h_to_h.weight": (HIDDEN, FEED_FORWARD)},
}


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
    found = {f"{layers}.{index}.{name}": shape for index in range(LAYERS) for name, shape in layer.items()}
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


_LAYER_NAMES = {
    "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "self_attn.dense": "attn_output",
    "self_attn.q_a_proj": "attn_q_a", "self_attn.q_a_layernorm": "attn_q_a_norm", "self_attn.q_b_proj": "attn_q_b",
    "self_attn.kv_a_proj_with_mqa": "attn_kv_a_mqa", "self_attn.kv_a_layernorm": "attn_kv_a_norm",
    "self_attention.query_key_value": "attn_qkv", "self_attention.dense": "attn_output",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
    "mlp.fc1": "ffn_up", "mlp.fc2": "ffn_down", "mlp.dense_h_to_4h": "ffn_up", "mlp.dense_4h_to_h": "ffn_down",
}  # fmt: skip
_OTHER_NAMES = {
    "embed_tokens": "token_embd", "word_embeddings": "token_embd", "norm": "output_norm",
    "final_layernorm": "output_norm", "lm_head": "output", "output_layer": "output",
}  # fmt: skip
_ARCHITECTURES = {"youtu": "deepseek2", "qwen2": "qwen2", "phi": "phi2", "chatglm": "chatglm"}


def gguf_tensors(tensors: Tensors) -> Tensors:
    """The same weights as llama.cpp's converter stores them."""
    found: Tensors = {}
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
        else:
            found[f"blk.{layer}.{_LAYER_NAMES[part]}.{parts[-1]}"] = tensor
    return found


def gguf_metadata(config: Mapping[str, Any]) -> dict[str, Any]:
    """What llama.cpp's converter writes about a model of this configuration, without the prefix."""
    common = {
        "block_count": LAYERS,
        "context_length": 128,
        "embedding_length": HIDDEN,
        "feed_forward_length": FEED_FORWARD,
        "attention.head_count": HEADS,
    }
    family = config["model_type"]
    if family == "phi":
        return common | {"attention.head_count_kv": HEADS, "attention.layer_norm_epsilon": 1e-5, "rope.dimension_count": 8}
    rms = {"attention.layer_norm_rms_epsilon": config.get("rms_norm_eps", 1e-5)}
    if family == "qwen2":
        return common | rms | {"attention.head_count_kv": KV_HEADS, "rope.freq_base": 1e6}
    if family == "chatglm":
        return common | rms | {"attention.head_count_kv": KV_HEADS, "rope.freq_base": 5e5, "rope.dimension_count": 8}
    latent = {"attention.q_lora_rank": Q_RANK} if config["q_lora_rank"] else {}
    return common | rms | latent | {
        "attention.head_count_kv": 1, "rope.freq_base": 1.6e6, "rope.dimension_count": ROPE, "vocab_size": VOCAB,
        "attention.kv_lora_rank": RANK, "attention.key_length": RANK + ROPE, "attention.value_length": RANK,
        "attention.key_length_mla": NOPE + ROPE, "attention.value_length_mla": VALUE, "leading_dense_block_count": LAYERS,
        "expert_feed_forward_length": FEED_FORWARD, "expert_shared_count": 0,
    }  # fmt: skip


def write_family_gguf(
    path: Path, config: Mapping[str, Any], tensors: Tensors, kinds: Mapping[str, str] | None = None, **metadata: Any
) -> Path:
    """A GGUF file of the same model, quantised to `kinds` (ggml type by GGUF name).

    metadata: replaces a key, with __ for a dot and without prefix; None removes it.
    """
    architecture = _ARCHITECTURES[config["model_type"]]
    values = gguf_metadata(config) | {key.replace("__", "."): value for key, value in metadata.items()}
    return write_gguf(
        path,
        gguf_tensors(tensors),
        kinds,
        architecture=architecture,
        metadata={f"{architecture}.{key}": value for key, value in values.items()},
    )
