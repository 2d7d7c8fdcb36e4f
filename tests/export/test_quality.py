"""Figures of one package against another, and the report inside a package."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from export.package_runner import PackageRunner
from reference_data import EVAL_EN, EVAL_ZH
from tiny_model import make_tiny_checkpoint, make_tiny_package
from youtu_edge.package import open_package
from youtu_export.__main__ import main
from youtu_export.errors import ExportError
from youtu_export.quality.compare import compare
from youtu_export.quality.error_chart import MatrixError, error_chart, error_figure
from youtu_export.quality.quality import measure, read_text, window_sums


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the rain in spain stays there, and then it rests. " * 40)
    return path


def test_sums_are_those_of_the_formulas() -> None:
    """NLL, KL and top-1 of two rows that can be done by hand."""
    first = np.log(np.array([[0.5, 0.25, 0.25], [0.2, 0.7, 0.1], [1, 1, 1]], np.float32))
    second = np.log(np.array([[0.25, 0.5, 0.25], [0.1, 0.8, 0.1], [1, 1, 1]], np.float32))
    nll, other, kl, same = window_sums(first, second, [2, 0, 1])
    assert nll == pytest.approx(-np.log(0.5) - np.log(0.7))
    assert other == pytest.approx(-np.log(0.25) - np.log(0.8))
    divergence = 0.5 * np.log(2) + 0.25 * np.log(0.5) + 0.2 * np.log(2) + 0.7 * np.log(0.7 / 0.8)
    assert kl == pytest.approx(divergence, rel=1e-6)
    assert same == 1


def test_nll_of_a_trained_model_is_that_of_its_reference(
    nano_checkpoint: Path, tmp_path: Path, runner_of: type[PackageRunner]
) -> None:
    """youtu-nano in float32: 4.4077 on eval_en.txt and 5.8721 on eval_zh.txt, and nothing against itself."""
    assert main(["hf", str(nano_checkpoint), str(tmp_path / "package"), "--recipe", "f32"]) == 0
    package = open_package(tmp_path / "package")
    texts = [read_text(path, package, 4096) for path in (EVAL_EN, EVAL_ZH)]
    english, chinese = measure(package, package, texts)
    assert (english.nll, chinese.nll) == (pytest.approx(4.407653, abs=2e-4), pytest.approx(5.8721, abs=2e-4))
    assert (english.tokens, english.kl_divergence, english.top1_agreement) == (4096, pytest.approx(0, abs=1e-6), 1)


def test_compare_prints_a_table(tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sizes, NLL, perplexity, KL and top-1 of each text."""
    first, second = (make_tiny_package(tmp_path / recipe, recipe=recipe) for recipe in ("f32", "q4"))
    assert main(["compare", str(first), str(second), "--text", str(text)]) == 0
    table = capsys.readouterr().out
    for word in ("size, MB", "NLL", "perplexity", "KL(A||B)", "top-1 agreement", "text.txt", "q4"):
        assert word in table


def test_packages_of_other_tokens_are_not_compared(tmp_path: Path, text: Path) -> None:
    first, second = (make_tiny_package(tmp_path / name) for name in "ab")
    tokenizer = json.loads((second / "tokenizer.json").read_text())
    (tmp_path / "c").mkdir()
    source = make_tiny_checkpoint(tmp_path / "c")
    tokenizer["model"]["merges"].pop()
    (source / "tokenizer.json").write_text(json.dumps(tokenizer))
    assert main(["hf", str(source), str(second), "--force", "--recipe", "f32"]) == 0
    with pytest.raises(ExportError, match="the tokenizer differs"):
        compare(first, second, [text], 100)


def test_a_report_lies_in_the_package_with_its_checksum(tmp_path: Path, text: Path) -> None:
    """Figures in the manifest, report.md and the plot among its files."""
    source = tmp_path / "checkpoint"
    source.mkdir()
    make_tiny_checkpoint(source)
    out = tmp_path / "package"
    assert main(["hf", str(source), str(out), "--report", "--report-text", str(text)]) == 0
    manifest = open_package(out).manifest  # checks every byte
    assert {"report.md", "relative_error.png"} <= set(manifest.files)
    figures = manifest.quality["text.txt"]
    assert figures["reference"] == "f32"
    assert figures["kl_divergence"] > 0
    assert 0.01 < manifest.quality["mean_relative_error"] < 0.15
    report = (out / "report.md").read_text()
    assert "| text.txt |" in report
    assert "model.layers.1.mlp.down_proj.weight | 4 |" in report
    assert not list(tmp_path.glob(".*"))


def test_a_reference_that_is_too_large_is_left_out_with_a_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The package is made, the errors of matrices are there, and the report tells how to get the rest."""
    monkeypatch.setattr("youtu_export.quality.quality_report.LARGEST_REFERENCE", 1000)
    source = tmp_path / "checkpoint"
    source.mkdir()
    make_tiny_checkpoint(source)
    assert main(["hf", str(source), str(tmp_path / "package"), "--report"]) == 0
    assert "float reference" in capsys.readouterr().err
    assert "--recipe f32" in (tmp_path / "package" / "report.md").read_text()


def test_the_chart_has_axes_with_units_and_a_legend() -> None:
    """One bar for each matrix, ticks at layers, and the same picture every time. A name is no formula."""
    names = [f"model.layers.{layer}.{part}.weight" for layer in range(40) for part in ("self_attn.q_proj", "mlp.up_proj")]
    errors = [MatrixError(name, 4, 0.05 + place / 1000) for place, name in enumerate([*names, "lm_head.weight"])]
    figure = error_figure(errors, "a $b$ c")
    (axes,) = figure.axes
    assert axes.get_ylabel() == "relative error, %"
    assert axes.get_xlabel() == "matrices in the order of the table, by layer"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["lm_head", "mlp", "self_attn"]
    assert [bar.get_height() for bar in axes.containers[0]] == pytest.approx([100 * errors[-1].relative_error])
    assert sum(len(bars) for bars in axes.containers) == len(errors)
    assert [label.get_text() for label in axes.get_xticklabels()][:3] == ["0", "3", "6"]
    data = error_chart(errors, "a $b$ c")
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert error_chart(errors, "a $b$ c") == data


def test_where_nothing_was_rounded_there_is_no_chart(tmp_path: Path, text: Path) -> None:
    """The report says so instead of showing an empty one."""
    source = tmp_path / "checkpoint"
    source.mkdir()
    make_tiny_checkpoint(source)
    out = tmp_path / "package"
    assert main(["hf", str(source), str(out), "--recipe", "f32", "--report", "--report-text", str(text)]) == 0
    assert "relative_error.png" not in open_package(out).manifest.files
    report = (out / "report.md").read_text()
    assert "No matrix was rounded." in report
    assert "png" not in report
