"""Four-bit checkpoints of other tools arrive in the package integer by integer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import load_file, save_file

from export.package_runner import PackageRunner
from export.package_weights import initializers, matrix, read
from export.refusal import refusal
from reference_data import copy_tiny_random
from tiny_model import make_tiny_checkpoint
from youtu_export.__main__ import main

Array = npt.NDArray[Any]
Writer = Callable[[Array, Array, Array], dict[str, Array]]

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
PLAIN = tuple(range(8))
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 32, "zero_point": True, "version": "gemm"}
GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 32, "desc_act": False, "sym": False}
COMPRESSED = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {
        "group_0": {
            "targets": ["Linear"],
            "input_activations": None,
            "weights": {"num_bits": 4, "type": "int", "symmetric": False, "strategy": "group", "group_size": 32},
        }
    },
    "ignore": ["lm_head"],
}


def _int32(values: Array, order: tuple[int, ...]) -> Array:
    """Eight columns to an int32: bits 4i of column c hold value 8c + order[i], as AutoAWQ's packer writes them."""
    packed = np.zeros((values.shape[0], values.shape[1] // 8), np.uint32)
    for nibble, index in enumerate(order):
        packed |= values[:, index::8].astype(np.uint32) << np.uint32(4 * nibble)
    return packed.view(np.int32)


def _awq(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
    return {
        "qweight": _int32(codes.T, AWQ_ORDER),
        "qzeros": _int32(zeros.T, AWQ_ORDER),
        "scales": np.ascontiguousarray(scales.T),
    }


def _gptq(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
    return {
        "qweight": np.ascontiguousarray(_int32(codes, PLAIN).T),
        "qzeros": _int32((zeros - 1).T, PLAIN),
        "scales": np.ascontiguousarray(scales.T),
        "g_idx": (np.arange(codes.shape[1]) // 32).astype(np.int32),
    }


def _compressed(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
    return {
        "weight_packed": _int32(codes, PLAIN),
        "weight_zero_point": np.ascontiguousarray(_int32(np.ascontiguousarray(zeros.T), PLAIN).T),
        "weight_scale": scales,
        "weight_shape": np.array(codes.shape, np.int64),
    }


def _quantised(
    tmp_path: Path, settings: dict[str, Any], writer: Writer, scale_type: type = np.float16, zero: int | None = None
) -> tuple[Path, dict[str, tuple[Array, Array, Array]]]:
    """A tiny checkpoint with every projection in 4 bits, and codes [N, K], zeros (all `zero`), scales [N, K/32] of each."""
    source = tmp_path / "checkpoint"
    source.mkdir()
    make_tiny_checkpoint(source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"quantization_config": settings}))
    tensors, integers = load_file(source / "model.safetensors"), {}
    random = np.random.default_rng(5)
    for name in [name for name in tensors if name.endswith("_proj.weight")]:
        rows, columns = tensors.pop(name).shape
        codes = random.integers(0, 16, (rows, columns), np.uint8)
        zeros = random.integers(1, 16, (rows, columns // 32), np.uint8)
        zeros = zeros if zero is None else np.full_like(zeros, zero)
        scales = (0.001 + random.random((rows, columns // 32)) * 0.1).astype(scale_type)
        integers[name] = codes, zeros, scales
        prefix = name.removesuffix("weight")
        tensors |= {prefix + part: values for part, values in writer(codes, zeros, scales).items()}
    save_file(tensors, source / "model.safetensors")
    return source, integers


@pytest.mark.parametrize(
    ("settings", "writer"), [(AWQ, _awq), (GPTQ, _gptq), (COMPRESSED, _compressed)], ids=["awq", "gptq", "compressed"]
)
def test_values_are_those_of_the_formula_to_the_last_bit(settings: dict[str, Any], writer: Writer, tmp_path: Path) -> None:
    """(q - z) * s in float32 of the package's integers equals that of the integers the checkpoint was made of."""
    source, integers = _quantised(tmp_path, settings, writer)
    assert main(["hf", str(source), str(tmp_path / "package")]) == 0
    for layer in range(2):
        path = f"/model/layers.{layer}"
        groups = {
            f"{path}/attn/qkv/Linear": [f"self_attn.{part}_proj" for part in "qkv"],
            f"{path}/attn/o/Linear": ["self_attn.o_proj"],
            f"{path}/mlp/gate_up/Linear": ["mlp.gate_proj", "mlp.up_proj"],
            f"{path}/mlp/down/Linear": ["mlp.down_proj"],
        }
        for node, names in groups.items():
            parts = [integers[f"model.layers.{layer}.{name}.weight"] for name in names]
            expected = np.concatenate([_formula(*part) for part in parts])
            np.testing.assert_array_equal(matrix(tmp_path / "package", node), expected)


def _formula(codes: Array, zeros: Array, scales: Array) -> Array:
    """AutoAWQ's `dequantize_gemm` in float32."""
    widened = (np.repeat(part.astype(np.float32), 32, axis=1) for part in (zeros, scales))
    zero, scale = widened
    values: Array = (codes.astype(np.float32) - zero) * scale
    return values


@pytest.mark.parametrize("scale_type", [np.float32, ml_dtypes.bfloat16])
def test_scales_of_other_types_become_the_nearest_float16(scale_type: type, tmp_path: Path) -> None:
    """Codes stay; a scale moves by at most 2^-11 of itself."""
    source, integers = _quantised(tmp_path, COMPRESSED, _compressed, scale_type)
    assert main(["hf", str(source), str(tmp_path / "package")]) == 0
    codes, zeros, scales = integers["model.layers.0.mlp.down_proj.weight"]
    nearest = scales.astype(np.float16)
    assert np.abs(nearest.astype(np.float64) / scales.astype(np.float64) - 1).max() <= 2.0**-11
    assert (nearest.astype(np.float32) != scales.astype(np.float32)).any() == (scale_type is np.float32)
    values = matrix(tmp_path / "package", "/model/layers.0/mlp/down/Linear")
    np.testing.assert_array_equal(values, _formula(codes, zeros, nearest))


@pytest.mark.parametrize("scale", [np.nan, np.inf, -1e6, 3e-5 / 7, 1e-30])
def test_a_scale_that_float16_cannot_hold_is_refused(
    scale: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By file and tensor: NaN, infinite, too large, or so small that digits would be lost."""

    def damaged(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
        scales[-1, -1] = scale
        return _compressed(codes, zeros, scales)

    source, _ = _quantised(tmp_path, COMPRESSED, damaged, np.float32)
    message = refusal(capsys, tmp_path, "hf", str(source))
    assert f"{source / 'model.safetensors'}: model.layers.0.self_attn.q_proj.weight_scale: " in message
    assert f"{np.float32(scale):g}" in message


def test_small_scales_that_float16_holds_are_kept(tmp_path: Path) -> None:
    """A subnormal float16 is as exact as any other where the source has the same number."""

    def small(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
        scales[:] = np.float16(3e-5)
        return _compressed(codes, zeros, scales)

    source, integers = _quantised(tmp_path, COMPRESSED, small, np.float32)
    assert main(["hf", str(source), str(tmp_path / "package")]) == 0
    values = matrix(tmp_path / "package", "/model/layers.0/mlp/down/Linear")
    np.testing.assert_array_equal(values, _formula(*integers["model.layers.0.mlp.down_proj.weight"]))


def test_zero_points_of_eight_are_not_stored(tmp_path: Path) -> None:
    """Symmetric checkpoints of GPTQ write them down; the operators know them."""
    source, integers = _quantised(tmp_path, GPTQ, _gptq, zero=8)
    assert main(["hf", str(source), str(tmp_path / "package")]) == 0
    assert not [name for name in initializers(tmp_path / "package") if name.endswith("zero_points")]
    values = matrix(tmp_path / "package", "/model/layers.0/mlp/down/Linear")
    np.testing.assert_array_equal(values, _formula(*integers["model.layers.0.mlp.down_proj.weight"]))


def test_rows_in_another_order_stay_with_their_scales(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """Youtu's q_b and kv_b are taken apart by rows; in AWQ's form they give the logits of their float values."""
    sources = [tmp_path / "packed", tmp_path / "float"]
    for source in sources:
        copy_tiny_random("youtu", source)
    tensors = load_file(sources[0] / "model.safetensors")
    packed, plain = dict(tensors), dict(tensors)
    random = np.random.default_rng(7)
    for name, (rows, columns) in {n: t.shape for n, t in tensors.items() if n.endswith("_proj.weight")}.items():
        if rows % 8 or columns % 32:
            continue
        codes = random.integers(0, 16, (rows, columns), np.uint8)
        zeros = random.integers(6, 10, (rows, columns // 32), np.uint8)
        scales = (0.01 + random.random((rows, columns // 32)) * 0.02).astype(np.float16)
        plain[name] = _formula(codes, zeros, scales)
        del packed[name]
        packed |= {name.removesuffix("weight") + part: array for part, array in _awq(codes, zeros, scales).items()}
    assert any(name.endswith("q_b_proj.qweight") for name in packed)
    assert any(name.endswith("kv_b_proj.qweight") for name in packed)
    config = json.loads((sources[0] / "config.json").read_text())
    (sources[0] / "config.json").write_text(json.dumps(config | {"quantization_config": AWQ}))
    for source, values in zip(sources, (packed, plain), strict=True):
        save_file(values, source / "model.safetensors")
        assert main(["hf", str(source), str(source / "f32"), "--recipe", "f32"]) == 0
    found, expected = (runner_of(source / "f32").logits([75, 104, 111, 35, 80]) for source in sources)
    np.testing.assert_array_equal(found, expected)
    assert main(["hf", str(sources[0]), str(sources[0] / "q4")]) == 0
    query = "/model/layers.0/attn/q_b"
    kept = matrix(sources[0] / "q4", f"{query}/Linear")
    np.testing.assert_array_equal(kept, read(sources[1] / "f32", f"{query}/weight").T)


def test_a_float_package_of_a_quantised_checkpoint_computes_nearly_the_same(
    tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Only the rounding of activations and of the 8-bit head lies between recipes q4 and f32."""
    source, _ = _quantised(tmp_path, AWQ, _awq)
    for recipe in ("q4", "f32"):
        assert main(["hf", str(source), str(tmp_path / recipe), "--recipe", recipe]) == 0
    exact, kept = (runner_of(tmp_path / recipe).logits([75, 104, 111, 35, 80]) for recipe in ("f32", "q4"))
    assert np.sqrt(np.mean((exact - kept) ** 2)) < 0.1 * exact.std()


@pytest.mark.parametrize(
    ("settings", "writer", "message"),
    [
        ({**AWQ, "bits": 8}, _awq, "bits: 8"),
        ({**AWQ, "version": "gemv"}, _awq, "version: 'gemv'"),
        ({**AWQ, "group_size": -1}, _awq, "group_size -1"),
        ({**GPTQ, "desc_act": True}, _gptq, "desc_act"),
        ({**COMPRESSED, "format": "float-quantized"}, _compressed, "format: 'float-quantized'"),
        ({"quant_method": "bitsandbytes"}, _awq, "quant_method 'bitsandbytes'"),
        ({**AWQ, "group_size": 64}, _awq, "zero points and scales of shapes"),
    ],
)
def test_what_cannot_be_represented_is_refused_by_name(
    settings: dict[str, Any], writer: Writer, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, _ = _quantised(tmp_path, settings, writer)
    assert main(["hf", str(source), str(tmp_path / "package")]) == 1
    assert message in capsys.readouterr().err
    assert not (tmp_path / "package").exists()


def test_reordered_columns_of_gptq_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Although the configuration denies it, g_idx tells."""

    def shuffled(codes: Array, zeros: Array, scales: Array) -> dict[str, Array]:
        parts = _gptq(codes, zeros, scales)
        return parts | {"g_idx": np.ascontiguousarray(parts["g_idx"][::-1])}

    source, _ = _quantised(tmp_path, GPTQ, shuffled)
    assert main(["hf", str(source), str(tmp_path / "package")]) == 1
    assert "desc_act" in capsys.readouterr().err


def test_integers_without_a_quantisation_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A config.json that lost its quantization_config names the tensor."""
    source, _ = _quantised(tmp_path, AWQ, _awq)
    config = json.loads((source / "config.json").read_text())
    del config["quantization_config"]
    (source / "config.json").write_text(json.dumps(config))
    assert main(["hf", str(source), str(tmp_path / "package")]) == 1
    assert "quantization_config" in capsys.readouterr().err
