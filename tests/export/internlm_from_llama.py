"""InternLM is in no transformers: its checkpoints are made of llama's and qwen2's, under other keys and names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Tensors = dict[str, npt.NDArray[Any]]
_SECOND = {
    "model.embed_tokens": "model.tok_embeddings", "lm_head": "output", "self_attn.o_proj": "attention.wo",
    "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
}  # fmt: skip


def rewrite_config(checkpoint: Path, model_type: str) -> dict[str, Any]:
    """As InternLM's are published: dynamic scaling, which begins behind the trained context."""
    config: dict[str, Any] = json.loads((checkpoint / "config.json").read_text())
    rope = config.pop("rope_parameters")
    for key in ("attention_bias", "mlp_bias", "use_sliding_window"):
        config.pop(key, None)
    theta, scaling = rope.pop("rope_theta"), {"type": "dynamic", "factor": 2.0}
    config |= {"model_type": model_type, "bias": False, "rope_theta": theta, "attn_implementation": "eager"}
    config["rope_scaling"] = scaling if rope["rope_type"] == "default" else rope
    (checkpoint / "config.json").write_text(json.dumps(config))
    return config


def under_second_names(config: dict[str, Any], tensors: Tensors) -> Tensors:
    """Queries of a group, its key and its value lie one behind the other."""
    groups, found = config["num_key_value_heads"], Tensors()
    for name, tensor in tensors.items():
        if name.endswith(("k_proj.weight", "v_proj.weight")):
            continue
        if name.endswith("q_proj.weight"):
            parts = [tensors[name.replace("q_proj", f"{part}_proj")] for part in "qkv"]
            split = [part.reshape(groups, -1, part.shape[1]) for part in parts]
            fused = np.concatenate(split, axis=1).reshape(-1, tensor.shape[1])
            found[name.replace("self_attn.q_proj", "attention.wqkv")] = fused
            continue
        old = next((old for old in _SECOND if f"{old}." in name), None)
        found[name.replace(old, _SECOND[old]) if old else name] = tensor
    return found
