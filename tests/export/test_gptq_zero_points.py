"""GPTQ's two ways to store zero points are distinguished by the data where possible, and never confused silently."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from export.changed_files import change
from export.package_weights import matrix
from export.refusal import refusal
from export.test_packed_checkpoints import COMPRESSED, GPTQ, Array, Writer, _compressed, _formula, _gptq, _int32, _quantised
from youtu_export.__main__ import main
from youtu_export.checkpoints.gptq_zero_points import decide, doubt
from youtu_export.checkpoints.hf_reader import open_hf

PLAIN = tuple(range(8))
NAME = "model.layers.0.mlp.down_proj.weight"
V2 = {"checkpoint_format": "gptq_v2"}


def _gptq_v2(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
    return _gptq(codes, zeros, scales) | {"qzeros": _int32(zeros.T, PLAIN)}


@pytest.mark.parametrize("sym", [True, False, None])
@pytest.mark.parametrize(
    ("said", "writer", "stored"),
    [({}, _gptq, 7), ({}, _gptq_v2, 8), (V2, _gptq_v2, 8), (V2, _gptq, 7), ({"checkpoint_format": "gptq"}, _gptq_v2, 8)],
)
def test_symmetric_zero_points_are_eight_however_they_are_stored(
    sym: bool | None, said: dict[str, Any], writer: Writer, stored: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Format and data may contradict each other: the data are right, and it is told."""
    source, integers = _quantised(tmp_path, GPTQ | {"sym": sym} | said, writer, zero=8)
    assert main(["hf", str(source), str(tmp_path / "package"), "--no-golden"]) == 0
    values = matrix(tmp_path / "package", "/model/layers.0/mlp/down/Linear")
    np.testing.assert_array_equal(values, _formula(*integers[NAME]))
    fits = (stored == 8) == (said == V2)
    assert (f"matrices store every zero point as {stored}, which is 8 in" in capsys.readouterr().err) != fits


@pytest.mark.parametrize(("said", "writer"), [({}, _gptq), (V2, _gptq_v2)])
def test_other_zero_points_are_what_the_format_says(said: dict[str, Any], writer: Writer, tmp_path: Path) -> None:
    source, integers = _quantised(tmp_path, GPTQ | said, writer)
    assert main(["hf", str(source), str(tmp_path / "package"), "--no-golden"]) == 0
    values = matrix(tmp_path / "package", "/model/layers.0/mlp/down/Linear")
    np.testing.assert_array_equal(values, _formula(*integers[NAME]))


def test_zero_points_that_differ_although_sym_is_true_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever of the two is wrong, the weights would be."""
    source, _ = _quantised(tmp_path, GPTQ | {"sym": True}, _gptq)
    said = refusal(capsys, tmp_path, "hf", str(source))
    assert f"{source / 'config.json'}: quantization_config: model.layers.0." in said
    assert "sym is true, but zero points are stored as 0, 1, 2" in said


@pytest.mark.parametrize(("said", "writer", "other"), [({}, _gptq_v2, "gptq_v2"), (V2, _gptq, "gptq")])
def test_an_average_that_speaks_for_the_other_format_is_told(
    said: dict[str, Any], writer: Writer, other: str, tmp_path: Path
) -> None:
    """Weights are zero on average: that of the codes lies at the zero points. What the format says is followed."""

    def centred(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
        zeros[:] = np.where(np.arange(zeros.size).reshape(zeros.shape) % 2, 6, 9)
        codes[:] = np.clip(np.repeat(zeros, 32, axis=1).astype(int) + (codes.astype(int) % 5 - 2), 0, 15)
        return writer(codes, zeros, scales)

    source, _ = _quantised(tmp_path, GPTQ | said, centred)
    (warning,) = [text for text in open_hf(source).findings.warnings if "zero points" in text]
    assert f"which indicates {other}; if answers are bad, correct checkpoint_format" in warning
    change(source / "config.json", quantization_config=GPTQ | {"checkpoint_format": other})
    assert not [text for text in open_hf(source).findings.warnings if "zero points" in text]


def test_one_uniform_matrix_among_others_decides_nothing() -> None:
    """Without sym, it may be chance."""
    stored = {"a": [8], "b": [6, 7, 8]}
    assert decide(stored, layout="gptq", is_symmetric=False).added == {"a": 1, "b": 1}
    with pytest.raises(ValueError, match="b: sym is true"):
        decide(stored, layout="gptq", is_symmetric=True)
    assert decide({"a": [7], "b": [8]}, layout="gptq", is_symmetric=True).added == {"a": 1, "b": 0}


@pytest.mark.parametrize(("mean", "told"), [(8.0, True), (8.2, True), (8.5, False), (9.0, False), (11.0, False)])
def test_only_a_clear_average_is_told(mean: float, told: bool) -> None:
    codes = np.full(10, int(mean), np.uint8)
    codes[: round(10 * (mean - int(mean)))] += 1
    assert bool(doubt(codes, np.full(4, 8, np.uint8), "gptq")) == told


def test_a_symmetric_compressed_checkpoint_has_zero_points_of_eight_or_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is not symmetric needs them: 8 was taken for what is missing."""
    weights = COMPRESSED["config_groups"]["group_0"]["weights"]

    def settings(symmetric: bool | None) -> dict[str, Any]:
        group = COMPRESSED["config_groups"]["group_0"] | {"weights": weights | {"symmetric": symmetric}}
        return COMPRESSED | {"config_groups": {"group_0": group}}

    def without(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
        return {part: value for part, value in _compressed(codes, zeros, scales).items() if part != "weight_zero_point"}

    source, integers = _quantised(tmp_path, settings(False), without, zero=8)
    said = refusal(capsys, tmp_path, "hf", str(source))
    assert "weight_packed: its weight_zero_point is missing" in said
    change(source / "config.json", quantization_config=settings(True))
    assert main(["hf", str(source), str(tmp_path / "package"), "--no-golden"]) == 0
    values = matrix(tmp_path / "package", "/model/layers.0/mlp/down/Linear")
    np.testing.assert_array_equal(values, _formula(*integers[NAME]))
    (tmp_path / "other").mkdir()
    source, _ = _quantised(tmp_path / "other", settings(True), _compressed)
    said = refusal(capsys, tmp_path / "other", "hf", str(source))
    assert "weight_zero_point: symmetric in quantization_config, but zero points are not all 8" in said


def test_a_matrix_that_is_there_twice_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As floats and as integers: nothing says which counts."""
    source, integers = _quantised(tmp_path, GPTQ, _gptq)
    tensors = load_file(source / "model.safetensors")
    tensors[NAME] = np.zeros(integers[NAME][0].shape, np.float32)
    save_file(tensors, source / "model.safetensors")
    assert f"qweight: {NAME} exists as well" in refusal(capsys, tmp_path, "hf", str(source))
