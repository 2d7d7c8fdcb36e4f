"""What a family cannot compute is rejected in one line that names file and key or tensor; no files are left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from export.refusal import refusal
from export.small_families import CONFIGS, random_tensors, write_checkpoint
from export.small_family_gguf import write_family_gguf
from export.small_gguf import write_gguf
from export.small_shapes import shapes
from youtu_export.__main__ import main

LONG = CONFIGS["phi3"]["rope_scaling"]
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}


@pytest.mark.parametrize(
    ("family", "changes", "message"),
    [
        ("youtu", {"rope_parameters": {"rope_type": "default"}}, "config.json: rope_theta is missing"),
        ("youtu", {"rope_scaling": {**YARN, "truncate": True}}, "rope_scaling: truncate: True is not supported"),
        ("youtu", {"rope_scaling": {**YARN, "factor": None}}, "rope_scaling: factor: None is not a positive number"),
        ("qwen2", {"rope_scaling": YARN}, "type 'yarn' is not supported"),
        ("youtu", {"rope_scaling": {**YARN, "factor": 1.0, "attention_factor": 2.0}}, "type 'yarn' is not supported"),
        ("youtu", {"n_routed_experts": 8}, "n_routed_experts: 8 is not supported"),
        ("youtu", {"head_dim": 24}, "head_dim: 24 contradicts the other sizes, which imply 8"),
        ("youtu", {"qk_head_dim": 8}, "qk_head_dim: 8 contradicts the other sizes, which imply 40"),
        ("youtu", {"num_key_value_heads": 2}, "num_key_value_heads: 2 contradicts"),
        ("youtu", {"qk_rope_head_dim": None}, "qk_rope_head_dim is missing"),
        ("youtu", {"hidden_act": "gelu"}, "hidden_act: 'gelu' is not supported"),
        ("youtu", {"mlp_bias": True}, "mlp_bias: True is not supported"),
        ("youtu", {"attention_bias": True}, "layers.0.self_attn.q_a_proj.bias: no such tensor"),
        ("youtu", {"v_head_dim": 16}, "layers.0.self_attn.kv_b_proj.weight: shape [256, 32] instead of [192, 32]"),
        ("youtu", {"q_lora_rank": None}, "layers.0.self_attn.q_proj.weight: no such tensor"),
        ("youtu", {"sliding_window": 64}, "sliding_window: 64 is unknown"),
        ("youtu", {"model_type": "deepseek_v3"}, "architecture 'deepseek_v3' is not supported; supported: llama, youtu"),
        ("qwen2", {"use_sliding_window": True}, "use_sliding_window: True is not supported"),
        ("qwen2", {"layer_types": ["full_attention", "sliding_attention"]}, "layer_types: 'sliding_attention'"),
        ("qwen2", {"rope_theta": None}, "rope_theta is missing"),
        ("qwen2", {"rope_scaling": {"type": "ntk", "factor": 2.0}}, "type 'ntk' is not supported"),
        ("qwen2", {"head_dim": 32}, "q_proj.weight: shape [64, 64] instead of [128, 64]"),
        ("qwen3", {"use_sliding_window": True}, "use_sliding_window: True is not supported"),
        ("qwen3", {"head_dim": None}, "q_proj.weight: shape [128, 64] instead of [512, 64]"),
        ("qwen3", {"head_dim": 16}, "q_proj.weight: shape [128, 64] instead of [64, 64]"),
        ("qwen3", {"rope_scaling": YARN}, "type 'yarn' is not supported"),
        ("qwen3", {"model_type": "qwen3_moe"}, "architecture 'qwen3_moe' is not supported; supported: llama, youtu"),
        ("mistral", {"layer_types": ["sliding_attention"] * 2}, "'sliding_attention' needs sliding_window, which is null"),
        ("mistral", {"sliding_window": 0}, "sliding_window: 0 is not a positive integer"),
        ("mistral", {"sliding_window": 8, "layer_types": ["full_attention"]}, "layer_types: 1 entries for 2 layers"),
        ("mistral", {"layer_types": ["chunked_attention"] * 2}, "layer_types: 'chunked_attention' is not supported, only"),
        ("mistral", {"model_type": "mistral3"}, "architecture 'mistral3' is not supported"),
        ("smollm3", {"no_rope_layers": [1, 1]}, "no_rope_layers: 2 entries for 5 layers"),
        ("smollm3", {"no_rope_layers": [1, 1, 1, 2, 1]}, "no_rope_layers: 2 is neither 0 nor 1"),
        ("smollm3", {"no_rope_layer_interval": 0}, "no_rope_layer_interval: 0 is not a positive integer"),
        ("smollm3", {"use_sliding_window": True}, "use_sliding_window: True is not supported"),
        ("smollm3", {"tie_word_embeddings": False}, "lm_head.weight: no such tensor"),
        ("gemma3", {"hidden_activation": "gelu"}, "hidden_activation: 'gelu' is not supported"),
        ("gemma3", {"final_logit_softcapping": 30.0}, "final_logit_softcapping: 30.0 is not supported"),
        ("gemma3", {"use_bidirectional_attention": True}, "use_bidirectional_attention: True is not supported"),
        ("gemma3", {"sliding_window": None}, "sliding_window is missing"),
        ("gemma3", {"query_pre_attn_scalar": None}, "query_pre_attn_scalar is missing"),
        ("gemma3", {"rope_local_base_freq": -1}, "rope_local_base_freq: -1 is not a positive number"),
        ("gemma3", {"rope_parameters": {"rope_theta": 1e6}}, "rope_parameters: 'rope_theta' is not supported, only 'full"),
        ("gemma3", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "type 'yarn' is not supported"),
        ("gemma3", {"tie_word_embeddings": False}, "lm_head.weight: no such tensor"),
        ("gemma3", {"model_type": "gemma2"}, "the nearest is gemma3, but this one has soft caps"),
        ("granite", {"residual_multiplier": None}, "residual_multiplier is missing"),
        ("granite", {"logits_scaling": 0}, "logits_scaling: 0 is not a positive number"),
        ("granite", {"model_type": "granitemoe"}, "the nearest is granite, but this one has experts"),
        ("minicpm", {"scale_emb": None}, "scale_emb is missing"),
        ("minicpm", {"sparse_config": {"topk": 64}}, "sparse_config: {'topk': 64} is unknown"),
        ("minicpm", {"num_experts": 8}, "num_experts: 8 is unknown"),
        ("phi", {"partial_rotary_factor": None}, "partial_rotary_factor is missing"),
        ("phi", {"partial_rotary_factor": 0.2}, "partial_rotary_factor: 0.2 rotates 3 of 16 values"),
        ("phi", {"rope_theta": None}, "rope_theta is missing"),
        ("phi", {"hidden_act": "gelu"}, "hidden_act: 'gelu' is not supported"),
        ("phi", {"qk_layernorm": True}, "qk_layernorm: True is not supported"),
        ("phi", {"final_logit_softcapping": 30.0}, "final_logit_softcapping: 30.0 is unknown"),
        ("phi3", {"attention_bias": True}, "attention_bias: True is not supported"),
        ("phi3", {"full_attn_mod": 2}, "full_attn_mod: 2 is not supported"),
        ("phi3", {"partial_rotary_factor": 0.2}, "partial_rotary_factor: 0.2 rotates 3 of 16 values"),
        ("phi3", {"partial_rotary_factor": 0.5}, "rope_scaling: short_factor: 6 numbers instead of 4"),
        ("phi3", {"original_max_position_embeddings": None}, "original_max_position_embeddings: None is not a number of"),
        ("phi3", {"rope_scaling": LONG | {"long_factor": None}}, "rope_scaling: long_factor is missing"),
        ("phi3", {"rope_scaling": LONG | {"short_factor": [1, 1, 1, 1, 1, 0]}}, "short_factor: 0 is not a positive number"),
        ("phi3", {"rope_scaling": LONG | {"short_mscale": 1.2}}, "rope_scaling: short_mscale: 1.2 is not supported"),
        ("phi3", {"rope_scaling": {"type": "dynamic"}}, "rope_scaling: factor is missing"),
        ("phi3", {"model_type": "phimoe"}, "architecture 'phimoe' is not supported"),
        ("chatglm", {"rmsnorm": False}, "rmsnorm: False is not supported"),
        ("chatglm", {"multi_query_attention": False}, "multi_query_attention: False is not supported"),
        ("chatglm", {"add_bias_linear": True}, "add_bias_linear: True is not supported"),
        ("chatglm", {"pre_seq_len": 128}, "pre_seq_len: 128 is unknown"),
        ("chatglm", {"kv_channels": None}, "kv_channels is missing"),
        ("chatglm", {"rope_ratio": 0}, "rope_ratio: 0 is not a positive number"),
    ],
)
def test_configuration(
    family: str, changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every key that changes the mathematics is either understood or refused by name."""
    if "rope_scaling" in changes and family == "youtu":
        changes = {"rope_theta": 1e6, "rope_parameters": None} | changes
    tensors = random_tensors(CONFIGS[family])
    checkpoint = write_checkpoint(tmp_path / "checkpoint", CONFIGS[family] | changes, tensors)
    assert message in refusal(capsys, tmp_path, "hf", str(checkpoint))


