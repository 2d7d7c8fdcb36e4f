"""A model in several files: every tensor is read once, from the file that the index names."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.changed_files import split, tiny_checkpoint
from export.refusal import refusal
from export.small_gguf import random_tensors, write_gguf
from youtu_export.__main__ import main

NAME, FIRST, SECOND = "model.norm.weight", "model-1.safetensors", "model-2.safetensors"


def _sharded(directory: Path) -> Path:
    """The layers in the second file, everything else in the first."""
    source = tiny_checkpoint(directory)
    split(source, FIRST, SECOND)
    return source


def _add(path: Path, name: str) -> None:
    tensors = load_file(path)
    save_file(tensors | {name: np.full(64, 7, np.float32)}, path)


def test_the_copy_that_the_index_names_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second copy in a later file, as in an earlier one, is left out with a warning."""
    source = _sharded(tmp_path)
    assert main(["hf", str(source), str(tmp_path / "expected"), "--no-golden"]) == 0
    expected = (tmp_path / "expected" / "weights.bin").read_bytes()
    for place, name in ((SECOND, NAME), (FIRST, "model.layers.1.input_layernorm.weight")):
        copy = shutil.copytree(source, tmp_path / f"with-{place}")
        _add(copy / place, name)
        capsys.readouterr()
        assert main(["hf", str(copy), str(tmp_path / f"p-{place}"), "--no-golden"]) == 0
        assert (tmp_path / f"p-{place}" / "weights.bin").read_bytes() == expected
        warning = f"youtu-export: warning: {copy / place}: {name}: ignored; the index refers to"
        assert warning in capsys.readouterr().err


def test_copies_that_the_index_does_not_know_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = _sharded(tmp_path)
    _add(source / FIRST, "extra")
    _add(source / SECOND, "extra")
    said = refusal(capsys, tmp_path, "hf", str(source))
    assert f"{source / SECOND}: extra: also in {FIRST}, and the index lists neither" in said


def test_a_tensor_that_is_in_another_file_than_the_index_says_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = _sharded(tmp_path)
    index = source / "model.safetensors.index.json"
    places = json.loads(index.read_text())["weight_map"]
    index.write_text(json.dumps({"weight_map": places | {NAME: SECOND}}))
    said = refusal(capsys, tmp_path, "hf", str(source))
    assert f"{source / SECOND}: {NAME}: the index lists this tensor, but it is not here" in said


def test_weights_in_one_file_and_in_parts_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Libraries differ about which of them counts."""
    source = _sharded(tmp_path)
    save_file(load_file(source / FIRST), source / "model.safetensors")
    said = refusal(capsys, tmp_path, "hf", str(source))
    assert f"{source / 'model.safetensors'}: the weights exist twice" in said


@pytest.mark.parametrize("is_first", [True, False])
def test_a_part_of_a_split_gguf_says_what_it_is(is_first: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first part has the metadata of the whole, the others have nothing but their number."""
    path = tmp_path / "model.gguf"
    metadata = {"split.count": 3, "split.no": 0 if is_first else 2}
    tensors = {name: tensor for name, tensor in random_tensors().items() if name.startswith("blk") != is_first}
    if is_first:
        write_gguf(path, tensors, metadata=metadata)
    else:
        write_gguf(path, tensors, metadata=metadata | {"tokenizer.ggml.model": None, "llama.block_count": None})
    part = "part 1" if is_first else "part 3"
    said = refusal(capsys, tmp_path, "gguf", str(path))
    assert f"{path}: split.count: 3: this is {part} of 3 files; join them first: llama-gguf-split" in said


def test_a_gguf_that_was_split_into_one_is_whole(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "model.gguf", random_tensors(), metadata={"split.count": 1, "split.no": 0})
    assert main(["gguf", str(path), str(tmp_path / "package"), "--no-golden"]) == 0


def test_one_tensor_under_two_names_in_a_gguf_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names of llama.cpp and of Hugging Face would be the same tensor."""
    path, tensors = tmp_path / "model.gguf", random_tensors()
    write_gguf(path, tensors | {"model.norm.weight": tensors["output_norm.weight"]})
    said = refusal(capsys, tmp_path, "gguf", str(path))
    assert f"{path}: model.norm.weight: the same tensor as output_norm.weight" in said
