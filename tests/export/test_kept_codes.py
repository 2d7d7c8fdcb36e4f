"""Matrices of a GGUF arrive in the package with exactly the values that llama.cpp reads."""

from __future__ import annotations

from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
import pytest

from export.package_runner import PackageRunner
from export.package_weights import initializers, matrix, nodes, place, read
from export.refusal import refusal
from export.small_gguf import FEED_FORWARD, HEADS, HIDDEN, KV_HEADS, SHAPES, random_tensors, write_gguf
from ops.reference import untile_blocks, untile_codes
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
    parts = [gguf.quants.dequantize(gguf.quants.quantize(tensors[f"{name}.weight"], type_), type_) for name in names]
    return np.concatenate(parts)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_values_are_those_of_the_gguf_to_the_last_bit(kind: str, tmp_path: Path) -> None:
    """Gate and up become one matrix; Q4_1 keeps its minimums as they are stored."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, kind))
    np.testing.assert_array_equal(matrix(package, f"{GATE_UP}/Linear"), _ggml(kind, "blk.0.ffn_gate", "blk.0.ffn_up"))
    assert (f"{GATE_UP}/minimums" in initializers(package)) == (kind == "Q4_1")
    assert f"{GATE_UP}/zero_points" not in initializers(package)


def test_codes_lie_in_tiles_of_sixteen_rows(tmp_path: Path) -> None:
    """As the contract says: the bytes of ggml's blocks, in another order."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, "Q4_0"))
    path = "/model/layers.0/mlp/down"
    raw = gguf.quants.quantize(random_tensors()["blk.0.ffn_down.weight"], gguf.GGMLQuantizationType.Q4_0)
    blocks = raw.reshape(HIDDEN, FEED_FORWARD // 32, 18)
    scales = np.ascontiguousarray(blocks[..., :2]).view(np.float16)[..., 0]
    codes = np.concatenate([blocks[..., 2:] & 15, blocks[..., 2:] >> 4], axis=-1).reshape(HIDDEN, FEED_FORWARD)
    np.testing.assert_array_equal(untile_codes(read(package, f"{path}/codes"), 4), codes)
    np.testing.assert_array_equal(untile_blocks(read(package, f"{path}/scales")), scales)
    assert read(package, f"{path}/codes").shape == (HIDDEN // 16, FEED_FORWARD // 8, 16, 4)


def test_rows_of_q_and_k_are_put_back_into_the_order_of_half_rotation(tmp_path: Path) -> None:
    """Row (head, half, pair) of the package is row (head, pair, half) of the file; v is untouched."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, "Q4_0"))
    width = HIDDEN // HEADS
    expected = []
    for name, heads in (("blk.0.attn_q", HEADS), ("blk.0.attn_k", KV_HEADS)):
        stored = _ggml("Q4_0", name)
        expected += [stored[head * width + half :: 2][: width // 2] for head in range(heads) for half in (0, 1)]
    values = matrix(package, "/model/layers.0/attn/qkv/Linear")
    np.testing.assert_array_equal(values, np.concatenate([*expected, _ggml("Q4_0", "blk.0.attn_v")]))


@pytest.mark.parametrize(("gate", "up"), [("Q4_0", "Q8_0"), ("Q4_1", "Q4_0")])
def test_matrices_of_different_types_stay_apart(gate: str, up: str, tmp_path: Path) -> None:
    """Joining 4-bit and 8-bit codes, or codes with minimums and without, would round one of them twice."""
    kinds = dict.fromkeys(MATRICES, gate) | {"blk.0.ffn_up.weight": up}
    package = _export(tmp_path, kinds)
    np.testing.assert_array_equal(matrix(package, f"{GATE_UP}/0/Linear"), _ggml(gate, "blk.0.ffn_gate"))
    np.testing.assert_array_equal(matrix(package, f"{GATE_UP}/1/Linear"), _ggml(up, "blk.0.ffn_up"))


def test_four_bits_with_and_without_zero_points_are_one_matrix(tmp_path: Path) -> None:
    """The zero point of Q4_0 is 8 in every block, which can be written down."""
    package = _export(tmp_path, dict.fromkeys(MATRICES, "Q4_0") | {"blk.0.ffn_up.weight": "F32"})
    values = matrix(package, f"{GATE_UP}/Linear")
    np.testing.assert_array_equal(values[:FEED_FORWARD], _ggml("Q4_0", "blk.0.ffn_gate"))
    np.testing.assert_allclose(values[FEED_FORWARD:], random_tensors()["blk.0.ffn_up.weight"], atol=0.03)


@pytest.mark.parametrize("recipe", ["q4", "q4-small"])
@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q8_0"])
def test_a_tied_head_reads_the_initializers_of_the_table(kind: str, recipe: str, tmp_path: Path) -> None:
    """Both by the same names, with the values of the file, whatever bits the recipe gives to tables that it rounds."""
    package = _export(tmp_path, {"token_embd.weight": kind}, "--recipe", recipe)
    found = nodes(package)
    assert found["/model/embed_tokens/Embedding"].input[1:] == found["/lm_head/Linear"].input[1:]
    assert not [name for name in initializers(package) if name.startswith("/lm_head")]
    np.testing.assert_array_equal(matrix(package, "/lm_head/Linear"), _ggml(kind, "token_embd"))


@pytest.mark.parametrize(
    ("kind", "at", "what"), [("Q4_0", 0, "scale"), ("Q4_1", 0, "scale"), ("Q4_1", 2, "minimum"), ("Q8_0", 0, "scale")]
)
@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_a_scale_that_is_no_number_is_refused(
    kind: str, at: int, what: str, value: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One damaged block of a matrix is named with file and tensor."""
    source = write_gguf(tmp_path / "model.gguf", random_tensors(), {"blk.0.ffn_up.weight": kind})
    tensor = next(tensor for tensor in gguf.GGUFReader(source).tensors if tensor.name == "blk.0.ffn_up.weight")
    data = bytearray(source.read_bytes())
    begin = tensor.data_offset + 5 * gguf.GGML_QUANT_SIZES[tensor.tensor_type][1] + at
    data[begin : begin + 2] = np.float16(value).tobytes()
    source.write_bytes(data)
    message = refusal(capsys, tmp_path, "gguf", str(source))
    assert f"{source}: blk.0.ffn_up.weight: a {what} is {value}" in message


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