def test_a_mistral_states_whether_it_has_a_window(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Readers disagree about a configuration without the key."""
    config = {key: value for key, value in CONFIGS["mistral"].items() if key != "sliding_window"}
    checkpoint = write_checkpoint(tmp_path / "checkpoint", config, random_tensors(config))
    assert "sliding_window is missing; add it: null if" in refusal(capsys, tmp_path, "hf", str(checkpoint))


@pytest.mark.parametrize("family", CONFIGS)
def test_a_missing_tensor(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each of the second layer's and each outside of the layers, one at a time."""
    config = CONFIGS[family]
    tensors = random_tensors(config)
    names = [name for name in shapes(config) if ".0." not in name]
    checkpoint = write_checkpoint(tmp_path / "checkpoint", config, {})
    for name in names:
        rest = {key: tensor for key, tensor in tensors.items() if key != name}
        _save(checkpoint, rest)
        assert f"{name}: no such tensor" in refusal(capsys, tmp_path, "hf", str(checkpoint))


@pytest.mark.parametrize("family", CONFIGS)
def test_a_tensor_of_another_shape_or_of_another_model(
    family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row too many is not cut off, and a tensor that the graph has no place for is not left out."""
    config = CONFIGS[family]
    tensors = random_tensors(config)
    checkpoint = write_checkpoint(tmp_path / "checkpoint", config, {})
    layer = "transformer.encoder.layers.1" if family == "chatglm" else "model.layers.1"
    for name, tensor in tensors.items():
        if name.startswith(layer):
            _save(checkpoint, tensors | {name: np.concatenate([tensor, tensor[:1]])})
            assert f"model.safetensors: {name}: shape [" in refusal(capsys, tmp_path, "hf", str(checkpoint))
    _save(checkpoint, tensors | {f"{layer}.mlp.gate.weight": np.ones(8, np.float32)})
    assert f"{layer}.mlp.gate.weight: this model family has no" in refusal(capsys, tmp_path, "hf", str(checkpoint))


def test_a_truncated_file_and_a_missing_tokenizer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A half download of a Youtu checkpoint."""
    config = CONFIGS["youtu"]
    checkpoint = write_checkpoint(tmp_path / "checkpoint", config, random_tensors(config))
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "the file ends before this tensor does: truncated" in refusal(capsys, tmp_path, "hf", str(checkpoint))
    (checkpoint / "tokenizer.json").unlink()
    _save(checkpoint, random_tensors(config))
    assert f"{checkpoint / 'tokenizer.json'}: cannot be read" in refusal(capsys, tmp_path, "hf", str(checkpoint))


@pytest.mark.parametrize(
    ("family", "metadata", "message"),
    [
        ("youtu", {"rope__freq_base": None}, "rope_theta is missing"),
        ("youtu", {"expert_count": 8}, "n_routed_experts: 8 is not supported"),
        ("youtu", {"attention__key_length": 24}, "deepseek2.attention.key_length: 24 contradicts"),
        ("youtu", {"attention__key_length_mla": None}, "qk_nope_head_dim is missing"),
        ("youtu", {"rope__scaling__type": "yarn", "rope__scaling__factor": 4.0}, "original_max_position_embeddings is"),
        ("qwen2", {"rope__freq_base": None}, "rope_theta is missing"),
        ("qwen2", {"rope__dimension_count": 8}, "qwen2.rope.dimension_count: 8 contradicts"),
        ("qwen2", {"attention__sliding_window": 64}, "qwen2.attention.sliding_window: 64 is unknown"),
        ("qwen3", {"attention__value_length": 16}, "qwen3.attention.value_length: 16 contradicts"),
        ("phi", {"rope__dimension_count": None}, "partial_rotary_factor is missing"),
        ("gemma3", {"attention__sliding_window": None}, "sliding_window is missing"),
        ("gemma3", {"attention__value_length": 16}, "gemma3.attention.value_length: 16 contradicts"),
        ("minicpm", {"residual_scale": None}, "residual_multiplier is missing"),
        ("phi3", {"rope__scaling__original_context_length": None}, "original_max_position_embeddings: None is not"),
        ("phi3", {"rope__dimension_count": 8}, "rope_factors_short.weight: shape [6] instead of [4]"),
        ("chatglm", {"rope__freq_base": None}, "chatglm.rope.freq_base: rope_theta is missing"),
        ("chatglm", {"rope__dimension_count": 16}, "chatglm.rope.dimension_count: 16 contradicts"),
    ],
)
def test_metadata_of_a_gguf(
    family: str, metadata: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same in GGUF's words."""
    config = CONFIGS[family]
    path = write_family_gguf(tmp_path / "model.gguf", config, random_tensors(config), **metadata)
    assert message in refusal(capsys, tmp_path, "gguf", str(path))


def test_an_architecture_of_a_gguf_is_named_as_the_file_names_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error lists GGUF's own names."""
    path = write_gguf(tmp_path / "model.gguf", {"token_embd.weight": np.ones((4, 4), np.float32)}, architecture="mamba")
    message = refusal(capsys, tmp_path, "gguf", str(path))
    assert (
        "architecture 'mamba' is not supported; supported: llama, qwen2, qwen3, smollm3, gemma3, granite, minicpm"
        in message
    )


def test_an_identity_yarn_block_changes_nothing(tmp_path: Path) -> None:
    """Older Youtu checkpoints and files carry one: a factor of 1 stretches nothing."""
    config = CONFIGS["youtu"]
    metadata = {"rope__scaling__type": "yarn", "rope__scaling__factor": 1.0, "rope__scaling__yarn_log_multiplier": 0.0}
    path = write_family_gguf(tmp_path / "model.gguf", config, random_tensors(config), **metadata)
    assert main(["gguf", str(path), str(tmp_path / "yarn")]) == 0
    assert main(["gguf", str(write_family_gguf(path, config, random_tensors(config))), str(tmp_path / "plain")]) == 0
    manifests = [json.loads((tmp_path / name / "manifest.json").read_text()) for name in ("yarn", "plain")]
    assert manifests[0]["rope"] == manifests[1]["rope"]


def _save(checkpoint: Path, tensors: dict[str, Any]) -> None:
    save_file(tensors, checkpoint / "model.safetensors")
