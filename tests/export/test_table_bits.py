"""The embedding table and the output head in four bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from export.package_runner import PackageRunner
from export.package_weights import initializers, nodes
from tiny_model import make_tied_and_untied, make_tiny_checkpoint
from youtu_export.__main__ import main

PROMPT = [75, 104, 111, 111, 114, 35, 80, 90, 9, 40]


def _export(checkpoint: Path, out: Path, *options: str) -> Path:
    assert main(["hf", str(checkpoint), str(out), *options]) == 0
    return out


def test_a_tied_head_of_four_bits_computes_what_a_copy_computes(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """Codes, scales and zero points are stored once and read by both."""
    packages = [
        _export(path, tmp_path / f"p-{path.name}", "--recipe", "q4-small") for path in make_tied_and_untied(tmp_path)
    ]
    expected, found = (runner_of(package).logits(PROMPT) for package in packages)
    np.testing.assert_array_equal(found, expected)
    weights = [f"/model/embed_tokens/{part}" for part in ("codes", "scales", "zero_points")]
    assert list(nodes(packages[0])["/lm_head/Linear"].input[1:]) == weights
    assert set(weights) <= set(initializers(packages[0]))


def test_four_bits_take_less_room_and_stay_near(tmp_path: Path, runner_of: type[PackageRunner]) -> None:
    """Against the same matrices with a table of eight bits."""
    (tmp_path / "hf").mkdir()
    checkpoint = make_tiny_checkpoint(tmp_path / "hf")
    packages = [_export(checkpoint, tmp_path / recipe, "--recipe", recipe) for recipe in ("q4", "q4-small")]
    sizes = [(package / "weights.bin").stat().st_size for package in packages]
    assert sizes[0] - sizes[1] > 276 * 64 * 0.8  # half of the bytes of two tables, less the zero points
    eight, four = (runner_of(package).logits(PROMPT) for package in packages)
    assert np.sqrt(np.mean((four - eight) ** 2)) < 0.4 * eight.std()
