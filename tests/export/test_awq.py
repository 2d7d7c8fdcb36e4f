"""AWQ moves scales without changing the model, and rounding afterwards costs less."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from export.package_runner import PackageRunner
from export.package_weights import initializers
from reference_data import EVAL_EN, EVAL_ZH, copy_tiny_random
from tiny_model import make_tiny_checkpoint
from youtu_edge.package import open_package
from youtu_export.__main__ import main
from youtu_export.awq.awq import Activations, compress, output_error, rounded, search_scales, search_shrink
from youtu_export.awq.awq_checkpoint import calibrate
from youtu_export.awq.calibration import SAMPLE, read_calibration
from youtu_export.checkpoints.hf_reader import open_hf
from youtu_export.checkpoints.packed_matrix import round_int4, unpack
from youtu_export.checkpoints.scaled_tensor import ScaledTensor, clipped
from youtu_export.errors import ExportError
from youtu_export.export import export
from youtu_export.quality.quality import measure, read_text
from youtu_export.quantise.recipes import RECIPES

PROMPT = [75, 104, 111, 111, 114, 35, 80, 90, 9, 40]


def _with_outliers() -> tuple[np.ndarray, Activations]:
    """A matrix [24, 64] and activations of which four channels are thirty times as large as the others."""
    random = np.random.default_rng(3)
    x = random.standard_normal((200, 64), dtype=np.float32)
    x[:, [1, 17, 40, 63]] *= 30
    return random.standard_normal((24, 64), dtype=np.float32), Activations(np.abs(x).mean(axis=0), x)


def test_the_search_rounds_as_the_package_does() -> None:
    """To float16 scales, whose error the search sees, too."""
    values = np.random.default_rng(0).standard_normal((6, 128), dtype=np.float32)
    np.testing.assert_array_equal(rounded(values, 32), unpack(round_int4(values, 32)))


def test_a_compressed_sample_gives_every_matrix_the_same_error() -> None:
    matrix, activations = _with_outliers()
    small = Activations(activations.mean_abs, compress(activations.sample))
    assert small.sample.shape == (64, 64)
    assert output_error(matrix, small) == pytest.approx(output_error(matrix, activations), rel=1e-4)


def test_scales_halve_the_error_where_few_channels_matter() -> None:
    matrix, activations = _with_outliers()
    plain = output_error(rounded(matrix, 32) - matrix, activations)
    scales = search_scales([matrix], [32], activations)
    assert scales is not None
    better = output_error(rounded(matrix * scales, 32) / scales - matrix, activations)
    assert better < 0.5 * plain


def test_clipping_never_raises_the_error_of_a_block() -> None:
    matrix, activations = _with_outliers()
    matrix[0, 5] = 12  # an outlier that costs its block all resolution, in a channel that matters little
    shrink = search_shrink(matrix, 32, activations)
    assert shrink.min() >= 0.6
    assert shrink[0, 0] < 1
    blocks = clipped(matrix.reshape(24, 2, 32), shrink).reshape(24, 64)
    for half in (slice(0, 32), slice(32, 64)):
        part = Activations(activations.mean_abs[half], activations.sample[:, half])
        before = output_error(rounded(matrix[:, half], 32) - matrix[:, half], part)
        assert output_error(rounded(blocks[:, half], 32) - matrix[:, half], part) <= before * (1 + 1e-5)


FAMILIES = (
    "llama", "youtu", "youtu-noqlora", "qwen2-tied", "qwen3-untied", "mistral", "smollm3-tied", "gemma3-tied",
    "granite-tied", "chatglm3", "phi", "phi3",
)  # fmt: skip


@pytest.fixture(params=FAMILIES)
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A random model of every family."""
    return copy_tiny_random(request.param, tmp_path / "checkpoint")


