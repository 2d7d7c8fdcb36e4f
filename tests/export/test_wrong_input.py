"""A checkpoint that cannot be exported is rejected in one line naming file and tensor or key; no files are left behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf
from tiny_model import make_tiny_checkpoint


@pytest.mark.parametrize("keep", [0, 3, 40, 2000, 0.5, -1])
def test_a_truncated_gguf(keep: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Cut anywhere: in the magic, the header, the metadata or the last tensor."""
    path = write_gguf(tmp_path / "model.gguf", random_tensors())
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if isinstance(keep, float) else keep])
    assert f"{path}: " in refusal(capsys, tmp_path, "gguf", str(path))


def test_something_else_than_a_gguf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file of another kind, no file, a directory."""
    path = tmp_path / "model.gguf"
    assert "No such file" in refusal(capsys, tmp_path, "gguf", str(path))
    path.write_bytes(b"PK\3\4" + bytes(100))
    assert "not a GGUF file" in refusal(capsys, tmp_path, "gguf", str(path))
    (tmp_path / "directory").mkdir()
    assert "it is a directory, not a regular file" in refusal(capsys, tmp_path, "gguf", str(tmp_path / "directory"))


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"llama.rope.freq_base": None}, "rope_theta is missing"),
        ({"llama.block_count": None}, "num_hidden_layers is missing"),
        ({"llama.rope.dimension_count": 8}, "llama.rope.dimension_count: 8"),
        ({"llama.rope.scaling.type": "yarn"}, "type 'yarn' is not supported"),
        ({"llama.expert_count": 8}, "llama.expert_count: 8 is unknown"),
        ({"tokenizer.ggml.model": None}, "the file contains no tokenizer"),
        ({"tokenizer.ggml.pre": "viking"}, "pre-tokenizer 'viking' is not supported"),
        ({"tokenizer.ggml.eos_token_id": None}, "tokenizer.ggml.eos_token_id is missing"),
        ({"tokenizer.ggml.eos_token_id": 99999}, "token id 99999 is outside"),
        ({"tokenizer.ggml.merges": ["zz yy"]}, "tokenizer.ggml.merges: "),
    ],
)
def test_wrong_metadata(metadata: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing is guessed and nothing ignored."""
    path = write_gguf(tmp_path / "model.gguf", random_tensors(), metadata=metadata)
    assert message in refusal(capsys, tmp_path, "gguf", str(path))


def test_wrong_tensors_of_a_gguf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing, of another shape, or one that Llama does not have."""
    path, name, tensors = tmp_path / "model.gguf", "blk.0.ffn_down.weight", random_tensors()
    write_gguf(path, {key: tensor for key, tensor in tensors.items() if key != name})
    assert "model.layers.0.mlp.down_proj.weight: no such tensor" in refusal(capsys, tmp_path, "gguf", str(path))
    write_gguf(path, tensors | {name: tensors[name][:32]})
    assert f"{name}: shape [32, 96] instead of [64, 96]" in refusal(capsys, tmp_path, "gguf", str(path))
    write_gguf(path, tensors | {"blk.0.attn_q_norm.weight": np.ones(16, np.float32)})
    assert "blk.0.attn_q_norm.weight: this model family has no" in refusal(capsys, tmp_path, "gguf", str(path))


def test_an_unknown_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The error lists what is supported."""
    path = write_gguf(tmp_path / "model.gguf", random_tensors(), architecture="mamba")
    assert "architecture 'mamba' is not supported; supported: llama" in refusal(capsys, tmp_path, "gguf", str(path))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hidden_act": "gelu"}, "hidden_act: 'gelu' is not supported"),
        ({"rope_parameters": {"rope_type": "default"}}, "rope_theta is missing"),
        ({"rope_scaling": {"type": "ntk"}}, "type 'default' "),
        ({"final_logit_softcapping": 30.0}, "final_logit_softcapping: 30.0 is unknown"),
        ({"residual_multiplier": 0.2}, "residual_multiplier: 0.2 is unknown"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization_config: "),
        ({"num_hidden_layers": "two"}, "num_hidden_layers: 'two' is not a positive integer"),
        ({"intermediate_size": 96}, "model.layers.0.mlp.gate_proj.weight: shape [128, 64] instead of [96, 64]"),
        ({"model_type": "gemma"}, "architecture 'gemma' is not supported"),
    ],
)
def test_wrong_configuration(
    changes: dict[str, Any], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every key that changes the mathematics is either understood or refused by name."""
    if "rope_scaling" in changes:
        changes, message = {"rope_parameters": None, "rope_theta": 1e4, **changes}, "type 'ntk' is not supported"
    checkpoint = _checkpoint(tmp_path)
    config = json.loads((checkpoint / "config.json").read_text())
    (checkpoint / "config.json").write_text(json.dumps(config | changes))
    assert message in refusal(capsys, tmp_path, "hf", str(checkpoint))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_missing_or_damaged_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Gone, empty, cut in half, or full of something else."""
    checkpoint = _checkpoint(tmp_path)
    path = checkpoint / name
    data = path.read_bytes()
    for content in (b"", data[: len(data) // 2], b"\xff" * 100, b"[]" * 8):
        path.write_bytes(content)
        assert f"{path}: " in refusal(capsys, tmp_path, "hf", str(checkpoint))
    path.unlink()
    assert f"{path}: cannot be read: No such file" in refusal(capsys, tmp_path, "hf", str(checkpoint))


def test_wrong_tensors_of_safetensors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing, of an unknown type, promised by the index, outside the directory."""
    checkpoint = _checkpoint(tmp_path)
    path, name = checkpoint / "model.safetensors", "model.layers.1.self_attn.o_proj.weight"
    tensors = load_file(path)
    save_file({key: tensor for key, tensor in tensors.items() if key != name}, path)
    assert f"{name}: no such tensor" in refusal(capsys, tmp_path, "hf", str(checkpoint))
    save_file(tensors | {name: tensors[name].astype(np.int8)}, path)
    assert f"{name}: element type I8 is not supported" in refusal(capsys, tmp_path, "hf", str(checkpoint))
    save_file(tensors, path)
    index = checkpoint / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"extra": "model.safetensors"}}))
    assert "extra: the index lists this tensor, but it is not here" in refusal(capsys, tmp_path, "hf", str(checkpoint))
    index.write_text(json.dumps({"weight_map": {name: "../model.safetensors"}}))
    assert "outside the directory" in refusal(capsys, tmp_path, "hf", str(checkpoint))


def _checkpoint(tmp_path: Path) -> Path:
    (tmp_path / "checkpoint").mkdir()
    return make_tiny_checkpoint(tmp_path / "checkpoint")
