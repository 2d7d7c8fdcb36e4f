"""The Llama graph against reference figures and against itself in other forms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.package_runner import PackageRunner
from reference_data import copy_tiny_random, tiny_random_figures
from tiny_model import make_tied_and_untied, make_tiny_checkpoint, make_tiny_package
from youtu_edge.cache_geometry import CacheGeometry
from youtu_edge.package import open_package
from youtu_export.__main__ import main

PROMPT = [75, 104, 111, 111, 114, 35, 80, 90, 9, 40]


def _export(checkpoint: Path, out: Path, *options: str) -> Path:
    assert main(["hf", str(checkpoint), str(out), "--recipe", "f32", *options]) == 0
    return out


def _relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.sqrt(np.mean((found - expected) ** 2)) / expected.std())


@pytest.fixture
def reference_checkpoint(tmp_path: Path) -> Path:
    """A random llama with known logits, put together with the tokenizer that it shares with others."""
    return copy_tiny_random("llama", tmp_path / "llama")


def test_float_logits_and_greedy_tokens_are_those_of_the_reference(
    reference_checkpoint: Path, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Every logit of the last prompt token within 2e-4, and sixteen greedy tokens."""
    runner = runner_of(_export(reference_checkpoint, tmp_path / "package"))
    assert runner.computes(tiny_random_figures("llama")["prompts"])


@pytest.mark.parametrize(("recipe", "block", "bound"), [("q8", "32", 0.03), ("q4", "32", 0.25), ("q4", "128", 0.3)])
def test_rounded_recipes_stay_close_to_float(
    recipe: str, block: str, bound: float, reference_checkpoint: Path, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Root mean square error of the logits relative to their spread."""
    exact = runner_of(_export(reference_checkpoint, tmp_path / "f32")).logits(PROMPT)
    options = ["--recipe", recipe, "--block", block]
    rounded = runner_of(_export(reference_checkpoint, tmp_path / "rounded", *options)).logits(PROMPT)
    assert _relative_error(rounded, exact) < bound


def test_rows_and_chunks_give_the_same_logits(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """Logits of chosen rows, of none, and of a prompt in two pieces equal those of the whole."""
    runner = runner_of(make_tiny_package(tmp_path / "package"))
    whole = runner.logits(PROMPT)
    np.testing.assert_allclose(runner.logits(PROMPT, 0, [9, 2]), whole[[9, 2]], atol=1e-4)
    assert runner.logits(PROMPT[:4], 0, []).shape == (0, whole.shape[1])
    np.testing.assert_allclose(runner.logits(PROMPT[4:], 4), whole[4:], atol=1e-4)


@pytest.mark.parametrize("recipe", ["f32", "q8"])
def test_a_tied_head_computes_what_a_copy_computes(recipe: str, tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """An untied checkpoint whose head is a copy of the table gives the same logits."""
    packages = [_export(path, tmp_path / f"p-{path.name}", "--recipe", recipe) for path in make_tied_and_untied(tmp_path)]
    expected, found = (runner_of(package).logits(PROMPT) for package in packages)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_biases_are_added(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """Zeroing one bias changes the logits; a checkpoint without any equals one whose biases are all zero."""
    (tmp_path / "biased").mkdir()
    biased = make_tiny_checkpoint(tmp_path / "biased", biases=True)
    tensors = load_file(biased / "model.safetensors")
    reference = runner_of(_export(biased, tmp_path / "reference")).logits(PROMPT)
    for part in ("self_attn.q_proj", "self_attn.o_proj", "mlp.up_proj", "mlp.down_proj"):
        name = f"model.layers.1.{part}.bias"
        save_file(tensors | {name: np.zeros_like(tensors[name])}, biased / "model.safetensors")
        assert np.abs(runner_of(_export(biased, tmp_path / "p", "--force")).logits(PROMPT) - reference).max() > 1e-3
    zeroed = {name: tensor * (not name.endswith(".bias")) for name, tensor in tensors.items()}
    save_file(zeroed, biased / "model.safetensors")
    zero = runner_of(_export(biased, tmp_path / "p", "--force")).logits(PROMPT)
    save_file({name: t for name, t in tensors.items() if not name.endswith(".bias")}, biased / "model.safetensors")
    np.testing.assert_allclose(runner_of(_export(biased, tmp_path / "p", "--force")).logits(PROMPT), zero, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_and_shards_are_read_exactly(dtype: type, tmp_path: Path) -> None:
    """Values that 16 bits can hold make the same weights.bin from any element type, in one file or in two."""
    (tmp_path / "float32").mkdir()
    checkpoint = make_tiny_checkpoint(tmp_path / "float32")
    values = load_file(checkpoint / "model.safetensors")
    rounded: dict[str, np.ndarray] = {name: tensor.astype(dtype) for name, tensor in values.items()}
    save_file({name: tensor.astype(np.float32) for name, tensor in rounded.items()}, checkpoint / "model.safetensors")
    sharded = shutil.copytree(checkpoint, tmp_path / "sharded")
    (sharded / "model.safetensors").unlink()
    places = {name: f"model-{index % 2}.safetensors" for index, name in enumerate(rounded)}
    for place in set(places.values()):
        save_file({name: tensor for name, tensor in rounded.items() if places[name] == place}, sharded / place)
    (sharded / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    packages = [_export(path, tmp_path / f"p-{path.name}") for path in (checkpoint, sharded)]
    assert packages[0].joinpath("weights.bin").read_bytes() == packages[1].joinpath("weights.bin").read_bytes()


def test_the_manifest_tells_what_the_engine_needs(tmp_path: Path) -> None:
    """Sizes, ends, cache and provenance; every byte verifies."""
    manifest = open_package(make_tiny_package(tmp_path / "package", recipe="q4", context_length=256, layers=3)).manifest
    assert (manifest.name, manifest.family, manifest.recipe) == ("tiny", "llama", "q4")
    assert (manifest.context_length, manifest.eos_token_ids, manifest.bos_token_id) == (256, [2], None)
    assert manifest.cache == CacheGeometry(layout="SEPARATE", layers=3, kv_heads=2, width=16, dtype="float16")
    assert manifest.source["format"] == "hf"
    assert manifest.parameters == 3 * (64 * 64 * 3 + 64 * 128 * 3 + 128) + 64 + 2 * 64 * manifest.vocab_size
