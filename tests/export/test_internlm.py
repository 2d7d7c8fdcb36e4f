"""InternLM 2 and 3 compute what transformers computes for a llama, or a qwen2, of the same weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.internlm_from_llama import rewrite_config, under_second_names
from export.package_runner import PackageRunner
from export.refusal import refusal
from export.small_families import CONFIGS, random_tensors, write_checkpoint
from export.small_family_gguf import gguf_metadata, gguf_tensors
from export.small_gguf import write_gguf
from reference_data import copy_tiny_random, tiny_random_figures
from youtu_edge.package import open_package
from youtu_export.__main__ import main


def _checkpoint(name: str, model_type: str, directory: Path) -> Path:
    checkpoint = copy_tiny_random(name, directory)
    config = rewrite_config(checkpoint, model_type)
    if model_type == "internlm2":
        tensors = load_file(checkpoint / "model.safetensors")
        save_file(under_second_names(config, tensors), checkpoint / "model.safetensors")
    return checkpoint


@pytest.mark.parametrize(
    ("name", "model_type"),
    [("llama", "internlm2"), ("llama-3.2", "internlm2"), ("llama", "internlm3"), ("qwen2-tied", "internlm3")],
)
def test_float_logits_and_greedy_tokens_are_those_of_the_reference(
    name: str, model_type: str, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Every logit of the last prompt token within 2e-4, and sixteen greedy tokens; qwen2 has biases of q, k and v."""
    checkpoint, figures = _checkpoint(name, model_type, tmp_path / "checkpoint"), tiny_random_figures(name)
    assert main(["hf", str(checkpoint), str(tmp_path / "package"), "--recipe", "f32"]) == 0
    runner = runner_of(tmp_path / "package")
    assert runner.computes(figures["prompts"])


def test_a_gguf_computes_what_the_same_checkpoint_computes(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """In four bits too, whose rows are moved."""
    config = CONFIGS["mistral"] | {"model_type": "internlm2"}
    del config["sliding_window"]
    tensors = random_tensors(CONFIGS["mistral"])
    checkpoint = write_checkpoint(tmp_path / "hf", config, under_second_names(config, tensors))
    metadata = {f"internlm2.{key}": value for key, value in gguf_metadata(CONFIGS["mistral"]).items()}
    stored = gguf_tensors(CONFIGS["mistral"], tensors)
    file = write_gguf(tmp_path / "m.gguf", stored, architecture="internlm2", metadata=metadata)
    logits = []
    for recipe in ("f32", "q4"):
        for kind, source in (("hf", checkpoint), ("gguf", file)):
            package = tmp_path / f"{kind}-{recipe}"
            assert main([kind, str(source), str(package), "--recipe", recipe]) == 0
            assert open_package(package).manifest.family == "internlm"
            logits.append(runner_of(package, 128).logits([75, 104, 111, 9]))
    np.testing.assert_allclose(logits[0], logits[1], atol=1e-5)
    np.testing.assert_allclose(logits[2], logits[3], atol=1e-5)


def test_a_fused_tensor_of_another_shape_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And so are the first generation's models, which are another architecture."""
    checkpoint = _checkpoint("llama", "internlm2", tmp_path / "checkpoint")
    tensors = load_file(checkpoint / "model.safetensors")
    name = "model.layers.1.attention.wqkv.weight"
    tensors[name] = tensors[name][:-1]
    save_file(tensors, checkpoint / "model.safetensors")
    message = refusal(capsys, tmp_path, "hf", str(checkpoint))
    assert f"{name}: 159 rows do not divide into 6 heads and twice 2" in message
    rewritten = CONFIGS["mistral"] | {"model_type": "internlm"}
    first = write_checkpoint(tmp_path / "first", rewritten, random_tensors(CONFIGS["mistral"]))
    assert "the nearest is internlm, but this one has biases" in refusal(capsys, tmp_path, "hf", str(first))
