"""Integer codes of a GGUF arrive in the package bit by bit."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from export.package_runner import PackageRunner
from export.package_weights import initializers, nibbles, place, read
from export.small_gguf import FEED_FORWARD, HEADS, HIDDEN, KV_HEADS, SHAPES, random_tensors, write_gguf
from youtu_export.__main__ import main

MATRICES = [f"blk.0.{name}.weight" for name in SHAPES]
GATE_UP = "/model/layers.0/mlp/gate_up"


def _export(tmp_path: Path, kinds: dict[str, str], *options: str) -> Path:
    source = write_gguf(tmp_path / "model.gguf", random_tensors(), kinds)
    out = tmp_path / "package"
    assert main(["gguf", str(source), str(out), "--force", *options]) == 0
    return out


def _ggml(kind: str, *names: str) -> npt.NDArray[np.float32]:
    """The tensors as llama.cpp reads them after quantisation, stacked."""
    type_ = gguf.GGMLQuantizationType[kind]
    tensors = random_tensors()
    parts = [gguf.quants.dequantize(gguf.quants.quantize(tensors[f"blk.0.{name}.weight"], type_), type_) for name in names]
    return np.concatenate(parts)


def _blocked(codes: npt.NDArray[np.uint8], zero: int, scales: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return (codes.astype(np.float32) - zero) * np.repeat(scales, 32, axis=1)


def test_q4_0_codes_are_kept(tmp_path: Path) -> None:
    """Gate and up become one 4-bit matrix whose values are exactly those of the GGUF."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, "Q4_0"))
    values = _blocked(nibbles(read(package, f"{GATE_UP}/weight")), 8, read(package, f"{GATE_UP}/scales"))
    np.testing.assert_array_equal(values, _ggml("Q4_0", "ffn_gate", "ffn_up"))


def test_q4_1_codes_and_scales_are_kept_and_minimums_become_float16(tmp_path: Path) -> None:
    """The codes are exact; only the shifted minimum of each block is rounded, to float16."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, "Q4_1"))
    mins = read(package, f"{GATE_UP}/mins")
    assert mins.dtype == np.float16
    assert mins.shape == (HIDDEN // 32, 2 * FEED_FORWARD)
    values = _blocked(nibbles(read(package, f"{GATE_UP}/weight")), 8, read(package, f"{GATE_UP}/scales"))
    values += np.repeat(mins.T.astype(np.float32), 32, axis=1)
    np.testing.assert_allclose(values, _ggml("Q4_1", "ffn_gate", "ffn_up"), atol=2e-4, rtol=0)


def test_q8_0_codes_are_kept(tmp_path: Path) -> None:
    """Signed codes become unsigned ones around 128."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, "Q8_0"))
    codes = read(package, f"{GATE_UP}/weight").reshape(2 * FEED_FORWARD, HIDDEN)
    values = _blocked(codes, 128, read(package, f"{GATE_UP}/scales"))
    np.testing.assert_array_equal(values, _ggml("Q8_0", "ffn_gate", "ffn_up"))


def test_rows_of_q_and_k_are_put_back_into_the_order_of_half_rotation(tmp_path: Path) -> None:
    """Row (head, half, pair) of the package is row (head, pair, half) of the file; v is untouched."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, "Q4_0"))
    path = "/model/layers.0/attn/qkv"
    values = _blocked(nibbles(read(package, f"{path}/weight")), 8, read(package, f"{path}/scales"))
    width = HIDDEN // HEADS
    expected = []
    for name, heads in (("attn_q", HEADS), ("attn_k", KV_HEADS)):
        stored = _ggml("Q4_0", name)
        expected += [stored[head * width + half :: 2][: width // 2] for head in range(heads) for half in (0, 1)]
    np.testing.assert_array_equal(values, np.concatenate([*expected, _ggml("Q4_0", "attn_v")]))


def test_matrices_of_different_types_stay_apart(tmp_path: Path) -> None:
    """Joining a 4-bit gate and an 8-bit up would round one of them twice."""
    kinds = dict.fromkeys(MATRICES, "Q4_0") | {"blk.0.ffn_up.weight": "Q8_0"}
    package = _export(tmp_path, kinds)
    gate = _blocked(nibbles(read(package, f"{GATE_UP}/0/weight")), 8, read(package, f"{GATE_UP}/0/scales"))
    np.testing.assert_array_equal(gate, _ggml("Q4_0", "ffn_gate"))
    codes = read(package, f"{GATE_UP}/1/weight").reshape(FEED_FORWARD, HIDDEN)
    np.testing.assert_array_equal(_blocked(codes, 128, read(package, f"{GATE_UP}/1/scales")), _ggml("Q8_0", "ffn_up"))


def test_a_tied_head_is_stored_once(tmp_path: Path) -> None:
    """Token table and head are two initializers of different shape at one place in weights.bin."""
    package = _export(tmp_path, {"token_embd.weight": "Q8_0"})
    tensors = initializers(package)
    table, head = tensors["/model/embed_tokens/weight"], tensors["/lm_head/weight"]
    assert place(table) == place(head)
    assert list(table.dims) == [head.dims[0], head.dims[1] * head.dims[2]]


def test_large_weights_start_on_a_page_and_small_ones_on_a_cache_line(smollm2_gguf: Path, tmp_path: Path) -> None:
    """Mapped files and vector loads both want that."""
    assert main(["gguf", str(smollm2_gguf), str(tmp_path / "package")]) == 0
    for tensor in initializers(tmp_path / "package").values():
        offset, length = place(tensor)
        assert offset % (4096 if length >= 65536 else 64) == 0, tensor.name


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
@pytest.mark.parametrize("table", ["Q4_0", "Q4_1", "Q8_0", "F16"])
def test_kept_codes_compute_what_their_values_compute(
    kind: str, table: str, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """Logits of the integer package agree with those of the same GGUF dequantised to float32."""
    kinds = dict.fromkeys(MATRICES, kind) | {"token_embd.weight": table}
    prompt = [72, 101, 108, 108, 111]
    integer = runner_of(_export(tmp_path, kinds), 128).logits(prompt)
    exact = runner_of(_export(tmp_path, kinds, "--recipe", "f32"), 128).logits(prompt)
    assert np.sqrt(np.mean((integer - exact) ** 2)) < 0.04 * exact.std()