def test_scales_leave_the_float_model_as_it_is(
    checkpoint: Path, tmp_path: Path, runner_of: type[PackageRunner], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exported in float32 and without clipping, a scaled checkpoint gives the logits of the original."""
    monkeypatch.setattr("youtu_export.awq.awq_checkpoint.search_shrink", lambda matrix, block, _: _no_shrink(matrix, block))
    original = open_hf(checkpoint)
    recipe = dataclasses.replace(RECIPES["q4-awq"], block=32)
    text = tmp_path / "text.txt"
    text.write_text("A short text is enough to find scales. " * 8)
    scaled = calibrate(original, recipe, read_calibration(text, original.assets), tmp_path)
    factors = [tensor for tensor in scaled.tensors.values() if isinstance(tensor, ScaledTensor)]
    assert any(tensor.row_scales is not None for tensor in factors)
    export(open_hf(checkpoint), tmp_path / "exact", RECIPES["f32"], name="exact")
    export(scaled, tmp_path / "scaled", RECIPES["f32"], name="scaled")
    exact, found = (runner_of(tmp_path / name).logits(PROMPT) for name in ("exact", "scaled"))
    np.testing.assert_allclose(found, exact, atol=1e-3, rtol=1e-3)


def _no_shrink(matrix: np.ndarray, block: int) -> np.ndarray:
    return np.ones((matrix.shape[0], matrix.shape[1] // block), np.float32)


def test_kl_of_a_trained_model_falls_and_nll_stays_within_bounds(
    nano_checkpoint: Path, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """youtu-nano on texts that it was not calibrated with: NLL within 1.5 % of float32, KL below that of plain rounding."""
    for recipe in ("f32", "q4", "q4-awq"):
        assert main(["hf", str(nano_checkpoint), str(tmp_path / recipe), "--recipe", recipe, "--block", "128"]) == 0
    reference = open_package(tmp_path / "f32")
    texts = [read_text(path, reference, 1024) for path in (EVAL_EN, EVAL_ZH)]
    plain, calibrated = (measure(reference, open_package(tmp_path / recipe), texts) for recipe in ("q4", "q4-awq"))
    assert all(figure.nll_increase < 0.015 for figure in calibrated)
    assert sum(figure.kl_divergence for figure in calibrated) < 0.9 * sum(figure.kl_divergence for figure in plain)


def test_chosen_matrices_keep_eight_bits(tmp_path: Path) -> None:
    """--int8 goes by the matrix's name; the manifest tells."""
    source = _tiny(tmp_path)
    options = ["--recipe", "q4-awq", "--int8", "*.1.mlp.down_proj.weight"]
    assert main(["hf", str(source), str(tmp_path / "package"), *options]) == 0
    found = initializers(tmp_path / "package")
    assert "/model/layers.0/mlp/down/zero_points" in found
    assert "/model/layers.1/mlp/down/zero_points" not in found
    quality = open_package(tmp_path / "package").manifest.quality
    assert quality["int8_matrices"] == "*.1.mlp.down_proj.weight"
    assert quality["calibration"].startswith("calibration.jsonl, ")


def test_a_quantised_checkpoint_is_refused(tmp_path: Path) -> None:
    """Rounding twice would throw away what the first rounding was chosen for."""
    checkpoint = open_hf(_tiny(tmp_path))
    name = "model.layers.0.mlp.down_proj.weight"
    checkpoint.tensors[name] = dataclasses.replace(checkpoint.tensors[name], kind="Q4_0")
    text = read_calibration(SAMPLE, checkpoint.assets)
    with pytest.raises(ExportError, match="is already quantised"):
        calibrate(checkpoint, RECIPES["q4-awq"], text, tmp_path)


@pytest.mark.parametrize(
    ("line", "message"),
    [("{", "line 2: not valid JSON"), ('{"prompt": "a"}', "line 2: needs a string"), ('["a"]', "line 2: needs a string")],
)
def test_a_wrong_calibration_line_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text(json.dumps({"text": "the rest is fine"}) + f"\n{line}\n")
    with pytest.raises(ExportError, match=message):
        read_calibration(path, open_hf(_tiny(tmp_path)).assets)


def test_conversations_are_rendered_by_the_chat_template(tmp_path: Path) -> None:
    path = tmp_path / "text.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "user", "content": "the end"}]}))
    assets = open_hf(_tiny(tmp_path)).assets
    (window,) = read_calibration(path, assets).windows
    assert window.count(1) == 2  # <|im_start|> of the default system text and of the user's message


def test_options_that_do_nothing_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--calibration without a recipe that calibrates, --int8 without four bits."""
    for options, message in ((["--calibration", "a.txt"], "--calibration"), (["--recipe", "q8", "--int8", "*"], "--int8")):
        with pytest.raises(SystemExit):
            main(["hf", "source", str(tmp_path / "out"), *options])
        assert message in capsys.readouterr().err


def _tiny(tmp_path: Path) -> Path:
    source = tmp_path / "tiny"
    source.mkdir()
    return make_tiny_checkpoint(source)
