"""MiniCPM is in no transformers: its checkpoints are granite's under other keys, with transformers' logits of granite."""

from __future__ import annotations

import json
import math
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.package_runner import PackageRunner
from reference_data import copy_tiny_random, tiny_random_figures
from youtu_export.__main__ import main


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


@pytest.mark.parametrize("name", ["granite-tied", "granite-untied"])
def test_float_logits_and_greedy_tokens_are_those_of_the_same_granite(
    name: str, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Every logit of the last prompt token within 2e-4, and sixteen greedy tokens."""
    checkpoint, figures = copy_tiny_random(name, tmp_path / "checkpoint"), tiny_random_figures(name)
    as_minicpm(checkpoint)
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), "--recipe", "f32"]) == 0
    runner = runner_of(tmp_path / "package")
    for case in figures["prompts"]:
        ids = case["prompt_ids"]
        np.testing.assert_allclose(runner.logits(ids, 0, [len(ids) - 1])[0], case["last_logits"], atol=2e-4, rtol=0)
        assert runner.greedy(ids, 16) == case["greedy16"]
