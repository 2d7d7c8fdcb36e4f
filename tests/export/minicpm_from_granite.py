"""MiniCPM is in no transformers: its checkpoints are made of granite's, under other keys."""

from __future__ import annotations

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file


def as_minicpm(checkpoint: Path) -> None:
    """Rewrite a granite checkpoint: MiniCPM scales scores by 1/sqrt(head width), so queries take granite's own scale."""
    config = json.loads((checkpoint / "config.json").read_text())
    hidden, layers = config["hidden_size"], config["num_hidden_layers"]
    width = hidden // config["num_attention_heads"]
    scale = config.pop("attention_multiplier") * math.sqrt(width)
    assert math.frexp(scale)[0] == 0.5, "another factor than a power of two would round the weights"
    config |= {
        "model_type": "minicpm",
        "architectures": ["MiniCPMForCausalLM"],
        "scale_emb": config.pop("embedding_multiplier"),
        "scale_depth": config.pop("residual_multiplier") * math.sqrt(layers),
        "dim_model_base": hidden / config.pop("logits_scaling"),
        "rope_theta": config.pop("rope_parameters")["rope_theta"],
    }
    (checkpoint / "config.json").write_text(json.dumps(config))
    tensors = load_file(checkpoint / "model.safetensors")
    for name, tensor in tensors.items():
        assert tensor.dtype == ml_dtypes.bfloat16
        if name.endswith("q_proj.weight"):
            tensors[name] = (tensor.astype(np.float32) * np.float32(scale)).astype(ml_dtypes.bfloat16)
    save_file(tensors, checkpoint / "model.safetensors")
