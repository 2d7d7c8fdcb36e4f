"""Weights that are NaN or infinite are rejected with the tensor's name, whatever the input and output formats."""

from __future__ import annotations

from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.changed_files import tiny_checkpoint
from export.refusal import refusal
from export.small_families import CONFIGS, write_checkpoint
from export.small_families import random_tensors as family_tensors
from export.small_gguf import random_tensors, write_gguf
from export.test_packed_checkpoints import AWQ, COMPRESSED, GPTQ, Array, Writer, _awq, _compressed, _gptq, _quantised
from updates_support import edited
from youtu_edge.ops import library_path
from youtu_export.__main__ import main
from youtu_export.checkpoints.stored_tensor import StoredTensor, stored_bytes
from youtu_export.errors import ExportError
from youtu_export.quality.compare import compare

RECIPES = ["f32", "q4", "q4-small", "q8", "q4-awq"]
WRONG = [np.nan, np.inf, -np.inf]
NAMES = [
    "model.embed_tokens.weight", "model.norm.weight", "model.layers.1.input_layernorm.weight",
    "model.layers.0.self_attn.k_proj.weight", "model.layers.0.self_attn.o_proj.bias", "model.layers.1.mlp.down_proj.weight",
    "lm_head.weight",
]  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("finite"), biases=True)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_names_the_tensor_of_a_safetensors_file(
    recipe: str, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Tables, vectors, matrices and biases; the last value of each."""
    whole = load_file(source / "model.safetensors")
    directory = tiny_checkpoint(tmp_path, biases=True)
    for index, name in enumerate(NAMES):
        tensors = {**whole, name: whole[name].copy()}
        tensors[name].flat[-1] = WRONG[index % 3]
        save_file(tensors, directory / "model.safetensors")
        said = refusal(capsys, tmp_path, "hf", str(directory), "--recipe", recipe)
        assert f"{directory / 'model.safetensors'}: {name}: a weight is {WRONG[index % 3]}" in said


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("recipe", ["f32", "q4"])
def test_half_precision_is_checked_as_well(
    kind: type, recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tiny_checkpoint(tmp_path)
    tensors: dict[str, Array] = dict(load_file(directory / "model.safetensors"))
    name = "model.layers.1.mlp.up_proj.weight"
    tensors[name] = tensors[name].astype(kind)
    tensors[name][5, 7] = np.inf
    save_file(tensors, directory / "model.safetensors")
    assert f"{name}: a weight is inf" in refusal(capsys, tmp_path, "hf", str(directory), "--recipe", recipe)


@pytest.mark.parametrize("kind", ["F32", "F16", "BF16", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"])
@pytest.mark.parametrize("recipe", ["f32", "q4", "q8"])
def test_every_kind_of_a_gguf_is_checked(
    kind: str, recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """In blocks it is the scale that is NaN. Kept and requantised codes; the embedding table and a matrix."""
    path = tmp_path / "model.gguf"
    _, block_bytes = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType[kind]]
    for name in ("token_embd.weight", "blk.0.attn_output.weight"):
        write_gguf(path, random_tensors(), {name: kind})
        tensor = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)
        data = bytearray(path.read_bytes())
        at = tensor.data_offset + 3 * block_bytes
        wrong = {"F32": np.float32(np.nan), "BF16": ml_dtypes.bfloat16(np.nan)}.get(kind, np.float16(np.nan)).tobytes()
        data[at : at + len(wrong)] = wrong
        path.write_bytes(data)
        said = refusal(capsys, tmp_path, "gguf", str(path), "--recipe", recipe)
        assert f"{path}: {name}: a " in said
        assert "nan" in said


@pytest.mark.parametrize("kind", ["Q2_K", "Q3_K", "Q4_K", "Q5_K", "Q6_K", "IQ4_NL", "IQ4_XS", "IQ2_XXS", "IQ3_S", "TQ1_0"])
def test_wider_blocks_are_checked_too(kind: str, tmp_path: Path) -> None:
    """Each has at least one float16 among its bytes."""
    path = tmp_path / "tensor"
    path.write_bytes(bytes([0xFF]) * stored_bytes(kind, (1, 256)))
    with pytest.raises(ExportError, match=f"{path}: name: a weight is nan"):
        StoredTensor(path, "name", (1, 256), kind, 0).values()


def test_the_second_number_of_a_block_is_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Q4_1 has a minimum beside its scale."""
    path, name = tmp_path / "model.gguf", "blk.0.ffn_up.weight"
    write_gguf(path, random_tensors(), {name: "Q4_1"})
    tensor = next(tensor for tensor in gguf.GGUFReader(path).tensors if tensor.name == name)
    data = bytearray(path.read_bytes())
    data[tensor.data_offset + 2 : tensor.data_offset + 4] = np.float16(np.inf).tobytes()
    path.write_bytes(data)
    for recipe in ("q4", "q8", "f32"):
        assert f"{path}: {name}: a " in refusal(capsys, tmp_path, "gguf", str(path), "--recipe", recipe)


@pytest.mark.parametrize(
    ("settings", "writer", "scales"),
    [(AWQ, _awq, "scales"), (GPTQ, _gptq, "scales"), (COMPRESSED, _compressed, "weight_scale")],
)  # fmt: skip
@pytest.mark.parametrize("recipe", ["q4", "q8", "f32"])
def test_scales_of_quantised_checkpoints_are_checked(
    settings: dict[str, object], writer: Writer, scales: str, recipe: str, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def damaged(codes: Array, zeros: Array, values: Array) -> dict[str, Array]:
        values[-1, -1] = np.nan
        return writer(codes, zeros, values)

    directory, _ = _quantised(tmp_path, settings, damaged)
    said = refusal(capsys, tmp_path, "hf", str(directory), "--recipe", recipe)
    assert f"{directory / 'model.safetensors'}: model.layers.0.self_attn.q_proj.{scales}: a " in said


@pytest.mark.parametrize("family", CONFIGS)
def test_every_family_reads_through_the_same_check(family: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also where a family computes new matrices of the stored ones before anything is rounded."""
    config = CONFIGS[family]
    whole = family_tensors(config)
    directory = write_checkpoint(tmp_path / "hf", config, whole)
    for name in [name for name in whole if "layers.1." in name or "layers." not in name]:
        tensors = {**whole, name: whole[name].copy()}
        tensors[name].flat[len(tensors[name]) // 2] = np.nan
        save_file(tensors, directory / "model.safetensors")
        assert f"{name}: a weight is nan" in refusal(capsys, tmp_path, "hf", str(directory), "--recipe", "f32")


@pytest.mark.parametrize("recipe", ["f32", "q4-awq"])
def test_finite_weights_of_which_nothing_finite_can_be_computed_are_refused(
    recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Golden prompts without a finite score, or a calibration without a finite activation."""
    library_path()
    directory = tiny_checkpoint(tmp_path)
    tensors = load_file(directory / "model.safetensors")
    tensors["model.layers.0.mlp.up_proj.weight"] *= np.float32(1e37)
    save_file(tensors, directory / "model.safetensors")
    said = refusal(capsys, tmp_path, "hf", str(directory), "--recipe", recipe)
    assert "NaN or infinite" in said
    assert str(tmp_path / "package") in said or str(directory) in said


def test_figures_are_never_made_of_scores_that_are_no_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """max(0, NaN) is 0: a KL divergence of 0 passed."""
    directory = tiny_checkpoint(tmp_path)
    assert main(["hf", str(directory), str(tmp_path / "good"), "--recipe", "f32"]) == 0

    def spoil(copy: Path) -> None:
        values = np.fromfile(copy / "weights.bin", np.float32)
        values[3 * 64 : 200 * 64] = np.nan
        values.tofile(copy / "weights.bin")

    edited(tmp_path / "good", tmp_path / "bad", spoil)
    text = tmp_path / "text.txt"
    text.write_text("the cat and the hat, and then the end of it all. " * 4)
    capsys.readouterr()
    for pair in (("good", "bad"), ("bad", "good")):
        assert main(["compare", *(str(tmp_path / name) for name in pair), "--text", str(text)]) == 1
        assert f"{tmp_path / 'bad'}: the model computes logits that are NaN or infinite" in capsys.readouterr().err
    assert compare(tmp_path / "good", tmp_path / "good", [text], 64)
